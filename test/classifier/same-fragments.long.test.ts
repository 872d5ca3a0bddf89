/**
 * The classifier that ships against its rivals, on the same fragments of a small dataset that is made here:
 * HEDGE, and a network on byte histograms of the kind of EnCoD, trained on the other half of the sources.
 *
 * The sources are the npm packages of the lock file and media out of a seed; the encoders are Debian's.
 * Formats whose encoder is not installed are left out, and printed.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const TOOLS = fileURLToPath(new URL("../../../tools/classifier/", import.meta.url));
const PAGE = fileURLToPath(new URL("../../../docs/CLASSIFIER.md", import.meta.url));
const SIZES = [512, 1024, 1460, 2048, 4096, 8192, 16_384, 32_768, 65_536];
/** Two cores that others use too take half an hour. */
const PATIENCE_MS = 5_400_000;
/** Fragments of each format and size; rows of each format that the network learns from. */
const COUNTS = { PER_FORMAT: "80", NETWORK_ROWS: "400" };

interface Accuracy {
  readonly accuracy: number;
  /** Half the 95 % interval; source files, not fragments, are the sample. */
  readonly error: number;
}

type Method = "classifier" | "network" | "hedge" | "hedge2";

interface SizeReport {
  readonly overall: Readonly<Record<Method, Accuracy>>;
  /** Without xz, 7z and LZMA, which nobody can tell from ciphertext. */
  readonly visible: Readonly<Record<Method, Accuracy>>;
  readonly kinds: Readonly<Record<string, { readonly count: number } & Readonly<Record<Method, number>>>>;
}

interface Manifest {
  readonly leftOut: readonly string[];
  readonly splits: Readonly<Record<string, Readonly<Record<string, { sha256: string; streams: number }>>>>;
}

async function run(tool: string, ...words: string[]): Promise<string> {
  const command = ["--max-old-space-size=3000", join(TOOLS, tool), ...words];
  const options = { env: { ...process.env, ...COUNTS }, maxBuffer: 1 << 26 };
  return (await promisify(execFile)(process.execPath, command, options)).stdout;
}

function readJson<Content>(...path: string[]): Content {
  return JSON.parse(readFileSync(join(...path), "utf8")) as Content;
}

/** Names of the source units of one split. */
function unitsOf(folder: string, split: string): Set<string> {
  const index = readJson<Record<string, readonly { name: string }[]>>(folder, split, "index.json");
  return new Set(Object.values(index).flatMap((streams) => streams.map(({ name }) => name)));
}

