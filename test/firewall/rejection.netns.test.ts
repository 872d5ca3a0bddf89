/** Every form of refusal, as a real client sees it: at once, and as any kernel would say it. */
import assert from "node:assert/strict";
import { GATEWAY, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const PORT = 4242;
/** A refusal is an answer; silence lasts longer than this. */
const PATIENCE_MS = 1500;

/**
 * What a TCP client and a UDP client make of each form, IPv4 and IPv6. ICMP host errors do not end UDP
 * sockets.
 */
const FORMS = [
  { form: "auto", tcp: ["refused", "refused"], udp: ["refused", "refused"] },
  { form: "tcp-reset", tcp: ["refused", "refused"], udp: ["refused", "refused"] },
  { form: "port-unreachable", tcp: ["refused", "refused"], udp: ["refused", "refused"] },
  { form: "host-unreachable", tcp: ["unreachable", "unreachable"], udp: undefined },
  { form: "admin-prohibited", tcp: ["unreachable", "unreachable"], udp: undefined },
] as const;

/** The chain of each hook, and who must be refused there on the way to whom. */
const HOOKS = [
  { chain: "INPUT", from: "client", to: "firewall" },
  { chain: "OUTPUT", from: "firewall", to: "server" },
  { chain: "FORWARD", from: "client", to: "server" },
] as const;

async function tcpOutcome(from: Namespace, address: string): Promise<string> {
  const result = await from.traffic.connectTcp({ address, port: PORT, timeoutMs: PATIENCE_MS });
  return result.outcome;
}

async function udpOutcome(from: Namespace, address: string): Promise<string> {
  const result = await from.traffic.sendUdp({ address, port: PORT, say: "x", timeoutMs: PATIENCE_MS });
  return result.outcome;
}

for (const { form, tcp, udp } of FORMS) {
  netnsTest(
    `a RejectRule with "${form}" is answered at once at INPUT, OUTPUT and FORWARD`,
    GATEWAY,
    async (hosts) => {
      const rule = { name: "RejectRule", with: form };
      const only = [
        { name: "PortRule", protocol: "TCP", dst_port: PORT, action: "refuse" },
        { name: "PortRule", protocol: "UDP", dst_port: PORT, action: "refuse" },
      ];
      const policy = { INPUT: only, OUTPUT: only, FORWARD: only, refuse: [rule] };
      const firewall = await startFirewall(hosts.firewall, { policy });
      for (const { chain, from, to } of HOOKS) {
        const tcpServer = await hosts[to].traffic.listenTcp({ port: PORT });
        const server = await hosts[to].traffic.listenUdp({ port: PORT });
        for (const [at, address] of [hosts[to].ipv4, hosts[to].ipv6].entries()) {
          assert.equal(await tcpOutcome(hosts[from], address), tcp[at], `${chain} TCP ${address}`);
          const outcome = await udpOutcome(hosts[from], address);
          if (udp !== undefined) assert.equal(outcome, udp[at], `${chain} UDP ${address}`);
        }
        assert.equal((await server.heard()).length, 0, `${chain}: nothing arrives`);
        await Promise.all([server.close(), tcpServer.close()]);
      }
      await firewall.stop();
    },
  );
}
