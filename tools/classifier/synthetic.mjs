// Pictures and sounds out of nothing but a seed, for a dataset that needs no files of others: landscapes of
// noise with edges in them, and chords with a beat. They have what matters to an encoder, much that can be
// foretold and something that cannot.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { Seeded } from "./seeded.mjs";

const WIDTH = 840;
const HEIGHT = 630;
const OCTAVES = 8;
const COLOURS = 3;
const SHAPES = 9;

const SAMPLES_PER_SECOND = 44_100;
const SECONDS = 9;
const VOICES = 4;

/** A field of smooth noise: ever finer grids of random heights, each half as high as the one before. */
function noiseField(random) {
  const field = new Float64Array(WIDTH * HEIGHT);
  for (let octave = 0, cells = 3, height = 1; octave < OCTAVES; octave++, cells *= 2, height *= 0.72) {
    const grid = Float64Array.from({ length: (cells + 2) ** 2 }, () => random.unit() * height);
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) field[y * WIDTH + x] += heightAt(grid, cells, x, y);
    }
  }
  return field;
}

const smooth = (part) => part * part * (3 - 2 * part);

function heightAt(grid, cells, x, y) {
  const gx = (x / WIDTH) * cells;
  const gy = (y / WIDTH) * cells;
  const left = Math.floor(gx);
  const at = Math.floor(gy) * (cells + 2) + left;
  const right = smooth(gx - left);
  const down = smooth(gy - Math.floor(gy));
  const above = grid[at] * (1 - right) + grid[at + 1] * right;
  const below = grid[at + cells + 2] * (1 - right) + grid[at + cells + 3] * right;
  return above * (1 - down) + below * down;
}

/** Pixels of one picture, three bytes each. */
function paint(random) {
  const fields = Array.from({ length: COLOURS }, () => noiseField(random));
  const grain = 2 + random.below(8);
  const shapes = Array.from({ length: SHAPES }, () => ({
    x: random.below(WIDTH),
    y: random.below(HEIGHT),
    radius: 12 + random.below(70),
    colour: random.below(COLOURS),
  }));
  const pixels = Buffer.alloc(WIDTH * HEIGHT * COLOURS);
  for (let at = 0; at < WIDTH * HEIGHT; at++) {
    const shape = shapes.find(
      ({ x, y, radius }) => ((at % WIDTH) - x) ** 2 + (at / WIDTH - y) ** 2 < radius ** 2,
    );
    for (let colour = 0; colour < COLOURS; colour++) {
      const light = fields[colour][at] * 62 + (shape?.colour === colour ? 60 : 0);
      pixels[at * COLOURS + colour] = Math.max(0, Math.min(255, light + random.below(grain)));
    }
  }
  return pixels;
}

function chunk(type, content) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(content.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** A PNG file (ISO/IEC 15948) of 8-bit RGB pixels. */
function encodePng(pixels) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const row = WIDTH * COLOURS;
  const lines = Buffer.alloc(HEIGHT * (row + 1));
  for (let y = 0; y < HEIGHT; y++) pixels.copy(lines, y * (row + 1) + 1, y * row, (y + 1) * row);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(lines)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
}

/** A WAV file of a chord that changes, a beat and a little noise. */
function composeWav(random) {
  const samples = SAMPLES_PER_SECOND * SECONDS;
  const data = Buffer.alloc(44 + samples * 2);
  data.write("RIFF", 0, "latin1");
  data.writeUInt32LE(data.length - 8, 4);
  data.write("WAVEfmt ", 8, "latin1");
  data.writeUInt32LE(16, 16);
  data.set([1, 0, 1, 0], 20);
  data.writeUInt32LE(SAMPLES_PER_SECOND, 24);
  data.writeUInt32LE(SAMPLES_PER_SECOND * 2, 28);
  data.set([2, 0, 16, 0], 32);
  data.write("data", 36, "latin1");
  data.writeUInt32LE(samples * 2, 40);
  let voices = [];
  for (let at = 0; at < samples; at++) {
    if (at % 11_025 === 0) {
      voices = Array.from({ length: VOICES }, () => 110 * 2 ** (random.below(30) / 12));
    }
    const time = at / SAMPLES_PER_SECOND;
    const fade = Math.exp(-3 * ((at % 11_025) / 11_025));
    let level = (random.unit() - 0.5) * (0.05 + 0.4 * Math.exp(-40 * ((at % 22_050) / 22_050)));
    for (const [voice, pitch] of voices.entries()) {
      level += (fade * Math.sin(2 * Math.PI * pitch * time * (voice % 2 === 0 ? 1 : 1.003))) / VOICES;
    }
    data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, level * 0.8)) * 32_000), 44 + at * 2);
  }
  return data;
}

/**
 * Writes pictures and sounds into a folder.
 *
 * @param folder - is made
 * @param counts - `pictures` and `sounds`: how many
 */
export function writeSyntheticMedia(folder, { pictures, sounds }) {
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < pictures; number++) {
    const name = `picture-${number}.png`;
    writeFileSync(join(folder, name), encodePng(paint(new Seeded(name))));
  }
  for (let number = 0; number < sounds; number++) {
    const name = `sound-${number}.wav`;
    writeFileSync(join(folder, name), composeWav(new Seeded(name)));
  }
}
