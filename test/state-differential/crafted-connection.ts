/**
 * TCP connections made by hand: each word is a segment with the numbers that a real end would give it, or
 * with others.
 *
 * A word says who sends (`c`, the client, or `s`, the server) and which control bits: `c:S`, `s:SA`, `c:PA`.
 * What follows changes it: `+100` bytes of data, `@-1` sequence number moved by that much, `#1000`
 * acknowledgement moved by that much, `%0` window, `!` lost behind the firewall, so that the other end knows
 * nothing of it. `c:~` is the client's last segment once more. `c:-` has no control bits.
 */
import assert from "node:assert/strict";
import { PROTOCOL, sequenceAdd, sequenceMax, TCP_FLAG } from "#base";
import { buildPacket, encodeTcpOptions } from "#wire";

const BITS: Readonly<Record<string, number>> = {
  S: TCP_FLAG.SYN,
  A: TCP_FLAG.ACK,
  F: TCP_FLAG.FIN,
  R: TCP_FLAG.RST,
  P: TCP_FLAG.PSH,
};

const WORD = /^([cs]):(~|-|[SAFRP]+)(?:\+(\d+))?(?:@(-?\d+))?(?:#(-?\d+))?(?:%(\d+))?(!?)$/;

/** Window of both ends unless a word says otherwise, and how far it is shifted. */
const WINDOW = 8192;
const SYN_OPTIONS = encodeTcpOptions({ maximumSegmentSize: 1460, windowScale: 2, sackPermitted: true });

/** First sequence numbers; the server's wraps soon. */
const FIRST = { c: 1000, s: 0xffffff00 } as const;

/** One end of a connection. */
export interface CraftedEnd {
  readonly address: string;
  readonly port: number;
}

/** Who sends. */
export type Side = "c" | "s";

/** A word, understood. */
interface Segment {
  readonly from: Side;
  readonly letters: string;
  readonly bytes: number;
  /** How far its sequence number is from the right one. */
  readonly shift: number;
  /** How far its acknowledgement is from the right one. */
  readonly ackShift: number;
  readonly window: number;
  readonly lost: boolean;
}

function understand(word: string): Segment {
  const [, from, letters = "", bytes, shift, ackShift, window, mark] =
    WORD.exec(word) ?? assert.fail(`"${word}" is no segment`);
  const number = (text: string | undefined, absent = 0): number => Number(text ?? absent);
  return {
    from: from as Side,
    letters,
    bytes: number(bytes),
    shift: number(shift),
    ackShift: number(ackShift),
    window: number(window, WINDOW),
    lost: mark === "!",
  };
}

/** Whether the other end goes on from a segment; a SYN is of use as the first of its end only. */
function isOfUse({ letters, shift, ackShift }: Segment, first: boolean): boolean {
  if (shift !== 0 || ackShift !== 0 || letters.includes("R")) return false;
  return letters.includes("S") ? first && !letters.includes("F") : letters.includes("A");
}

/** Length in sequence space: data, SYN and FIN. */
function lengthOf({ letters, bytes }: Segment): number {
  return bytes + (letters.includes("S") ? 1 : 0) + (letters.includes("F") ? 1 : 0);
}

interface Numbers {
  /** Next sequence number to send. */
  next: number;
  /** Next sequence number expected of the other end. */
  expected: number;
  last: Uint8Array | undefined;
}

/** One connection. */
export class CraftedConnection {
  readonly #ends: Readonly<Record<Side, CraftedEnd>>;
  readonly #numbers: Readonly<Record<Side, Numbers>> = {
    c: { next: FIRST.c, expected: FIRST.s, last: undefined },
    s: { next: FIRST.s, expected: FIRST.c, last: undefined },
  };

  /** @param client - sends the words that begin with `c` @param server - those with `s` */
  constructor(client: CraftedEnd, server: CraftedEnd) {
    this.#ends = { c: client, s: server };
  }

  /**
   * Makes the packet of a word.
   *
   * @returns who sends it, and the whole IP packet
   */
  play(word: string): { from: Side; packet: Uint8Array } {
    const segment = understand(word);
    const { from, letters } = segment;
    const mine = this.#numbers[from];
    if (letters === "~") return { from, packet: mine.last ?? assert.fail(`${word}: nothing was sent`) };
    mine.last = this.#encode(segment);
    if (isOfUse(segment, mine.next === FIRST[from])) this.#goOn(segment);
    return { from, packet: mine.last };
  }

  #encode(segment: Segment): Uint8Array {
    const { from, letters } = segment;
    const to = from === "c" ? "s" : "c";
    const { next, expected } = this.#numbers[from];
    const isSyn = letters.includes("S");
    // Of the two SYNs of a simultaneous open the second has the same number as the first.
    const again = isSyn && next === sequenceAdd(FIRST[from], 1);
    return buildPacket({
      source: this.#ends[from].address,
      destination: this.#ends[to].address,
      protocol: PROTOCOL.TCP,
      sourcePort: this.#ends[from].port,
      destinationPort: this.#ends[to].port,
      flags: letters.split("").reduce((sum, letter) => sum | (BITS[letter] ?? 0), 0),
      sequence: sequenceAdd(again ? FIRST[from] : next, segment.shift),
      acknowledgement: letters.includes("A") ? sequenceAdd(expected, segment.ackShift) : 0,
      window: segment.window,
      payload: new Uint8Array(segment.bytes),
      ...(isSyn ? { tcpOptions: SYN_OPTIONS } : {}),
    });
  }

  #goOn(segment: Segment): void {
    const { from, letters, lost } = segment;
    const mine = this.#numbers[from];
    const theirs = this.#numbers[from === "c" ? "s" : "c"];
    mine.next = sequenceAdd(mine.next, lengthOf(segment));
    if (lost) return;
    theirs.expected = letters.includes("S") ? mine.next : sequenceMax(theirs.expected, mine.next);
  }
}
