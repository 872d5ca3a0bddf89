/**
 * The journal on disk, at every instant at which a crash may leave it: a copy of its folder is what is left.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rmdirSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, mock } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { FirewallError } from "../../base/index.ts";
import type { JournalChanges } from "../../pinhole/index.ts";
import { DurableStore } from "../../system/index.ts";
import { DiskJournal } from "./disk-journal.ts";
import { decodeChanges, encodeChanges } from "./journal-record.ts";

const NOTHING = { put: [], remove: [], keep: [], forget: [] };

interface Contents {
  readonly generation: number | undefined;
  readonly pinholes: readonly string[];
  readonly answers: readonly string[];
}

function contentsOf(journal: DiskJournal): Contents {
  const { head, pinholes, answers } = journal.load();
  const texts = Array.from(answers, ({ agent, key, text }) => `${agent} ${key} ${text}`);
  return { generation: head?.generation, pinholes: [...pinholes], answers: texts.sort() };
}

/** Copies files. One that is being removed may be gone meanwhile. */
function copyFiles(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    try {
      copyFileSync(join(from, name), join(to, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

/** Reads what a crash would leave at this instant. */
async function afterCrash(folder: string): Promise<Contents> {
  const copy = mkdtempSync(join(tmpdir(), "postern-crash-"));
  try {
    copyFiles(folder, copy);
    const journal = new DiskJournal(copy, "boot");
    const contents = contentsOf(journal);
    await journal.close();
    return contents;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "postern-journal-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function head(generation: number): JournalChanges["head"] {
  return { generation, nextNumber: generation, nextGroupNumber: 1 };
}

function logParts(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith("log-"));
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

/** Where the first record behind the head of a part begins. */
function lengthOfHead(path: string): number {
  return 8 + readFileSync(path).readUInt32LE(0);
}

function lastByte(path: string): number {
  return readFileSync(path).findLastIndex((byte) => byte !== 0);
}

/** What the journal should say, and commits that change it: a seed for each history. */
class History {
  readonly #pinholes: Map<string, string> = new Map();
  readonly #answers: Map<string, string> = new Map();
  #generation = 0;
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get contents(): Contents {
    const pinholes = [...this.#pinholes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
    const answers = Array.from(this.#answers, ([key, text]) => `alice ${key} ${text}`);
    return { generation: this.#generation, pinholes, answers: answers.sort() };
  }

  next(): JournalChanges {
    this.#generation += 1;
    const generation = this.#generation;
    const id = `ph_${String(generation).padStart(6, "0")}`;
    const put = [{ id, text: `["${id}","ü \\n",${generation}]` }];
    const remove: string[] = [];
    for (const known of this.#pinholes.keys()) {
      const chance = this.#chance();
      if (chance < 0.1) remove.push(known);
      else if (chance < 0.15) put.push({ id: known, text: `["${known}",${generation}]` });
    }
    const keep = [{ agent: "alice", key: `k\t\n\0${generation}`, text: `[${generation}]` }];
    const forget = [...this.#answers.keys()].filter(() => this.#chance() < 0.1);
    for (const gone of remove) this.#pinholes.delete(gone);
    for (const { id: name, text } of put) this.#pinholes.set(name, text);
    for (const key of forget) this.#answers.delete(key);
    for (const { key, text } of keep) this.#answers.set(key, text);
    const names = forget.map((key) => ({ agent: "alice", key }));
    return { head: head(generation), put, remove, keep, forget: names };
  }

  #chance(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
    return this.#seed / 2 ** 32;
  }
}

const BUSY = new FirewallError("JOURNAL_UNAVAILABLE", "the database is full");

/** Commits until the parts of the log are as they shall be. */
async function appendUntil(
  isReached: (parts: readonly string[]) => boolean,
  { journal, history, folder }: { journal: DiskJournal; history: History; folder: string },
): Promise<void> {
  for (let step = 0; !isReached(logParts(folder)); step += 1) {
    assert.ok(step < 1000, "parts come, and are forgotten");
    await journal.append(history.next());
  }
}

describe("a journal on disk", () => {
  for (const seed of [1, 2, 3]) {
    it(`says after a crash at any instant what was written last, also while it is folded (${seed})`, () =>
      withFolder(async (folder) => {
        const history = new History(seed);
        let journal = new DiskJournal(folder, "boot", { foldBytes: 600 });
        for (let step = 1; step <= 60; step += 1) {
          const changes = history.next();
          await journal.append(changes);
          for (const { id } of changes.put) assert.ok(journal.hasPinhole(id));
          for (const id of changes.remove) assert.ok(!journal.hasPinhole(id));
          for (const answer of changes.keep) assert.ok(journal.hasAnswer(answer));
          for (const name of changes.forget) assert.ok(!journal.hasAnswer(name));
          if (step % 3 === 0) assert.deepEqual(await afterCrash(folder), history.contents, `step ${step}`);
          if (step % 20 !== 0) continue;
          await journal.close();
          journal = new DiskJournal(folder, "boot", { foldBytes: 600 });
          assert.deepEqual(contentsOf(journal), history.contents);
        }
        await journal.close();
        assert.ok(logParts(folder).length < 20, "parts that are folded are forgotten");
      }));
  }

  it("loses nothing when the database cannot be written, and folds later", () =>
    withFolder(async (folder) => {
      const history = new History(4);
      const journal = new DiskJournal(folder, "boot", { foldBytes: 600 });
      const failing = mock.method(DurableStore.prototype, "write", () => Promise.reject(BUSY));
      for (let step = 0; step < 40; step += 1) await journal.append(history.next());
      assert.ok(failing.mock.callCount() > 1, "it is tried again");
      assert.deepEqual(await afterCrash(folder), history.contents);
      failing.mock.restore();
      const parts = logParts(folder).length;
      await appendUntil(({ length }) => length < parts, { journal, history, folder });
      await journal.close();
      assert.deepEqual(await afterCrash(folder), history.contents);
    }));

  it("takes changes again when the log was full and the database can be written", () =>
    withFolder(async (folder) => {
      const options = { foldBytes: 1 << 30, logMaxBytes: 4000 };
      let journal = new DiskJournal(folder, "boot", options);
      const failing = mock.method(DurableStore.prototype, "write", () => Promise.reject(BUSY));
      const put = (generation: number): JournalChanges => {
        const id = `ph_${generation}`;
        return { ...NOTHING, head: head(generation), put: [{ id, text: `["${id}","${"x".repeat(1000)}"]` }] };
      };
      // The room that a part takes at first is more than this log may have.
      await journal.append(put(1));
      await journal.close();
      journal = new DiskJournal(folder, "boot", options);
      for (let step = 0; failing.mock.callCount() < 2; step += 1) {
        assert.ok(step < 5000, "it is tried again");
        await assert.rejects(journal.append(put(2)), { code: "JOURNAL_UNAVAILABLE" });
        await delay(1);
      }
      assert.ok(logParts(folder).length <= 3, "a part without records is not followed by another");
      failing.mock.restore();
      for (let step = 0, isThere = false; !isThere; step += 1) {
        assert.ok(step < 5000, "the log is folded");
        isThere = await journal.append(put(2)).then(
          () => true,
          () => false,
        );
        await delay(1);
      }
      assert.equal((await afterCrash(folder)).pinholes.length, 2);
      await journal.close();
    }));

  it("lives on when a part that is folded cannot be removed, and removes it later", () =>
    withFolder(async (folder) => {
      const history = new History(5);
      const journal = new DiskJournal(folder, "boot", { foldBytes: 600 });
      await journal.append(history.next());
      const [part = ""] = logParts(folder);
      unlinkSync(join(folder, part));
      mkdirSync(join(folder, part));
      await appendUntil(({ length }) => length > 4, { journal, history, folder });
      const [, second = ""] = logParts(folder);
      rmdirSync(join(folder, part));
      await appendUntil((parts) => !parts.includes(second), { journal, history, folder });
      await journal.close();
      assert.deepEqual(await afterCrash(folder), history.contents);
    }));

  it("leaves nothing of starts after which nothing was written", () =>
    withFolder(async (folder) => {
      for (let start = 0; start < 5; start += 1) {
        const journal = new DiskJournal(folder, "boot");
        assert.equal(contentsOf(journal).generation, undefined);
        await journal.close();
      }
      assert.equal(logParts(folder).length, 1);
    }));

  it("looks for nothing in the rest of a record at each pinhole that is no more", () => {
    const remove = Array.from({ length: 100 }, (_, at) => `ph_${at}`);
    const record = Buffer.from(encodeChanges({ ...NOTHING, head: { ...head(1), bootId: "boot" }, remove }));
    const search = mock.method(record, "indexOf");
    assert.deepEqual(decodeChanges(record).remove, remove);
    const found = search.mock.calls.map(({ result }) => result as number);
    assert.ok(!found.includes(-1), "each search ends where something is");
  });

  it("keeps nothing in the database of a pinhole that came and went while the log was folded", () =>
    withFolder(async (folder) => {
      const journal = new DiskJournal(folder, "boot", { foldBytes: 1 });
      for (let generation = 1; generation <= 40; generation += 1) {
        const id = `ph_${String(generation).padStart(3, "0")}`;
        await journal.append({ ...NOTHING, head: head(generation), put: [{ id, text: `["${id}"]` }] });
        await journal.append({ ...NOTHING, head: head(generation), remove: [id] });
      }
      await journal.close();
      assert.deepEqual((await afterCrash(folder)).pinholes, []);
    }));

  const WOUNDS: readonly (readonly [what: string, wound: (path: string, end: number) => void])[] = [
    ["ends in the middle of it", (path, end) => truncateSync(path, end - 3)],
    [
      "has other bytes in it",
      (path, end) => {
        const bytes = readFileSync(path);
        bytes[end - 3] = (bytes[end - 3] ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
  ];
  for (const [what, wound] of WOUNDS) {
    it(`reads up to the last record where the log ${what}`, () =>
      withFolder(async (folder) => {
        const journal = new DiskJournal(folder, "boot");
        for (const [at, id] of ["a", "b", "c"].entries()) {
          await journal.append({ ...NOTHING, head: head(at + 1), put: [{ id, text: `["${id}"]` }] });
        }
        await journal.close();
        const [part = ""] = logParts(folder);
        const path = join(folder, part);
        const bytes = readFileSync(path);
        wound(path, bytes.findLastIndex((byte) => byte !== 0) + 1);
        assert.deepEqual(await afterCrash(folder), {
          generation: 2,
          pinholes: ['["a"]', '["b"]'],
          answers: [],
        });
      }));
  }

  it("takes a record that a crash left by half for one that was never there, also when it starts again", () =>
    withFolder(async (folder) => {
      const history = new History(6);
      for (let start = 0; start < 4; start += 1) {
        const notices: string[] = [];
        const notice = (text: string): void => void notices.push(text);
        const journal = new DiskJournal(folder, "boot", { notice });
        assert.equal(notices.length, start === 0 ? 0 : 1, "told once");
        for (let step = 0; step < 3; step += 1) await journal.append(history.next());
        await journal.close();
        assert.deepEqual(await afterCrash(folder), history.contents);
        const path = join(folder, logParts(folder).at(-1) ?? "");
        const end = readFileSync(path).findLastIndex((byte) => byte !== 0) + 1;
        const torn = readFileSync(path);
        torn.write("half a record", end);
        writeFileSync(path, torn);
      }
    }));

  const DAMAGES: readonly (readonly [what: string, damage: (paths: readonly string[]) => void])[] = [
    ["a byte in the middle of it has changed", ([path = ""]) => flip(path, 40)],
    ["the length of a record has changed", ([path = ""]) => flip(path, lengthOfHead(path))],
    ["a part that others follow ends too early", ([path = ""]) => truncateSync(path, 60)],
    ["a part that others follow has lost its last record", ([path = ""]) => flip(path, lastByte(path))],
    ["a part that others follow is gone", ([path = ""]) => unlinkSync(path)],
    ["a part that others follow is empty", ([path = ""]) => truncateSync(path, 0)],
    ["a part that others follow is zeros", ([path = ""]) => writeFileSync(path, Buffer.alloc(4096))],
  ];
  for (const [what, damage] of DAMAGES) {
    it(`is not read where ${what}, unless what is left shall be salvaged`, () =>
      withFolder(async (folder) => {
        for (const run of [0, 1, 2]) {
          const journal = new DiskJournal(folder, "boot");
          for (const at of [1, 2, 3]) {
            const id = `${run}${at}`;
            await journal.append({ ...NOTHING, head: head(run * 3 + at), put: [{ id, text: `["${id}"]` }] });
          }
          await journal.close();
        }
        const before = contentsOf(new DiskJournal(folder, "boot"));
        damage(logParts(folder).map((name) => join(folder, name)));
        const isTold = {
          code: "JOURNAL_DAMAGED",
          message: /log-0000000001 has lost bytes \d+ to \d+,.*--salvage/,
        };
        assert.throws(() => new DiskJournal(folder, "boot"), isTold);

        const notices: string[] = [];
        const notice = (text: string): void => void notices.push(text);
        const salvaged = new DiskJournal(folder, "boot", { isSalvage: true, notice });
        const left = contentsOf(salvaged);
        assert.equal(notices.length, 1);
        assert.match(notices[0] ?? "", /Salvaged .*log-0000000001, without bytes/);
        assert.equal(left.generation, 9);
        const lost = before.pinholes.filter((text) => !left.pinholes.includes(text));
        assert.ok(lost.every((text) => text.startsWith('["0')) && lost.length > 0, "only what was damaged");
        await salvaged.append({ ...NOTHING, head: head(10), put: [{ id: "99", text: '["99"]' }] });
        await salvaged.close();
        assert.deepEqual((await afterCrash(folder)).pinholes, [...left.pinholes, '["99"]']);
      }));
  }

  it("is in any folder, also in one with a dot in its name", () =>
    withFolder(async (parent) => {
      const folder = join(parent, "pinholes.old");
      const history = new History(8);
      const journal = new DiskJournal(folder, "boot");
      await journal.append(history.next());
      await journal.close();
      assert.deepEqual(contentsOf(new DiskJournal(folder, "boot")), history.contents);
    }));

  it("is not read when a newer version wrote it", () =>
    withFolder(async (folder) => {
      const store = DurableStore.open(folder);
      await store.write([{ key: ["format"], value: 2 }]);
      await store.close();
      const isTold = { code: "JOURNAL_FORMAT", message: /format 2, and this one reads 1/ };
      assert.throws(() => new DiskJournal(folder, "boot"), isTold);
    }));

  it("says its format in the database when it is folded", () =>
    withFolder(async (folder) => {
      const history = new History(7);
      const journal = new DiskJournal(folder, "boot", { foldBytes: 600 });
      await appendUntil((parts) => !parts.includes("log-0000000001"), { journal, history, folder });
      await journal.close();
      const store = DurableStore.open(folder);
      assert.deepEqual(
        Array.from(store.read("format"), ([, value]) => value),
        [1],
      );
      await store.close();
    }));

  it("does not take up a part that was folded and could not be removed", () =>
    withFolder(async (folder) => {
      const journal = new DiskJournal(folder, "boot", { foldBytes: 1 });
      await journal.append({ ...NOTHING, head: head(1), put: [{ id: "a", text: '["a"]' }] });
      const [part = ""] = logParts(folder);
      const kept = readFileSync(join(folder, part));
      for (let generation = 2; logParts(folder).includes(part); generation += 1) {
        await journal.append({ ...NOTHING, head: head(generation), remove: ["a"] });
      }
      await journal.append({ ...NOTHING, head: head(1000) });
      await journal.close();
      writeFileSync(join(folder, part), kept);
      assert.deepEqual(await afterCrash(folder), { generation: 1000, pinholes: [], answers: [] });
    }));
});
