/**
 * docs/COVERAGE.md cannot go stale: every promised row names tests, and every test that it names is declared
 * to run and asserts something.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { testDeclarations } from "./test-declarations.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** How many rows each part of the page must have, numbered from 1. */
const PARTS = { A: 29, B: 13, C: 7, D: 10, E: 15, F: 12 };

/** The rows that no test proves, and that say `open`: what is not built. */
const OPEN_ROWS: readonly string[] = ["B10"];

/** A title that is mostly computed would name any test: so many words of its own it must have. */
const WORDS_MIN = 2;

const ROW = /^\| ([A-Z]\d+) \| ([^|]+) \| ([^|]+) \|$/;
const REFERENCE = /^`([^`]+)` › "(.+)"$/;

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

/** What is wrong with a title as the name of a test in a source; an empty list when nothing is. */
function complaintsAboutTitle(source: string, title: string): string[] {
  const words = title.match(/[A-Za-z]{3,}/g) ?? [];
  if (title.includes("…") && words.length < WORDS_MIN) return [`"${title}" could be any test`];
  const named = testDeclarations(source).filter((declaration) => declaration.title === title);
  if (named.length === 0) return [`no test "${title}"`];
  return [
    ...(named.some(({ isPutOff }) => isPutOff) ? [`"${title}" is declared not to run`] : []),
    ...(named.every(({ asserts }) => asserts) ? [] : [`"${title}" asserts nothing`]),
  ];
}

/** What is wrong with one reference; an empty list when nothing is. */
function complaintsAbout(reference: string): string[] {
  const match = REFERENCE.exec(reference);
  if (match === null) return [`not of the form \`file\` › "title": ${reference}`];
  const [, file = "", title = ""] = match;
  if (!file.endsWith(".test.ts") || !existsSync(join(root, file))) return [`no such test file: ${file}`];
  return complaintsAboutTitle(readFileSync(join(root, file), "utf8"), title).map(
    (what) => `${file}: ${what}`,
  );
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

test("what is open in COVERAGE.md is what is said here to be open, and nothing more", () => {
  assert.deepEqual(
    rows.filter(({ tests }) => tests === "open").map(({ id }) => id),
    OPEN_ROWS,
  );
});

test("COVERAGE.md names tests that run and assert", () => {
  const named = rows.filter(({ id }) => !OPEN_ROWS.includes(id));
  const complaints = named.flatMap((row) =>
    row.tests
      .split("<br>")
      .flatMap((reference) => complaintsAbout(reference.trim()))
      .map((complaint) => `${row.id}: ${complaint}`),
  );
  assert.deepEqual(complaints, []);
});

/** A source with every kind of declaration, sound and unsound. */
const SPECIMEN = String.raw`
function checkAll(): void {
  assert.ok(true);
}
// test("in a comment", () => assert.ok(1));
const text = 'test("in a string", () => assert.ok(1))';
test("one asserts", () => assert.equal(1, 1));
netnsTest(
  ${"`two ${x.y} whole words`"},
  PLAN,
  async () => {
    assert.match(text, /\)"/);
  },
);
it.skip("left out", () => assert.ok(1));
test("to be done", { todo: true }, () => assert.ok(1));
test("says nothing", () => {});
test("only prints", () => console.log("assert.ok(1)"));
test("asserts through another", () => checkAll());
describe("a \"quoted\" suite", () => { it("inner", () => assert.ok(1)); });
const CASES = [{ title: "a row" }];
for (const { title } of CASES) test(title, () => assert.ok(title));
`;

const VERDICTS = [
  ["one asserts", []],
  ["two … whole words", []],
  ["asserts through another", []],
  ['a "quoted" suite', []],
  ["a row", []],
  ["in a comment", ['no test "in a comment"']],
  ["in a string", ['no test "in a string"']],
  ["… words", ['"… words" could be any test']],
  ["left out", ['"left out" is declared not to run']],
  ["to be done", ['"to be done" is declared not to run']],
  ["says nothing", ['"says nothing" asserts nothing']],
  ["only prints", ['"only prints" asserts nothing']],
] as const;

test("a named test is found in its source, must run, and must assert", () => {
  for (const [title, complaints] of VERDICTS) {
    assert.deepEqual(complaintsAboutTitle(SPECIMEN, title), complaints, title);
  }
});

test("a reference names a test file and a title there, and open is none", () => {
  assert.deepEqual(complaintsAbout("open"), ['not of the form `file` › "title": open']);
  assert.deepEqual(complaintsAbout('`test/no.test.ts` › "x"'), ["no such test file: test/no.test.ts"]);
  assert.equal(complaintsAbout('`test/coverage.test.ts` › "no such"').length, 1);
  const here = '`test/coverage.test.ts` › "COVERAGE.md has every promised row once"';
  assert.deepEqual(complaintsAbout(here), []);
});
