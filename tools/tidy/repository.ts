/** The files that tidy looks at, read once and split into code and comments. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Folders that hold no text of ours. */
const SKIPPED_FOLDERS = new Set([".git", "node_modules", "dist", "captures"]);

/** Kinds of files that tidy reads. */
const READ = /(\.(ts|mjs|cjs|md|json|sh)|\/run)$/;

/**
 * Comments, strings, templates and regular expressions, in one pattern, so that none is found inside another.
 * A regular expression is told from a division by what stands before it.
 */
const TOKEN = new RegExp(
  [
    String.raw`\/\/[^\n]*`,
    String.raw`\/\*[\s\S]*?\*\/`,
    String.raw`"(?:\\.|[^"\\\n])*"`,
    String.raw`'(?:\\.|[^'\\\n])*'`,
    "`(?:\\\\.|[^`\\\\])*`",
    String.raw`(?<=(?:[(,=:[!&|?{};]|return)\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*`,
  ].join("|"),
  "g",
);

/** A text with its line number, counted from 1. */
export interface Line {
  readonly number: number;
  readonly text: string;
}

/** One file. */
export class SourceFile {
  /** Path from the top of the repository, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly Line[];
  /** The same lines with comments taken out and strings emptied. */
  readonly code: readonly Line[];
  /** Each line of each comment. */
  readonly comments: readonly Line[];

  /**
   * @param path - from the top of the repository
   * @param text - what it holds
   */
  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
    this.lines = numbered(text);
    const isCode = /\.(ts|mjs|cjs)$/.test(path);
    this.code = isCode ? numbered(text.replaceAll(TOKEN, blanked)) : [];
    this.comments = isCode ? commentsOf(text) : [];
  }

  /** True for tests and what only they use. */
  get isTest(): boolean {
    return /\.test\.ts$|^test\/|^src\/testing\//.test(this.path);
  }

  /** The layer a source belongs to; an empty text outside `src`. */
  get layer(): string {
    return /^src\/([^/]+)\//.exec(this.path)?.[1] ?? "";
  }
}

/** All files of the repository, and questions about folders. */
export interface Repository {
  readonly files: readonly SourceFile[];
  /** Names of the folders directly under a folder. */
  folders(path: string): string[];
  /** True when there is such a file or folder. */
  has(path: string): boolean;
}

function numbered(text: string): Line[] {
  return text.split("\n").map((line, index) => ({ number: index + 1, text: line }));
}

/** What stands for a token in code: nothing for a comment, the bare quotes for a string; line breaks stay. */
function blanked(token: string): string {
  const breaks = token.replaceAll(/[^\n]/g, "");
  return /^["'`]/.test(token) ? `""${breaks}` : breaks;
}

function commentsOf(text: string): Line[] {
  const found: Line[] = [];
  for (const match of text.matchAll(TOKEN)) {
    if (!/^\/[/*]/.test(match[0])) continue;
    const before = text.slice(0, match.index).split("\n");
    const column = (before.at(-1) ?? "").length;
    match[0].split("\n").forEach((line, index) => {
      // The first line keeps its place behind the code, so that its length is what one sees.
      found.push({ number: before.length + index, text: index === 0 ? " ".repeat(column) + line : line });
    });
  }
  return found;
}

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) yield* walk(path);
    else if (entry.isFile() && READ.test(path)) yield path;
  }
}

/**
 * Reads a repository.
 *
 * @param root - its top folder
 */
export function readRepository(root: string): Repository {
  const paths = [...walk(root)].sort();
  return {
    files: paths.map((path) => new SourceFile(relative(root, path), readFileSync(path, "utf8"))),
    folders: (path) =>
      readdirSync(join(root, path), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name),
    has: (path) => existsSync(join(root, path)),
  };
}

/**
 * Makes a repository out of texts, for tests.
 *
 * @param texts - text by path
 */
export function repositoryOf(texts: Readonly<Record<string, string>>): Repository {
  const paths = Object.keys(texts);
  return {
    files: Object.entries(texts).map(([path, text]) => new SourceFile(path, text)),
    folders: (folder) => {
      const below = paths.filter((path) => path.startsWith(`${folder}/`));
      const parts = below.map((path) => path.slice(folder.length + 1).split("/"));
      return [...new Set(parts.filter((names) => names.length > 1).map((names) => names[0] ?? ""))];
    },
    has: (wanted) => paths.some((path) => path === wanted || path.startsWith(`${wanted}/`)),
  };
}
