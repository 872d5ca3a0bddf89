/**
 * Random policies and packets through the interpreter and the kernel; of what differs the fewest packets are
 * told.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { conntrackStateNumber, HOOK, verdictName } from "#base";
import type { Topology } from "#lab";
import { compilePolicy } from "#policy";
import { countingPolicies, knockingPolicies, leadingPolicies, policies, similarPolicies } from "#testing";
import { decodePacket, Packet } from "#wire";
import { KernelJudge, type Outcome } from "./kernel-judge.ts";
import { knockRuns } from "./knocks.ts";
import { type JudgedPacket, packetRuns } from "./packets.ts";
import { referenceEngine } from "./reference.ts";

/** A difference is made smaller by leaving out packets, which here is quicker than what fast-check does. */
const REPORTING = { endOnFailure: true, includeErrorInReport: true } as const;

/** How much is compared. */
export interface Comparison {
  readonly policies: number;
  /** Packets of each policy. */
  readonly packets: number;
}

/** Interfaces of the laboratory in place of those that random rules name. */
function withRealInterfaces(source: object): string {
  return JSON.stringify(source)
    .replaceAll('"eth*"', '"to-*"')
    .replaceAll('"eth1+"', '"to-s+"')
    .replaceAll('"eth0"', '"to-client"')
    .replaceAll('"eth1"', '"to-server"')
    .replaceAll('"wg0"', '"lo"');
}

/** A policy without rules that ask the kernel's connection tracking. */
function withoutStates(source: object): object {
  const isKept = (rule: { readonly name?: string }): boolean => rule.name !== "ConntrackRule";
  return Object.fromEntries(
    Object.entries(source).map(([name, value]: [string, unknown]) => [
      name,
      Array.isArray(value) ? value.filter(isKept) : value,
    ]),
  );
}

/** What the interpreter makes of packets that come one after the other. */
function interpret(
  judge: KernelJudge,
  text: string,
  packets: readonly JudgedPacket[],
  outcomes: readonly Outcome[],
): string[] {
  const { policy } = compilePolicy(text, { file: "policy.json" });
  assert.ok(policy !== undefined, text);
  const { engine } = referenceEngine(policy, (index) => judge.interfaceName(index));
  const packet = new Packet();
  return packets.map(({ bytes, hook, now, out }, at) => {
    packet.hook = HOOK[hook];
    packet.inInterface = hook === "OUTPUT" ? 0 : judge.interfaceIndex("to-client");
    packet.outInterface = judge.interfaceIndex(out);
    packet.userId = hook === "OUTPUT" ? 0 : -1;
    packet.groupId = hook === "OUTPUT" ? 0 : -1;
    const state = outcomes[at]?.conntrack;
    packet.conntrackState = state === undefined ? 0 : conntrackStateNumber(state);
    decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
    return verdictName(engine.judge(packet, now));
  });
}

/** How one policy is compared. */
interface Mode {
  readonly tracksConnections: boolean;
  readonly seals: boolean;
}

/** What was seen in one run. */
interface RunCounts {
  /** Verdicts that the kernel gave alone. */
  readonly inKernel: number;
  /** Packets with a state that a rule asked for. */
  readonly withState: number;
}

/** What both make of some packets. */
interface Judged {
  readonly packets: readonly JudgedPacket[];
  readonly outcomes: readonly Outcome[];
  /** The interpreter's. */
  readonly verdicts: readonly string[];
}

/** The first packet of which they differ; -1 when there is none. */
function differsAt({ outcomes, verdicts }: Judged): number {
  return outcomes.findIndex(({ verdict }, at) => verdict !== verdicts[at]);
}

/** The fewest packets that still differ, found by leaving out one after the other, the last ones first. */
function fewestPackets(judged: Judged, judge: (packets: readonly JudgedPacket[]) => Judged): Judged {
  const needed = judged.packets.slice(0, differsAt(judged) + 1);
  return needed.reduceRight((least, packet) => {
    const fewer = least.packets.filter((each) => each !== packet && needed.includes(each));
    const seen = judge(fewer);
    return differsAt(seen) >= 0 ? seen : least;
  }, judged);
}

function differenceWords({ packets, outcomes, verdicts }: Judged): string {
  const words = packets.map(({ bytes, hook }, at) => {
    const where = outcomes[at]?.wasQueued === true ? "queued" : "in the kernel";
    const packet = `${hook} ${Buffer.from(bytes).toString("hex")}`;
    return `${packet}: ${outcomes[at]?.verdict} ${where}, ${verdicts[at]} by the interpreter`;
  });
  return words.join("\n");
}

/** Compares one policy for some packets. */
// oxlint-disable-next-line max-params -- who judges, by what, which packets, and how
function compareRun(judge: KernelJudge, source: object, run: readonly JudgedPacket[], mode: Mode): RunCounts {
  const { tracksConnections, seals } = mode;
  const text = withRealInterfaces(source);
  const { policy } = compilePolicy(text, { file: "policy.json" });
  assert.ok(policy !== undefined, text);
  const needsTracking = seals || policy.asksConntrack;
  const judgeAll = (packets: readonly JudgedPacket[]): Judged => {
    judge.load(policy, { tracksConnections: tracksConnections || needsTracking, seals });
    const outcomes = judge.judge(packets);
    return { packets, outcomes, verdicts: interpret(judge, text, packets, outcomes) };
  };
  const judged = judgeAll(run);
  if (differsAt(judged) >= 0) {
    const words = differenceWords(fewestPackets(judged, judgeAll));
    assert.fail(`kernel and interpreter differ, seals ${seals}:\n${words}\n${text}`);
  }
  const { outcomes } = judged;
  return {
    inKernel: outcomes.filter(({ wasQueued }) => !wasQueued).length,
    withState: outcomes.filter(({ conntrack }) => conntrack !== undefined).length,
  };
}

