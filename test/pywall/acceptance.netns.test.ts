/**
 * PyWall's 20 acceptance scenarios between two hosts. The remote host really tries each port; in the group
 * "both" the destination port is varied too, which the original never did.
 */
import assert from "node:assert/strict";
import { HOST_PAIR, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { deliver, PROTOCOLS, SAID, sideControls } from "./delivery.ts";
import { ACCEPT_SSH, blockUnregistered, withFirst } from "./policies.ts";

const PORTS = [49_151, 49_152, 65_535] as const;

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
      for (const protocol of PROTOCOLS) {
        const where = `${protocol} to ${address}`;
        for (const port of PORTS) {
          const trial = { protocol, address, port, localPort: source(port) };
          assert.deepEqual(await deliver(client, host, trial, false), [], `${where}, port ${port}`);
        }
        for (const { title: sides, passes, ...ports } of sideControls(end)) {
          const heard = await deliver(client, host, { protocol, address, ...ports }, passes);
          assert.deepEqual(heard, passes ? [SAID] : [], `${where}: ${sides}`);
        }
        const toSsh = { protocol, address, port: 22, localPort: 4022 };
        assert.deepEqual(await deliver(client, host, toSsh, true), [SAID], `${where}, port 22`);
      }
    }
    await firewall.stop();
  });
}

netnsTest(
  "what has port 22 on one side passes, whatever the other",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = withFirst(blockUnregistered("either"), ACCEPT_SSH);
    const firewall = await startFirewall(host, { policy });
    for (const address of [host.ipv4, host.ipv6]) {
      for (const [localPort, port] of [
        [22, 65_535],
        [65_535, 22],
      ] as const) {
        const tcp = { protocol: "TCP", address, port, localPort } as const;
        assert.deepEqual(await deliver(client, host, tcp, true), [SAID], `TCP ${localPort} to ${port}`);
        const udp = { ...tcp, protocol: "UDP" } as const;
        assert.deepEqual(await deliver(client, host, udp, false), [], `UDP ${localPort} to ${port}`);
      }
    }
    await firewall.stop();
  },
);

netnsTest(
  "scenarios 19 and 20: what no rule blocks is delivered, TCP and UDP",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = { default_chain: "ACCEPT", INPUT: [...ACCEPT_SSH, { name: "PrintRule" }] };
    const firewall = await startFirewall(host, { policy });
    for (const address of [host.ipv4, host.ipv6]) {
      for (const protocol of PROTOCOLS) {
        const heard = await deliver(client, host, { protocol, address, port: 59_001 }, true);
        assert.deepEqual(heard, [SAID], `${protocol} to ${address}`);
      }
    }
    assert.match(firewall.program.output, /^UDP from \d+ to 59001$/m);
    await firewall.stop();
  },
);
