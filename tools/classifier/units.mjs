// Source units: what is encoded as one stream. A unit belongs to exactly one split, so no fragment of the
// test split comes from a file that training has seen. Files of program and text packages are split by whole
// package; pictures, sounds and PDF documents by file.
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fractionOf, Seeded } from "./seeded.mjs";

const SOURCE_EXTENSIONS = new Set(
  ".c .h .hpp .ipp .inc .go .rs .py .pl .pm .js .el .s .S .asm .css .sh .t .vert .frag .cl".split(" "),
);
const PACKED_EXTENSIONS = new Set(
  ".gz .bz2 .xz .png .jpg .jpeg .gif .webp .ogg .flac .mp3 .zip .jar .woff .woff2 .rcc .svgz".split(" "),
);
const PICTURES = new Set([".png", ".jpg", ".webp"]);
const SOUNDS = new Set([".ogg", ".flac", ".wav"]);

// Sizes of the bundles that a general compressor sees as one file.
const BUNDLE_BYTES = [100_000, 400_000, 1_500_000, 1_500_000];

// How much of one package may enter, by split and kind, so that no package rules its split.
const PACKAGE_BYTES_MAX = { train: 16_000_000, calibrate: 7_000_000, test: 9_000_000 };

const MEDIA_FILE_BYTES_MIN = 20_000;
const PICTURES_PER_PACKAGE_MAX = 130;
const SOUNDS_PER_PACKAGE_MAX = 90;

/** Regular files under the folder, sorted by path. */
export function filesUnder(folder) {
  const found = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    const stat = lstatSync(path);
    if (stat.isDirectory()) found.push(...filesUnder(path));
    else if (stat.isFile() && stat.size > 0) found.push({ path, bytes: stat.size });
  }
  return found;
}

/** Which split a file of a media or PDF package belongs to. */
export function splitOfFile(name) {
  const fraction = fractionOf(`split ${name}`);
  if (fraction < 0.58) return "train";
  return fraction < 0.73 ? "calibrate" : "test";
}

function kindOf(path, head) {
  if (head.includes(0)) return "binary";
  return SOURCE_EXTENSIONS.has(extname(path)) ? "source" : "text";
}

/** Bundles of text, source code and program files of one package. */
export function* bundles(source, folder) {
  const random = new Seeded(`bundles ${source.package}`);
  const files = filesUnder(folder).filter((file) => !PACKED_EXTENSIONS.has(extname(file.path)));
  const open = {};
  const taken = { text: 0, source: 0, binary: 0 };
  let count = 0;
  for (const file of random.shuffle(files)) {
    const content = readFileSync(file.path);
    const kind = kindOf(file.path, content.subarray(0, 4096));
    for (const slice of slices(content, random)) {
      if (taken[kind] > (source.bytesMax ?? PACKAGE_BYTES_MAX[source.split])) break;
      taken[kind] += slice.length;
      open[kind] ??= { parts: [], bytes: 0, target: random.pick(BUNDLE_BYTES) };
      open[kind].parts.push(slice);
      open[kind].bytes += slice.length;
      if (open[kind].bytes < open[kind].target) continue;
      yield unit(source, kind, count++, open[kind]);
      delete open[kind];
    }
  }
}

// A huge file would be one bundle: it is cut into pieces of bundle size, all of the same split.
function* slices(content, random) {
  for (let at = 0; at < content.length; ) {
    const bytes = random.pick(BUNDLE_BYTES);
    yield content.subarray(at, at + bytes);
    at += bytes;
  }
}

function unit(source, kind, number, bundle) {
  const content = Buffer.concat(bundle.parts).subarray(0, bundle.target);
  return { name: `${source.package}/${kind}-${number}`, kind, split: source.split, content };
}

/** Pictures and sounds of one package, by file. */
export function* media(source, folder) {
  const random = new Seeded(`media ${source.package}`);
  const left = { picture: PICTURES_PER_PACKAGE_MAX, sound: SOUNDS_PER_PACKAGE_MAX };
  for (const file of random.shuffle(filesUnder(folder))) {
    const extension = extname(file.path);
    const kind = PICTURES.has(extension) ? "picture" : SOUNDS.has(extension) ? "sound" : undefined;
    if (kind === undefined || file.bytes < MEDIA_FILE_BYTES_MIN || left[kind]-- <= 0) continue;
    const name = `${source.package}/${file.path.slice(folder.length + 1)}`;
    yield { name, kind, extension, split: splitOfFile(name), path: file.path };
  }
}

/** PDF documents of one package, by file. */
export function* documents(source, folder) {
  for (const file of filesUnder(folder)) {
    if (extname(file.path) !== ".pdf" || file.bytes < MEDIA_FILE_BYTES_MIN) continue;
    const name = `${source.package}/${file.path.slice(folder.length + 1)}`;
    yield { name, kind: "document", split: splitOfFile(name), path: file.path };
  }
}
