import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NETFILTER_VERDICT, VERDICT_MAX_BYTES, VerdictWriter } from "./verdict-writer.ts";

const { ACCEPT, DROP } = NETFILTER_VERDICT;

/** A writer into a buffer that is not clean, and what it wrote. */
function writer(packets: number, joinRuns = true): { verdicts: VerdictWriter; written: () => string } {
  const bytes = new Uint8Array(packets * VERDICT_MAX_BYTES).fill(0xa5);
  const verdicts = new VerdictWriter(new DataView(bytes.buffer), 0, 0x0102, joinRuns);
  return { verdicts, written: () => Buffer.from(bytes.buffer, 0, verdicts.length).toString("hex") };
}

/** nlmsghdr, nfgenmsg with the queue number, NFQA_VERDICT_HDR. */
const plain = (type: number, verdict: number, id: string): string =>
  `20000000${type.toString(16).padStart(2, "0")}030100000000000000000000000102` +
  `0c0002000000000${verdict}${id}`;

const marked = (type: number, id: string, mark: string): string =>
  `28000000${type.toString(16).padStart(2, "0")}030100000000000000000000000102` +
  `0c00020000000001${id}08000300${mark}`;

describe("verdict messages", () => {
  it("name queue, packet and verdict", () => {
    const { verdicts, written } = writer(2);
    verdicts.answer(7, ACCEPT);
    assert.equal(written(), plain(1, 1, "00000007"));
  });

  it("carry a mark when there is one", () => {
    const { verdicts, written } = writer(1);
    verdicts.answerMarked(0xfffffffe, ACCEPT, 0x90000001);
    assert.equal(written(), marked(1, "fffffffe", "90000001"));
  });

  it("join a run of equal answers, and no others", () => {
    const { verdicts, written } = writer(8);
    verdicts.answer(1, ACCEPT);
    verdicts.answer(2, ACCEPT);
    verdicts.answer(3, ACCEPT);
    verdicts.answer(4, DROP);
    verdicts.answer(5, ACCEPT);
    verdicts.answerMarked(6, ACCEPT, 5);
    verdicts.answerMarked(7, ACCEPT, 5);
    verdicts.answerMarked(8, ACCEPT, 6);
    const expected = [
      plain(3, 1, "00000003"),
      plain(1, 0, "00000004"),
      plain(1, 1, "00000005"),
      marked(3, "00000007", "00000005"),
      marked(1, "00000008", "00000006"),
    ];
    assert.equal(written(), expected.join(""));
  });

  it("keep a mark of 0 apart from no mark", () => {
    const { verdicts, written } = writer(2);
    verdicts.answer(1, ACCEPT);
    verdicts.answerMarked(2, ACCEPT, 0);
    assert.equal(written(), plain(1, 1, "00000001") + marked(1, "00000002", "00000000"));
  });

  it("are never joined across two sends", () => {
    const { verdicts, written } = writer(1);
    verdicts.answer(1, ACCEPT);
    verdicts.reset();
    assert.equal(verdicts.length, 0);
    verdicts.answer(2, ACCEPT);
    assert.equal(written(), plain(1, 1, "00000002"));
  });

  it("stay single when runs are not to be joined", () => {
    const { verdicts, written } = writer(2, false);
    verdicts.answer(1, ACCEPT);
    verdicts.answer(2, ACCEPT);
    assert.equal(written(), plain(1, 1, "00000001") + plain(1, 1, "00000002"));
  });

  it("fit for a whole batch, and one more is a bug that is noticed", () => {
    const { verdicts } = writer(3);
    for (let id = 0; id < 3; id += 1) verdicts.answerMarked(id, ACCEPT, id);
    assert.equal(verdicts.length, 3 * VERDICT_MAX_BYTES);
    assert.throws(() => verdicts.answerMarked(9, ACCEPT, 9), { name: "InvariantError" });
  });
});
