/** What flows keep of policies that are no longer in force: nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { queryObjects } from "node:v8";
import { allocateMemory, Evaluator, Rule } from "../policy/index.ts";
import { Conversation } from "../testing/conversation.ts";
import { sampleEngine } from "../testing/engine-sample.ts";
import { compileValid } from "../testing/policy-probe.ts";

/** What comes in is accepted, and its bytes are kept for what goes out. */
const POLICY = {
  settings: { compatibility: "strict" },
  INPUT: [
    { name: "EncryptedRule", shadow: true, action: "DROP" },
    { name: "TrueRule", action: "ACCEPT" },
  ],
  OUTPUT: [{ name: "EncryptedRule", action: "DROP" }],
};

/** Bytes behind which the classifier has looked, and is not sure. */
const SEGMENT_BYTES = 1024;

test("a flow keeps no rule and no evaluator of a policy that was replaced", () => {
  const engine = sampleEngine(POLICY);
  engine.allowSeals({ accepted: true, dropped: true });
  engine.press(true);
  const say = (conversation: Conversation): void => {
    const packet = conversation.received("PA", { bytes: SEGMENT_BYTES });
    packet.vouched = true;
    engine.judge(packet, 0);
    assert.deepEqual([engine.content?.isClosed, engine.content?.isNeeded], [false, true]);
  };
  const [silent, talking] = [1024, 1025].map((remotePort) => {
    const conversation = new Conversation({ remotePort });
    const opening = [conversation.received("S"), conversation.sent("SA"), conversation.received("A")];
    for (const packet of opening) engine.judge(packet, 0);
    say(conversation);
    return conversation;
  });
  assert.ok(silent !== undefined && talking !== undefined);
  const rules = queryObjects(Rule, { format: "count" });
  for (let revision = 2; revision < 6; revision += 1) {
    const policy = compileValid(POLICY);
    engine.swap({ policy, memory: allocateMemory(policy), revision });
    say(talking);
  }
  assert.equal(queryObjects(Evaluator, { format: "count" }), 1);
  assert.equal(queryObjects(Rule, { format: "count" }), rules);
  assert.equal(engine.inspected.flows, 2);
});
