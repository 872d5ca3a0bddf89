/** Words that say nothing, words that tell history, and lines too long to read. */
import { COLUMNS } from "./comment-wrap.ts";
import type { Finding, Rule } from "./finding.ts";
import type { Line, SourceFile } from "./repository.ts";

/** A file named so can hold anything, and soon does. */
const EMPTY_NAMES = ["util", "utils", "helper", "helpers", "common", "manager", "misc", "stuff"];

/** Kebab case, then what kind of test it is if it is one. */
const FILE_NAME = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*\.(ts|mjs|cjs)$/;

/** A comment describes the code as it stands; what it was is in the history of the repository. */
const HISTORY = new RegExp(
  [
    String.raw`\b(previously|formerly|originally|for now|refactor(ed|ing)?)\b`,
    String.raw`\b(used to (be|have|do|use)|was (renamed|replaced|rewritten|moved))\b`,
    String.raw`\b(the (new|old) (code|version|way)|now (uses?|returns?|takes?))\b`,
    String.raw`\b(see|in|fixes|issue) #\d+\b`,
  ].join("|"),
  "i",
);

const OWNERLESS = /\b(TODO|FIXME|XXX|HACK)\b(?!\([a-z]+\): )/;

/** Turning a check off takes a reason. */
const UNREASONED = /\b(oxlint-disable|eslint-disable|biome-ignore)(?!.* -- \S+ \S+)/;

function findIn(lines: readonly Line[], pattern: RegExp): Line[] {
  return lines.filter((line) => pattern.test(line.text));
}

function isOurs(file: SourceFile): boolean {
  return /\.(ts|mjs|cjs)$|^tools\/run$|^\.ci\/run$/.test(file.path);
}

/** Checks the names of files. */
export const checkFileNames: Rule = ({ files }) =>
  files.filter(isOurs).flatMap(({ path }): Finding[] => {
    const name = path.replace(/^.*\//, "");
    const empty = EMPTY_NAMES.find((word) => name.split(/[-.]/).includes(word));
    if (empty !== undefined) {
      const fix = `"${empty}" says nothing: name the file after the one noun it holds`;
      return [{ rule: "file-name", path, line: 1, fix }];
    }
    if (name === "run" || FILE_NAME.test(name)) return [];
    return [{ rule: "file-name", path, line: 1, fix: "name files in kebab-case" }];
  });

/** Checks what comments say. */
export const checkComments: Rule = ({ files }) =>
  files.flatMap(({ path, comments }) => [
    ...findIn(comments, HISTORY).map(({ number }) => ({
      rule: "no-history",
      path,
      line: number,
      fix: "say what the code does and why; what it was belongs in the commit message",
    })),
    ...findIn(comments, OWNERLESS).map(({ number }) => ({
      rule: "todo-owner",
      path,
      line: number,
      fix: "do it, or write `TODO(name): what and when`",
    })),
    ...findIn(comments, UNREASONED).map(({ number }) => ({
      rule: "reasoned-exception",
      path,
      line: number,
      fix: "say why behind two dashes: `oxlint-disable-next-line max-params -- the signature is C's`",
    })),
  ]);

/** Checks the length of lines. A string is as long as it is; comments and code can be broken. */
export const checkLineLength: Rule = ({ files }) =>
  files.filter(isOurs).flatMap(({ path, lines, code, comments }) => {
    const breakable = code.length === 0 ? lines : [...code, ...comments];
    return breakable
      .filter((line) => line.text.length > COLUMNS)
      .map((line) => ({
        rule: "line-length",
        path,
        line: line.number,
        fix: `break it at ${COLUMNS} columns (comments: npm run tidy -- --fix)`,
      }));
  });
