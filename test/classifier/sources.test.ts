/**
 * What the published figures rest on: pinned sources, each in one split, and the hashes of what they give.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../../../tools/classifier/", import.meta.url);

function readJson<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Content;
}

interface Source {
  readonly package: string;
  readonly version: string;
  readonly sha256: string;
  readonly role: "files" | "media" | "pdf";
  readonly split?: string;
}

test("every source of the dataset is pinned by version and hash, and a package of files has one split", () => {
  const sources = readJson<readonly Source[]>("sources.json");
  assert.ok(sources.length > 20);
  assert.equal(new Set(sources.map((source) => source.package)).size, sources.length);
  for (const source of sources) {
    assert.match(source.sha256, /^[0-9a-f]{64}$/, source.package);
    assert.match(source.version, /^\S+$/, source.package);
    if (source.role === "files") assert.match(source.split ?? "", /^(train|calibrate|test)$/, source.package);
  }
});

test("the dataset's manifest has a hash for each format of each split", () => {
  type Entry = { readonly sha256: string; readonly streams: number; readonly bytes: number };
  const { splits } = readJson<{ splits: Record<string, Record<string, Entry>> }>("manifest.json");
  for (const split of ["train", "calibrate", "test"]) {
    const formats = Object.keys(splits[split] ?? {});
    assert.ok(formats.length >= 23 && formats.includes("xz") && formats.includes("jpeg"), split);
    for (const entry of Object.values(splits[split] ?? {})) {
      assert.match(entry.sha256, /^[0-9a-f]{64}$/);
      assert.ok(entry.streams > 0 && entry.bytes > 0);
    }
  }
});
