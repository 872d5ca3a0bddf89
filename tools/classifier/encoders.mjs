// What makes a stream of each format out of a source unit. Every program runs with one thread and without
// time stamps, so that equal versions give equal bytes.
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./packages.mjs";
import { Seeded } from "./seeded.mjs";

// 2000-01-01, the time stamp of every file that goes into an archive.
const EPOCH_SECONDS = 946_684_800;

const filter = (program, ...args) => ({
  name: [program, ...args].join(" "),
  encode: (unit) => run(program, args, { input: unit.content }),
});

const archive = (type, ...args) => ({
  name: ["7z a", `-t${type}`, ...args].join(" "),
  encode: (unit, folder) =>
    inFolder(unit, folder, (file, out) => {
      run("7z", ["a", `-t${type}`, "-mmt=1", ...args, out, file], { cwd: join(folder, "archive") });
    }),
});

const infoZip = (level) => ({
  name: `zip ${level}`,
  encode: (unit, folder) =>
    inFolder(unit, folder, (file, out) =>
      run("zip", ["-X", "-q", level, out, file], { cwd: join(folder, "archive") }),
    ),
});

function inFolder(unit, folder, make) {
  const inner = join(folder, "archive");
  rmSync(inner, { recursive: true, force: true });
  mkdirSync(inner, { recursive: true });
  const file = join(inner, "content");
  writeFileSync(file, unit.content, { mode: 0o644 });
  utimesSync(file, EPOCH_SECONDS, EPOCH_SECONDS);
  const out = join(folder, "out.zip");
  rmSync(out, { force: true });
  make("content", out);
  return readFileSync(out);
}

/** General compressors by format; each unit takes one setting, chosen by its name. */
export const COMPRESSORS = {
  gzip: [filter("gzip", "-n", "-6"), filter("gzip", "-n", "-1"), filter("gzip", "-n", "-9")],
  zip: [infoZip("-6"), archive("zip"), archive("zip", "-mx=9")],
  bzip2: [filter("bzip2", "-9"), filter("bzip2", "-1")],
  xz: [filter("xz", "-T1", "-6"), filter("xz", "-T1", "-9e"), filter("xz", "-T1", "-1")],
  lzma: [filter("xz", "-T1", "--format=lzma", "-6")],
  "7z": [archive("7z"), archive("7z", "-mx=9"), archive("7z", "-mx=3")],
  zstd: [
    filter("zstd", "-q", "-c", "-3", "--single-thread"),
    filter("zstd", "-q", "-c", "-1", "--single-thread"),
    filter("zstd", "-q", "-c", "-9", "--single-thread"),
    filter("zstd", "-q", "-c", "-19", "--single-thread"),
  ],
  brotli: [
    filter("brotli", "-c", "-q", "5"),
    filter("brotli", "-c", "-q", "9"),
    filter("brotli", "-c", "-q", "11"),
    filter("brotli", "-c", "-q", "2"),
  ],
  lz4: [filter("lz4", "-q", "-c", "-1"), filter("lz4", "-q", "-c", "-9")],
};

const BIT_EXACT = ["-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1", "-threads", "1"];
const FFMPEG = ["-hide_banner", "-nostdin", "-loglevel", "error", "-cpuflags", "0", "-y"];

/** Decodes a picture to a PPM file, scaled so that its longer side is `side` pixels at most. */
export function decodePicture(unit, folder, side) {
  const out = join(folder, "picture.ppm");
  run("convert", [
    `${unit.path}[0]`,
    "-background",
    "white",
    "-flatten",
    "-resize",
    `${side}x${side}>`,
    "-depth",
    "8",
    out,
  ]);
  return out;
}

const convert = (name, extension, ...args) => ({
  name,
  encode: (file, folder) => {
    const out = join(folder, `out.${extension}`);
    run("convert", [file, "-strip", ...args, out]);
    return readFileSync(out);
  },
});

const webp = (...args) => ({
  name: ["cwebp", ...args].join(" "),
  encode: (file, folder) => {
    const out = join(folder, "out.webp");
    run("cwebp", ["-quiet", ...args, file, "-o", out]);
    return readFileSync(out);
  },
});

