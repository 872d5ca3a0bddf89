import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, deflateRawSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { FirewallError } from "../base/index.ts";
import {
  CLASSIFY_BYTES_MAX,
  CLASSIFY_BYTES_MIN,
  CONFIDENCE_MIN,
  classifyFragment,
  FALSE_POSITIVE_BUDGET,
  StreamClassifier,
} from "./classifier.ts";
import { defaultModel, defaultModelBytes } from "./default-model.ts";
import { reportFile, reportFragment } from "./fragment-report.ts";
import { hedge } from "./hedge.ts";
import { countBytes } from "./histogram.ts";
import { decodeModel } from "./model.ts";
import { MODEL_SHA256 } from "./model-data.ts";

const WORDS =
  "packet filter stream of the kernel and queue verdict accept drop reject state table entry address port window " +
  "segment sequence number rule chain policy engine decodes header checksum option length field network firewall";

/** Text without end: words in an order that a small generator picks. */
function text(bytes: number, seed: number): Buffer {
  const words = WORDS.split(" ");
  let state = seed;
  let result = "";
  while (result.length < bytes) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    result += `${words[(state >>> 8) % words.length]}${state >>> 28 === 0 ? `, ${state % 977}\n` : " "}`;
  }
  return Buffer.from(result.slice(0, bytes));
}

/**
 * Text that people wrote, and that only changes with the lock file: the declarations of Node's interfaces.
 */
function declarations(): Buffer {
  const folder = fileURLToPath(new URL("../../node_modules/@types/node/", import.meta.url));
  const names = readdirSync(folder).filter((name) => name.endsWith(".d.ts"));
  return Buffer.concat(names.sort().map((name) => readFileSync(`${folder}${name}`)));
}

function encrypted(cipher: string, content: Buffer, seed = 1): Uint8Array {
  const keyBytes = cipher.includes("128") ? 16 : 32;
  const encipher = createCipheriv(cipher, Buffer.alloc(keyBytes, seed), Buffer.alloc(16, 9));
  return encipher.update(content);
}

const CIPHERS = ["aes-128-cbc", "aes-256-ctr", "chacha20", "camellia-256-cbc"];

/** Share of the pieces that get one of the verdicts. */
function share(content: Uint8Array, bytes: number, ...verdicts: string[]): number {
  let found = 0;
  let pieces = 0;
  for (let at = 0; at + bytes <= content.length; at += bytes, pieces++) {
    if (verdicts.includes(classifyFragment(content.subarray(at, at + bytes)).verdict)) found++;
  }
  assert.ok(pieces >= 8, `${pieces} pieces`);
  return found / pieces;
}

/** Share of the pieces that HEDGE calls encrypted. */
function hedgeShare(content: Uint8Array, bytes: number): number {
  let found = 0;
  let pieces = 0;
  for (let at = 0; at + bytes <= content.length; at += bytes, pieces++) {
    if (hedge(content.subarray(at, at + bytes)) === "encrypted") found++;
  }
  return found / pieces;
}

test("ciphertext of every cipher is encrypted, from 2 KB on nearly always", () => {
  for (const cipher of CIPHERS) {
    const content = encrypted(cipher, text(400_000, 7));
    assert.ok(share(content, 2048, "encrypted") > 0.85, cipher);
    assert.ok(share(content, 16_384, "encrypted") > 0.9, cipher);
  }
});

test("deflated and brotli-compressed declarations are not encrypted, whatever HEDGE says", () => {
  const content = declarations();
  const deflated = deflateRawSync(content).subarray(4096);
  const brotli = brotliCompressSync(content).subarray(4096);
  assert.ok(share(deflated, 8192, "compressed") > 0.8);
  assert.ok(share(deflated, 16_384, "compressed") > 0.95);
  assert.ok(share(brotli, 16_384, "encrypted") < 0.3);
  for (const [stream, bytes] of [
    [deflated, 1024],
    [deflated, 2048],
    [brotli, 2048],
    [brotli, 4096],
  ] as const) {
    assert.ok(share(stream, bytes, "encrypted") < hedgeShare(stream, bytes), `${bytes} bytes`);
  }
});

