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

/** Ids for which chance is drawn together. */
const DRAWN_AT_ONCE = 64;
const NUMBERS = 0x1_0000_0000;

function encode(value: number, characters: number): string {
  let rest = value;
  let text = "";
  for (let index = 0; index < characters; index += 1) {
    text = (ALPHABET[rest % BASE] ?? "") + text;
    rest = Math.floor(rest / BASE);
  }
  return text;
}

function decode(text: string): number {
  let value = 0;
  for (const character of text) value = value * BASE + Math.max(0, ALPHABET.indexOf(character));
  return value;
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
    const time = decode(id.slice(this.#prefix.length, this.#prefix.length + TIME_CHARACTERS));
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
    return (
      this.#prefix +
      encode(this.#time, TIME_CHARACTERS) +
      encode(this.#sequence, SEQUENCE_CHARACTERS) +
      this.#draw()
    );
  }

  #draw(): string {
    if (this.#chanceAt + CHANCE_CHARACTERS > this.#chance.length) {
      this.#chance = this.#entropy(DRAWN_AT_ONCE * CHANCE_CHARACTERS);
      this.#chanceAt = 0;
    }
    let text = "";
    for (let index = 0; index < CHANCE_CHARACTERS; index += 1) {
      text += ALPHABET[(this.#chance[this.#chanceAt + index] ?? 0) % BASE] ?? "";
    }
    this.#chanceAt += CHANCE_CHARACTERS;
    return text;
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
