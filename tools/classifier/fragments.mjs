// Draws fragments from the dataset that build.mjs has made: the same ones on every machine.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Seeded } from "./seeded.mjs";

/** Bytes at the beginning of each stream that no fragment touches: its headers and first pieces. */
export const HEAD_BYTES = 4096;

/** The streams of one split. */
export class Split {
  #folder;
  #index;
  #contents = new Map();

  constructor(folder, split) {
    this.#folder = join(folder, split);
    this.#index = JSON.parse(readFileSync(join(this.#folder, "index.json"), "utf8"));
  }

  /** Formats of this split, sorted. */
  get formats() {
    return Object.keys(this.#index).sort();
  }

  /** Streams of one format: where they lie, which encoder made them, from which source unit. */
  streams(format) {
    return this.#index[format] ?? [];
  }

  /** All bytes of one format. */
  content(format) {
    let content = this.#contents.get(format);
    if (content === undefined) {
      content = readFileSync(join(this.#folder, `${format}.bin`));
      this.#contents.set(format, content);
    }
    return content;
  }

  /** Forgets what was read of one format. */
  release(format) {
    this.#contents.delete(format);
  }

  /**
   * `count` fragments of `size` bytes at any byte offset behind the head of a stream. Long streams give more.
   *
   * @returns views into the format's bytes; empty when no stream is long enough
   */
  *fragments(format, size, count, seed) {
    const random = new Seeded(`fragments ${format} ${size} ${seed}`);
    const content = this.content(format);
    const streams = this.streams(format).filter((stream) => stream.bytes >= HEAD_BYTES + size);
    const ends = [];
    let total = 0;
    for (const stream of streams) {
      total += stream.bytes - HEAD_BYTES - size + 1;
      ends.push(total);
    }
    if (total === 0) return;
    for (let i = 0; i < count; i++) {
      const place = Math.floor(random.unit() * total);
      const which = firstAbove(ends, place);
      const at = streams[which].at + HEAD_BYTES + place - (ends[which - 1] ?? 0);
      yield content.subarray(at, at + size);
    }
  }

  /** Beginnings of streams, with their headers: what a firewall sees of a flow from its first byte on. */
  *beginnings(format, size) {
    const content = this.content(format);
    for (const stream of this.streams(format)) {
      if (stream.bytes >= size) yield content.subarray(stream.at, stream.at + size);
    }
  }
}

function firstAbove(ends, place) {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > place) high = middle;
    else low = middle + 1;
  }
  return low;
}
