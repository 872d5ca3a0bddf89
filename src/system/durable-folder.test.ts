/** Which folders are synced when others are made. */
import assert from "node:assert/strict";
import fs, { mkdtempSync, readlinkSync, rmSync, statSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, mock } from "node:test";
import { makeFolder } from "./durable-folder.ts";
import { FolderLock } from "./folder-lock.ts";

/** Paths of what is synced meanwhile. */
function synced(body: () => void): string[] {
  const paths: string[] = [];
  const spy = mock.method(
    fs,
    "fsyncSync",
    (fd: number) => void paths.push(readlinkSync(`/proc/self/fd/${fd}`)),
  );
  syncBuiltinESMExports();
  try {
    body();
  } finally {
    spy.mock.restore();
    syncBuiltinESMExports();
  }
  return paths;
}

describe("a folder that is to outlive a crash", () => {
  it("has its name on the disk, and so have all that were made above it", () => {
    const top = mkdtempSync(join(tmpdir(), "postern-folder-"));
    try {
      const folder = join(top, "a", "b", "c");
      assert.deepEqual(
        synced(() => makeFolder(folder)),
        [top, join(top, "a"), join(top, "a", "b")],
      );
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      assert.deepEqual(
        synced(() => makeFolder(folder)),
        [],
      );
      assert.deepEqual(
        synced(() => FolderLock.take(join(top, "d")).release()),
        [top],
      );
    } finally {
      rmSync(top, { recursive: true });
    }
  });
});
