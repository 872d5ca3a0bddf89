import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AnswerMemory, type KeptAnswer } from "./answer-memory.ts";
import { UndoLog } from "./undo-log.ts";

const EMPTY = { generation: 1, appliedAt: 0, results: [] };

function keep(memory: AnswerMemory, key: string, wall: number): KeptAnswer {
  return memory.keep({ agent: "alice", key, fingerprint: "f".repeat(100) }, EMPTY, wall);
}

describe("kept answers", () => {
  it("are no longer together than their limit, the oldest first to go", () => {
    const undo = new UndoLog();
    const memory = new AnswerMemory({ count: 1000, bytes: 1000 }, undo);
    let length = 0;
    for (let number = 0; number < 100; number += 1) {
      length = keep(memory, `${number}`.padStart(3, "0"), 0).text.length + "alice\u0000000".length;
    }
    const forgotten = memory.forget(0);
    assert.equal(100 - forgotten.length, Math.floor(1000 / length));
    assert.deepEqual(forgotten[0], { agent: "alice", key: "000" });
    undo.settle();
    for (let number = 0; number < 100; number += 1) keep(memory, `again ${number}`, 0);
    undo.takeBack();
    assert.deepEqual(memory.forget(0), [], "what was taken back takes no room");
  });

  it("of a former run go in the order of their age, in whatever order they come", () => {
    const kept = new AnswerMemory({ count: 10, bytes: 10_000 }, new UndoLog());
    const answers = [keep(kept, "z", 0), keep(kept, "m", 1), keep(kept, "a", 2)];
    const memory = new AnswerMemory({ count: 1, bytes: 10_000 }, new UndoLog());
    memory.restore(answers.toReversed());
    assert.deepEqual(
      memory.forget(0).map(({ key }) => key),
      ["z", "m"],
    );
  });
});
