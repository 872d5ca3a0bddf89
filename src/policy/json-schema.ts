/** The JSON Schema of policy files, for editors: made from the same definitions as the validator. */
import type { JsonSchema } from "./argument.ts";
import { argumentSchemas, requiredNames } from "./argument-set.ts";
import { BUILT_IN_TARGETS } from "./chain-graph.ts";
import { type RuleDefinition, type RuleRegistry, takesAction } from "./registry.ts";
import { settingsSchema } from "./settings.ts";

function actionSchema(definition: RuleDefinition): JsonSchema | undefined {
  const { action } = definition;
  const base = {
    description:
      "Where matching packets go: " +
      `${BUILT_IN_TARGETS.join(", ")} or the name of a chain (a jump without return).`,
    type: "string",
    examples: BUILT_IN_TARGETS,
  };
  if (!takesAction(action)) return undefined;
  return action === "required" ? base : { ...base, default: action.fallback };
}

/** Everything one kind of rule may say. */
function ruleSchema(name: string, definition: RuleDefinition): JsonSchema {
  const action = actionSchema(definition);
  const ignored = Object.entries(definition.ignored ?? {}).map(([member, reason]) => [
    member,
    { description: `Has no effect: ${reason}.`, deprecated: true },
  ]);
  return {
    description: definition.summary,
    type: "object",
    properties: {
      name: { const: name },
      ...argumentSchemas(definition.arguments),
      ...Object.fromEntries(ignored),
      ...(action === undefined ? {} : { action }),
      not: { description: "Inverts the match.", type: "boolean", default: false },
      shadow: {
        description: "Judges and reports, and does not act.",
        type: "boolean",
        default: false,
      },
      comment: { description: "For people.", type: "string" },
    },
    required: [
      "name",
      ...requiredNames(definition.arguments),
      ...(definition.action === "required" ? ["action"] : []),
    ],
    additionalProperties: false,
  };
}

/**
 * The JSON Schema (draft 2020-12) of policy files with the rules of a registry.
 *
 * It describes the strict meaning: what only `"compatibility": "pywall"` lets pass is marked by an editor.
 *
 * @returns a plain object, ready for `JSON.stringify`
 */
export function policyJsonSchema(registry: RuleRegistry): JsonSchema {
  const names = registry.names();
  const definitions = names.map((name) => [name, registry.get(name)] as const);
  const rules = definitions.flatMap(([name, definition]) =>
    definition === undefined ? [] : [[name, ruleSchema(name, definition)] as const],
  );
  const oldNames = registry.oldNames().map((oldName) => {
    const target = rules.find(([name]) => name === registry.registeredName(oldName))?.[1];
    const properties = { ...(target?.["properties"] as object), name: { const: oldName } };
    return [oldName, { ...target, properties, deprecated: true }] as const;
  });
  const every = [...rules, ...oldNames];
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Postern policy",
    description: "Chains of rules by name; INPUT, OUTPUT and FORWARD are where packets start.",
    type: "object",
    properties: {
      $schema: { type: "string", description: "Address of this schema, for editors." },
      settings: { description: "How Postern runs this policy.", ...settingsSchema },
      default_chain: {
        description: "Where packets go at the end of any chain: ACCEPT, DROP, REJECT or a chain.",
        type: "string",
        default: "ACCEPT",
      },
    },
    additionalProperties: { $ref: "#/$defs/chain" },
    $defs: {
      chain: {
        description: "Rules in order; the first that matches decides.",
        type: "array",
        items: { $ref: "#/$defs/rule" },
      },
      rule: {
        type: "object",
        properties: { name: { description: "Kind of rule.", enum: every.map(([name]) => name) } },
        required: ["name"],
        allOf: every.map(([name]) => ({
          if: { properties: { name: { const: name } }, required: ["name"] },
          // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
          then: { $ref: `#/$defs/${name}` },
        })),
      },
      ...Object.fromEntries(every),
    },
  };
}
