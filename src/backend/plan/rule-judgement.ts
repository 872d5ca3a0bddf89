/** What the kernel makes of one rule of a policy, were it asked about that alone. */
import { type HookName, VERDICT } from "../../base/index.ts";
import {
  type PolicyRule,
  type RejectWith,
  type Rule,
  type Target,
  wantedContent,
} from "../../policy/index.ts";
import type { LineAction } from "./kernel-plan.ts";
import { type Match, type Piece, speakCondition, speakGate } from "./kernel-test.ts";
import { isStrictKnock, knockMatches } from "./knock-sets.ts";
import type { Meter } from "./meter.ts";
import type { Passing } from "./table-lines.ts";

/** What the kernel makes of one rule at one hook. */
export interface Judgement {
  readonly pieces: readonly (Piece & { readonly tallies?: readonly string[] })[];
  readonly passing?: readonly Passing[];
  /** Asked of packets that fit a sure piece. */
  readonly meter?: Meter;
  readonly action: LineAction | undefined;
  readonly reason?: string;
}

/** What becomes of packets that meet a rule; `undefined` when they go on. */
export function targetAction(target: Target, rule: Rule): LineAction | undefined {
  switch (target.kind) {
    case "verdict":
      if (target.verdict === VERDICT.ACCEPT) return { kind: "accept" };
      return target.verdict === VERDICT.DROP ? { kind: "drop" } : { kind: "reject", rejectWith: "auto" };
    case "chain":
      return { kind: "jump", chain: target.chain };
    case "return":
      return { kind: "return" };
    case "own":
      return {
        kind: "reject",
        rejectWith: (rule as { rejectWith?: RejectWith | "auto" }).rejectWith ?? "auto",
      };
    case "next":
      return undefined;
  }
}

const KNOCKS = "in compatible mode it speaks of every packet, and repeated knocks go on to the next rule";

function userspaceReason(row: PolicyRule, rule: Rule): string {
  if (row.shadow) return "it stands in the shadow and reports what it would do";
  if (wantedContent(rule) !== 0) return "it needs the bytes of the flow";
  if (row.name === "PortKnocking" && !isStrictKnock(row)) return KNOCKS;
  if (rule.asksFlow) return "it may ask what is known of the packet's flow";
  return "it remembers, counts or writes what it sees";
}

/** A rule with a condition whose yes means what the policy says, and nothing else. */
function isPlain(row: PolicyRule, rule: Rule): boolean {
  if (rule.condition === undefined || row.shadow || rule.settle !== undefined) return false;
  return row.target.kind !== "own" || row.name === "RejectRule";
}

/** Packets that may meet a rule without a condition. */
function gateMatches(row: PolicyRule, rule: Rule): Match[] {
  if (row.not) return [[]];
  return isStrictKnock(row) ? knockMatches(row) : [speakGate(rule.gate)];
}

/** What the kernel makes of a rule that neither asks a table nor counts. */
export function judgeRule(row: PolicyRule, rule: Rule, hook: HookName): Judgement {
  const { condition } = rule;
  if (condition !== undefined && isPlain(row, rule)) {
    const action = targetAction(row.target, rule);
    return action === undefined
      ? { pieces: [], action }
      : { ...speakCondition(condition, row.not, hook), action };
  }
  const matches =
    condition === undefined
      ? gateMatches(row, rule)
      : speakCondition(condition, row.not, hook).pieces.map(({ match }) => match);
  return {
    pieces: matches.map((match) => ({ match, sure: false })),
    action: undefined,
    reason: userspaceReason(row, rule),
  };
}
