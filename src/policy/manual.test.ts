/**
 * docs/POLICY.md holds what the definitions say. After a change of theirs, `POSTERN_WRITE_DOCS=1` before this
 * test writes the page anew.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { createRegistry, rulesManual, settingsManual } from "./index.ts";

const page = new URL("../../docs/POLICY.md", import.meta.url);

/** The page with everything between two marks replaced. */
function withSection(text: string, subject: string, section: string): string {
  const begin = `<!-- made from the definitions of the ${subject}: begin -->`;
  const end = `<!-- made from the definitions of the ${subject}: end -->`;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  assert.ok(from >= 0 && to > from, `docs/POLICY.md has no marks for the ${subject}`);
  return `${text.slice(0, from)}${begin}\n\n${section}\n\n${text.slice(to)}`;
}

test("docs/POLICY.md says what the definitions say", () => {
  const found = readFileSync(page, "utf8");
  const rules = withSection(found, "rules", rulesManual(createRegistry()));
  const wanted = withSection(rules, "settings", settingsManual());
  if (process.env["POSTERN_WRITE_DOCS"] === "1") writeFileSync(page, wanted);
  else assert.equal(found, wanted);
});
