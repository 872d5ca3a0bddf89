export {
  type Argument,
  type ArgumentSet,
  type ArgumentValues,
  choice,
  decimal,
  flag,
  integer,
  type JsonSchema,
  listOf,
  optional,
  pairOf,
  required,
  text,
  type UserLookup,
  type ValueType,
  withDefault,
} from "./argument.ts";
export {
  type Compilation,
  type CompileOptions,
  compilePolicy,
  type ModuleReference,
  policyModules,
} from "./compiler.ts";
export type { Condition, Test } from "./condition.ts";
export {
  ANSWER,
  type Answer,
  CONTENT,
  type ContentClasses,
  type ContentDirection,
  type ContentFacts,
  ContentRule,
  type FlowContent,
  wantedContent,
} from "./content.ts";
export { CONFIDENCE, DONE, HANDED_OVER, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recognise/index.ts";
export { Evaluator, type VerdictReason } from "./evaluator.ts";
export { type ExplainStep, explainPacket } from "./explanation.ts";
export { policyJsonSchema } from "./json-schema.ts";
export { rulesManual, settingsManual } from "./manual.ts";
export { networkLine, protocolName, transportLine } from "./packet-text.ts";
export {
  allocateMemory,
  type Chain,
  type MemoryNeed,
  type Policy,
  type PolicyRule,
  type RuleMemory,
  type Target,
} from "./policy.ts";
export { countNoun, formatProblem, type Problem, type ProblemCode, type Severity } from "./problem.ts";
export {
  type ActionUse,
  defineRule,
  type RuleCheck,
  type RuleDefinition,
  RuleRegistry,
  type RuleSetup,
} from "./registry.ts";
export {
  FLOW,
  type ForesightContext,
  type Gate,
  LOG_LEVELS,
  makeGate,
  NEEDS,
  type RejectWith,
  Rule,
  type RuleContext,
  type RuleLogLevel,
  type RuleReport,
  VerdictRule,
} from "./rule.ts";
export { createRegistry } from "./rules/catalogue.ts";
export { SAMPLE_BYTES_MAX } from "./rules/encryption-rules.ts";
export type { Compatibility, FailMode, PendingSettings, Settings } from "./settings.ts";
export { RANK, type Rank, SourceTable } from "./source-table.ts";
export { readTableContents, type TableContents, type TableFile } from "./table-contents.ts";
export { type TableDeclaration, tableName } from "./table-declaration.ts";
export { tableMemoryKey, type TableShape } from "./table-memory.ts";
export { ruleToolkit } from "./toolkit.ts";
export { network, port, portProtocol } from "./value-types.ts";
