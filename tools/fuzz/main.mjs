// Coverage-guided fuzzing of every parser that reads what comes from the network: packets, capture files,
// streams, and each recogniser. An input that reaches a branch, or a count of it, that none reached before is
// kept and changed further. An exception, a broken promise of the parser, or an input that takes long is a
// finding and ends the run with status 1.
//
// node tools/fuzz/main.mjs [--runs 1000000] [--seed 1] [--target NAME]...
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { say } from "../classifier/say.mjs";
import { instrumentLayers } from "./instrument.mjs";
import { mutate, Random } from "./mutate.mjs";
import { allTargets } from "./targets.mjs";

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    target: { type: "string", multiple: true },
  },
});

/** Milliseconds of processor time that one input may take, twice in a row. */
const SLOW_MS = 200;
const CORPUS_MAX = 4096;
/** One in so many inputs is made from the newest of the corpus. */
const NEWEST = 3;

/** Counts as coverage tells them apart: 1, 2, 3, 4 to 7, and so on in powers of two. */
const BUCKETS = Uint8Array.from({ length: 256 }, (_, count) =>
  count < 4 ? [0, 1, 2, 4][count] : Math.min(128, 1 << Math.floor(Math.log2(count) + 1)),
);

class Coverage {
  #counters;
  #words;
  #seen;

  constructor(counters) {
    const length = (counters + 3) & ~3;
    this.#counters = new Uint8Array(length);
    this.#words = new Uint32Array(this.#counters.buffer);
    this.#seen = new Uint8Array(length);
    globalThis.fuzzCounters = this.#counters;
  }

  /** Forgets what earlier targets reached. */
  reset() {
    this.#counters.fill(0);
    this.#seen.fill(0);
  }

  /** True when the last run reached something new. */
  take() {
    let isNew = false;
    for (let word = 0; word < this.#words.length; word += 1) {
      if (this.#words[word] === 0) continue;
      for (let index = 4 * word; index < 4 * word + 4; index += 1) {
        const bucket = BUCKETS[this.#counters[index]];
        if ((this.#seen[index] | bucket) === this.#seen[index]) continue;
        this.#seen[index] |= bucket;
        isNew = true;
      }
      this.#words[word] = 0;
    }
    return isNew;
  }

  get branches() {
    return this.#seen.reduce((sum, bits) => sum + (bits === 0 ? 0 : 1), 0);
  }
}

const describe = (input) =>
  input.map(({ direction, bytes }) => `${direction}:${Buffer.from(bytes).toString("hex")}`).join(" ");

function milliseconds(run, input) {
  const started = process.cpuUsage();
  run(input);
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1000;
}

/** Runs one input; answers what is wrong with it, if anything. */
function tryInput(target, input) {
  const started = performance.now();
  try {
    target.run(input);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  if (performance.now() - started < SLOW_MS) return undefined;
  const again = Math.min(milliseconds(target.run, input), milliseconds(target.run, input));
  return again > SLOW_MS ? `takes ${again.toFixed(0)} ms of processor time` : undefined;
}

function fuzz(target, coverage, tokens) {
  const random = new Random(Number(options.seed));
  const corpus = [];
  const started = performance.now();
  coverage.reset();
  const attempt = (input) => {
    const wrong = tryInput(target, input);
    if (wrong !== undefined) {
      say(`${target.name}: ${wrong}`);
      say(`  input ${describe(input)}`);
      process.exitCode = 1;
    }
    if (coverage.take() && corpus.length < CORPUS_MAX) corpus.push(input);
    return wrong === undefined;
  };
  for (const seed of target.seeds) attempt(seed);
  if (corpus.length === 0) corpus.push(...target.seeds);
  for (let count = 0; count < Number(options.runs); count += 1) {
    const newest = random.below(NEWEST) === 0 ? corpus.slice(-8) : corpus;
    const input = mutate(random, random.oneOf(newest), random.oneOf(corpus), tokens);
    if (input.length > 0 && !attempt(input)) return;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  say(
    `${target.name}: ${options.runs} inputs, ${corpus.length} kept, ${coverage.branches} branches, ${seconds} s`,
  );
}

async function main() {
  const here = dirname(fileURLToPath(import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "postern-fuzz-"));
  try {
    const { counters, tokens } = instrumentLayers(join(here, "../../dist"), folder);
    const coverage = new Coverage(counters);
    const targets = await allTargets(folder);
    const wanted = targets.filter(({ name }) => options.target?.includes(name) ?? true);
    if (wanted.length === 0)
      throw new Error(`no such target; there are ${targets.map(({ name }) => name).join(", ")}`);
    for (const target of wanted) fuzz(target, coverage, tokens);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
