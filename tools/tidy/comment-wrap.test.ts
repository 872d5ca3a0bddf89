import assert from "node:assert/strict";
import { test } from "node:test";
import { COLUMNS, wrapComments } from "./comment-wrap.ts";

const words = (count: number): string => Array.from({ length: count }, () => "word").join(" ");

test("a doc comment on one long line becomes three or more", () => {
  const wrapped = wrapComments(`  /** ${words(30)} */\nconst x = 1;\n`).split("\n");
  assert.equal(wrapped[0], "  /**");
  assert.equal(wrapped[3], "   */");
  assert.ok(wrapped.every((line) => line.length <= COLUMNS));
  assert.equal(wrapped[4], "const x = 1;");
});

test("a paragraph is filled as a whole, and its neighbours stay", () => {
  const source = [
    "/**",
    " * Short.",
    " *",
    ` * ${words(25)}`,
    " * and more.",
    " *",
    " * - a list",
    " */",
  ].join("\n");
  const wrapped = wrapComments(source).split("\n");
  assert.deepEqual(wrapped.slice(0, 3), ["/**", " * Short.", " *"]);
  assert.equal(wrapped[4], ` * ${words(4)} and more.`);
  assert.deepEqual(wrapped.slice(5), [" *", " * - a list", " */"]);
});

test("a tag keeps its hanging indentation", () => {
  const wrapped = wrapComments(` * @param x - ${words(25)}\n *   and more\n * @returns y\n */`).split("\n");
  assert.equal(wrapped.length, 4);
  assert.match(wrapped[1] ?? "", /^ \* {3}word .*and more$/);
  assert.equal(wrapped[2], " * @returns y");
});

test("tables, directives and what is short enough are left alone", () => {
  const source = [
    ` * | ${words(30)} |`,
    `// oxlint-disable-next-line x -- ${words(25)}`,
    "// one",
    "// two",
  ].join("\n");
  assert.equal(wrapComments(source), source);
});

test("wrapping twice is wrapping once", () => {
  const once = wrapComments(`// ${words(70)}\n`);
  assert.equal(wrapComments(once), once);
});
