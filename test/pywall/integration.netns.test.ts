/**
 * PyWall's 27 integration scenarios, on the loopback interface of a host of their own. A server listens on
 * every port that is tried, so what does not arrive was blocked; IPv6 twins follow where the policy has no
 * addresses.
 */
import assert from "node:assert/strict";
import { HOST_PAIR, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";
import { KNOCKED_PORT, knock, TWO_DOORS } from "../knocking.ts";
import { deliver, PROTOCOLS, SAID, sideControls } from "./delivery.ts";
import { addressPolicy, blockUnregistered, PORT_KNOCKING } from "./policies.ts";

const HIGH_PAIRS = [
  [49_151, 49_251],
  [49_152, 49_252],
  [65_535, 65_435],
] as const;
const LOW_SOURCE = 8_009;

/** Three attempts for each protocol: destination and source ports. */
const GROUPS = [
  {
    title: "scenarios 1 to 6: unregistered source ports are blocked",
    end: "src",
    pairs: HIGH_PAIRS,
  },
  {
    title: "scenarios 7 to 12: unregistered destination ports are blocked",
    end: "dst",
    pairs: HIGH_PAIRS.map(([port]) => [port, LOW_SOURCE] as const),
  },
  {
    title: "scenarios 13 to 18: unregistered ports on either side are blocked",
    end: "either",
    pairs: HIGH_PAIRS,
  },
] as const;

for (const { title, end, pairs } of GROUPS) {
  netnsTest(title, HOST_PAIR, async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: blockUnregistered(end) });
    for (const address of ["127.0.0.1", "::1"]) {
      for (const protocol of PROTOCOLS) {
        for (const [port, localPort] of pairs) {
          const heard = await deliver(host, host, { protocol, address, port, localPort }, false);
          assert.deepEqual(heard, [], `${protocol} ${localPort} to ${address} ${port}`);
        }
        const low = { protocol, address, port: 8_008, localPort: LOW_SOURCE };
        assert.deepEqual(
          await deliver(host, host, low, true),
          [SAID],
          `${protocol} to ${address}, registered`,
        );
      }
    }
    // On loopback the answers of TCP pass INPUT too, with the sides exchanged: another host tells them apart.
    for (const address of [host.ipv4, host.ipv6]) {
      for (const protocol of PROTOCOLS) {
        for (const { title: sides, passes, ...ports } of sideControls(end)) {
          const heard = await deliver(client, host, { protocol, address, ...ports }, passes);
          assert.deepEqual(heard, passes ? [SAID] : [], `${protocol} to ${address}: ${sides}`);
        }
      }
    }
    await firewall.stop();
  });
}

const ADDRESSES = (["DestinationIPRule", "SourceIPRule"] as const).flatMap((rule) => [
  {
    name: `${rule}OutOfRange`,
    policy: addressPolicy(rule, "127.0.255.0/24", { action: "DROP", fallback: "ACCEPT" }),
    passes: true,
  },
  {
    name: `${rule}InRangeAccept`,
    policy: addressPolicy(rule, "127.0.0.0/24", { action: "ACCEPT", fallback: "DROP" }),
    passes: true,
  },
  {
    name: `${rule}InRangeDrop`,
    policy: addressPolicy(rule, "127.0.0.0/24", { action: "DROP", fallback: "ACCEPT" }),
    passes: false,
  },
]);

for (const { name, policy, passes } of ADDRESSES) {
  netnsTest(
    `scenarios 19 to 24, one address rule: ${name} ${passes ? "passes" : "is blocked"}`,
    HOST_PAIR,
    async ({ firewall: host }) => {
      const firewall = await startFirewall(host, { policy });
      for (const protocol of PROTOCOLS) {
        const heard = await deliver(host, host, { protocol, address: "127.0.0.1", port: 58_008 }, passes);
        assert.deepEqual(heard, passes ? [SAID] : [], protocol);
      }
      await firewall.stop();
    },
  );
}

netnsTest(
  "scenarios 25 and 26: one accepted source passes under a default of DROP",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const policy = addressPolicy("SourceIPRule", "127.0.0.1", { action: "ACCEPT", fallback: "DROP" });
    const firewall = await startFirewall(host, { policy });
    for (const protocol of PROTOCOLS) {
      const trial = { protocol, address: "127.0.0.1", port: 58_008 };
      assert.deepEqual(await deliver(host, host, trial, true), [SAID], protocol);
      const other = { ...trial, address: "::1" };
      assert.deepEqual(await deliver(host, host, other, false), [], `${protocol} from another source`);
    }
    await firewall.stop();
  },
);

netnsTest(
  "scenario 27: the protected port itself opens after the knock, and only then",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: PORT_KNOCKING });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    for (const address of [host.ipv4, host.ipv6]) {
      const open = async (timeoutMs = SILENCE_MS): Promise<string> =>
        (await client.traffic.connectTcp({ address, port: KNOCKED_PORT, timeoutMs })).outcome;
      assert.equal(await open(), "timeout", "before the knock");
      await knock(client, address, TWO_DOORS.slice(0, 1));
      assert.equal(await open(), "timeout", "after half of it");
      await knock(client, address, TWO_DOORS.slice(1));
      assert.equal(await open(PATIENCE_MS), "connected", "after the whole knock");
    }
    await firewall.stop();
  },
);
