/** Operations as they stand in a request. */
import { type Operation, PinholeRefusal, type PinholeSpec } from "../../../pinhole/index.ts";

type Word = "open" | "reserve" | "close" | "renew" | "enable";

/** One operation; the schema has looked at its types, and which fields belong together is seen here. */
export interface OperationWords {
  readonly op: Word;
  readonly id?: string;
  readonly clientId?: string;
  readonly spec?: SpecWords;
  readonly lifetime?: number | null;
  readonly revision?: number;
}

/** A specification in which the kind may be left out. */
export type SpecWords = Omit<PinholeSpec, "kind"> & Partial<Pick<PinholeSpec, "kind">>;

type Field = Exclude<keyof OperationWords, "op">;

/** What each operation must have, and may have. */
const FIELDS: Readonly<Record<Word, { readonly must: readonly Field[]; readonly may: readonly Field[] }>> = {
  open: { must: ["spec"], may: ["clientId"] },
  reserve: { must: ["spec"], may: ["clientId"] },
  close: { must: ["id"], may: ["revision"] },
  renew: { must: ["id", "lifetime"], may: ["revision"] },
  enable: { must: ["id", "spec"], may: ["revision"] },
};

function checkFields(words: OperationWords): void {
  const { must, may } = FIELDS[words.op];
  const missing = must.find((field) => words[field] === undefined);
  if (missing !== undefined) {
    const message = `The operation ${words.op} needs ${missing}.`;
    throw new PinholeRefusal("SPEC_MALFORMED", message, { field: missing });
  }
  const given = Object.keys(words).filter((field) => field !== "op") as Field[];
  const surplus = given.find((field) => !must.includes(field) && !may.includes(field));
  if (surplus !== undefined) {
    const message = `The operation ${words.op} takes no ${surplus}.`;
    throw new PinholeRefusal("SPEC_MALFORMED", message, { field: surplus });
  }
}

function readSpec(words: SpecWords | undefined, word: Word): PinholeSpec {
  const kind = word === "reserve" ? "reserve" : (words?.kind ?? "permit");
  if (words?.kind !== undefined && words.kind !== kind) {
    const message = "The operation reserve takes a specification of kind reserve.";
    throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "kind" });
  }
  // Kinds and fields were checked: what a specification must have, its words have.
  return { ...(words as SpecWords), kind };
}

function read(words: OperationWords): Operation {
  checkFields(words);
  const { id = "", clientId, spec, lifetime = null, revision } = words;
  const expected = revision === undefined ? {} : { revision };
  switch (words.op) {
    case "open":
    case "reserve": {
      const own = clientId === undefined ? {} : { clientId };
      return { op: "open", spec: readSpec(spec, words.op), ...own };
    }
    case "close":
      return { op: "close", id, ...expected };
    case "renew":
      return { op: "renew", id, lifetime, ...expected };
    case "enable":
      return { op: "enable", id, spec: readSpec(spec, words.op), ...expected };
  }
}

/**
 * Reads operations.
 *
 * @throws {PinholeRefusal} `SPEC_MALFORMED` with the index of the operation
 */
export function readOperations(list: readonly OperationWords[]): Operation[] {
  return list.map((words, index) => {
    try {
      return read(words);
    } catch (error) {
      throw error instanceof PinholeRefusal ? error.at(index) : error;
    }
  });
}

/** Reads a specification that stands alone. */
export function readLoneSpec(words: SpecWords): PinholeSpec {
  return readSpec(words, "open");
}
