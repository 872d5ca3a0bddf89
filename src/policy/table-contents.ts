/** What a table holds when it is made: the addresses that the policy names, and those of a file. */
import { EntryList } from "../tables/index.ts";
import type { Problem, ProblemPlace } from "./problem.ts";
import type { TableDeclaration } from "./table-declaration.ts";

/** Lines of one file that are named each; of further ones only the number is told. */
const LINES_NAMED = 20;

/** A file with entries that was read, or why it could not be. */
export interface TableFile {
  /** For messages. */
  readonly path: string;
  /** Its text; absent when it could not be read. */
  readonly text?: string;
  /** Why it could not be read. */
  readonly failure?: string;
}

/** Entries, and what is wrong with them. */
export interface TableContents {
  readonly list: EntryList;
  readonly problems: readonly Problem[];
}

function problemAt(place: ProblemPlace, file: string, code: Problem["code"], message: string): Problem {
  return { severity: "error", code, message, file, ...place };
}

/** Entries of a table's file behind those in `list`; the problems of its lines. */
function readFile(file: TableFile, path: string, list: EntryList): Problem[] {
  const { list: read, problems } = EntryList.parse(file.text ?? "");
  list.append(read);
  const at = (line: number): ProblemPlace => ({ path, line, column: 1 });
  const named = problems.slice(0, LINES_NAMED).map(({ line, text }) => {
    const message = `${JSON.stringify(text.slice(0, 60))} is no address, network or negated one`;
    return problemAt(at(line), file.path, "table-entry", message);
  });
  const next = problems[LINES_NAMED];
  if (next === undefined) return named;
  const message = `${problems.length - LINES_NAMED} more lines from here on are none`;
  return [...named, problemAt(at(next.line), file.path, "table-entry", message)];
}

/** How many different prefixes there are. */
function differentEntries(list: EntryList): number {
  let count = 0;
  for (const [index, first] of list.firstOccurrences().entries()) if (first === index) count += 1;
  return count;
}

/**
 * Puts together what a table holds when it is made.
 *
 * @param declaration - as the policy has it
 * @param policyFile - name of the policy's file, for messages
 * @param file - the file that the declaration names; absent when it names none
 * @returns all entries that could be read, and everything that is wrong with the others
 */
export function readTableContents(
  declaration: TableDeclaration,
  policyFile: string,
  file?: TableFile,
): TableContents {
  const { name, place, capacity } = declaration;
  const list = EntryList.of(declaration.addresses);
  const problems: Problem[] = [];
  if (file?.failure !== undefined) {
    const message = `the file of table ${name} cannot be read: ${file.failure}`;
    problems.push(problemAt(place, policyFile, "table-unreadable", message));
  } else if (file !== undefined) {
    problems.push(...readFile(file, place.path, list));
  }
  const entries = differentEntries(list);
  if (entries > capacity) {
    const message = `table ${name} would have ${entries} entries and holds ${capacity}; raise its capacity`;
    problems.push(problemAt(place, policyFile, "table-full", message));
  }
  return { list, problems };
}
