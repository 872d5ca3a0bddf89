// Builds the dataset: node tools/classifier/build.mjs FOLDER [--manifest]
//
// FOLDER receives archives/, unpacked/ and, for each split, one file per format that holds the encoded
// streams one behind the other, and index.json that tells where each begins. With --manifest the hashes are
// written to tools/classifier/manifest.json; without, they are compared with it and differences are named.
import { createCipheriv, createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  COMPRESSORS,
  decodePicture,
  decodeSound,
  encodeVideo,
  PICTURE_ENCODERS,
  SOUND_ENCODERS,
} from "./encoders.mjs";
import { installTools, unpackSource } from "./packages.mjs";
import { fractionOf, Seeded } from "./seeded.mjs";
import { bundles, documents, media } from "./units.mjs";
import { say } from "./say.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));

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

  constructor(folder, split) {
    this.#split = split;
    this.#folder = join(folder, split);
    mkdirSync(this.#folder, { recursive: true });
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
    const setting = choose(settings, `${format} ${unit.name}`);
    writer.add(format, setting.name, unit.name, setting.encode(file, work));
  }
  const original = { ".jpg": "jpeg", ".png": "png", ".webp": "webp" }[unit.extension];
  writer.add(original, "original", unit.name, readFileSync(unit.path));
  const raw = { name: unit.name, content: readFileSync(file).subarray(0, 2_000_000) };
  if (fractionOf(`compress ${unit.name}`) < 0.12) addCompressed(writer, raw, work);
  if (unit.split === "test") addEncrypted(writer, raw);
  if (fractionOf(`film ${unit.name}`) > 0.7) return;
  writer.add("mp4", "h264 aac", unit.name, encodeVideo(file, work, unit.name));
}

function addSound(writer, unit, file, work) {
  for (const [format, settings] of Object.entries(SOUND_ENCODERS)) {
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

function compareWith(manifestPath, manifest) {
  const wanted = JSON.parse(readFileSync(manifestPath, "utf8"));
  let differences = 0;
  for (const [split, formats] of Object.entries(wanted.splits)) {
    for (const [format, entry] of Object.entries(formats)) {
      const actual = manifest.splits[split][format];
      if (actual?.sha256 === entry.sha256) continue;
      differences++;
      say(`${split}/${format}: ${actual?.sha256} instead of ${entry.sha256}`);
    }
  }
  say(differences === 0 ? "dataset equals manifest.json" : `${differences} files differ from manifest.json`);
  return differences === 0;
}

function main(folder, writeManifest) {
  const tools = installTools();
  const work = join(folder, "work");
  mkdirSync(work, { recursive: true });
  const writers = {};
  for (const split of ["train", "calibrate", "test"]) writers[split] = new SplitWriter(folder, split);
  for (const source of JSON.parse(readFileSync(join(HERE, "sources.json"), "utf8"))) {
    say(new Date().toISOString(), source.package);
    const unpacked = unpackSource(source, folder);
    if (source.role === "files") addFiles(writers, source, unpacked, work);
    if (source.role === "media") addMedia(writers, source, unpacked, work);
    if (source.role === "pdf") addDocuments(writers, source, unpacked);
  }
  const manifest = { tools, splits: {} };
  for (const [split, writer] of Object.entries(writers)) manifest.splits[split] = writer.close();
  rmSync(work, { recursive: true });
  const manifestPath = join(HERE, "manifest.json");
  if (writeManifest || !existsSync(manifestPath)) {
    writeFileSync(manifestPath, `${JSON.stringify(manifest, undefined, 2)}\n`);
    return true;
  }
  return compareWith(manifestPath, manifest);
}

const [folder, option] = process.argv.slice(2);
if (folder === undefined) {
  say("usage: node tools/classifier/build.mjs FOLDER [--manifest]");
  process.exitCode = 2;
} else if (!main(folder, option === "--manifest")) process.exitCode = 1;
