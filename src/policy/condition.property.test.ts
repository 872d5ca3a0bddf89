/** A rule that has a condition meets exactly the packets that its condition describes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { conntrackStateNumber } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import { ContextProbe, compileValid, decodeBuilt } from "../testing/policy-probe.ts";
import {
  interfaceName,
  probePackets,
  RULE_ARGUMENTS,
  STATELESS_KINDS,
  TABLES,
} from "../testing/rule-arbitraries.ts";
import type { Test } from "./condition.ts";
import { conntrackState } from "./conntrack-state.ts";
import { missingParts } from "./evaluator.ts";
import { allocateMemory } from "./policy.ts";
import type { Rule } from "./rule.ts";
import { createRegistry } from "./rules/catalogue.ts";

/** What the documentation of each test says, said again as plainly as possible. */
function passes(packet: Packet, one: Test, context: ContextProbe): boolean {
  switch (one.field) {
    case "protocol":
      return one.protocols.includes(packet.protocol);
    case "source":
    case "destination":
      return packet.family === one.prefix.family && one.prefix.contains(packet.family, packet[one.field]);
    case "sourcePort":
    case "destinationPort":
      return one.low <= packet[one.field] && packet[one.field] <= one.high;
    case "inInterface":
    case "outInterface": {
      const name = interfaceName(packet[one.field]);
      return name !== "" && (one.isOpen ? name.startsWith(one.name) : name === one.name);
    }
    case "userId":
    case "groupId":
      return packet[one.field] === one.id;
    case "mark":
      return (packet.mark & one.bits) >>> 0 === one.bits;
    case "conntrack":
      return one.states.some((state) => conntrackStateNumber(state) === conntrackState(packet, context));
    case "icmp":
      return one.messages.some(
        ({ protocol, type, code }) =>
          protocol === packet.protocol &&
          (type === -1 || type === packet.icmpType) &&
          (code === -1 || code === packet.icmpCode),
      );
  }
}

function ruleOf(name: string, values: object, compatibility: string): Rule {
  const uses = createRegistry().get(name)?.action;
  const action = uses === "required" ? { action: "DROP" } : {};
  const policy = compileValid({
    settings: { compatibility, tables: TABLES },
    OUTPUT: [{ name, ...values, ...action }],
  });
  const chain = policy.chains.findIndex((each) => each.name === "OUTPUT");
  const [rule] = policy.instantiate(allocateMemory(policy))[chain] ?? [];
  assert.ok(rule);
  return rule;
}

class NamedContext extends ContextProbe {
  override interfaceName(index: number): string {
    return interfaceName(index);
  }
}

test("there are arguments for every kind of rule", () => {
  assert.deepEqual(Object.keys(RULE_ARGUMENTS).sort(), [...createRegistry().names()].sort());
});

describe("what a rule says it matches is what it matches", () => {
  for (const [name, values] of Object.entries(RULE_ARGUMENTS)) {
    test(name, () => {
      const context = new NamedContext();
      let matches = 0;
      const isStateless = STATELESS_KINDS.includes(name);
      let conditions = 0;
      const both = fc.tuple(values, fc.constantFrom("strict", "pywall"));
      const compare = (numRuns: number): void => {
        fc.assert(
          fc.property(
            both,
            fc.array(probePackets, { minLength: 30, maxLength: 30 }),
            ([given, mode], packets) => {
              const rule = ruleOf(name, given, mode);
              const { condition } = rule;
              if (condition === undefined) return;
              conditions += 1;
              for (const fields of packets) {
                const packet = decodeBuilt(fields, context.packet);
                if (packet.fault !== undefined || (rule.needs & missingParts(packet)) !== 0) continue;
                const expected: boolean = condition.every((one) => passes(packet, one, context));
                if (expected) matches += 1;
                assert.equal(rule.match(packet, context), expected);
              }
            },
          ),
          { numRuns },
        );
      };
      compare(isStateless ? 40 : 5);
      // Few packets at random meet a rule about ends and ports both.
      for (let more = 0; isStateless && matches === 0 && more < 10; more += 1) compare(40);
      if (isStateless) assert.ok(matches > 0, `${matches} packets met ${conditions} rules`);
      else assert.equal(matches, 0, "such a rule has no condition");
    });
  }
});
