/**
 * Runs the compiled tests side by side, and those alone that say why they must be.
 *
 * Test files are found by their sources, so that a stale file in `dist` never runs. A name says what a file
 * needs:
 *
 * - `x.test.ts`: nothing.
 * - `x.netns.test.ts`: root and network namespaces of its own; tests that share none cannot meet. Without
 *   root each of their tests skips itself and says why.
 * - `x.long.test.ts` and `x.netns.long.test.ts`: minutes. They run with `--long` only.
 *
 * A file with a line `// Runs alone: REASON.` runs when all others have ended. The output is in the order of
 * names, whichever test ends first.
 *
 * Usage: `node dist/tools/run-tests.js [--unit | --kernel | --long] [PART-OF-A-PATH...]`
 */
import { setMaxListeners } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

/** Where the sources of tests are and where the compiler puts what it makes of them. */
const SOURCES = [
  { from: "src", to: "dist" },
  { from: "test", to: join("dist", "test") },
  { from: "tools", to: join("dist", "tools") },
];

/** Longest time one test file may take, in milliseconds: a hung test must not hang the whole run. */
const FILE_TIMEOUT_MS = { unit: 600_000, kernel: 1_200_000, long: 7_200_000 };

/**
 * Test files side by side: one more than processors, because each waits now and then. The long ones keep all
 * processors busy alone.
 */
const SIDE_BY_SIDE = { unit: availableParallelism() + 1, kernel: availableParallelism() + 1, long: 1 };

/** What a file says that must run alone, and why. */
const ALONE = /^\/\/ Runs alone(: .+)?/m;

/** The counters of the runner's closing lines, in its order. */
const COUNTERS = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"] as const;
type Counter = (typeof COUNTERS)[number];

type Phase = keyof typeof FILE_TIMEOUT_MS;

interface TestFile {
  readonly source: string;
  readonly compiled: string;
  readonly phase: Phase;
  readonly isAlone: boolean;
}

/** Files that run side by side, so many at a time. */
interface Turn {
  readonly files: readonly TestFile[];
  readonly timeout: number;
  readonly concurrency: number;
}

interface Request {
  readonly phases: readonly Phase[];
  readonly parts: readonly string[];
}

interface RunnerEvent {
  readonly type: string;
  readonly data: { readonly message?: string; readonly nesting?: number; readonly skip?: string | boolean };
}

const root = fileURLToPath(new URL("../..", import.meta.url));

function readRequest(words: readonly string[]): Request {
  const parts = words.filter((word) => !word.startsWith("--"));
  if (words.includes("--long")) return { phases: ["long"], parts };
  if (words.includes("--unit")) return { phases: ["unit"], parts };
  if (words.includes("--kernel")) return { phases: ["kernel"], parts };
  return { phases: ["unit", "kernel"], parts };
}

function phaseOf(name: string): Phase {
  if (name.includes(".long.test.")) return "long";
  return name.includes(".netns.test.") ? "kernel" : "unit";
}

function findTestFiles(): TestFile[] {
  const found: TestFile[] = [];
  for (const { from, to } of SOURCES) {
    for (const entry of readdirSync(join(root, from), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".test.ts")) continue;
      const folder = relative(join(root, from), entry.parentPath);
      const compiled = join(root, to, folder, entry.name.replace(/\.ts$/, ".js"));
      const source = join(from, folder, entry.name);
      const mark = ALONE.exec(readFileSync(join(root, source), "utf8"));
      if (mark !== null && mark[1] === undefined) complain(`${source} runs alone and does not say why.`);
      const isAlone = mark !== null;
      found.push({ source, compiled, phase: phaseOf(entry.name), isAlone });
    }
  }
  return found.sort((a, b) => (a.source < b.source ? -1 : 1));
}

function choose(files: readonly TestFile[], request: Request): TestFile[] {
  const { parts } = request;
  return files.filter((file) => parts.length === 0 || parts.some((part) => file.source.includes(part)));
}

/** Adds the counters of one run to the sum; false when the event is no counter. */
function addCounter(sum: Map<Counter, number>, event: RunnerEvent): boolean {
  if (event.type !== "test:diagnostic" || event.data.nesting !== 0) return false;
  const [name, value] = (event.data.message ?? "").split(" ");
  const counter = COUNTERS.find((candidate) => candidate === name);
  if (counter === undefined || value === undefined || !Number.isFinite(Number(value))) return false;
  sum.set(counter, (sum.get(counter) ?? 0) + Number(value));
  return true;
}

/** Counts a skipped test under the reason it gave. */
function addSkip(reasons: Map<string, number>, event: RunnerEvent): void {
  const { skip } = event.data;
  if (event.type !== "test:pass" || skip === undefined || skip === false) return;
  const reason = typeof skip === "string" && skip !== "" ? skip : "no reason given";
  reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
}

/** What runs when: the phases one after the other, and in each those that must be alone at its end. */
function* turnsOf(files: readonly TestFile[], request: Request): Generator<Turn> {
  for (const phase of request.phases) {
    const own = files.filter((file) => file.phase === phase);
    const timeout = FILE_TIMEOUT_MS[phase];
    yield { files: own.filter((file) => !file.isAlone), timeout, concurrency: SIDE_BY_SIDE[phase] };
    yield { files: own.filter((file) => file.isAlone), timeout, concurrency: 1 };
  }
}

/** The events of all turns as if they were one run: the counters come once, summed, at the end. */
async function* eventsOf(turns: Iterable<Turn>, sum: Map<Counter, number>): AsyncGenerator<RunnerEvent> {
  const skips = new Map<string, number>();
  for (const { files: chosen, ...limits } of turns) {
    if (chosen.length === 0) continue;
    const events = run({ files: chosen.map((file) => file.compiled), ...limits, signal: stop.signal });
    for await (const event of events as AsyncIterable<RunnerEvent>) {
      addSkip(skips, event);
      if (!addCounter(sum, event)) yield event;
    }
  }
  for (const [reason, count] of skips) yield diagnostic(`skipped because ${reason}: ${count}`);
  for (const counter of COUNTERS) {
    yield diagnostic(`${counter} ${sum.get(counter) ?? 0}`);
  }
}

function diagnostic(message: string): RunnerEvent {
  return { type: "test:diagnostic", data: { message, nesting: 0 } };
}

function complain(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

const stop = new AbortController();
// Every test file listens to it.
setMaxListeners(0, stop.signal);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());

const request = readRequest(process.argv.slice(2));
const files = choose(findTestFiles(), request);
const unbuilt = files.find((file) => !existsSync(file.compiled));
if (unbuilt !== undefined) complain(`${unbuilt.source} is not compiled: run \`npm run build\` first.`);
if (!files.some((file) => request.phases.includes(file.phase))) complain("No test file matches.");

const sum = new Map<Counter, number>();
await pipeline(Readable.from(eventsOf(turnsOf(files, request), sum)), new spec(), process.stdout, {
  end: false,
});
const failed = (sum.get("fail") ?? 0) + (sum.get("cancelled") ?? 0);
process.exitCode = failed > 0 || (sum.get("tests") ?? 0) === 0 ? 1 : 0;
