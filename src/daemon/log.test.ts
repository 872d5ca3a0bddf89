import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FirewallError } from "../base/index.ts";
import { LOG_LEVELS, Log, type LogOptions } from "./log.ts";

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
