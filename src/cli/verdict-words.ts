/** Why a packet got its verdict, in words. */
import { HOOK, hookName } from "../base/index.ts";
import type { Evaluator } from "../policy/index.ts";
import type { Packet } from "../wire/index.ts";

function ruleWords(evaluator: Evaluator): string {
  const rule = evaluator.policy.chains[evaluator.chain]?.rules[evaluator.rule];
  if (rule === undefined) return "rule";
  return rule.comment === undefined ? rule.name : `${rule.name}: ${rule.comment}`;
}

/** Why the packet judged last got its verdict: `PortRule: no telnet`, `end of chain INPUT`, … */
export function verdictReason(evaluator: Evaluator, packet: Packet): string {
  switch (evaluator.reason) {
    case "rule":
      return ruleWords(evaluator);
    case "default":
      return `end of chain ${evaluator.policy.chains[evaluator.chain]?.name ?? ""}`;
    case "malformed":
      return `malformed: ${packet.fault ?? ""}`;
    case "rule-error":
      return `${ruleWords(evaluator)} failed`;
    case "killed":
      return "its connection was killed";
    case "pending":
      return `pending: ${ruleWords(evaluator)} waits for more bytes`;
    case "no-chain":
      return `no chain ${hookName(packet.hook) ?? HOOK.INPUT}`;
  }
}
