/** Every form of refusal: the answer itself, read off the wire, and what a real client makes of it. */
import assert from "node:assert/strict";
import { PROTOCOL } from "#base";
import { GATEWAY, type Namespace, startFirewall } from "#lab";
import { netnsTest, type Refusal, RefusalWitness } from "#testing";

const PORT = 4242;
/** How long a client waits for any answer, in milliseconds: many times what an answer takes. */
const PATIENCE_MS = 4_000;

/** Type and code of each ICMP answer, IPv4 (RFC 792, RFC 1812) and IPv6 (RFC 4443). */
const PORT_UNREACHABLE = ["ICMP 3/3", "ICMPv6 1/4"] as const;
const HOST_UNREACHABLE = ["ICMP 3/1", "ICMPv6 1/3"] as const;
const ADMIN_PROHIBITED = ["ICMP 3/13", "ICMPv6 1/1"] as const;
const RESET = ["TCP reset", "TCP reset"] as const;

/**
 * The answer to each form over IPv4 and IPv6, and what a client's socket says. That a host is unreachable
 * does not end a UDP socket, as it may pass (RFC 1122 section 4.1.3.3).
 */
const FORMS = [
  {
    form: "auto",
    TCP: { answers: RESET, outcome: "refused" },
    UDP: { answers: PORT_UNREACHABLE, outcome: "refused" },
  },
  {
    form: "tcp-reset",
    TCP: { answers: RESET, outcome: "refused" },
    UDP: { answers: PORT_UNREACHABLE, outcome: "refused" },
  },
  {
    form: "port-unreachable",
    TCP: { answers: PORT_UNREACHABLE, outcome: "refused" },
    UDP: { answers: PORT_UNREACHABLE, outcome: "refused" },
  },
  {
    form: "host-unreachable",
    TCP: { answers: HOST_UNREACHABLE, outcome: "unreachable" },
    UDP: { answers: HOST_UNREACHABLE, outcome: "silent" },
  },
  {
    form: "admin-prohibited",
    TCP: { answers: ADMIN_PROHIBITED, outcome: "unreachable" },
    UDP: { answers: ADMIN_PROHIBITED, outcome: "unreachable" },
  },
] as const;

/** The chain of each hook, and who must be refused there on the way to whom. */
const HOOKS = [
  { chain: "INPUT", from: "client", to: "firewall" },
  { chain: "OUTPUT", from: "firewall", to: "server" },
  { chain: "FORWARD", from: "client", to: "server" },
] as const;

interface Attempt {
  readonly protocol: "TCP" | "UDP";
  readonly address: string;
  readonly localPort: number;
}

async function outcomeOf(from: Namespace, attempt: Attempt): Promise<string> {
  const { protocol, address, localPort } = attempt;
  const destination = { address, port: PORT, localPort, timeoutMs: PATIENCE_MS };
  const { traffic } = from;
  const result =
    protocol === "TCP"
      ? await traffic.connectTcp(destination)
      : await traffic.sendUdp({ ...destination, say: "x" });
  return result.outcome;
}

/** Checks that a refusal is about the packet that was sent, and comes from whom it may come. */
function checkRefusal(refusal: Refusal, attempt: Attempt, firewall: Namespace): void {
  const { form, from, ...quoted } = refusal;
  const { protocol, address, localPort } = attempt;
  assert.deepEqual(quoted, { refused: address, protocol: PROTOCOL[protocol], localPort, port: PORT });
  const speakers = form === "TCP reset" ? [address] : firewall.addresses;
  assert.ok(speakers.includes(from), `${form} from ${from}`);
}

for (const { form, ...expected } of FORMS) {
  netnsTest(
    `a RejectRule with "${form}" is answered at once at INPUT, OUTPUT and FORWARD`,
    GATEWAY,
    async (hosts) => {
      const only = (["TCP", "UDP"] as const).map((protocol) => {
        return { name: "PortRule", protocol, dst_port: PORT, action: "refuse" };
      });
      const refuse = [{ name: "RejectRule", with: form }];
      const policy = { INPUT: only, OUTPUT: only, FORWARD: only, refuse };
      const firewall = await startFirewall(hosts.firewall, { policy });
      const witnesses = {
        client: await RefusalWitness.start(hosts.client),
        firewall: await RefusalWitness.start(hosts.firewall),
      };
      const outcomes: { readonly what: string; readonly told: Promise<string>; readonly due: string }[] = [];
      let localPort = 5_000;
      for (const { chain, from, to } of HOOKS) {
        const stations = [
          await hosts[to].traffic.listenTcp({ port: PORT }),
          await hosts[to].traffic.listenUdp({ port: PORT }),
        ];
        for (const [at, address] of [hosts[to].ipv4, hosts[to].ipv6].entries()) {
          for (const protocol of ["TCP", "UDP"] as const) {
            const what = `${chain} ${protocol} ${address}`;
            const attempt = { protocol, address, localPort: (localPort += 1) };
            const told = outcomeOf(hosts[from], attempt);
            // What goes wrong first is reported, not that this was given up for it.
            told.catch(() => undefined);
            const refusal = await witnesses[from].awaitPort(localPort);
            assert.equal(refusal.form, expected[protocol].answers[at], what);
            checkRefusal(refusal, attempt, hosts.firewall);
            outcomes.push({ what, told, due: expected[protocol].outcome });
          }
        }
        for (const station of stations) {
          assert.equal((await station.heard()).length, 0, `${chain}: nothing arrives`);
        }
        await Promise.all(stations.map((station) => station.close()));
      }
      for (const { what, told, due } of outcomes) assert.equal(await told, due, what);
      for (let port = 5_001; port <= localPort; port += 1) {
        const seen = [...witnesses.client.ofPort(port), ...witnesses.firewall.ofPort(port)];
        assert.equal(seen.length, 1, `one answer to one packet from port ${port}`);
      }
      await firewall.stop();
    },
  );
}

netnsTest("a packet that is dropped is answered by nobody", GATEWAY, async (hosts) => {
  const policy = { INPUT: [{ name: "PortRule", protocol: "UDP", dst_port: PORT, action: "DROP" }] };
  const firewall = await startFirewall(hosts.firewall, { policy });
  const witness = await RefusalWitness.start(hosts.client);
  const { ipv4: address } = hosts.firewall;
  const silent = { protocol: "UDP", address, localPort: 5_001 } as const;
  assert.equal(await outcomeOf(hosts.client, silent), "silent");
  assert.deepEqual(witness.ofPort(5_001), []);
  await firewall.stop();
});
