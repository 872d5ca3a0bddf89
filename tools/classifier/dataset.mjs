// Encodes source units into streams of every format and writes them, a file per format and split.
import { createCipheriv, createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  COMPRESSORS,
  decodePicture,
  decodeSound,
  encodeVideo,
  PICTURE_ENCODERS,
  SOUND_ENCODERS,
} from "./encoders.mjs";
import { fractionOf, Seeded } from "./seeded.mjs";
import { bundles, documents, media } from "./units.mjs";
import { say } from "./say.mjs";

/** Bytes kept of one encoded stream: its beginning. */
const STREAM_BYTES_MAX = 512 * 1024;
const STREAM_BYTES_MIN = 6 * 1024;
const FORMAT_BYTES_MAX = { train: 60_000_000, calibrate: 16_000_000, test: 32_000_000 };
const ENCRYPTED_BYTES_MAX = 160_000;
const PICTURE_SIDES = [480, 900, 1400];
const CIPHERS = [
  "aes-128-cbc",
  "aes-256-cbc",
  "aes-128-ctr",
  "aes-256-ctr",
  "aes-128-gcm",
  "aes-256-gcm",
  "chacha20",
  "camellia-128-cbc",
  "camellia-256-cbc",
];

/** Writes streams of one split, a file per format. */
class SplitWriter {
  #files = new Map();
  #folder;
  #split;
  #leftOut;

