import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleState } from "../testing/sample-state.ts";
import { verboseLines } from "../view/index.ts";
import { eventText } from "./state-text.ts";

const verdict = { verdict: "REJECT", cause: "rule", ageMs: 0 } as const;
const rule = { chain: "INPUT", index: 2, revision: 1, label: "unknown and encrypted" };

test("an event is a sign, pf's line, and what the flow's bytes have told", () => {
  const line = verboseLines(sampleState())[0] ?? "";
  const plain = sampleState({ application: "", serverName: "", verdict: null });
  assert.equal(eventText({ kind: "new", state: plain }), `+ ${line}`);
  const named = sampleState({ application: "TLS", serverName: "www.example.org", verdict: null });
  assert.equal(eventText({ kind: "update", state: named }), `~ ${line} [TLS www.example.org]`);
  const ended = sampleState({ application: "", serverName: "", verdict, rule });
  const words = "[REJECT by INPUT rule 2 unknown and encrypted]";
  assert.equal(eventText({ kind: "destroy", state: ended }), `- ${line} ${words}`);
  assert.equal(eventText({ kind: "gap", lost: 3 }), "! 3 events were lost");
});
