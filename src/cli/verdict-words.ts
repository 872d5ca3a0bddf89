/** Why a packet got its verdict, in words. */
import { HOOK, hookName } from "../base/index.ts";
import type { Evaluator } from "../policy/index.ts";
import type { Packet } from "../wire/index.ts";

function ruleWords(evaluator: Evaluator): string {
  const rule = evaluator.policy.chains[evaluator.chain]?.rules[evaluator.rule];
  if (rule === undefined) return "rule";
  return rule.comment === undefined ? rule.name : `${rule.name}: ${rule.comment}`;
}

type Words = (evaluator: Evaluator, packet: Packet) => string;

const WORDS: { readonly [Reason in Evaluator["reason"]]: Words } = {
  rule: ruleWords,
  default: ({ policy, chain }) => `end of chain ${policy.chains[chain]?.name ?? ""}`,
  malformed: (_, { fault }) => `malformed: ${fault ?? ""}`,
  "rule-error": (evaluator) => `${ruleWords(evaluator)} failed`,
  killed: () => "its connection was killed",
  pending: (evaluator) => `pending: ${ruleWords(evaluator)} waits for more bytes`,
  "no-chain": (_, { hook }) => `no chain ${hookName(hook) ?? HOOK.INPUT}`,
  untold: () => "a rule in the kernel",
};

/** Why the packet judged last got its verdict: `PortRule: no telnet`, `end of chain INPUT`, … */
export function verdictReason(evaluator: Evaluator, packet: Packet): string {
  return WORDS[evaluator.reason](evaluator, packet);
}
