import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("docs/TCP-STATES.md is what tools/tcp-states.mjs makes of the tables", async () => {
  const tool = new URL("../../tools/tcp-states.mjs", import.meta.url);
  const { render } = (await import(tool.href)) as { render: () => string };
  const page = readFileSync(new URL("../../docs/TCP-STATES.md", import.meta.url), "utf8");
  assert.equal(page, render(), "run: npm run build && node tools/tcp-states.mjs");
});
