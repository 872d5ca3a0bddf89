import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { LZMA2_KIND, lzma2Kind, zstdBlockBytes } from "./block-headers.ts";
import { isFlacHeader, mpegFrameBytes, nalBytes } from "./frame-headers.ts";
import { findSignature, SIGNATURES } from "./signatures.ts";
import { StructureScanner } from "./structure.ts";

const noise = (bytes: number, seed = 5): Uint8Array =>
  createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));

/** Noise with headers written over it at the given places. */
function withHeaders(bytes: number, headers: [number, number[]][]): Uint8Array {
  const content = Uint8Array.from(noise(bytes));
  for (const [at, header] of headers) content.set(header, at);
  return content;
}

function scan(content: Uint8Array, step = content.length): StructureScanner {
  const scanner = new StructureScanner();
  for (let at = 0; at < content.length; at += step)
    scanner.push(content, at, Math.min(content.length, at + step));
  return scanner;
}

// 128 kbit/s at 44,100 Hz: 417 bytes, 418 with padding (ISO/IEC 11172-3 §2.4.3.1).
const MPEG_FRAME = [0xff, 0xfb, 0x90, 0x64];

test("MPEG audio frames: the length of a known header, and a chain of them", () => {
  assert.equal(mpegFrameBytes(Uint8Array.from(MPEG_FRAME), 0), 417);
  assert.equal(mpegFrameBytes(Uint8Array.from([0xff, 0xfb, 0x92, 0x64]), 0), 418);
  assert.equal(mpegFrameBytes(Uint8Array.from([0xff, 0xfb, 0xf0, 0x64]), 0), 0);
  const content = withHeaders(
    3000,
    [0, 1, 2, 3, 4].map((i) => [100 + 417 * i, MPEG_FRAME]),
  );
  assert.equal(scan(content).mpeg.longest, 4);
});

test("FLAC frame headers count only with a right checksum", () => {
  // Frame 0 of a stream with blocks of 4,096 samples, 44.1 kHz, stereo, 16 bits.
  const header = [0xff, 0xf8, 0xc9, 0x18, 0x00, 0xc2];
  assert.equal(isFlacHeader(Uint8Array.from(header), 0), true);
  assert.equal(isFlacHeader(Uint8Array.from([...header.slice(0, 5), 0xc3]), 0), false);
  assert.equal(scan(withHeaders(400, [[90, header]])).flacHeaders, 1);
});

test("H.264 NAL units: the length field leads from one to the next", () => {
  const unit = (length: number, header: number): number[] => [0, 0, length >> 8, length & 255, header];
  assert.equal(nalBytes(Uint8Array.from(unit(1000, 0x41)), 0), 1004);
  assert.equal(nalBytes(Uint8Array.from(unit(1000, 0x9f)), 0), 0);
  const content = withHeaders(6000, [
    [200, unit(1000, 0x65)],
    [1204, unit(2000, 0x41)],
    [3208, unit(700, 0x01)],
  ]);
  assert.equal(scan(content).nal.longest, 2);
});

test("full LZMA2 chunks of liblzma and of 7-Zip", () => {
  const chunk = (control: number, plain: number, packed: number): Uint8Array =>
    Uint8Array.from([
      control,
      (plain >> 8) & 255,
      plain & 255,
      ((packed - 1) >> 8) & 255,
      (packed - 1) & 255,
      0,
    ]);
  assert.equal(lzma2Kind(chunk(0x84, 0x1234, 61_440), 0), LZMA2_KIND.XZ);
  assert.equal(lzma2Kind(chunk(0x83, 0x1234, 49_170), 0), LZMA2_KIND.SEVEN_ZIP);
  assert.equal(lzma2Kind(chunk(0x84, 0x1234, 30_000), 0), LZMA2_KIND.NONE);
  assert.equal(lzma2Kind(chunk(0x80, 0x1234, 61_440), 0), LZMA2_KIND.NONE);
  const header = [...chunk(0x84, 0x1234, 61_440)];
  const content = withHeaders(70_000, [
    [1000, header],
    [1000 + 61_440 + 5, header],
  ]);
  assert.equal(scan(content).xz.longest, 1);
});

test("a Zstandard block counts when its four literal streams fit together", () => {
  const blockBytes = 5000;
  const [regenerated, compressed, tree] = [6000, 4042, 36];
  const block = (blockBytes << 3) | (2 << 1);
  const literals = 2 | (2 << 2) | (regenerated << 4);
  const word = BigInt(literals) | (BigInt(compressed) << 18n);
  const header = [block & 255, (block >> 8) & 255, block >> 16];
  for (let i = 0; i < 4; i++) header.push(Number((word >> BigInt(8 * i)) & 255n));
  header.push(tree - 1, ...new Array<number>(tree - 1).fill(0x55));
  for (const size of [1000, 990, 1010]) header.push(size & 255, size >> 8);
  const content = withHeaders(800, [[50, header]]);
  assert.equal(zstdBlockBytes(content, 50), blockBytes + 3);
  assert.equal(scan(content).zstd.headers, 1);
  content[50 + header.length - 1] = 0xff;
  assert.equal(zstdBlockBytes(content, 50), 0);
});

test("JPEG stuffing is told from bare 0xff", () => {
  const clean = Uint8Array.from(noise(4000), (value) => (value === 0xff ? 0xfe : value));
  for (let at = 10; at < 3900; at += 100) clean.set([0xff, at % 200 === 10 ? 0 : 0xd3], at);
  const scanner = scan(clean);
  assert.equal(scanner.stuffed, 39);
  assert.equal(scanner.unstuffed, 0);
});

test("container marks are found wherever they lie", () => {
  const mark = [...Buffer.from("OggS")];
  for (const at of [0, 1, 77, 8190, 8192]) assert.equal(scan(withHeaders(9000, [[at, mark]])).marks, 1);
});

test("cut anywhere, the scanner sees the same", () => {
  const content = withHeaders(20_000, [
    [8188, MPEG_FRAME],
    [8188 + 417, MPEG_FRAME],
    [300, [...Buffer.from("IDAT")]],
  ]);
  const seen = (scanner: StructureScanner): unknown => [
    scanner.mpeg.headers,
    scanner.mpeg.longest,
    scanner.nal.headers,
    scanner.xz.headers,
    scanner.sevenZip.headers,
    scanner.zstd.headers,
    scanner.flacHeaders,
    scanner.marks,
    scanner.stuffed,
    scanner.unstuffed,
  ];
  const whole = seen(scan(content));
  for (const step of [1, 2, 3, 100, 143, 1460, 8191, 8193])
    assert.deepEqual(seen(scan(content, step)), whole, String(step));
});

test("ciphertext has next to no marks", () => {
  const scanner = scan(noise(1 << 20));
  assert.ok(scanner.mpeg.longest <= 1);
  assert.ok(scanner.xz.headers + scanner.zstd.headers + scanner.flacHeaders + scanner.marks <= 1);
});

test("every signature finds itself, and only whole", () => {
  for (const signature of SIGNATURES) {
    const bytes = new Uint8Array(16).fill(0x2e);
    bytes.set(
      signature.bytes.map((byte) => Math.max(0, byte)),
      signature.at,
    );
    assert.equal(findSignature(bytes)?.name, signature.name);
    assert.equal(findSignature(bytes, signature.at + signature.bytes.length - 1), undefined);
  }
  assert.equal(findSignature(new Uint8Array(0)), undefined);
});
