export {
  ENDED_SECONDS,
  type EndedFate,
  ENDS_MAX,
  type ExpectedReset,
  QUESTION_NUMBERS,
} from "./ended-text.ts";
export {
  DEFAULT_PRIORITY,
  DEFAULT_TABLE,
  KernelRules,
  type RulesPlan,
  removeLeftovers,
} from "./kernel-rules.ts";
export {
  type KernelPlan,
  type LineAction,
  type PlanChain,
  type PlanLine,
  type Place,
  planPolicy,
  type RulePlace,
} from "./plan/kernel-plan.ts";
export { type FlowEnds, type FlowOutcome, walkFlow } from "./plan/flow-walk.ts";
export type { KernelTest, Match } from "./plan/kernel-test.ts";
export type { KnockSets } from "./plan/knock-sets.ts";
export type { PlanOptions } from "./plan/whole-judgement.ts";
export type { LineCount } from "./plan/plan-counters.ts";
export { type PlanForm, planText } from "./plan/plan-text.ts";
export { tallyName } from "./plan/table-lines.ts";
export type { TableContents } from "./plan/table-set.ts";
export type { SealForm } from "./seal-text.ts";
export { type QueueClassing, type TablePlan, tableText } from "./table-text.ts";
export {
  type Finding,
  type KernelReport,
  PROBES,
  type ProbeName,
  probeKernel,
  requireQueueExpression,
} from "./probe.ts";
export { IptablesPinholes } from "./iptables/iptables-pinholes.ts";
export type { IptablesPlan } from "./iptables/rule-text.ts";
export type { ChainPlan } from "./pinholes/chain-plan.ts";
export {
  type Intercept,
  type SimulatedPassage,
  SimulatedPinholes,
  type SimulatedVerdict,
} from "./pinholes/simulator.ts";
export { NftablesPinholes } from "./pinholes/nftables-pinholes.ts";