test("text is plain at any length from 16 bytes on", () => {
  const content = text(70_000, 11);
  for (const bytes of [16, 40, 255, 256, 1000, 4096, 65_536]) {
    assert.equal(classifyFragment(content.subarray(0, bytes)).verdict, "plain");
  }
});

test("below the smallest size nothing but text is decided", () => {
  const noise = encrypted("aes-256-ctr", Buffer.alloc(CLASSIFY_BYTES_MIN));
  for (const bytes of [0, 1, 2, 15, 100, CLASSIFY_BYTES_MIN - 1]) {
    assert.equal(classifyFragment(noise.subarray(0, bytes)).verdict, "undecided");
  }
});

test("pushed in pieces, a stream is judged as if pushed whole", () => {
  const streams = [encrypted("chacha20", text(9000, 5)), gzipSync(text(60_000, 2)), text(9000, 1)];
  for (const stream of streams) {
    const whole = new StreamClassifier({ fromStart: true });
    whole.push(stream);
    for (const step of [1, 17, 143, 1460]) {
      const cut = new StreamClassifier({ fromStart: true });
      for (let at = 0; at < stream.length; at += step)
        cut.push(stream, at, Math.min(stream.length, at + step));
      assert.equal(cut.probability, whole.probability);
      assert.equal(cut.verdict(), whole.verdict());
      assert.equal(cut.signature, whole.signature);
    }
  }
});

test("a cleared classifier is as good as a fresh one", () => {
  const used = new StreamClassifier({ fromStart: true });
  used.push(gzipSync(text(60_000, 2)));
  for (const stream of [encrypted("chacha20", text(5000, 5)), text(700, 3), gzipSync(text(9000, 4))]) {
    for (const fromStart of [true, false]) {
      const fresh = new StreamClassifier({ fromStart });
      fresh.push(stream);
      used.clear(fromStart);
      used.push(stream);
      assert.equal(used.probability, fresh.probability);
      assert.equal(used.signature, fresh.signature);
    }
  }
});

test("asking does not change the answer", () => {
  const stream = encrypted("aes-256-ctr", text(4096, 4));
  const asked = new StreamClassifier();
  for (let at = 0; at < stream.length; at += 256) {
    asked.push(stream, at, at + 256);
    asked.verdict();
  }
  assert.equal(asked.probability, classifyFragment(stream).probability);
});

test("nothing beyond the largest size is looked at", () => {
  const stream = encrypted("aes-256-ctr", Buffer.alloc(CLASSIFY_BYTES_MAX + 5000));
  const classifier = new StreamClassifier();
  classifier.push(stream);
  assert.equal(classifier.bytes, CLASSIFY_BYTES_MAX);
  assert.equal(classifier.enough, true);
  const { probability } = classifier;
  classifier.push(text(5000, 1));
  assert.equal(classifier.probability, probability);
});

test("a gzip signature speaks against encryption, but not when the rest is ciphertext", () => {
  const signature = gzipSync("").subarray(0, 10);
  const lie = Buffer.concat([signature, encrypted("aes-256-ctr", Buffer.alloc(CLASSIFY_BYTES_MAX))]);
  const classifier = new StreamClassifier({ fromStart: true });
  classifier.push(lie, 0, 4096);
  assert.equal(classifier.signature, "gzip");
  assert.ok(classifier.probability < 0.5);
  classifier.push(lie, 4096, lie.length);
  assert.ok(classifier.probability > 0.5);
});

test("an xz signature is believed, because xz looks like ciphertext", () => {
  const signature = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
  const stream = Buffer.concat([Buffer.from(signature), encrypted("aes-256-ctr", Buffer.alloc(60_000))]);
  const classifier = new StreamClassifier({ fromStart: true });
  classifier.push(stream);
  assert.equal(classifier.verdict(1), "compressed");
  assert.equal(new StreamClassifier().signature, undefined);
});

