/**
 * Breaks comments at 110 columns, which the formatter leaves alone.
 *
 * A paragraph is a run of comment lines with the same indentation and mark (` * ` or `// `). It is filled
 * anew when one of its lines is too long. Tables, headings, quotations and indented lines are nobody's
 * paragraph; a list item or a tag (`@param`) is one, with its own hanging indentation.
 */

/** Longest line, in columns. */
export const COLUMNS = 110;

const COMMENT_LINE = /^(\s*(?:\* |\/\/ ))(.*)$/;
const ONE_LINE_DOC = /^(\s*)\/\*\* (.*) \*\/$/;
const ITEM = /^(?:@\w+ |[-*] |\d+[.)] )/;
const NO_PARAGRAPH = /^(?:$|[|>#@]|[-*] |\d+[.)] |```|\s)/;
/** A word, or a link, which is not broken. */
const WORD = /\{@\w+ [^}]*\}\S*|\S+/g;
const DIRECTIVE = /^(?:oxlint|biome|eslint)-/;

interface Paragraph {
  readonly mark: string;
  /** Indentation of all lines but the first, behind the mark. */
  readonly hang: string;
  readonly texts: string[];
}

/** Splits words into lines; a word that is longer than a line gets one for itself. */
function fill(words: readonly string[], first: string, others: string): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of words) {
    if (!isEmpty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = others;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

/** True when a line continues a paragraph whose lines are indented by `hang`. */
function continues(text: string, hang: string, isItem: boolean): boolean {
  const indent = /^\s*/.exec(text)?.[0] ?? "";
  return indent === hang && text !== "" && (isItem || !NO_PARAGRAPH.test(text));
}

/** The first items of a list, up to one that fails. */
function takeWhile<T>(items: readonly T[], holds: (item: T) => boolean): T[] {
  const end = items.findIndex((item) => !holds(item));
  return items.slice(0, end < 0 ? undefined : end);
}

/** The paragraph that begins at `index`; undefined when none does. */
function paragraphAt(lines: readonly string[], index: number): Paragraph | undefined {
  const match = COMMENT_LINE.exec(lines[index] ?? "");
  if (match === null) return undefined;
  const [, mark = "", text = ""] = match;
  const isItem = ITEM.test(text);
  if (DIRECTIVE.test(text) || (NO_PARAGRAPH.test(text) && !isItem)) return undefined;
  const rest = takeWhile(lines.slice(index + 1), (line) => line.startsWith(mark)).map((line) =>
    line.slice(mark.length),
  );
  const hang = isItem ? (/^\s+/.exec(rest[0] ?? "")?.[0] ?? "  ") : "";
  const others = takeWhile(rest, (line) => continues(line, hang, isItem));
  return { mark, hang, texts: [text, ...others.map((line) => line.slice(hang.length))] };
}

function isTooLong(paragraph: Paragraph): boolean {
  const { mark, hang, texts } = paragraph;
  return texts.some((text, index) => mark.length + (index > 0 ? hang.length : 0) + text.length > COLUMNS);
}

/** `/** one line *\/` on three lines. */
function unfold(line: string): string[] {
  const match = ONE_LINE_DOC.exec(line);
  if (match === null || line.length <= COLUMNS) return [line];
  const [, indent = "", text = ""] = match;
  return [`${indent}/**`, `${indent} * ${text}`, `${indent} */`];
}

/**
 * Breaks the comments of a source.
 *
 * @param source - text of a TypeScript or JavaScript file
 * @returns the same text with no comment paragraph wider than {@link COLUMNS}
 */
export function wrapComments(source: string): string {
  const lines = source.split("\n").flatMap(unfold);
  const wrapped: string[] = [];
  for (let index = 0; index < lines.length; ) {
    const paragraph = paragraphAt(lines, index);
    const size = paragraph?.texts.length ?? 1;
    if (paragraph !== undefined && isTooLong(paragraph)) {
      const { mark, hang, texts } = paragraph;
      wrapped.push(...fill(texts.join(" ").match(WORD) ?? [], mark, mark + hang));
    } else {
      wrapped.push(...lines.slice(index, index + size));
    }
    index += size;
  }
  return wrapped.join("\n");
}
