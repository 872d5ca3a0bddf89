/** Limits that refuse packets are told of, over the whole way: kernel, daemon, stream of events, client. */
import assert from "node:assert/strict";
import { NftablesPinholes } from "#backend";
import { connectPinholes } from "#client";
import { GATEWAY } from "#lab";
import { inNamespace } from "#system";
import { netnsTest, openHouse } from "#testing";

const SENT = 30;

netnsTest("whose limit refuses packets is told, and how many it refused", GATEWAY, async (hosts) => {
  const { client: caller, firewall, server } = hosts;
  const plan = { table: "filter", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" } as const;
  const house = await openHouse({
    backend: inNamespace(firewall.fullName, () => NftablesPinholes.open(plan)),
  });
  const pinholes = connectPinholes({ socket: house.socket });
  try {
    const sides = { internal: server.ipv4, external: caller.ipv4, protocol: "udp", lifetime: 60 } as const;
    const change = pinholes.begin();
    const free = change.open({ ...sides, internal: `${server.ipv4}:6006` });
    const limited = change.open({ ...sides, internal: `${server.ipv4}:6004`, limit: { pps: 1, burst: 5 } });
    const events = pinholes.watch({ types: ["limit.hit"] })[Symbol.asyncIterator]();
    assert.equal((await events.next()).value?.type, "events.ready");
    await change.commit();
    const send = (port: number): Promise<string> => {
      const loop = `for i in $(seq ${SENT}); do echo media > /dev/udp/${server.ipv4}/${port}; done`;
      return caller.must(["bash", "-c", loop]);
    };
    await send(6006);
    await send(6004);
    let refused = 0;
    while (refused < SENT - 10) {
      const { value: event } = await events.next();
      assert.equal(event?.type, "limit.hit");
      assert.equal(event?.pinhole?.clientId, limited, "nobody refused anything of the other");
      assert.match(event?.text ?? "", /^Packets were refused: \d+ beyond 1 packets per second\.$/);
      refused += event?.refused?.pps ?? 0;
    }
    assert.ok(refused < SENT, `${refused} of ${SENT}`);
    const [all, some] = await Promise.all([pinholes.get(free, true), pinholes.get(limited, true)]);
    assert.deepEqual([all.traffic?.packets, some.traffic?.packets], [SENT, SENT]);
    await events.return?.(undefined);
  } finally {
    pinholes.end();
    await house.close();
  }
});