describe("on the same fragments", { timeout: PATIENCE_MS }, () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-classifier-"));
  let sizes: Readonly<Record<string, SizeReport>> = {};
  let leftOut: readonly string[] = [];

  before(
    async () => {
      await run("small.mjs", folder);
      leftOut = readJson<Manifest>(folder, "manifest.json").leftOut;
      await run("evaluate.mjs", folder, join(folder, "report.json"));
      ({ sizes } = readJson<{ sizes: typeof sizes }>(folder, "report.json"));
    },
    { timeout: PATIENCE_MS },
  );
  after(() => rmSync(folder, { recursive: true, force: true }));

  function at(size: number): SizeReport {
    const report = sizes[size];
    assert.ok(report, `nothing was measured at ${size} bytes`);
    return report;
  }

  test("every size from 512 bytes to 64 KB is measured, and more bytes tell more", (context) => {
    context.diagnostic(`formats left out: ${leftOut.join(", ")}`);
    assert.deepEqual(Object.keys(sizes).map(Number), SIZES);
    const scores = SIZES.map((size) => at(size).overall.classifier.accuracy);
    context.diagnostic(`accuracy: ${scores.map((score) => (100 * score).toFixed(1)).join(" ")}`);
    assert.ok((scores[0] ?? 0) > 0.78 && (scores.at(-1) ?? 0) > 0.92, scores.join(" "));
    for (const size of SIZES) assert.ok((at(size).kinds["encrypted"]?.count ?? 0) >= 400);
  });

  for (const [rival, words] of [
    ["hedge", "HEDGE at its default γ"],
    ["hedge2", "HEDGE at γ = 2"],
    ["network", "a network on byte histograms, as EnCoD is"],
  ] as const) {
    test(`the classifier is better than ${words}, at every size and with all of its interval`, (context) => {
      for (const size of SIZES) {
        for (const scores of [at(size).overall, at(size).visible]) {
          const { accuracy, error } = scores.classifier;
          const theirs = scores[rival].accuracy;
          const figures = [accuracy, error, theirs].map((figure) => (100 * figure).toFixed(1));
          context.diagnostic(`${size} bytes: ${figures[0]} ± ${figures[1]}, ${rival} ${figures[2]}`);
          assert.ok(accuracy - error > theirs, `${size} bytes: ${figures.join(" ")}`);
        }
      }
    });
  }

  test("each format is told from ciphertext as soon as the page says, xz and pictures included", () => {
    /** Format, size in bytes, least and greatest share that is called right. */
    const rows: readonly (readonly [string, number, number, number])[] = [
      ["encrypted", 2048, 0.93, 1],
      ["encrypted", 65_536, 0.95, 1],
      ["tls", 16_384, 0.9, 1],
      ["openvpn", 16_384, 0.9, 1],
      ["text", 512, 0.98, 1],
      ["binary", 512, 0.9, 1],
      ["lz4", 512, 0.9, 1],
      ["gzip", 4096, 0.85, 1],
      ["zip", 8192, 0.9, 1],
      ["bzip2", 8192, 0.85, 1],
      ["zstd", 16_384, 0.85, 1],
      ["brotli", 16_384, 0.85, 1],
      ["png", 4096, 0.85, 1],
      ["jpeg", 2048, 0.9, 1],
      ["webp-lossless", 4096, 0.85, 1],
      ["mp3", 1024, 0.95, 1],
      ["vorbis", 1024, 0.9, 1],
      ["flac", 4096, 0.9, 1],
      ["opus", 16_384, 0.85, 1],
      // What cannot be told must not seem to be: chunk headers help only where a whole chunk was seen.
      ["xz", 2048, 0, 0.3],
      ["7z", 2048, 0, 0.3],
      ["lzma", 65_536, 0, 0.3],
      ["webp", 2048, 0, 0.5],
      ["xz", 65_536, 0.6, 1],
      ["7z", 65_536, 0.5, 1],
    ];
    const page = readFileSync(PAGE, "utf8");
    for (const [format, size, least, most] of rows) {
      assert.match(
        page,
        new RegExp(`^\\| ${format} \\|`, "m"),
        `docs/CLASSIFIER.md has no row for ${format}`,
      );
      const share = at(size).kinds[format]?.classifier;
      if (share === undefined) {
        assert.ok(leftOut.includes(format), `${format} was not measured at ${size} bytes`);
        continue;
      }
      assert.ok(share >= least && share <= most, `${format} at ${size} bytes: ${share}`);
    }
  });
});

test("the dataset is split by file, and has the same hashes when it is built again", {
  timeout: PATIENCE_MS,
}, async (context) => {
  const folders = [1, 2].map(() => mkdtempSync(join(tmpdir(), "postern-dataset-")));
  try {
    for (const folder of folders) await run("small.mjs", folder, "0.12");
    const [first = "", second = ""] = folders;
    const manifest = readJson<Manifest>(first, "manifest.json");
    assert.deepEqual(readJson<Manifest>(second, "manifest.json"), manifest);
    context.diagnostic(`formats left out: ${manifest.leftOut.join(", ")}`);
    const hashes = Object.values(manifest.splits).flatMap((formats) => Object.values(formats));
    assert.ok(hashes.length > 20 && hashes.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256)));
    assert.equal(new Set(hashes.map(({ sha256 }) => sha256)).size, hashes.length, "no two are the same");
    const [train, checked] = [unitsOf(first, "train"), unitsOf(first, "test")];
    assert.ok(train.size > 5 && checked.size > 3);
    assert.deepEqual(
      [...train].filter((unit) => checked.has(unit)),
      [],
    );
    // Files of a package all belong to one split.
    const packages = (units: Set<string>): Set<string> =>
      new Set(
        [...units]
          .filter((unit) => !unit.startsWith("synthetic/"))
          .map((unit) => unit.replace(/\/[^/]*$/, "")),
      );
    assert.deepEqual(
      [...packages(train)].filter((name) => packages(checked).has(name)),
      [],
    );
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
});
