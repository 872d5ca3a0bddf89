/** Looking rules up and asking them one after the other come to the same, for any policy and any packets. */
import { test } from "node:test";
import { compareEvaluators } from "../testing/evaluator-comparison.ts";

test("lookups change no verdict, no count and nothing that rules remember", () => {
  compareEvaluators({ policies: 60, rules: 12, packets: 60 });
});
