/**
 * Finds the tests that a source declares, without running them: their titles, whether they are put off, and
 * whether anything is asserted there.
 *
 * Works on text. Strings, comments and regular expressions are blanked out first, so that what is left is
 * code with its brackets in pairs. A test asserts when its body calls `assert`, or a function of the same
 * file that does.
 */

/** A test, suite, or row of a table of cases. */
export interface TestDeclaration {
  /** Its title; what a template computes is written `…`. */
  readonly title: string;
  /** True when it is declared not to run, or to fail. */
  readonly isPutOff: boolean;
  /** True when running it asserts something. */
  readonly asserts: boolean;
}

const BLANKED = new RegExp(
  [
    String.raw`\/\*[\s\S]*?\*\/`,
    String.raw`\/\/[^\n]*`,
    String.raw`"(?:\\.|[^"\\\n])*"`,
    String.raw`'(?:\\.|[^'\\\n])*'`,
    "`(?:\\\\.|[^`\\\\])*`",
    String.raw`(?<=[(,=:[!&|?{;]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*`,
  ].join("|"),
  "g",
);
const DECLARATION = /(?<![.\w])(?:test|it|describe|suite|netnsTest|longNetnsTest)(\.\w+)?\(/g;
const TITLE = /\s*(?:"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`|(title)\b)/y;
const TABLE_TITLE = /\btitle:\s*(?:"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)/g;
const ASSERTION = /(?<![.\w])assert(?:\.\w+)*\(/;
/** Stands for a title that a table of cases gives. */
const FROM_TABLE = "";
const PUT_OFF = /^\.(?:skip|todo)$/;
const PUT_OFF_OPTION = /\b(?:skip|todo)\s*:/;

function blank(source: string): string {
  return source.replaceAll(BLANKED, (piece) => piece.replaceAll(/[^\n]/g, " "));
}

/** Where the bracket that opens just before `at` is closed. */
function closing(code: string, at: number): number {
  let depth = 1;
  for (let index = at; index < code.length; index += 1) {
    if (code[index] === "(") depth += 1;
    if (code[index] === ")") depth -= 1;
    if (depth === 0) return index;
  }
  return code.length;
}

function plainTitle(literal: string): string {
  return literal.replaceAll(/\$\{[^}]*\}/g, "…").replaceAll(/\\(.)/g, "$1");
}

/** The text of a function that the source declares by name; empty when it declares none. */
function functionText(code: string, name: string): string {
  const block = String.raw`^( *)(?:export )?(?:async )?function ${name}\b[\s\S]*?\n\1\}`;
  const arrow = String.raw`^( *)const ${name} = (?:async )?\([^\n]*(?:[{(]\n[\s\S]*?\n\1[})]|;$)`;
  return (new RegExp(block, "m").exec(code) ?? new RegExp(arrow, "m").exec(code))?.[0] ?? "";
}

function isAsserting(code: string, text: string, seen: Set<string>): boolean {
  if (ASSERTION.test(text)) return true;
  for (const [, name = ""] of text.matchAll(/(?<![.\w])([a-z]\w*)\(/gi)) {
    if (seen.has(name)) continue;
    seen.add(name);
    if (isAsserting(code, functionText(code, name), seen)) return true;
  }
  return false;
}

/** A declaration in `code` that `match` begins; undefined when its title is neither written nor `title`. */
function readDeclaration(source: string, code: string, match: RegExpExecArray): TestDeclaration | undefined {
  const inside = match.index + match[0].length;
  TITLE.lastIndex = inside;
  const title = TITLE.exec(source);
  if (title === null) return undefined;
  const body = code.slice(TITLE.lastIndex, closing(code, inside));
  const isPutOff = PUT_OFF.test(match[1] ?? "") || PUT_OFF_OPTION.test(body);
  const written = title[1] ?? title[2];
  const name = written === undefined ? FROM_TABLE : plainTitle(written);
  return { title: name, isPutOff, asserts: isAsserting(code, body, new Set()) };
}

function tableRows(source: string, code: string, facts: TestDeclaration): TestDeclaration[] {
  return [...source.matchAll(TABLE_TITLE)]
    .filter((match) => code.startsWith("title:", match.index))
    .map((match) => ({ ...facts, title: plainTitle(match[1] ?? match[2] ?? "") }));
}

/**
 * Lists what a test file declares. The rows of its tables of cases count as what the declaration does whose
 * title is the variable `title`.
 *
 * @param source - the file's text
 */
export function testDeclarations(source: string): TestDeclaration[] {
  const code = blank(source);
  const found = [...code.matchAll(DECLARATION)].flatMap(
    (match) => readDeclaration(source, code, match) ?? [],
  );
  const runner = found.find(({ title }) => title === FROM_TABLE);
  const rows = runner === undefined ? [] : tableRows(source, code, runner);
  return [...found.filter((declaration) => declaration !== runner), ...rows];
}
