/** What is written for readers: doc comments on exports, one title per page, a short README per layer. */
import { dirname, normalize } from "node:path/posix";
import type { Finding, Rule } from "./finding.ts";
import type { Line, SourceFile } from "./repository.ts";

/** Longest README of a layer, in lines: what fits on one screen. */
const SCREEN_LINES = 50;

const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|const|let|interface|type) (\w+)/;

/** Units that names end in, and the word that their doc comment must then use. */
const UNITS: readonly (readonly [RegExp, RegExp])[] = [
  [/(Ms|_MS)$/, /millisecond/i],
  [/(Seconds|_SECONDS)$/, /second/i],
  [/(Bytes|_BYTES)$/, /byte/i],
  [/(Bits|_BITS)$/, /\bbits?\b/i],
];

function isProduct(file: SourceFile): boolean {
  return file.layer !== "" && file.path.endsWith(".ts") && !file.path.endsWith(".test.ts");
}

/** A member of a block of constants under one comment, such as the offsets of a header. */
const GROUPED = /^export const [A-Z\d_]+ = [^;]*;/;

/**
 * The comment that ends just above a line, or above the block of constants around it; empty when there is
 * none.
 */
function docAbove(lines: readonly Line[], number: number): string {
  const textAt = (index: number): string => lines[index]?.text ?? "";
  const isGrouped = GROUPED.test(textAt(number - 1));
  let last = number - 2;
  while (/^\/\/ (oxlint|biome)-/.test(textAt(last)) || (isGrouped && GROUPED.test(textAt(last)))) last--;
  if (isGrouped && textAt(last).startsWith("// ")) return textAt(last);
  if (!/\*\/\s*$/.test(textAt(last))) return "";
  let first = last;
  while (first > 0 && !/^\s*\/\*\*/.test(textAt(first))) first--;
  return lines
    .slice(first, last + 1)
    .map((line) => line.text)
    .join("\n");
}

function checkExport(file: SourceFile, name: string, { number: line, text }: Line): Finding[] {
  const doc = docAbove(file.lines, line);
  if (doc === "") {
    return [
      { rule: "documented-export", path: file.path, line, fix: `say in a doc comment what ${name} is` },
    ];
  }
  const unit = UNITS.find(([ending, word]) => ending.test(name) && !word.test(doc));
  // A name that is no number measures nothing: `NO_BYTES: DataView`.
  if (unit === undefined || /: (?!number)[A-Z]/.test(text)) return [];
  const fix = `${name} ends in a unit: name the unit in its doc comment (${unit[1].source})`;
  return [{ rule: "unit-in-doc", path: file.path, line, fix }];
}

/** Checks that every exported name is documented, with its unit. */
export const checkExports: Rule = ({ files }) =>
  files.filter(isProduct).flatMap((file) => {
    const seen = new Set<string>();
    return file.code.flatMap((line) => {
      const name = EXPORT.exec(line.text)?.[1];
      // The overloads of a function share the comment above the first.
      if (name === undefined || seen.has(name)) return [];
      seen.add(name);
      return checkExport(file, name, line);
    });
  });

/** The lines of a page outside fenced blocks. */
function proseOf(file: SourceFile): Line[] {
  let isFenced = false;
  return file.lines.filter((line) => {
    if (/^\s*```/.test(line.text)) isFenced = !isFenced;
    return !isFenced;
  });
}

/** Checks that each page has one title. */
export const checkTitles: Rule = ({ files }) =>
  files
    .filter((file) => file.path.endsWith(".md"))
    .flatMap((file) => {
      const titles = proseOf(file).filter((line) => line.text.startsWith("# "));
      if (titles.length === 1) return [];
      const fix =
        titles.length === 0 ? "begin with a title (`# …`)" : "keep one title: the others become `## …`";
      return [{ rule: "one-title", path: file.path, line: titles[1]?.number ?? 1, fix }];
    });

/** Checks that links to files of the repository lead somewhere. */
export const checkLinks: Rule = (repository) =>
  repository.files
    .filter((file) => file.path.endsWith(".md"))
    .flatMap((file) =>
      proseOf(file).flatMap(({ number, text }) =>
        [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
          .map((match) => match[1] ?? "")
          .filter((target) => !/^[a-z]+:/.test(target))
          .filter(
            (target) => !repository.has(normalize(`${dirname(file.path)}/${target}`).replace(/\/$/, "")),
          )
          .map((target) => ({
            rule: "live-links",
            path: file.path,
            line: number,
            fix: `${target} does not exist: correct the link`,
          })),
      ),
    );

/** Checks that each layer has a README of at most one screen. */
export const checkReadmes: Rule = (repository) =>
  repository.folders("src").flatMap((layer) => {
    const path = `src/${layer}/README.md`;
    const readme = repository.files.find((file) => file.path === path);
    if (readme === undefined) {
      const fix = "write it: what the layer does, what it refuses to do, where to start reading";
      return [{ rule: "layer-readme", path, line: 1, fix }];
    }
    if (readme.lines.length <= SCREEN_LINES) return [];
    return [{ rule: "layer-readme", path, line: SCREEN_LINES, fix: `shorten it to ${SCREEN_LINES} lines` }];
  });
