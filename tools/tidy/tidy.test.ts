import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readRepository, repositoryOf } from "./repository.ts";
import { blindness, tidy } from "./tidy.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** A repository in which nothing is wrong. */
const SOUND = {
  "docs/ARCHITECTURE.md":
    "# A\n\n| Folder | Level | What | May import |\n| `src/wire` | 1 | bytes | base |\n",
  "tsconfig.json": JSON.stringify({ references: [{ path: "./src/wire" }] }),
  "src/tests.tsconfig.json": JSON.stringify({ references: [{ path: "./wire" }] }),
  "src/wire/tsconfig.json": JSON.stringify({ references: [{ path: "../base" }] }),
  "src/wire/README.md": "# wire\n",
};

/** Each case breaks one rule once: which, where, and by what. */
const CASES: readonly (readonly [rule: string, path: string, line: number, text: string])[] = [
  ["file-name", "src/wire/udp-util.ts", 1, ""],
  ["file-name", "src/wire/udpView.ts", 1, ""],
  ["no-history", "src/wire/a.ts", 2, "\n// This was replaced by a view.\n"],
  ["no-history", "src/wire/a.ts", 3, "/*\n * One.\n * Fixes #12.\n */\n"],
  ["todo-owner", "src/wire/a.ts", 1, "// TODO: more\n"],
  ["reasoned-exception", "src/wire/a.ts", 1, "// oxlint-disable-next-line complexity\n"],
  ["line-length", "src/wire/a.ts", 1, `// ${"word ".repeat(22)}\n`],
  ["named-offsets", "src/wire/a.ts", 1, "const x = bytes.getUint16(at + 4);\n"],
  ["sequence-arithmetic", "src/wire/a.ts", 1, "const x = packet.seq - other;\n"],
  ["documented-export", "src/wire/a.ts", 2, "\nexport function bind(): void {}\n"],
  ["documented-export", "src/wire/a.ts", 3, "/** One. */\nexport const A = 1;\nexport interface B {}\n"],
  ["unit-in-doc", "src/wire/a.ts", 2, "/** How long. */\nexport const WAIT_MS = 5;\n"],
  ["one-title", "docs/B.md", 3, "# One\n\n# Two\n"],
  ["one-title", "docs/B.md", 1, "One\n"],
  ["live-links", "docs/B.md", 2, "# One\n[two](two.md)\n"],
  ["layer-readme", "src/wire/README.md", 50, `# wire\n${"\n".repeat(60)}`],
  ["layer-table", "docs/ARCHITECTURE.md", 2, "# A\n| `src/wire` | 1 | bytes | nothing |\n"],
  ["layer-table", "src/wire", 1, "# A\n"],
];

for (const [rule, path, line, text] of CASES) {
  test(`${rule} is found in ${JSON.stringify(text.slice(0, 40))}`, () => {
    const where = rule === "layer-table" ? "docs/ARCHITECTURE.md" : path;
    const found = tidy(repositoryOf({ ...SOUND, [where]: text }));
    assert.deepEqual(
      found.map((finding) => [finding.rule, finding.path, finding.line]),
      [[rule, path, line]],
    );
  });
}

test("nothing is found where nothing is wrong", () => {
  const text = [
    "/** `at + 4` in words. */",
    'export const A = "// TODO";',
    "// Byte offsets.",
    "export const B = 1;",
    "export const C = /\"/.test('// see #4') ? 1 : 2;",
    "/** Two. */",
    "export function two(): number { return A / 2; } // a half",
    "",
  ].join("\n");
  const found = tidy(repositoryOf({ ...SOUND, "src/wire/a.ts": text }));
  assert.deepEqual(found, []);
});

test("a tidy that sees nothing says so", () => {
  assert.match(blindness(repositoryOf(SOUND)) ?? "", /saw only/);
  assert.equal(blindness(readRepository(root)), undefined);
});

test("the repository is tidy", () => {
  const found = tidy(readRepository(root));
  const lines = found.map(({ rule, path, line, fix }) => `${path}:${line}: ${rule}: ${fix}`);
  assert.equal(found.length, 0, lines.join("\n"));
});
