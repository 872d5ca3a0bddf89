/**
 * Names for pinholes and groups.
 *
 * A pinhole has two: an id for programs, 128 bits that sort by time, and a number of 32 bits for SIMCO.
 * Numbers begin somewhere by chance, count up, are never 0, and are not given again before they have gone
 * round (RFC 4540 section 4.3.5 leaves the choice to us).
 */
import type { Milliseconds } from "../base/index.ts";

/** Gives random bytes. */
export type Entropy = (bytes: number) => Uint8Array;

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const BASE = 32;
const TIME_CHARACTERS = 10;
const SEQUENCE_CHARACTERS = 3;
const SEQUENCES = BASE ** SEQUENCE_CHARACTERS;
const CHANCE_CHARACTERS = 13;
const ID_CHARACTERS = TIME_CHARACTERS + SEQUENCE_CHARACTERS + CHANCE_CHARACTERS;

/** Ids for which chance is drawn together. */
const DRAWN_AT_ONCE = 64;
const NUMBERS = 0x1_0000_0000;

/** Values of the characters of {@link ALPHABET} by their codes; what is no character of it counts as 0. */
const VALUES = Uint8Array.from({ length: 128 }, (_, code) =>
  Math.max(0, ALPHABET.indexOf(String.fromCharCode(code))),
);

/** Codes of the characters of {@link ALPHABET}. */
const CODES = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));

/** Writes a number as codes of characters, the last digit at the end. */
function encode(value: number, codes: number[], first: number, characters: number): void {
  let rest = value;
  for (let at = first + characters - 1; at >= first; at -= 1) {
    codes[at] = CODES[rest % BASE] ?? 0;
    rest = Math.floor(rest / BASE);
  }
}

function decode(text: string, first: number, characters: number): number {
  let value = 0;
  for (let at = first; at < first + characters; at += 1) {
    const code = at < text.length ? text.charCodeAt(at) : 0;
    value = value * BASE + (VALUES[code] ?? 0);
  }
  return value;
}

/** What ids of pinholes begin with. */
export const PINHOLE_PREFIX = "ph_";

/** When an id was made, and which of that millisecond it is: no two ids have both in common. */
export interface IdOrder {
  /** Unix time, in milliseconds. */
  readonly time: number;
  readonly count: number;
}

/** The place of a pinhole's id among others. Any text has one; the empty one comes first. */
export function orderOf(id: string): IdOrder {
  const first = PINHOLE_PREFIX.length;
  const time = decode(id, first, TIME_CHARACTERS);
  return { time, count: decode(id, first + TIME_CHARACTERS, SEQUENCE_CHARACTERS) };
}

/**
 * Makes ids of a prefix and 26 characters: time, order within a millisecond, chance. Later ones sort later.
 */
export class IdSource {
  readonly #entropy: Entropy;
  readonly #prefix: string;
  /** Chance that was drawn and is not used up. */
  #chance: Uint8Array = new Uint8Array(0);
  #chanceAt = 0;
  #time = 0;
  #sequence = 0;
  /** Codes of the characters behind the prefix, of the last id. */
  readonly #codes: number[] = Array.from({ length: ID_CHARACTERS }, () => 0);

  /**
   * @param prefix - what every id begins with, such as `ph_`
   * @param entropy - for the part that cannot be guessed
   */
  constructor(prefix: string, entropy: Entropy) {
    this.#prefix = prefix;
    this.#entropy = entropy;
  }

  /**
   * Goes on behind an id of a former run, also when the clock was set back since.
   *
   * @param id - one that was made here
   */
  follow(id: string): void {
    const time = decode(id, this.#prefix.length, TIME_CHARACTERS);
    if (time < this.#time) return;
    this.#time = time + 1;
    this.#sequence = 0;
  }

  /** @param wall - Unix time, in milliseconds */
  next(wall: Milliseconds): string {
    const time = Math.floor(wall);
    this.#sequence += 1;
    if (time > this.#time || this.#sequence === SEQUENCES) {
      this.#time = Math.max(time, this.#time + 1);
      this.#sequence = 0;
    }
    encode(this.#time, this.#codes, 0, TIME_CHARACTERS);
    encode(this.#sequence, this.#codes, TIME_CHARACTERS, SEQUENCE_CHARACTERS);
    this.#draw();
    return this.#prefix + String.fromCharCode(...this.#codes);
  }

  #draw(): void {
    if (this.#chanceAt + CHANCE_CHARACTERS > this.#chance.length) {
      this.#chance = this.#entropy(DRAWN_AT_ONCE * CHANCE_CHARACTERS);
      this.#chanceAt = 0;
    }
    const first = TIME_CHARACTERS + SEQUENCE_CHARACTERS;
    for (let index = 0; index < CHANCE_CHARACTERS; index += 1) {
      this.#codes[first + index] = CODES[(this.#chance[this.#chanceAt + index] ?? 0) % BASE] ?? 0;
    }
    this.#chanceAt += CHANCE_CHARACTERS;
  }
}

/** Gives numbers of 32 bits. */
export class NumberSource {
  #next: number;

  /** @param first - the first to be given, unless it is 0 */
  constructor(first: number) {
    this.#next = first >>> 0;
  }

  /** A number by chance, for the very first start. */
  static begin(entropy: Entropy): NumberSource {
    const [a = 0, b = 0, c = 0, d = 0] = entropy(4);
    return new NumberSource(((a << 24) | (b << 16) | (c << 8) | d) >>> 0);
  }

  /** The number that comes next: the high-water mark for the journal. */
  get upcoming(): number {
    return this.#next;
  }

  /** @param isTaken - numbers that are in use are passed over */
  next(isTaken: (number: number) => boolean): number {
    for (;;) {
      const number = this.#next;
      this.#next = (number + 1) % NUMBERS;
      if (number !== 0 && !isTaken(number)) return number;
    }
  }
}
