/**
 * The comparison of rule-lookup.property.test.ts at length: more than 100,000 pairs of a policy and a packet.
 */
import { test } from "node:test";
import { compareEvaluators } from "../testing/evaluator-comparison.ts";

test("lookups change no verdict in small policies", () => {
  compareEvaluators({ policies: 800, rules: 8, packets: 100 });
});

test("lookups change no verdict in large policies", () => {
  compareEvaluators({ policies: 150, rules: 80, packets: 200 });
});
