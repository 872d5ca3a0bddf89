/**
 * The 242 statements of docs/SIMCO.md about conformance are all held by tests.
 *
 * A test holds a statement when its title begins with the statement's number. What other suites prove is
 * listed here with the title of the test that proves it, and what nothing proves with the reason.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { testDeclarations } from "../test-declarations.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** How many statements each part has, numbered from 1. */
const PARTS = {
  W: 35,
  S: 32,
  R: 16,
  E: 37,
  P: 12,
  L: 10,
  T: 12,
  D: 16,
  N: 11,
  G: 4,
  O: 7,
  X: 13,
  C: 15,
  H: 22,
} as const;

const STATEMENTS = 242;

/** Where tests that are named by their statements stand. */
const FOLDERS = ["test/simco", "src/simco", "src/simco/agent"];

/** Statements about pinholes that their own suites prove: file and title. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, title: string]>> = {
  "H-01": [
    "src/backend/pinholes/model.property.netns.test.ts",
    "model, simulator and nftables agree about real packets after any history, deaths and translations among it",
  ],
  "H-02": [
    "src/daemon/pinholes/service.test.ts",
    "is in force when it is answered, and carries the slides' example",
  ],
  "H-03": [
    "src/daemon/pinholes/service.test.ts",
    "leaves no trace when one of its operations is refused, and names that",
  ],
  "H-04": [
    "src/backend/pinholes/model.property.test.ts",
    "agree about every packet after any history, deaths and translations among it",
  ],
  "H-05": [
    "src/daemon/pinholes/service.test.ts",
    "has one effect and one answer under an idempotency key, and refuses other operations under it",
  ],
  "H-06": [
    "src/daemon/pinholes/http/http-door.test.ts",
    "answers a commit again when the answer was lost, and does nothing twice",
  ],
  "H-07": [
    "src/daemon/pinholes/http/http-door.test.ts",
    "compares the generation before a commit, and the revision before a change",
  ],
  "H-08": [
    "src/daemon/pinholes/service.netns.test.ts",
    "the rules of others are the same before, meanwhile and after",
  ],
  "H-09": [
    "src/daemon/pinholes/crash.netns.test.ts",
    "packets pass all the while: before, when the service is killed, and while it starts again",
  ],
  "H-10": [
    "src/daemon/pinholes/service.test.ts",
    "is asked again when it is short of something, and counts as degraded after three failures",
  ],
  "H-11": [
    "src/daemon/pinholes/service.netns.test.ts",
    "what others delete or flush is put right, and told with the culprit's name",
  ],
  "H-12": [
    "src/daemon/pinholes/service.netns.test.ts",
    "leases end at their time when nobody watches, and the next start takes up the rest",
  ],
  "H-15": [
    "src/daemon/pinholes/http/http-door.test.ts",
    "that were forgotten, or are of a former run, leave a gap that says from where to read anew",
  ],
  "H-22": [
    "src/backend/pinholes/model.property.netns.test.ts",
    "model, simulator and nftables agree about real packets after any history, deaths and translations among it",
  ],
};

/** Statements that no test proves, and why. */
const UNPROVEN: Readonly<Record<string, string>> = {
  "H-21":
    "The daemon is one process: what reads the network also speaks to the kernel. See the decisions in ARCHITECTURE.md.",
};

function allStatements(): string[] {
  return Object.entries(PARTS).flatMap(([part, count]) =>
    Array.from({ length: count }, (_, index) => `${part}-${String(index + 1).padStart(2, "0")}`),
  );
}

/** Statements by the tests that are named after them. */
function namedStatements(): { readonly held: Set<string>; readonly complaints: string[] } {
  const held = new Set<string>();
  const complaints: string[] = [];
  for (const folder of FOLDERS) {
    for (const file of readdirSync(join(root, folder)).filter((name) => name.endsWith(".test.ts"))) {
      for (const { title, asserts, isPutOff } of testDeclarations(
        readFileSync(join(root, folder, file), "utf8"),
      )) {
        const [id] = /^[A-Z]-\d\d(?= )/.exec(title) ?? [];
        if (id === undefined) continue;
        held.add(id);
        if (!asserts || isPutOff) complaints.push(`${folder}/${file}: ${title}`);
      }
    }
  }
  return { held, complaints };
}

test("each of the 242 statements is held by a test, or it is said why not", () => {
  const all = allStatements();
  assert.equal(all.length, STATEMENTS);
  const { held, complaints } = namedStatements();
  assert.deepEqual(complaints, [], "tests that are put off, or assert nothing");
  const known = [...held, ...Object.keys(ELSEWHERE), ...Object.keys(UNPROVEN)];
  assert.deepEqual(
    all.filter((id) => !known.includes(id)),
    [],
    "statements without a test",
  );
  assert.deepEqual(
    known.filter((id) => !all.includes(id)),
    [],
    "tests of statements that are not there",
  );
  assert.deepEqual(
    [...Object.keys(ELSEWHERE), ...Object.keys(UNPROVEN)].filter((id) => held.has(id)),
    [],
    "statements that are held here and listed as held elsewhere",
  );
});

test("the tests of other suites that hold statements are there, run and assert something", () => {
  assert.ok(Object.keys(ELSEWHERE).length > 0);
  for (const [id, [file, title]] of Object.entries(ELSEWHERE)) {
    const found = testDeclarations(readFileSync(join(root, file), "utf8")).filter(
      (one) => one.title === title,
    );
    assert.ok(found.length > 0, `${id}: ${file} has no "${title}"`);
    assert.ok(
      found.some(({ asserts, isPutOff }) => asserts && !isPutOff),
      id,
    );
  }
});
