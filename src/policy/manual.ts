/** The reference part of the manual, in Markdown: made from the same definitions as the validator. */
import type { Argument, ArgumentSet } from "./argument.ts";
import type { ActionUse, RuleDefinition, RuleRegistry } from "./registry.ts";
import { SETTING_ARGUMENTS } from "./settings.ts";

/** Markdown that may stand in the cell of a table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function fallbackWords(argument: Argument<unknown>): string {
  if (argument.required) return "must be given";
  const { fallback } = argument;
  return fallback === undefined ? "–" : `\`${JSON.stringify(fallback)}\``;
}

function argumentTable(declared: ArgumentSet): string[] {
  const rows = Object.entries(declared).map(([name, argument]) => {
    const { type, summary } = argument;
    return `| \`${name}\` | ${cell(type.words)} | ${cell(fallbackWords(argument))} | ${cell(summary)} |`;
  });
  if (rows.length === 0) return [];
  return ["| Argument | Value | Default | Meaning |", "|---|---|---|---|", ...rows, ""];
}

function actionWords(use: ActionUse): string {
  if (use === "required") return "`action` must be given.";
  if (use === "own") return "Decides itself: takes no `action`.";
  if (use === "none") return "Never matches: takes no `action`.";
  if ("fixed" in use) return `Takes no \`action\`: it is always \`${use.fixed}\`.`;
  return `\`action\` is \`${use.fallback}\` unless given.`;
}

function ruleSection(name: string, definition: RuleDefinition): string[] {
  const { summary, notes, difference, action } = definition;
  const table = argumentTable(definition.arguments);
  const parts = [`### ${name}`, "", summary, "", actionWords(action), "", ...table];
  if (notes !== undefined) parts.push(notes, "");
  if (difference !== undefined) parts.push(`*PyWall:* ${difference}`, "");
  return parts;
}

/** One section for each rule, in the order of the registry. */
export function rulesManual(registry: RuleRegistry): string {
  const sections = registry.names().flatMap((name) => {
    const definition = registry.get(name);
    return definition === undefined ? [] : ruleSection(name, definition);
  });
  return sections.join("\n").trim();
}

/** Names of timeouts hold dots themselves. */
function memberName(name: string, inner: string): string {
  return inner.includes(".") ? `${name}["${inner}"]` : `${name}.${inner}`;
}

/** Settings by their whole names; one that holds settings of its own is these. */
function flattened(declared: ArgumentSet, path?: string): [string, Argument<unknown>][] {
  return Object.entries(declared).flatMap(([inner, argument]): [string, Argument<unknown>][] => {
    const name = path === undefined ? inner : memberName(path, inner);
    const { members } = argument.type;
    return members === undefined ? [[name, argument]] : flattened(members, name);
  });
}

/** One table of all settings; those that hold settings of their own are told apart by a dot. */
export function settingsManual(): string {
  return argumentTable(Object.fromEntries(flattened(SETTING_ARGUMENTS)))
    .join("\n")
    .trim()
    .replace("| Argument |", "| Setting |");
}