test("a stricter budget never calls more encrypted", () => {
  const stream = encrypted("aes-256-ctr", Buffer.alloc(CLASSIFY_BYTES_MAX), 6);
  for (const bytes of [512, 4096, 16_384, 65_536]) {
    const classifier = new StreamClassifier({ fromStart: true });
    classifier.push(stream, 0, bytes);
    const yes = [0, FALSE_POSITIVE_BUDGET, 0.01, 0.1, 1].map(
      (budget) => classifier.verdict(budget) === "encrypted",
    );
    for (let i = 1; i < yes.length; i++) assert.ok(yes[i] || !yes[i - 1], `${bytes} bytes: ${yes.join(" ")}`);
  }
});

test("verdict and probability agree", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 3000 }), (bytes) => {
      const { verdict, probability } = classifyFragment(bytes);
      assert.ok(probability >= 0 && probability <= 1);
      if (verdict === "encrypted") assert.ok(probability >= CONFIDENCE_MIN);
      if (verdict === "plain" || verdict === "compressed") assert.ok(probability <= 1 - CONFIDENCE_MIN);
    }),
    { numRuns: 200 },
  );
});

test("monotonous bytes of full length are plain and never throw", () => {
  for (const value of [0, 0x55, 0xff]) {
    assert.equal(classifyFragment(new Uint8Array(CLASSIFY_BYTES_MAX).fill(value)).verdict, "plain");
  }
});

test("the model that ships is the one whose hash is written down, below a megabyte", () => {
  const bytes = defaultModelBytes();
  assert.equal(createHash("sha256").update(bytes).digest("hex"), MODEL_SHA256);
  assert.ok(bytes.length < 1_000_000);
  assert.ok(defaultModel().calibration.leastBudget <= FALSE_POSITIVE_BUDGET);
});

test("a damaged model is refused", () => {
  const bytes = defaultModelBytes();
  const damaged = [
    bytes.subarray(0, 100),
    bytes.subarray(0, bytes.length - 1),
    new Uint8Array(0),
    text(500, 1),
  ];
  for (const model of damaged) assert.throws(() => decodeModel(model), FirewallError);
});

test("a report line has its fields in order", () => {
  const content = encrypted("aes-256-ctr", text(5000, 8));
  const lines = [...reportFile("a.bin", content, 2048)];
  assert.deepEqual(Object.keys(lines[0] ?? {}), [
    "file",
    "offset",
    "bytes",
    "verdict",
    "confidence",
    "hedge",
  ]);
  assert.deepEqual(
    lines.map((line) => [line.offset, line.bytes]),
    [
      [0, 2048],
      [2048, 2048],
      [4096, 904],
    ],
  );
  assert.equal(lines[1]?.hedge, hedge(content.subarray(2048, 4096)));
  for (const line of lines) assert.ok(line.confidence >= 0.5 && line.confidence <= 1);
  assert.throws(() => [...reportFile("a.bin", content, 0)], RangeError);
  assert.equal(reportFragment("empty", 0, new Uint8Array(0)).verdict, "undecided");
});

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;

function microseconds(run: () => void, times: number): number {
  const started = process.hrtime.bigint();
  for (let i = 0; i < times; i++) run();
  return Number(process.hrtime.bigint() - started) / times / 1000;
}

test("a packet of 1,460 bytes costs the classifier at most 150 byte counts, HEDGE at most 150", () => {
  const packet = encrypted("aes-256-ctr", Buffer.alloc(1460));
  const counts = new Uint32Array(256);
  const ratios: [number, number][] = [];
  for (let round = 0; round < 15; round++) {
    const unit = microseconds(() => countBytes(counts, packet), 2000);
    const classifier = microseconds(() => classifyFragment(packet), 200);
    ratios.push([classifier / unit, microseconds(() => hedge(packet), 200) / unit]);
  }
  const classifierRatio = median(ratios.map(([ratio]) => ratio));
  const hedgeRatio = median(ratios.map(([, ratio]) => ratio));
  assert.ok(classifierRatio < 150, String(classifierRatio));
  assert.ok(hedgeRatio < 150, String(hedgeRatio));
});
