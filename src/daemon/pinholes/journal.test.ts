import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { JournalChanges } from "../../pinhole/index.ts";
import { DiskJournal } from "./disk-journal.ts";
import { MemoryJournal, type PinholeJournal } from "./journal.ts";

const NOTHING: JournalChanges = {
  head: { generation: 1, nextNumber: 1, nextGroupNumber: 1 },
  put: [],
  remove: [],
  keep: [],
  forget: [],
};

const ANSWER = { agent: "alice", key: "k", text: "[]" };

/** Works with a journal on disk that is gone afterwards. */
async function withDisk(work: (journal: PinholeJournal) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "postern-journal-"));
  const journal = new DiskJournal(folder, "boot");
  try {
    await work(journal);
  } finally {
    await journal.close();
    rmSync(folder, { recursive: true });
  }
}

const KINDS = [
  ["on disk", withDisk],
  ["in memory", (work: (journal: PinholeJournal) => Promise<void>) => work(new MemoryJournal())],
] as const;

for (const [kind, withJournal] of KINDS) {
  describe(`a journal ${kind}`, () => {
    it("says at once what the last write has left", () =>
      withJournal(async (journal) => {
        const holdings = (): boolean[] => [journal.hasPinhole("a"), journal.hasAnswer(ANSWER)];
        assert.deepEqual(holdings(), [false, false]);
        for (let round = 0; round < 50; round += 1) {
          const written = journal.append({ ...NOTHING, put: [{ id: "a", text: "[]" }], keep: [ANSWER] });
          holdings();
          await written;
          assert.deepEqual(holdings(), [true, true]);
          await journal.append({ ...NOTHING, remove: ["a"], forget: [ANSWER] });
          assert.deepEqual(holdings(), [false, false]);
        }
        assert.equal(journal.hasAnswer({ agent: "bob", key: "k" }), false);
      }));
  });
}
