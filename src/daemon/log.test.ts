import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FirewallError } from "../base/index.ts";
import { LOG_LEVELS, Log, type LogOptions } from "./log.ts";
import { LOG_FILES_KEPT } from "./log-file.ts";

/** A log whose lines are kept, at a fixed time. */
function openLog(options: Partial<LogOptions> = {}): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const now = (): Date => new Date(2026, 10, 21, 9, 5, 3, 42);
  return { log: new Log({ level: "INFO", write: (text) => lines.push(text), now, ...options }), lines };
}

test("a line has PyWall's form: time, level, message", () => {
  const { log, lines } = openLog();
  log.info("DROP IP Packet 192.0.2.1 => 192.0.2.2, proto=TCP");
  assert.deepEqual(lines, [
    "[2026-11-21 09:05:03,042][INFO] DROP IP Packet 192.0.2.1 => 192.0.2.2, proto=TCP\n",
  ]);
});

for (const [threshold, level] of LOG_LEVELS.entries()) {
  test(`at level ${level} just the ${LOG_LEVELS.length - threshold} most urgent levels are written`, () => {
    const { log, lines } = openLog({ level });
    for (const each of LOG_LEVELS) log.log(each, each);
    assert.deepEqual(
      lines.map((line) => line.trimEnd().split("] ")[1]),
      LOG_LEVELS.slice(threshold),
    );
  });
}

test("as JSON a line is one object with its facts", () => {
  const { log, lines } = openLog({ json: true });
  log.warning("DROP", { event: "verdict", rule: 2 });
  const time = new Date(2026, 10, 21, 9, 5, 3, 42).toISOString();
  assert.deepEqual(JSON.parse(lines[0] ?? ""), {
    time,
    level: "WARNING",
    message: "DROP",
    event: "verdict",
    rule: 2,
  });
});

test("a log file is truncated first and then gets every line", () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-log-"));
  const file = join(folder, "postern.log");
  try {
    writeFileSync(file, "from an earlier run\n");
    const { log, lines } = openLog({ file });
    log.error("one");
    log.debug("not this");
    log.close();
    assert.equal(readFileSync(file, "utf8"), lines.join(""));
    assert.equal(lines.length, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a log file that cannot be opened is a failure that names it", () => {
  assert.throws(
    () => openLog({ file: "/nowhere/postern.log" }),
    (error: unknown) =>
      error instanceof FirewallError && error.code === "LOG_FILE" && /nowhere/.test(error.message),
  );
});

/** Runs a test in a folder of its own. */
function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "postern-log-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a dated log goes on in the file of its day, and begins another at midnight", () => {
  inFolder((parent) => {
    const folder = join(parent, "made", "here");
    let time = new Date(2026, 10, 21, 23, 59, 59);
    const options: Partial<LogOptions> = { folder, now: () => time };
    const first = openLog(options);
    first.log.info("one");
    first.log.close();
    const second = openLog(options);
    second.log.info("two");
    time = new Date(2026, 10, 22, 0, 0, 0);
    second.log.info("three");
    second.log.close();
    assert.deepEqual(readdirSync(folder).sort(), ["2026-11-21-logfile.log", "2026-11-22-logfile.log"]);
    const read = (name: string): string => readFileSync(join(folder, name), "utf8");
    assert.match(read("2026-11-21-logfile.log"), /^\S+ \S+ one\n\S+ \S+ two\n$/);
    assert.match(read("2026-11-22-logfile.log"), /^\S+ \S+ three\n$/);
  });
});

test("of dated log files the newest 20 are kept, and no other file is touched", () => {
  inFolder((folder) => {
    const days = Array.from({ length: 30 }, (_, day) => new Date(2026, 9, 10 + day, 12));
    const others = ["2026-10-01-logfile.log.gz", "notes.txt", "x2026-10-01-logfile.log"];
    for (const name of others) writeFileSync(join(folder, name), "");
    const kept = (): string[] => readdirSync(folder).filter((name) => !others.includes(name));
    for (const [index, day] of days.entries()) {
      const { log } = openLog({ folder, now: () => day });
      log.close();
      assert.equal(kept().length, Math.min(index + 1, LOG_FILES_KEPT));
    }
    assert.equal(LOG_FILES_KEPT, 20);
    assert.deepEqual(
      [kept().sort()[0], kept().sort()[19]],
      ["2026-10-20-logfile.log", "2026-11-08-logfile.log"],
    );
    assert.deepEqual(
      readdirSync(folder)
        .filter((name) => others.includes(name))
        .sort(),
      others,
    );
  });
});

test("a folder that cannot be made is a failure that names it", () => {
  assert.throws(
    () => openLog({ folder: "/dev/null/logs" }),
    (error: unknown) =>
      error instanceof FirewallError &&
      error.code === "LOG_FOLDER" &&
      /\/dev\/null\/logs/.test(error.message),
  );
});

test("a dated log whose folder is gone loses lines, says so once, and goes on when it can", () => {
  inFolder((parent) => {
    const folder = join(parent, "logs");
    let time = new Date(2026, 10, 21, 12);
    const { log, lines } = openLog({ folder, now: () => time });
    rmSync(folder, { recursive: true });
    time = new Date(2026, 10, 22, 12);
    log.info("lost");
    log.info("lost too");
    assert.equal(lines.filter((line) => line.includes("its lines are lost")).length, 1);
    log.close();
    const again = openLog({ folder, now: () => time });
    again.log.info("found");
    again.log.close();
    assert.match(readFileSync(join(folder, "2026-11-22-logfile.log"), "utf8"), /found\n$/);
  });
});
