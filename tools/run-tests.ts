/**
 * Runs the compiled tests: side by side where that is safe, one after the other where it is not.
 *
 * Test files are found by their sources, so that a stale file in `dist` never runs. A name says what a file
 * needs:
 *
 * - `x.test.ts`: nothing. These run side by side.
 * - `x.netns.test.ts`: root and network namespaces. These run one after the other, because each starts
 *   several processes and waits for real time. Without root each of their tests skips itself and says why.
 * - `x.long.test.ts` and `x.netns.long.test.ts`: minutes. They run with `--long` only.
 *
 * Usage: `node dist/tools/run-tests.js [--unit | --kernel | --long] [PART-OF-A-PATH...]`
 */
import { setMaxListeners } from "node:events";
import { existsSync, readdirSync } from "node:fs";
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
const FILE_TIMEOUT_MS = { unit: 120_000, kernel: 600_000, long: 3_600_000 };

/** Test files side by side: two, because most of them wait for a process or a clock now and then. */
const SIDE_BY_SIDE = 2;

/** The counters of the runner's closing lines, in its order. */
const COUNTERS = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"] as const;
type Counter = (typeof COUNTERS)[number];

type Phase = keyof typeof FILE_TIMEOUT_MS;

interface TestFile {
  readonly source: string;
  readonly compiled: string;
  readonly phase: Phase;
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
      found.push({ source: join(from, folder, entry.name), compiled, phase: phaseOf(entry.name) });
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

/** The events of all phases as if they were one run: the counters come once, summed, at the end. */
async function* eventsOf(
  files: readonly TestFile[],
  request: Request,
  sum: Map<Counter, number>,
): AsyncGenerator<RunnerEvent> {
  const skips = new Map<string, number>();
  for (const phase of request.phases) {
    const chosen = files.filter((file) => file.phase === phase).map((file) => file.compiled);
    if (chosen.length === 0) continue;
    const events = run({
      files: chosen,
      concurrency: phase === "unit" ? SIDE_BY_SIDE : 1,
      timeout: FILE_TIMEOUT_MS[phase],
      signal: stop.signal,
    });
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
await pipeline(Readable.from(eventsOf(files, request, sum)), new spec(), process.stdout, { end: false });
const failed = (sum.get("fail") ?? 0) + (sum.get("cancelled") ?? 0);
process.exitCode = failed > 0 || (sum.get("tests") ?? 0) === 0 ? 1 : 0;
