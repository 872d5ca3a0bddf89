import assert from "node:assert/strict";
import { test } from "node:test";
import { formatEntry } from "../tables/index.ts";
import { compileValid } from "../testing/policy-probe.ts";
import { readTableContents, type TableContents, type TableFile } from "./index.ts";

/** Contents of the table that a policy declares. */
function contentsOf(declaration: object, file?: TableFile): TableContents {
  const { settings } = compileValid({ settings: { tables: { some: declaration } } });
  const [table] = settings.tables;
  assert.ok(table);
  return readTableContents(table, "policy.json", file);
}

function complaints({ problems }: TableContents): string[] {
  return problems.map(({ file, line, code, message }) => `${file}:${line} ${code} ${message}`);
}

test("a table holds the policy's addresses and those of its file", () => {
  const text = "# blocked\n10.0.0.0/8\n\n  ! 10.1.0.0/16 # but not these\r\n2001:db8::/32";
  const contents = contentsOf({ addresses: ["192.0.2.1"], file: "x" }, { path: "/etc/x", text });
  assert.deepEqual([...contents.list].map(formatEntry), [
    "192.0.2.1",
    "10.0.0.0/8",
    "!10.1.0.0/16",
    "2001:db8::/32",
  ]);
  assert.deepEqual(contents.problems, []);
});

test("each line that is no entry is named with its file, up to twenty", () => {
  const contents = contentsOf({ file: "x" }, { path: "/etc/x", text: `10.0.0.1\n${"nothing\n".repeat(23)}` });
  assert.equal(contents.list.length, 1);
  const found = complaints(contents);
  assert.equal(found.length, 21);
  assert.equal(found[0], '/etc/x:2 table-entry "nothing" is no address, network or negated one');
  assert.equal(found[20], "/etc/x:22 table-entry 3 more lines from here on are none");
});

test("a file that cannot be read is named where the policy declares the table", () => {
  const contents = contentsOf({ file: "x" }, { path: "/etc/x", failure: "no such file" });
  assert.deepEqual(complaints(contents), [
    "policy.json:4 table-unreadable the file of table some cannot be read: no such file",
  ]);
});

test("what does not fit is refused; an entry that stands twice takes one place", () => {
  const declaration = { capacity: 2, file: "x" };
  const twice = contentsOf(declaration, { path: "x", text: "10.0.0.1\n10.0.0.1/32\n!10.0.0.1\n10.0.0.2" });
  assert.deepEqual(twice.problems, []);
  const full = contentsOf(declaration, { path: "x", text: "10.0.0.1\n10.0.0.2\n10.0.0.3" });
  assert.deepEqual(complaints(full), [
    "policy.json:4 table-full table some would have 3 entries and holds 2; raise its capacity",
  ]);
});
