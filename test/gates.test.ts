/**
 * A gate that lets everything through looks like a gate that has nothing to stop: each is shown what it must
 * stop.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A layer that must be pure, and one that need not be. */
const LAYER = "src/wire";
const PRODUCT = "src/daemon";

/** One offence each: the rule that must stop it, the folder where it stands, and its text. */
const OFFENCES: readonly (readonly [rule: string, folder: string, text: string])[] = [
  [
    "no-restricted-imports",
    LAYER,
    'import { readFileSync } from "node:fs";\nexport const x: unknown = readFileSync;\n',
  ],
  ["no-restricted-imports", PRODUCT, 'import koffi from "koffi";\nexport const x: unknown = koffi;\n'],
  [
    "no-restricted-imports",
    PRODUCT,
    'import { x } from "../testing/index.ts";\nexport const y: unknown = x;\n',
  ],
  ["no-restricted-globals", LAYER, "export const x = Date.now();\n"],
  ["no-restricted-globals", LAYER, "export const x = performance.now();\n"],
  ["no-restricted-globals", LAYER, "export const x = setTimeout(() => {}, 5);\n"],
  ["no-cycle", LAYER, 'export { y } from "./circle.ts";\nexport const x = 1;\n'],
  ["no-barrel-file", LAYER, 'export * from "./decent.ts";\n'],
  ["no-floating-promises", PRODUCT, "async function f(): Promise<void> {}\nf();\n"],
  [
    "switch-exhaustiveness-check",
    LAYER,
    'export function f(x: "a" | "b"): void {\n  switch (x) {\n    case "a":\n      break;\n  }\n}\n',
  ],
  ["no-explicit-any", LAYER, "export const x: any = 1;\n"],
  [
    "max-params",
    LAYER,
    "export function f(a: 1, b: 2, c: 3, d: 4, e: 5): unknown {\n  return [a, b, c, d, e];\n}\n",
  ],
  [
    "max-depth",
    LAYER,
    "export function f(a: boolean): void {\n  if (a) {if (a) {if (a) {if (a) {f(a);}}}}\n}\n",
  ],
  ["max-lines-per-function", LAYER, `export function f(): void {\n${"  f();\n".repeat(80)}}\n`],
  ["max-lines", LAYER, "// One line.\n".repeat(510)],
  ["complexity", LAYER, `export const f = (x: number): number => ${"x ? 1 : ".repeat(14)}0;\n`],
];

let folder = "";
let report = "";

function pathOf(index: number): string {
  return `${OFFENCES[index]?.[1]}/offence-${index}.ts`;
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), "postern-gates-"));
  copyFileSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const compilerOptions = {
    noEmit: true,
    strict: true,
    target: "es2023",
    module: "nodenext",
    allowImportingTsExtensions: true,
  };
  put("tsconfig.json", JSON.stringify({ compilerOptions }));
  put("src/wire/decent.ts", "/** One. */\nexport const x = 1;\n");
  put("src/testing/index.ts", "export const x = 1;\n");
  OFFENCES.forEach(([rule, , text], index) => {
    put(pathOf(index), text);
    if (rule !== "no-cycle") return;
    put("src/wire/circle.ts", `import { x } from "./offence-${index}.ts";\nexport const y: unknown = x;\n`);
  });
  const oxlint = join(root, "node_modules", ".bin", "oxlint");
  report = spawnSync(oxlint, ["-f", "unix"], { cwd: folder, encoding: "utf8" }).stdout;
});

after(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

OFFENCES.forEach(([rule, , text], index) => {
  test(`lint stops ${rule}: ${(text.split("\n")[0] ?? "").slice(0, 60)}`, () => {
    const complaints = report.split("\n").filter((line) => line.startsWith(`${pathOf(index)}:`));
    assert.ok(
      complaints.some((line) => line.endsWith(`(${rule})]`)),
      complaints.join("\n"),
    );
  });
});

test("lint lets decent code pass", () => {
  assert.doesNotMatch(report, /decent\.ts/);
});

test("the compiler refuses an import from an upper layer", () => {
  const options = { strict: true, target: "es2023", module: "nodenext", composite: true, rootDir: ".." };
  const project = (references: readonly string[]): string =>
    JSON.stringify({
      compilerOptions: {
        ...options,
        outDir: "../../dist",
        allowImportingTsExtensions: true,
        noEmit: false,
        rewriteRelativeImportExtensions: true,
      },
      include: ["*.ts"],
      references: references.map((path) => ({ path })),
    });
  put("src/low/tsconfig.json", project([]));
  put("src/low/a.ts", 'import type { B } from "../high/b.ts";\nexport type A = B;\n');
  put("src/high/tsconfig.json", project(["../low"]));
  put("src/high/b.ts", "export type B = 1;\n");
  const tsc = join(root, "node_modules", ".bin", "tsc");
  const { status, stdout } = spawnSync(tsc, ["-b", "src/low"], { cwd: folder, encoding: "utf8" });
  assert.notEqual(status, 0);
  assert.match(stdout, /TS6307/);
});
