/** What the tables of a policy hold when they are made: the policy's own addresses, and files. */
import { createHash } from "node:crypto";
import { dirname, resolve } from "node:path";
import {
  allocateMemory,
  type Policy,
  type Problem,
  readTableContents,
  type RuleMemory,
  type TableDeclaration,
  type TableFile,
} from "../policy/index.ts";
import type { EntryList } from "../tables/index.ts";
import { readBoundedText } from "./bounded-file.ts";
import { monotonicNow } from "./monotonic-clock.ts";
import { PolicyInvalidError } from "./policy-file.ts";

/** Largest file of a table, in bytes: some ten million lines. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;

/** A declared table and what is to be in it. */
export interface DeclaredContents {
  readonly declaration: TableDeclaration;
  readonly list: EntryList;
  /** The same for the same text: tells whether what is declared has changed. */
  readonly fingerprint: string;
}

function readFile(path: string): TableFile {
  try {
    return { path, text: readBoundedText(path, FILE_BYTES_MAX) };
  } catch (error) {
    return { path, failure: error instanceof Error ? error.message : String(error) };
  }
}

function fingerprintOf({ addresses }: TableDeclaration, file: TableFile | undefined): string {
  const hash = createHash("sha256").update(JSON.stringify(addresses));
  return hash.update(file?.text ?? "").digest("hex");
}

/**
 * Reads what the tables of a policy hold when they are made.
 *
 * @param policy - its file is named by an absolute path
 * @returns the contents in the order of the declarations, and everything that is wrong with them
 */
export function readTables(policy: Policy): {
  readonly contents: readonly DeclaredContents[];
  readonly problems: readonly Problem[];
} {
  const problems: Problem[] = [];
  const contents = policy.settings.tables.map((declaration) => {
    const { file: name } = declaration;
    const file = name === undefined ? undefined : readFile(resolve(dirname(policy.file), name));
    const read = readTableContents(declaration, policy.file, file);
    problems.push(...read.problems);
    return { declaration, list: read.list, fingerprint: fingerprintOf(declaration, file) };
  });
  return { contents, problems };
}

/**
 * Memory for a policy with its tables filled: for commands that judge packets without a running firewall.
 *
 * @throws {PolicyInvalidError} when the file of a table cannot be read to its end
 */
export function filledMemory(policy: Policy): RuleMemory {
  const { contents, problems } = readTables(policy);
  if (problems.length > 0) throw new PolicyInvalidError(policy.file, problems);
  const memory = allocateMemory(policy);
  for (const [at, table] of policy.attachTables(memory).entries()) {
    const list = contents[at]?.list;
    if (list !== undefined) table.set(list, monotonicNow());
  }
  return memory;
}
