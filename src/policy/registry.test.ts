import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  compilePolicy,
  createRegistry,
  integer,
  NO_MATCH,
  type Recogniser,
  required,
  Rule,
  type RuleDefinition,
} from "./index.ts";

class AnyRule extends Rule {
  override match(): boolean {
    return true;
  }
}

const good: RuleDefinition = {
  summary: "Matches.",
  arguments: {},
  action: "required",
  create: () => new AnyRule(),
};

/** Registers a definition with changes; the code of what is thrown. */
function registerCode(name: string, changes: object): string {
  try {
    createRegistry().register(name, { ...good, ...changes });
    return "none";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("registering", () => {
  const least = required(integer({ min: 1, max: 2 }), "Least.");
  const rows: readonly (readonly [string, string, object, string])[] = [
    ["a good definition", "AnyRule", { arguments: { least } }, "none"],
    ["a name twice", "PortRule", {}, "RULE_NAME_TAKEN"],
    ["an old name of PyWall", "PortFilter", {}, "RULE_NAME_TAKEN"],
    ["an argument called action", "AnyRule", { arguments: { action: least } }, "RULE_ARGUMENT_TAKEN"],
    ["no summary", "AnyRule", { summary: undefined }, "RULE_DEFINITION"],
    ["no arguments", "AnyRule", { arguments: undefined }, "RULE_DEFINITION"],
    ["an argument without a type", "AnyRule", { arguments: { least: 5 } }, "RULE_DEFINITION"],
    ["an unknown use of the action", "AnyRule", { action: "maybe" }, "RULE_DEFINITION"],
    ["nothing that makes the rule", "AnyRule", { create: undefined }, "RULE_DEFINITION"],
  ];
  for (const [words, name, changes, code] of rows) {
    test(`${words} gives ${code}`, () => assert.equal(registerCode(name, changes), code));
  }
});

describe("recognisers of one's own", () => {
  const git: Recogniser = {
    protocol: "Git",
    transports: ["TCP"],
    encrypted: false,
    judge: () => NO_MATCH,
  };
  const policy = (name: string): string =>
    JSON.stringify({ INPUT: [{ name: "ProtocolRule", protocols: [name], action: "DROP" }] });

  test("rules may name their protocols, those of the policy alone", () => {
    const registry = createRegistry();
    registry.registerRecogniser(git);
    const known = compilePolicy(policy("git"), { file: "f", registry });
    assert.deepEqual(known.problems, []);
    assert.deepEqual(known.policy?.recognisers, [git]);
    const { problems } = compilePolicy(policy("Gitt"), { file: "f", registry });
    assert.match(problems[0]?.message ?? "", /no protocol "Gitt"\. Did you mean "Git"\?/);
    assert.equal(compilePolicy(policy("git"), { file: "f" }).policy, undefined);
    assert.deepEqual(compilePolicy(policy("tls"), { file: "f" }).policy?.recognisers, []);
  });

  test("two of one name, and what is none, are refused", () => {
    const registry = createRegistry();
    registry.registerRecogniser(git);
    const again = (): void => registry.registerRecogniser({ ...git, protocol: "GIT" });
    assert.throws(again, { code: "RECOGNISER_NAME_TAKEN" });
    const none = (): void => registry.registerRecogniser({ ...git, protocol: "" });
    assert.throws(none, { code: "RECOGNISER_DEFINITION" });
    assert.deepEqual(registry.recognisers, [git]);
  });
});

describe("what a definition does wrong is a problem of the file that uses it", () => {
  const fail = (): never => {
    throw new Error("no luck");
  };
  const rows: readonly (readonly [string, Partial<RuleDefinition>, RegExp])[] = [
    ["create throws", { create: fail }, /AnyRule cannot be made: no luck/],
    ["check throws", { check: fail }, /AnyRule cannot be made: no luck/],
    ["memoryBytes throws", { memoryBytes: fail }, /AnyRule cannot be made: no luck/],
    ["memory that no machine has", { memoryBytes: () => 2 ** 60 }, /AnyRule cannot be made/],
    ["create returns nothing", { create: () => undefined as unknown as Rule }, /extends Rule/],
    ["a rule that does not decide", { action: "own" }, /extends VerdictRule/],
  ];
  for (const [words, changes, message] of rows) {
    test(words, () => {
      const registry = createRegistry();
      registry.register("AnyRule", { ...good, ...changes });
      const action = changes.action === "own" ? {} : { action: "DROP" };
      const source = JSON.stringify({ INPUT: [{ name: "AnyRule", ...action }] });
      const { policy, problems } = compilePolicy(source, { file: "p", registry });
      assert.equal(policy, undefined);
      assert.deepEqual(
        problems.map(({ code }) => code),
        ["rule-refused"],
      );
      assert.match(problems[0]?.message ?? "", message);
    });
  }
});
