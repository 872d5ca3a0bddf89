/** Any recording, any policy: a replay gives the verdicts of a plain tracker and a plain interpreter. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import {
  HOOK,
  type Hook,
  hookName,
  Prefix,
  PROTOCOL,
  SECOND,
  TCP_STATES,
  verdictName,
} from "../base/index.ts";
import { allocateMemory } from "../policy/index.ts";
import { PlainInterpreter, type PlainPolicy } from "../testing/plain-interpreter.ts";
import { plainPolicies } from "../testing/plain-policies.ts";
import { compileValid, ReportProbe } from "../testing/policy-probe.ts";
import { type RecordedPacket, type Recording, recordings } from "../testing/recordings.ts";
import { TrackerModel } from "../testing/tracker-model.ts";
import { buildPacket, LINK_TYPE, PcapWriter } from "../wire/index.ts";
import { replayCapture } from "./replay.ts";

const LOCAL = ["198.51.100.7", "fd00::7"];
const LOCAL_PREFIXES = LOCAL.map((address) => Prefix.parse(address) as Prefix);
/** Seconds since 1970 at which recordings begin. */
const BEGIN = 1_700_000_000;

const folder = mkdtempSync(join(tmpdir(), "postern-replay-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/** What became of a packet. */
interface Outcome {
  readonly hook: string | undefined;
  /** State of the connection before the packet; of TCP only. */
  readonly state: string | undefined;
  readonly verdict: string;
  readonly chain: string | undefined;
  readonly rule: number | null;
  readonly lines: readonly string[];
}

function writeCapture({ packets }: Recording): string {
  const writer = new PcapWriter(LINK_TYPE.RAW);
  const records = packets.map(({ fields, at }) =>
    writer.packet({
      bytes: buildPacket(fields),
      seconds: BEGIN + Math.floor(at / SECOND),
      nanoseconds: (((at % SECOND) + SECOND) % SECOND) * 1_000_000,
    }),
  );
  const file = join(folder, "recording.pcap");
  writeFileSync(file, Buffer.concat([writer.header(), ...records]));
  return file;
}

async function replayed(source: PlainPolicy, recording: Recording): Promise<Outcome[]> {
  const policy = compileValid(source);
  const report = new ReportProbe();
  const outcomes: Outcome[] = [];
  const recogniserFailed = (): never => assert.fail("no recogniser is asked");
  const capture = writeCapture(recording);
  const memory = allocateMemory(policy);
  await replayCapture(
    { policy, memory, capture, local: LOCAL_PREFIXES, report, recogniserFailed },
    {
      judged(_number, packet, { evaluator, stateBefore }) {
        const { verdict, chain, rule } = evaluator;
        outcomes.push({
          hook: hookName(packet.hook),
          state: packet.isTcp ? TCP_STATES[stateBefore] : undefined,
          verdict: verdictName(verdict),
          chain: policy.chains[chain]?.name,
          rule: rule < 0 ? null : rule,
          lines: report.takeLines(),
        });
      },
      passedBy: () => assert.fail("every packet is one of IP"),
    },
  );
  return outcomes;
}

function hookOf({ source, destination }: RecordedPacket["fields"]): Hook {
  if (LOCAL.includes(destination)) return HOOK.INPUT;
  return LOCAL.includes(source) ? HOOK.OUTPUT : HOOK.FORWARD;
}

function modelled(source: PlainPolicy, { packets, zero }: Recording): Outcome[] {
  const tracker = new TrackerModel(1000, zero);
  const interpreter = new PlainInterpreter(source);
  let now = 0;
  return packets.map(({ fields, plain, at }) => {
    now = Math.max(now, at - (packets[0]?.at ?? 0));
    const packet = { ...plain, hook: hookOf(fields) };
    const { state, flow } = tracker.look(packet, now);
    const protocol = plain.protocol === PROTOCOL.TCP ? "TCP" : "UDP";
    const hook = hookName(packet.hook);
    const judged = interpreter.judge({ ...fields, protocol, state, flow }, now / SECOND, hook);
    if (judged.verdict === "ACCEPT") tracker.enter(packet, now);
    return { hook, state: protocol === "TCP" ? state : undefined, ...judged };
  });
}

const hooks = fc.subarray(["OUTPUT", "FORWARD"]).map((others) => ["INPUT", ...others]);

test("a replay gives the verdicts of a plain tracker and a plain interpreter", async () => {
  let inState = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(hooks.chain(plainPolicies), recordings(60), async (policy, recording) => {
      const expected = modelled(policy, recording);
      assert.deepEqual(await replayed(policy, recording), expected);
      inState += expected.filter(({ state }) => state !== undefined && state !== "CLOSED").length;
      refused += expected.filter(({ verdict }) => verdict !== "ACCEPT").length;
    }),
    { numRuns: 400 },
  );
  assert.ok(inState > 1000, `${inState} packets met a connection`);
  assert.ok(refused > 1000, `${refused} packets were refused`);
});
