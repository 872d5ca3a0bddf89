/** Shapes of `GET /v1/explanation`: which rule is behind a live flow, and who judges its packets. */
import type { VerdictName } from "../base/index.ts";
import type { State } from "../view/index.ts";
import type { RuleName, TrafficCount } from "./rule-api.ts";

/** A rule and where it stands. */
export interface FlowRule extends RuleName {
  /** The policy file as it was named. */
  readonly file: string;
}

/** What a rule has judged since its policy came into force. */
export interface RuleHits {
  readonly kernel: TrafficCount;
  readonly userspacePackets: number;
}

/**
 * Who judges a flow's packets.
 *
 * - `userspace`: each comes up to a worker.
 * - `sealed`: the kernel, as userspace said once for all of them; SYN, FIN and RST come up, of a connection
 *   that the kernel carries to its end SYN and RST.
 * - `kernel`: the kernel alone, each by the rule's own line in our table.
 */
export type FlowJudge = "userspace" | "sealed" | "kernel";

/**
 * How the rule is known.
 *
 * - `noted`: it was noted with the flow when it judged it.
 * - `waiting`: this rule needs bytes of the flow and did not have them when it was noted; until it has them
 *   packets pass, and then by the rules behind it.
 * - `proven`: the rules were asked anew about the flow's ends, and every packet meets this one.
 * - `possible`: the same, but rules on the way ask for more than ends, such as interfaces; this rule is one
 *   of those that may have judged.
 * - `unknown`: nothing names a rule, such as for a flow that is older than the firewall.
 */
export type FlowEvidence = "noted" | "waiting" | "proven" | "possible" | "unknown";

/** Rules behind one direction of a flow. */
export interface FlowCause {
  readonly evidence: FlowEvidence;
  /** One; more when the evidence is `possible`, none when it is `unknown`. */
  readonly rules: readonly FlowRule[];
}

/** Answer of `GET /v1/explanation`. */
export interface FlowReport {
  readonly judge: FlowJudge;
  /** Generation of the seal; `null` when the flow is not sealed. */
  readonly generation: number | null;
  /** What the flow got last; `null` where only its next packet will tell: it comes to userspace. */
  readonly verdict: VerdictName | null;
  /** What is behind the verdict on what the end that spoke first sends. */
  readonly cause: FlowCause;
  /** The same for what the other end sends; `null` where nobody has noted it. */
  readonly answers: FlowCause | null;
  /** What the rule has judged in all; `null` when there is not one rule, or its policy is not in force. */
  readonly hits: RuleHits | null;
  /** The flow as a list of states has it: ends, age, packets and bytes. */
  readonly state: State;
}
