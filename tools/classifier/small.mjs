// Builds a small dataset of the same kind from what every checkout has: node tools/classifier/small.mjs
// FOLDER
//
// Sources are npm packages at the versions of package-lock.json, and pictures and sounds made from a seed. A
// package belongs to one split, and so does every picture and every sound. Formats whose encoder is not
// installed are left out and named. Writes FOLDER/manifest.json with the hash of every format.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildDataset } from "./dataset.mjs";
import { writeSyntheticMedia } from "./synthetic.mjs";
import { say } from "./say.mjs";

const MODULES = join(dirname(fileURLToPath(import.meta.url)), "../../node_modules");
const SYNTHETIC = "synthetic";

const PACKAGES = {
  train: ["knip", "fastify", "ajv", "zod", "@typescript", "@lmdb", "lru-cache", "pino"],
  test: ["typescript", "@types", "oxlint", "@oxlint", "@oxlint-tsgolint", "fast-check", "jiti", "oxc-parser"],
};

/** Which program makes a format; without it the format is left out. */
const ENCODERS = {
  gzip: "gzip",
  zip: "zip",
  bzip2: "bzip2",
  xz: "xz",
  lzma: "xz",
  "7z": "7z",
  zstd: "zstd",
  brotli: "brotli",
  lz4: "lz4",
  png: "convert",
  jpeg: "convert",
  "picture-raw": "convert",
  webp: "cwebp",
  "webp-lossless": "cwebp",
  mp3: "ffmpeg",
  vorbis: "ffmpeg",
  opus: "ffmpeg",
  flac: "ffmpeg",
  "sound-raw": "ffmpeg",
};

const isInstalled = (program) => spawnSync(program, ["--version"]).error === undefined;

function formatsLeftOut() {
  const installed = new Map();
  for (const program of Object.values(ENCODERS)) installed.set(program, isInstalled(program));
  // A minute of film takes minutes to encode.
  return ["mp4", ...Object.keys(ENCODERS).filter((format) => !installed.get(ENCODERS[format]))];
}

function sourcesOf(leftOut, bytesMax) {
  const files = Object.entries(PACKAGES).flatMap(([split, names]) =>
    names.map((name) => ({ package: name, role: "files", split, bytesMax })),
  );
  const canDecode = !leftOut.includes("picture-raw") && !leftOut.includes("sound-raw");
  return canDecode ? [...files, { package: SYNTHETIC, role: "media" }] : files;
}

function main(folder, size) {
  const share = Number(size ?? 1);
  const leftOut = formatsLeftOut();
  say(`left out: ${leftOut.join(", ")}`);
  const media = join(folder, SYNTHETIC);
  writeSyntheticMedia(media, { pictures: Math.ceil(22 * share), sounds: Math.ceil(18 * share) });
  const locate = (source) => (source.package === SYNTHETIC ? media : join(MODULES, source.package));
  const sources = sourcesOf(leftOut, Math.ceil(1_300_000 * share));
  const splits = buildDataset(sources, folder, { locate, leftOut });
  writeFileSync(join(folder, "manifest.json"), `${JSON.stringify({ leftOut, splits }, undefined, 2)}\n`);
}

const [folder, size] = process.argv.slice(2);
if (folder === undefined) {
  say("usage: node tools/classifier/small.mjs FOLDER [SHARE]");
  process.exitCode = 2;
} else main(folder, size);
