/**
 * PyWall's 20 acceptance scenarios between two hosts. The remote host really tries each port; in the group
 * "both" the destination port is varied too, which the original never did.
 */
import assert from "node:assert/strict";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { ACCEPT_SSH, blockUnregistered, withFirst } from "./policies.ts";

const SILENCE_MS = 300;
const PORTS = [49_151, 49_152, 65_535] as const;

interface Trial {
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
  readonly localPort?: number;
}

/** The remote host says "knock-knock"; true when the server heard exactly that. */
async function delivers(remote: Namespace, host: Namespace, address: string, trial: Trial): Promise<boolean> {
  const { protocol, port, localPort } = trial;
  const server =
    protocol === "TCP" ? await host.traffic.listenTcp({ port }) : await host.traffic.listenUdp({ port });
  const destination = {
    address,
    port,
    timeoutMs: SILENCE_MS,
    ...(localPort === undefined ? {} : { localPort }),
  };
  const say = "knock-knock";
  if (protocol === "TCP") await remote.traffic.connectTcp({ ...destination, say });
  else await remote.traffic.sendUdp({ ...destination, say });
  const heard = await server.heard();
  await server.close();
  return heard.length === 1 && heard[0]?.text === say;
}

/** Which ports a group of scenarios uses. */
const GROUPS = [
  {
    title: "scenarios 1 to 6: unregistered destination ports",
    end: "dst",
    source: (): undefined => undefined,
  },
  {
    title: "scenarios 7 to 12: unregistered source ports",
    end: "src",
    source: (port: number): number => port,
  },
  {
    title: "scenarios 13 to 18: unregistered ports on both sides",
    end: "either",
    source: (port: number): number => port,
  },
] as const;

for (const { title, end, source } of GROUPS) {
  netnsTest(`${title} are blocked between two hosts`, HOST_PAIR, async ({ client, firewall: host }) => {
    const policy = withFirst(blockUnregistered(end), ACCEPT_SSH);
    const firewall = await startFirewall(host, { policy });
    for (const address of [host.ipv4, host.ipv6]) {
      for (const protocol of ["TCP", "UDP"] as const) {
        for (const port of PORTS) {
          const localPort = source(port);
          const trial = { protocol, port, ...(localPort === undefined ? {} : { localPort }) };
          assert.equal(
            await delivers(client, host, address, trial),
            false,
            `${protocol} ${port} to ${address}`,
          );
        }
        const control = { protocol, port: 22, localPort: 4022 };
        assert.equal(await delivers(client, host, address, control), true, `${protocol} 22 to ${address}`);
      }
    }
    await firewall.stop();
  });
}

netnsTest(
  "scenarios 19 and 20: what no rule blocks is delivered, TCP and UDP",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = { default_chain: "ACCEPT", INPUT: [...ACCEPT_SSH, { name: "PrintRule" }] };
    const firewall = await startFirewall(host, { policy });
    for (const address of [host.ipv4, host.ipv6]) {
      for (const protocol of ["TCP", "UDP"] as const) {
        assert.equal(
          await delivers(client, host, address, { protocol, port: 59_001 }),
          true,
          `${protocol} to ${address}`,
        );
      }
    }
    assert.match(firewall.program.output, /^UDP from \d+ to 59001$/m);
    await firewall.stop();
  },
);
