import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SchemaCheck } from "../testing/schema-check.ts";
import { compilePolicy, createRegistry, policyJsonSchema } from "./index.ts";

const registry = createRegistry();
const schema = policyJsonSchema(registry);
const checker = new SchemaCheck(schema);

/** True when the compiler finds no error. */
function compiles(policy: object): boolean {
  return compilePolicy(JSON.stringify(policy), { file: "p", registry }).policy !== undefined;
}

const rule = (fields: object): object => ({ INPUT: [fields] });
const knock = { name: "PortKnocking", protocol: "TCP", port: 22, src_port: 9, doors: [["TCP", 1]] };

/** Policies about which schema and compiler must agree. */
const AGREED: Readonly<Record<string, readonly [object, boolean]>> = {
  "an empty policy": [{}, true],
  "a schema address and settings": [{ $schema: "x", settings: { failMode: "open", markMask: "0xF0" } }, true],
  "an unknown setting": [{ settings: { nothing: 1 } }, false],
  "a wrong outcome": [{ settings: { outcomes: { malformed: "REJECT" } } }, false],
  "a limit too low": [{ settings: { limits: { flows: 1 } } }, false],
  "default_chain as a number": [{ default_chain: 1 }, false],
  "a chain that is an object": [{ INPUT: {} }, false],
  "a rule without a name": [rule({}), false],
  "an unknown rule": [rule({ name: "NoRule" }), false],
  "a rule with all it needs": [rule({ name: "TrueRule", action: "DROP", not: true, comment: "x" }), true],
  "an action missing": [rule({ name: "TrueRule" }), false],
  "an action with a default": [rule({ name: "PortRule", protocol: "TCP", dst_port: 22 }), true],
  "an old name": [rule({ name: "PortFilter", protocol: "TCP", dst_port: 22 }), true],
  "an unknown argument": [rule({ name: "TCPRule", action: "DROP", port: 1 }), false],
  "a port too high": [rule({ name: "PortRule", protocol: "TCP", dst_port: 65_536 }), false],
  "a port as a string": [rule({ name: "PortRule", protocol: "TCP", dst_port: "22" }), false],
  "a wrong protocol": [rule({ name: "PortRule", protocol: "tcp", dst_port: 22 }), false],
  "an unknown state": [rule({ name: "TCPStateRule", match_if: ["OPEN"], action: "DROP" }), false],
  "a knock": [rule(knock), true],
  "a knock with ignored members": [rule({ ...knock, body: "x", action: "DROP" }), true],
  "a door of three": [rule({ ...knock, doors: [["TCP", 1, 2]] }), false],
  "a door with a wrong port": [rule({ ...knock, doors: [["TCP", -1]] }), false],
  "an interface pattern": [rule({ name: "InterfaceRule", in: "eth*", action: "DROP" }), true],
  "a star inside a name": [rule({ name: "InterfaceRule", in: "e*h", action: "DROP" }), false],
  "an ICMP type by name": [rule({ name: "ICMPRule", type: "echo-request", action: "DROP" }), true],
  "an ICMP type that is none": [rule({ name: "ICMPRule", type: "echo", action: "DROP" }), false],
  "a limit": [rule({ name: "LimitRule", rate: 0.5, per: "minute", by: "source", action: "DROP" }), true],
  "a limit of nothing": [rule({ name: "LimitRule", rate: 0, action: "DROP" }), false],
  "tables and a rule": [
    {
      settings: {
        tables: { a: { file: "x", addresses: ["10.0.0.1"], counters: true, capacity: 9, const: true } },
      },
      ...rule({ name: "TableRule", table: "a", address: "either", action: "DROP" }),
    },
    true,
  ],
  "a table with a wrong name": [{ settings: { tables: { "-a": {} } } }, false],
  "a table with a wrong member": [{ settings: { tables: { a: { persist: true } } } }, false],
  "a table that may hold nothing": [{ settings: { tables: { a: { capacity: 0 } } } }, false],
  "a rule with no table": [rule({ name: "TableRule", action: "DROP" }), false],
  "an action where there is none": [rule({ name: "LogRule", action: "DROP" }), false],
};

describe("schema and compiler agree", () => {
  for (const [name, [policy, valid]] of Object.entries(AGREED)) {
    test(`${name} is ${valid ? "good" : "bad"}`, () => {
      assert.equal(compiles(policy), valid);
      assert.equal(checker.check(policy).length === 0, valid, checker.check(policy).join("\n"));
    });
  }
});

test("names every rule, and every argument with its description", () => {
  const definitions = schema["$defs"] as Record<string, Record<string, unknown>>;
  assert.equal(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  for (const name of registry.names()) {
    const properties = definitions[name]?.["properties"] as Record<string, { description?: string }>;
    for (const argument of Object.keys(registry.get(name)?.arguments ?? {})) {
      assert.ok(properties[argument]?.description, `${name}.${argument}`);
    }
  }
  assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema, "plain JSON");
});
