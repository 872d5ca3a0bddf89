/**
 * Random connections, as words of crafted-connection.ts. Seeded, so that each can be had again.
 *
 * A *lawful* walk holds only what real ends send: data, acknowledgements, retransmissions, either kind of
 * close, resets. An *odd* one also holds segments that no real end would send at that place: forged numbers,
 * control bits that make no sense.
 */
import type { Side } from "./crafted-connection.ts";

/** Numbers from 0 up to 1 that follow from a seed (Mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Weighted = readonly (readonly [weight: number, words: string])[];

/** How lawful connections begin. */
const OPENINGS: Weighted = [
  [60, "c:S s:SA c:A"],
  [6, "c:S c:~ s:SA s:~ c:A"],
  [6, "c:S s:SA c:PA+10"],
  [6, "c:S s:SA s:~ c:A"],
  [2, "c:S s:SA c:FA"],
  [2, "c:S s:S c:SA s:SA"],
  [2, "c:S s:S s:SA c:SA"],
  // There before the firewall.
  [4, "c:A s:A"],
  [2, "s:PA+10 c:A"],
];

/** Lawful connections that never come to stand: refused, unanswered, given up. */
const ATTEMPTS: Weighted = [
  [4, "c:S s:RA"],
  [1, "c:S s:RA c:~ s:~ c:~ s:~"],
  [2, "c:S c:~ c:~"],
  [1, "c:S s:SA s:~ s:~"],
  [1, "c:S s:SA c:R"],
];

/** Attempts that no real end makes. */
const ODD_ATTEMPTS: Weighted = [
  [2, "c:S s:S c:A s:A"],
  [2, "c:S s:A c:R"],
  [2, "c:S s:R"],
  [2, "c:S s:RA s:A c:A"],
  [2, "c:S c:PA+100 s:SA"],
  [2, "c:S s:SA#1000 c:A"],
  [2, "s:SA"],
  [2, "c:FA s:A"],
  [1, "c:RA s:RA"],
  [1, "c:- s:-"],
  [1, "c:SF s:RA"],
];

/** What an end sends that may still send data. */
const OPEN: Weighted = [
  [24, "PA+100"],
  [3, "PA+1400"],
  [24, "A"],
  [9, "FA"],
  [6, "~"],
  [2, "A%0"],
  [1, "R"],
  [1, "RA"],
];

/** What an end sends that has sent its FIN. */
const FINISHED: Weighted = [
  [24, "A"],
  [6, "FA@-1"],
  [3, "~"],
  [1, "R"],
  [1, "RA"],
];

/** What an end sends that has torn the connection down. */
const DEAF: Weighted = [[1, "R"]];

const ODDITIES: Weighted = [
  [3, "S"],
  [3, "SA"],
  [2, "F"],
  [1, "-"],
  [2, "A@-100"],
  [2, "A@1000000"],
  [2, "A#1000"],
  [2, "A#-1000000"],
  [3, "PA+100@-100"],
  [2, "PA+100@50"],
  [3, "PA+100@1000000"],
  [2, "PA+100@-1000000"],
  [2, "PA+100#1000"],
  [2, "FA@50"],
  [2, "FA@1000000"],
  [2, "FA#1000"],
  [2, "R@-1"],
  [2, "R@50"],
  [2, "R@1000000"],
  [2, "R@-1000000"],
  [2, "RA#1000"],
  [2, "RA@-1"],
  [2, "RA@50"],
];

/**
 * Shares: connections that are attempts only, lost segments, odd segments of an odd walk, resets that end a
 * walk.
 */
const ATTEMPT = 0.06;
const LOST = 0.04;
const ODD = 0.12;
const ENDS_AT_RESET = 0.6;
const LENGTH_MAX = 14;

function choose(random: () => number, words: Weighted): string {
  let left = random() * words.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, word] of words) {
    left -= weight;
    if (left < 0) return word;
  }
  return words[0]?.[1] ?? "";
}

/** What an end may send. */
class Sender {
  #words: Weighted = OPEN;

  /** @param finished - whether it has sent its FIN */
  constructor(finished: boolean) {
    if (finished) this.#words = FINISHED;
  }

  /** Its next segment. */
  next(random: () => number): string {
    const segment = choose(random, this.#words);
    if (segment === "FA") this.#words = FINISHED;
    if (segment.startsWith("R")) this.#words = DEAF;
    return segment;
  }
}

/** One random connection. @param random - from {@link randomNumbers} @param odd - whether it is odd */
export function randomWalk(random: () => number, odd: boolean): string[] {
  if (random() < ATTEMPT) return choose(random, odd ? ODD_ATTEMPTS : ATTEMPTS).split(" ");
  const words = choose(random, OPENINGS).split(" ");
  const hasFinished = (side: Side): boolean =>
    words.some((word) => word.startsWith(side) && word.includes("F"));
  const senders = { c: new Sender(hasFinished("c")), s: new Sender(hasFinished("s")) };
  const length = words.length + Math.floor(random() * LENGTH_MAX);
  while (words.length < length) {
    const side: Side = random() < 0.5 ? "c" : "s";
    const isOdd = odd && random() < ODD;
    const segment = isOdd ? choose(random, ODDITIES) : senders[side].next(random);
    words.push(`${side}:${segment}${random() < LOST ? "!" : ""}`);
    if (!isOdd && segment.startsWith("R") && random() < ENDS_AT_RESET) break;
  }
  return words;
}
