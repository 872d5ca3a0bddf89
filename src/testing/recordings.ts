/**
 * Random recordings: several flows of TCP and UDP, interleaved, whose ends behave like real ones most of the
 * time. What the firewall does to a packet does not change what is sent next: a recording is what happened.
 */
import fc from "fast-check";
import { type Milliseconds, PROTOCOL, SECOND, TCP_FLAG } from "../base/index.ts";
import type { PacketFields } from "../wire/index.ts";
import { flagsOf } from "./conversation.ts";
import { PLAIN_ADDRESSES, PLAIN_PORTS } from "./plain-policies.ts";
import type { ModelPacket } from "./tracker-model.ts";

/** A packet of a recording: what is on the wire, and the same in integers that do not wrap. */
export interface RecordedPacket {
  readonly fields: PacketFields & { readonly source: string; readonly destination: string };
  readonly plain: Omit<ModelPacket, "hook">;
  /** When it was met, since the first of them; may be before the one that stands before it. */
  readonly at: Milliseconds;
}

/** A recording. */
export interface Recording {
  readonly packets: readonly RecordedPacket[];
  /** The integer that is zero on the wire. */
  readonly zero: number;
}

/** Where the numbers of connections begin on the wire: one soon wraps, one soon changes its sign. */
const STARTS = [0xffff_ff00, 0x7fff_ff00, 0x5000_0000];
/** Numbers that are farther apart than this may not be compared modulo 2^32. */
const COMPARABLE = 0x6000_0000;
/** So far is a forged number from a real one. */
const FAR = 0x2000_0000;

/** Segments of a connection's life, `>` from the end that opens it. */
const LIVES = [
  ">S <SA >A >PA <PA >A >FA <A <FA >A",
  ">S <SA >A >PA <FA >FA <A",
  ">S >S <S <SA >SA >A >FA <FA >A <A",
  ">S <SA >A <PA >R",
  ">S <RA",
  "<PA >A >PA <A <R",
  "<SA >R",
];

const flow = fc.record({
  family: fc.constantFrom<4 | 6>(4, 4, 6),
  ends: fc.uniqueArray(fc.nat(3), { minLength: 2, maxLength: 2 }),
  ports: fc.tuple(fc.constantFrom(...PLAIN_PORTS), fc.constantFrom(...PLAIN_PORTS)),
  isUdp: fc.constantFrom(false, false, true),
  life: fc.constantFrom(...LIVES),
});

type Flow = typeof flow extends fc.Arbitrary<infer T> ? T : never;

const step = fc.record({
  flow: fc.nat(3),
  /** What the flow's life has next, or anything else. */
  word: fc.oneof(
    { weight: 6, arbitrary: fc.constant("") },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(">", "<"), fc.constantFrom("S", "SA", "A", "PA", "P", "FA", "F", "R", "RA"))
        .map((parts) => parts.join("")),
    },
  ),
  /** Instead of it, the last segment of the same end again. */
  again: fc.constantFrom(false, false, false, false, true),
  forged: fc.constantFrom("no", "no", "no", "no", "no", "far", "zero", "sequence"),
  payloadBytes: fc.constantFrom(1, 100, 700),
  window: fc.constantFrom(0xffff, 0xffff, 0xffff, 500, 0),
  wait: fc.constantFrom(0, 1, 1, -5, 700, 31 * SECOND, 100 * SECOND),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Numbers {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly window: number;
  readonly payloadBytes: number;
}

/** Both ends of a flow. */
class Talk {
  readonly #flow: Flow;
  readonly #start: number;
  readonly #next: [number, number] = [0, 1000];
  readonly #last: [Numbers | undefined, Numbers | undefined] = [undefined, undefined];
  #said = 0;

  constructor(chosen: Flow, start: number) {
    this.#flow = chosen;
    this.#start = start;
  }

  say(one: Step): Omit<RecordedPacket, "at"> {
    const life = this.#flow.life.split(" ");
    const word = one.word === "" ? (life[this.#said % life.length] as string) : one.word;
    if (one.word === "") this.#said += 1;
    const end = word.startsWith(">") ? 0 : 1;
    const again = one.again ? this.#last[end] : undefined;
    const numbers = again ?? this.#numbers(end, flagsOf(word.slice(1)), one);
    if (one.forged === "no") this.#last[end] = numbers;
    return this.#packet(end, numbers);
  }

  #numbers(end: 0 | 1, flags: number, { forged, payloadBytes: most, window }: Step): Numbers {
    const zero = -this.#start | 0;
    const payloadBytes = (flags & TCP_FLAG.PSH) === 0 ? 0 : most;
    let sequence = this.#next[end];
    let acknowledgement = (flags & TCP_FLAG.ACK) === 0 ? zero : (this.#next[1 - end] as number);
    if (forged === "no") {
      this.#next[end] += payloadBytes + ((flags & (TCP_FLAG.SYN | TCP_FLAG.FIN)) === 0 ? 0 : 1);
    } else if (forged === "zero" && Math.abs(zero) < COMPARABLE) {
      sequence = zero;
      acknowledgement = zero;
    } else {
      sequence += FAR;
      if (forged === "far") acknowledgement += FAR;
    }
    return { flags, sequence, acknowledgement, window, payloadBytes };
  }

  #packet(end: 0 | 1, numbers: Numbers): Omit<RecordedPacket, "at"> {
    const { family, ends, ports, isUdp } = this.#flow;
    const addresses = ends.map((at) => PLAIN_ADDRESSES[family][at] ?? "");
    const [source = "", destination = ""] = end === 0 ? addresses : addresses.toReversed();
    const [sourcePort, destinationPort] = end === 0 ? ports : [ports[1], ports[0]];
    const protocol = isUdp ? PROTOCOL.UDP : PROTOCOL.TCP;
    const { payloadBytes, ...header } = numbers;
    const wire = (number: number): number => (number + this.#start) >>> 0;
    return {
      fields: {
        ...header,
        source,
        destination,
        sourcePort,
        destinationPort,
        protocol,
        sequence: wire(numbers.sequence),
        acknowledgement: wire(numbers.acknowledgement),
        payload: new Uint8Array(payloadBytes),
      },
      plain: {
        ...numbers,
        source: `${source}:${sourcePort}`,
        destination: `${destination}:${destinationPort}`,
        protocol,
      },
    };
  }
}

/** Plays the steps of the flows. */
function record(flows: readonly Flow[], steps: readonly Step[], start: number): Recording {
  const talks = flows.map((each) => new Talk(each, start));
  let at = 10;
  const packets = steps.map((one) => {
    at += one.wait;
    return { ...(talks[one.flow % talks.length] as Talk).say(one), at };
  });
  return { packets, zero: -start | 0 };
}

/** Recordings of at most so many packets. */
export function recordings(maxLength: number): fc.Arbitrary<Recording> {
  const steps = fc.array(step, { minLength: 1, maxLength, size: "max" });
  return fc
    .tuple(fc.array(flow, { minLength: 1, maxLength: 4 }), steps, fc.constantFrom(...STARTS))
    .map(([flows, chosen, start]) => record(flows, chosen, start));
}