/**
 * Compares the interpreter with the kernel.
 *
 * @returns verdicts that the kernel gave alone, and all
 */
export async function compareRuns(
  hosts: Topology<"client" | "firewall" | "server">,
  { policies: count, packets }: Comparison,
): Promise<{ inKernel: number; all: number; sealed: number }> {
  const judge = await KernelJudge.open(hosts);
  let inKernel = 0;
  let all = 0;
  let statesSeen = 0;
  try {
    fc.assert(
      fc.property(
        fc.oneof(policies(5), similarPolicies),
        packetRuns(packets),
        fc.boolean(),
        fc.boolean(),
        (source, run, tracksConnections, seals) => {
          // Seals are for flows that our table knows, so there all of them begin in userspace.
          const settings = seals
            ? { ...(source["settings"] as object), offload: "flows" }
            : source["settings"];
          // Where a rule asks the kernel's state of packets, few flows are sealed: half the runs do without.
          const wanted = seals && !tracksConnections ? withoutStates(source) : source;
          const seen = compareRun(judge, { ...wanted, settings }, run, { tracksConnections, seals });
          statesSeen += seen.withState;
          inKernel += seen.inKernel;
          all += run.length;
        },
      ),
      { numRuns: count, ...REPORTING },
    );
  } finally {
    judge.close();
  }
  assert.ok(inKernel > all / 10, `the kernel judged ${inKernel} of ${all}`);
  assert.ok(judge.sealed > 0, "no flow was sealed");
  assert.ok(statesSeen > all / 10, `${statesSeen} of ${all} packets had a state that a rule asked for`);
  return { inKernel, all, sealed: judge.sealed };
}

/**
 * Compares the interpreter with the kernel where rules that ask about flows stand behind jumps.
 *
 * @param seed - of policies and packets; random by default
 * @returns verdicts that the kernel gave alone by plans with such rules, all, and seals
 */
export async function compareJumps(
  hosts: Topology<"client" | "firewall" | "server">,
  { policies: count, packets }: Comparison,
  seed?: number,
): Promise<{ inKernel: number; all: number; sealed: number }> {
  const judge = await KernelJudge.open(hosts);
  let inKernel = 0;
  let all = 0;
  try {
    fc.assert(
      fc.property(leadingPolicies, packetRuns(packets), fc.boolean(), (source, run, seals) => {
        const seen = compareRun(judge, source, run, { tracksConnections: true, seals });
        const isAsked = Object.values(judge.plan?.regions ?? {}).some(({ isEmpty }) => !isEmpty);
        if (isAsked) inKernel += seen.inKernel;
        if (isAsked) all += run.length;
      }),
      { numRuns: count, endOnFailure: true, ...(seed !== undefined && { seed }) },
    );
  } finally {
    judge.close();
  }
  return { inKernel, all, sealed: judge.sealed };
}

/**
 * Compares the interpreter with the kernel where rules count.
 *
 * @returns how many of these rules stood in the kernel, how many packets they met there, and how many came
 *   back to it
 */
export async function compareCounts(
  hosts: Topology<"client" | "firewall" | "server">,
  { policies: count, packets }: Comparison,
): Promise<{ rules: number; met: number; sentBack: number }> {
  const judge = await KernelJudge.open(hosts);
  let rules = 0;
  let met = 0;
  try {
    fc.assert(
      fc.property(countingPolicies, packetRuns(packets), fc.boolean(), (source, run, seals) => {
        compareRun(judge, source, run, { tracksConnections: true, seals });
        rules += judge.plan?.meters.length ?? 0;
        met += judge.countedPackets("LimitRule");
      }),
      { numRuns: count, ...REPORTING },
    );
  } finally {
    judge.close();
  }
  return { rules, met, sentBack: judge.sentBack };
}

/**
 * Compares the interpreter with the kernel where sources knock.
 *
 * @returns how many rules about knocks stood in the kernel, and how many packets they dropped or let in there
 */
export async function compareKnocks(
  hosts: Topology<"client" | "firewall" | "server">,
  { policies: count, packets }: Comparison,
): Promise<{ rules: number; met: number }> {
  const judge = await KernelJudge.open(hosts);
  let rules = 0;
  let met = 0;
  try {
    fc.assert(
      fc.property(knockingPolicies, knockRuns(packets), fc.boolean(), (source, run, seals) => {
        compareRun(judge, source, run, { tracksConnections: true, seals });
        rules += judge.plan?.knocks.length ?? 0;
        met += judge.countedPackets("PortKnocking");
      }),
      { numRuns: count, ...REPORTING },
    );
  } finally {
    judge.close();
  }
  return { rules, met };
}