/** Picture formats: from a PPM file. */
export const PICTURE_ENCODERS = {
  png: [convert("png", "png", "-define", "png:exclude-chunks=date,time")],
  jpeg: [
    convert("jpeg 75", "jpg", "-quality", "75"),
    convert("jpeg 90", "jpg", "-quality", "90"),
    convert("jpeg 85 progressive", "jpg", "-quality", "85", "-interlace", "Plane"),
    convert("jpeg 82 restart", "jpg", "-quality", "82", "-define", "jpeg:optimize-coding=false"),
  ],
  webp: [webp("-q", "80"), webp("-q", "65"), webp("-q", "90")],
  "webp-lossless": [webp("-lossless", "-m", "3")],
  "picture-raw": [{ name: "ppm", encode: (file) => readFileSync(file) }],
};

/** Decodes a sound to a WAV file of at most 40 seconds. */
export function decodeSound(unit, folder) {
  const out = join(folder, "sound.wav");
  run("ffmpeg", [
    ...FFMPEG,
    "-i",
    unit.path,
    "-t",
    "40",
    ...BIT_EXACT,
    "-ac",
    "2",
    "-ar",
    "44100",
    "-f",
    "wav",
    out,
  ]);
  return out;
}

const sound = (name, extension, ...args) => ({
  name,
  encode: (file, folder) => {
    const out = join(folder, `out.${extension}`);
    run("ffmpeg", [...FFMPEG, "-i", file, ...BIT_EXACT, ...args, out]);
    return readFileSync(out);
  },
});

/** Sound formats: from a WAV file. */
export const SOUND_ENCODERS = {
  mp3: [
    sound("mp3 128k", "mp3", "-c:a", "libmp3lame", "-b:a", "128k"),
    sound("mp3 V2", "mp3", "-c:a", "libmp3lame", "-q:a", "2"),
    sound("mp3 320k", "mp3", "-c:a", "libmp3lame", "-b:a", "320k"),
  ],
  vorbis: [
    sound("vorbis 4", "ogg", "-c:a", "libvorbis", "-q:a", "4"),
    sound("vorbis 7", "ogg", "-c:a", "libvorbis", "-q:a", "7"),
  ],
  opus: [
    sound("opus 96k", "opus", "-c:a", "libopus", "-b:a", "96k"),
    sound("opus 32k", "opus", "-c:a", "libopus", "-b:a", "32k"),
  ],
  flac: [
    sound("flac 5", "flac", "-c:a", "flac", "-compression_level", "5"),
    sound("flac 8", "flac", "-c:a", "flac", "-compression_level", "8"),
  ],
  "sound-raw": [{ name: "wav", encode: (file) => readFileSync(file) }],
};

// Two tones and a sweep beside the picture, so that MP4 files carry AAC as well.
const TONES = "aevalsrc=0.3*sin(2*PI*(220+90*t)*t)+0.2*sin(2*PI*523*t)*mod(t\\,0.5)+0.05*random(0):s=44100";

/** A slow pan over a picture with a sound beside it: H.264 and AAC in MP4. */
export function encodeVideo(picture, folder, name) {
  const random = new Seeded(`video ${name}`);
  const quality = String(random.pick([20, 24, 28]));
  const profile = random.pick(["high", "high", "baseline"]);
  const pan = `zoompan=z='1+on/200':x='on*${1 + random.below(3)}':y='on':d=75:s=640x360:fps=25`;
  const filters = `${pan},noise=alls=${random.below(8)}:allf=t:all_seed=1,format=yuv420p`;
  const out = join(folder, "out.mp4");
  const input = ["-i", picture, "-f", "lavfi", "-i", TONES];
  const video = ["-vf", filters, "-c:v", "libx264", "-profile:v", profile, "-crf", quality];
  const audio = ["-c:a", "aac", "-b:a", random.pick(["96k", "160k"])];
  const deterministic = ["-x264-params", "threads=1", ...BIT_EXACT];
  run("ffmpeg", [...FFMPEG, ...input, ...video, ...deterministic, ...audio, "-shortest", "-t", "3", out]);
  return readFileSync(out);
}
