/** docs/COVERAGE.md cannot go stale: every promised row is there, and every test that it names exists. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** How many rows each part of the page must have, numbered from 1. */
const PARTS = { A: 29, D: 10 };

const ROW = /^\| ([A-Z]\d+) \| ([^|]+) \| ([^|]+) \|$/;
const REFERENCE = /^`([^`]+)` › "(.+)"$/;

/**
 * The first argument of whatever declares a test, or the title in a table of cases: a string or a template.
 */
const TITLE = new RegExp(
  [
    String.raw`\b(?:(?:test|it|describe|suite|netnsTest)(?:\.\w+)?\(|title:)\s*`,
    '(?:"((?:\\\\.|[^"\\\\])*)"|`((?:\\\\.|[^`\\\\])*)`)',
  ].join(""),
  "g",
);

interface Row {
  readonly id: string;
  readonly tests: string;
}

function readRows(): Row[] {
  const page = readFileSync(join(root, "docs", "COVERAGE.md"), "utf8");
  return page.split("\n").flatMap((line) => {
    const match = ROW.exec(line);
    return match === null ? [] : [{ id: match[1] ?? "", tests: (match[3] ?? "").trim() }];
  });
}

/** Titles declared in a test file; what a template computes is written `…`. */
function titlesIn(source: string): string[] {
  return [...source.matchAll(TITLE)].map((match) =>
    (match[1] ?? match[2] ?? "").replaceAll(/\$\{[^}]*\}/g, "…").replaceAll(/\\(.)/g, "$1"),
  );
}

/** What is wrong with one reference; an empty list when nothing is. */
function complaintsAbout(reference: string): string[] {
  const match = REFERENCE.exec(reference);
  if (match === null) return [`not of the form \`file\` › "title": ${reference}`];
  const [, file = "", title = ""] = match;
  if (!file.endsWith(".test.ts") || !existsSync(join(root, file))) return [`no such test file: ${file}`];
  const titles = titlesIn(readFileSync(join(root, file), "utf8"));
  return titles.includes(title) ? [] : [`${file} has no test "${title}"`];
}

const rows = readRows();

test("COVERAGE.md has every promised row once", () => {
  const expected = Object.entries(PARTS).flatMap(([part, count]) =>
    Array.from({ length: count }, (_, index) => `${part}${index + 1}`),
  );
  assert.deepEqual(
    rows.map((row) => row.id),
    expected,
  );
});

test("every test that COVERAGE.md names exists", () => {
  const complaints = rows
    .filter((row) => row.tests !== "open")
    .flatMap((row) =>
      row.tests
        .split("<br>")
        .flatMap((reference) => complaintsAbout(reference.trim()))
        .map((complaint) => `${row.id}: ${complaint}`),
    );
  assert.deepEqual(complaints, []);
});

test("titles are found in sources, also computed ones", () => {
  const source =
    'test("one", f); netnsTest(\n  `two ${x.y} three`, P, f); it.skip(\'no\'); describe("a \\"b\\"", f);' +
    ' const CASES = [{ title: "a row" }];';
  assert.deepEqual(titlesIn(source), ["one", "two … three", 'a "b"', "a row"]);
  assert.equal(complaintsAbout('`test/coverage.test.ts` › "no such"').length, 1);
  assert.deepEqual(
    complaintsAbout('`test/coverage.test.ts` › "COVERAGE.md has every promised row once"'),
    [],
  );
});

test("open rows are listed", (context) => {
  const open = rows.filter((row) => row.tests === "open").map((row) => row.id);
  if (open.length > 0) context.diagnostic(`open rows of docs/COVERAGE.md: ${open.join(" ")}`);
});
