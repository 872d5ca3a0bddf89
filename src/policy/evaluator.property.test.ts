/** Any policy, any packets: the evaluator, its explanation and an interpreter written from the text agree. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PROTOCOL, SECOND, TCP_STATES } from "../base/index.ts";
import { PlainInterpreter, type PlainPacket } from "../testing/plain-interpreter.ts";
import { PLAIN_ADDRESSES, PLAIN_PORTS, plainPolicies } from "../testing/plain-policies.ts";
import { PolicyProbe, type ProbePacket } from "../testing/policy-probe.ts";
import { FLOW } from "./rule.ts";

const PROTOCOLS = { TCP: PROTOCOL.TCP, UDP: PROTOCOL.UDP, ICMP: PROTOCOL.ICMP, SCTP: PROTOCOL.SCTP } as const;
const FLOWS = { new: FLOW.NEW, original: FLOW.ORIGINAL, reply: FLOW.REPLY } as const;

const port = fc.constantFrom(...PLAIN_PORTS);

const packet = fc
  .record({
    family: fc.constantFrom<4 | 6>(4, 6),
    from: fc.nat(3),
    to: fc.nat(3),
    protocol: fc.constantFrom("TCP", "UDP", "ICMP", "SCTP"),
    sourcePort: port,
    destinationPort: port,
    later: fc.boolean(),
    state: fc.constantFrom(...TCP_STATES),
    flow: fc.constantFrom<PlainPacket["flow"][]>("new", "original", "reply"),
    pause: fc.constantFrom(0, 0.5, 2, 6),
  })
  .map(({ family, from, to, later, ...rest }) => ({
    source: PLAIN_ADDRESSES[family][from] ?? "",
    destination: PLAIN_ADDRESSES[family][to] ?? "",
    // A fragment now and then is enough.
    later: later && rest.sourcePort === 0,
    ...rest,
  }));

type Sent = typeof packet extends fc.Arbitrary<infer T> ? T : never;

function toPlain(sent: Sent): PlainPacket {
  const { sourcePort, destinationPort, later, protocol, ...rest } = sent;
  const hasPorts = !later && protocol !== "ICMP";
  return { ...rest, protocol, later, ...(hasPorts && { sourcePort, destinationPort }) };
}

function toProbe(sent: Sent): ProbePacket {
  const { later, protocol, flow, pause: _pause, ...rest } = sent;
  return {
    ...rest,
    protocol: PROTOCOLS[protocol],
    flow: FLOWS[flow],
    ...(later && { fragmentOffset: 1480, payload: new Uint8Array(8) }),
  };
}

/** What the explanation ends with. */
function explained(probe: PolicyProbe, sent: ProbePacket): unknown {
  const last = probe.explain(sent).at(-1);
  assert.ok(last?.kind === "verdict");
  return { verdict: last.verdict, chain: last.chain, rule: last.rule };
}

test("evaluator, explanation and plain interpreter agree", () => {
  fc.assert(
    fc.property(
      plainPolicies(["INPUT"]),
      fc.array(packet, { minLength: 1, maxLength: 12 }),
      (source, packets) => {
        const probe = new PolicyProbe(source);
        const plain = new PlainInterpreter(source);
        for (const sent of packets) {
          probe.context.now += sent.pause * SECOND;
          const expected = plain.judge(toPlain(sent), probe.context.now / SECOND);
          const { verdict, chain, rule } = expected;
          assert.deepEqual(explained(probe, toProbe(sent)), { verdict, chain, rule });
          assert.deepEqual(probe.report.takeLines(), [], "an explanation prints nothing");
          assert.equal(probe.judge(toProbe(sent)), verdict);
          const { evaluator } = probe;
          assert.equal(probe.policy.chains[evaluator.chain]?.name, chain);
          assert.equal(evaluator.rule, rule ?? -1);
          assert.deepEqual(probe.report.takeLines(), expected.lines);
        }
      },
    ),
    { numRuns: 200 },
  );
});