  constructor(folder, split, leftOut) {
    this.#split = split;
    this.#leftOut = leftOut;
    this.#folder = join(folder, split);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** True when streams of this format are not wanted, or cannot be made. */
  leavesOut(format) {
    return this.#leftOut.has(format);
  }

  add(format, encoder, name, bytes) {
    const stream = bytes.subarray(0, STREAM_BYTES_MAX);
    if (stream.length < STREAM_BYTES_MIN) return;
    let file = this.#files.get(format);
    if (file === undefined) {
      const path = join(this.#folder, `${format}.bin`);
      file = { handle: openSync(path, "w"), bytes: 0, hash: createHash("sha256"), streams: [] };
      this.#files.set(format, file);
    }
    if (file.bytes + stream.length > FORMAT_BYTES_MAX[this.#split]) return;
    writeSync(file.handle, stream);
    file.hash.update(stream);
    file.streams.push({ at: file.bytes, bytes: stream.length, encoder, name });
    file.bytes += stream.length;
  }

  close() {
    const index = {};
    const summary = {};
    for (const [format, file] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      closeSync(file.handle);
      index[format] = file.streams;
      summary[format] = { streams: file.streams.length, bytes: file.bytes, sha256: file.hash.digest("hex") };
    }
    writeFileSync(join(this.#folder, "index.json"), JSON.stringify(index));
    return summary;
  }
}

const choose = (list, text) => list[Math.floor(fractionOf(text) * list.length)];

function addCompressed(writer, unit, work) {
  for (const [format, settings] of Object.entries(COMPRESSORS)) {
    if (writer.leavesOut(format)) continue;
    const setting = choose(settings, `${format} ${unit.name}`);
    writer.add(format, setting.name, unit.name, setting.encode(unit, work));
  }
}

// Ciphertext of the test split comes from real ciphers over real files; training draws from a key stream.
function addEncrypted(writer, unit) {
  const random = new Seeded(`cipher ${unit.name}`);
  const name = random.pick(CIPHERS);
  const key = random.bytes(name.includes("128") ? 16 : 32);
  const iv = random.bytes(name.endsWith("gcm") ? 12 : 16);
  const cipher = createCipheriv(name, key, iv);
  const plain = unit.content.subarray(0, ENCRYPTED_BYTES_MAX);
  writer.add("encrypted", name, unit.name, Buffer.concat([cipher.update(plain), cipher.final()]));
}

// Packages hold a few files that are not what their name says.
function decodeOrSkip(decode, unit, work) {
  try {
    return decode(unit, work, choose(PICTURE_SIDES, `side ${unit.name}`));
  } catch (error) {
    say(`${unit.name} left out: ${String(error.message).slice(-200)}`);
    return undefined;
  }
}

function addPicture(writer, unit, file, work) {
  for (const [format, settings] of Object.entries(PICTURE_ENCODERS)) {
    if (writer.leavesOut(format)) continue;
    const setting = choose(settings, `${format} ${unit.name}`);
    writer.add(format, setting.name, unit.name, setting.encode(file, work));
  }
  const original = { ".jpg": "jpeg", ".png": "png", ".webp": "webp" }[unit.extension];
  writer.add(original, "original", unit.name, readFileSync(unit.path));
  const raw = { name: unit.name, content: readFileSync(file).subarray(0, 2_000_000) };
  if (fractionOf(`compress ${unit.name}`) < 0.12) addCompressed(writer, raw, work);
  if (unit.split === "test") addEncrypted(writer, raw);
  if (fractionOf(`film ${unit.name}`) > 0.7 || writer.leavesOut("mp4")) return;
  writer.add("mp4", "h264 aac", unit.name, encodeVideo(file, work, unit.name));
}

function addSound(writer, unit, file, work) {
  for (const [format, settings] of Object.entries(SOUND_ENCODERS)) {
    if (writer.leavesOut(format)) continue;
    const setting = choose(settings, `${format} ${unit.name}`);
    writer.add(format, setting.name, unit.name, setting.encode(file, work));
  }
  const original = { ".ogg": "vorbis", ".flac": "flac" }[unit.extension];
  if (original !== undefined) writer.add(original, "original", unit.name, readFileSync(unit.path));
  const raw = { name: unit.name, content: readFileSync(file).subarray(0, 2_000_000) };
  if (fractionOf(`compress ${unit.name}`) < 0.12) addCompressed(writer, raw, work);
  if (unit.split === "test") addEncrypted(writer, raw);
}

function addFiles(writers, source, folder, work) {
  for (const unit of bundles(source, folder)) {
    const writer = writers[unit.split];
    writer.add(unit.kind, "none", unit.name, unit.content);
    addCompressed(writer, unit, work);
    if (unit.split === "test") addEncrypted(writer, unit);
  }
}

function addMedia(writers, source, folder, work) {
  for (const unit of media(source, folder)) {
    const writer = writers[unit.split];
    const decode = unit.kind === "sound" ? decodeSound : decodePicture;
    const file = decodeOrSkip(decode, unit, work);
    if (file === undefined) continue;
    if (unit.kind === "sound") addSound(writer, unit, file, work);
    else addPicture(writer, unit, file, work);
  }
}

function addDocuments(writers, source, folder) {
  for (const unit of documents(source, folder)) {
    writers[unit.split].add("pdf", "original", unit.name, readFileSync(unit.path));
  }
}

/**
 * Encodes sources into a dataset.
 *
 * @param sources - each with `package`, `role`, `split`, and `bytesMax` where less than usual shall be taken
 * @param folder - receives a folder for each split
 * @param options - `locate(source)` answers with the folder that holds a source's files; `leftOut` names
 *   formats that are not made
 * @returns by split and format: how many streams, how many bytes, and their SHA-256
 */
export function buildDataset(sources, folder, { locate, leftOut = [] }) {
  const work = join(folder, "work");
  mkdirSync(work, { recursive: true });
  const without = new Set(leftOut);
  const writers = {};
  for (const split of ["train", "calibrate", "test"])
    writers[split] = new SplitWriter(folder, split, without);
  for (const source of sources) {
    const files = locate(source);
    if (source.role === "files") addFiles(writers, source, files, work);
    if (source.role === "media") addMedia(writers, source, files, work);
    if (source.role === "pdf") addDocuments(writers, source, files);
  }
  rmSync(work, { recursive: true });
  return Object.fromEntries(Object.entries(writers).map(([split, writer]) => [split, writer.close()]));
}
