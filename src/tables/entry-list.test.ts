import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FirewallError } from "../base/index.ts";
import { EntryList, formatEntry } from "./index.ts";

function texts(list: EntryList): string[] {
  return [...list].map(formatEntry);
}

describe("entry list", () => {
  it("reads a file: one entry a line, comments, blanks, negation, both line ends", () => {
    const file = "# bogons\n10.0.0.0/8\r\n\n  !10.1.0.0/16 # but these\n! 2001:db8::/32\t\n192.0.2.1#x\n::1";
    const { list, problems } = EntryList.parse(file);
    assert.deepEqual(problems, []);
    assert.deepEqual(texts(list), ["10.0.0.0/8", "!10.1.0.0/16", "!2001:db8::/32", "192.0.2.1", "::1"]);
  });

  it("names every line that is no entry", () => {
    const { list, problems } = EntryList.parse(
      "10.0.0.0/8\nexample.org\n10.0.0.256 # oops\n!\n::/129\n1.2.3.4",
    );
    assert.deepEqual(texts(list), ["10.0.0.0/8", "1.2.3.4"]);
    assert.deepEqual(
      problems.map(({ line, text }) => [line, text]),
      [
        [2, "example.org"],
        [3, "10.0.0.256"],
        [4, "!"],
        [5, "::/129"],
      ],
    );
  });

  // Texts that the fast reader must either read as Prefix does or leave to it.
  const rows: readonly [string, string | undefined][] = [
    ["1.2.3.4", "1.2.3.4"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["255.255.255.255/32", "255.255.255.255"],
    ["10/8", "10.0.0.0/8"],
    ["10.1/16", "10.1.0.0/16"],
    ["10.0.0.0/255.0.0.0", "10.0.0.0/8"],
    ["!!10.0.0.0/8", undefined],
    ["01.2.3.4", undefined],
    ["1.2.3", undefined],
    ["1.2.3.4.5", undefined],
    ["1.2.3.4/", undefined],
    ["1.2.3.4/33", undefined],
    ["1.2.3.4/1a", undefined],
    ["1.2.3.1000", undefined],
    ["1..2.3", undefined],
    ["1.2.3.", undefined],
    ["", undefined],
    ["::ffff:1.2.3.4", "::ffff:102:304"],
  ];
  for (const [text, expected] of rows) {
    it(`reads ${JSON.stringify(text)}`, () => {
      if (expected !== undefined) assert.deepEqual(texts(EntryList.of([text])), [expected]);
      else
        assert.throws(
          () => EntryList.of([text]),
          (error) => error instanceof FirewallError && error.code === "TABLE_ENTRY",
        );
    });
  }

  it("finds the first of equal prefixes, whatever their sign", () => {
    const list = EntryList.of(["10.0.0.0/8", "!10.0.0.0/8", "10.0.0.0/9", "::/0", "0.0.0.0/0", "10.1.1.1/8"]);
    assert.deepEqual([...list.firstOccurrences()], [0, 0, 2, 3, 4, 0]);
  });
});
