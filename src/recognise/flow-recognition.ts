/**
 * Recognition of one flow: asks the recognisers, keeps those that are undecided, and settles on the best
 * answer.
 *
 * Life: at the first bytes of each direction every recogniser whose first-byte list fits looks once. Most say
 * no and are forgotten; the others become candidates and look again when they have the bytes they asked for.
 * A certain match ends the contest; its recogniser goes on learning until it has no more to learn. A
 * recogniser may hand over to what follows (STARTTLS, SOCKS, WebSocket), and the contest starts anew behind
 * it.
 *
 * The class is a stream consumer: {@link FlowRecognition.receive} is given all bytes of a direction that it
 * has not yet let go, and answers how many it lets go.
 */
import type { HandOver } from "./evidence.ts";
import { Candidate, type Evidence } from "./evidence.ts";
import {
  type Answer,
  CONFIDENCE,
  type Confidence,
  DONE,
  type Facts,
  HANDED_OVER,
  NO_MATCH,
  OTHER_SIDE,
  type Recogniser,
  type Recognition,
  type Transport,
} from "./recogniser.ts";
import type { RecogniserSet } from "./recogniser-set.ts";

/** Answer of {@link FlowRecognition.receive}: no more bytes of this direction are wanted. */
export const ENOUGH = -1;

/** Protocols within protocols that are followed in one flow. */
const HAND_OVERS_MAX = 4;

/** Datagrams looked at for a following protocol after a hand-over. */
const DATAGRAMS_AFTER_HAND_OVER = 14;

/** Carriage return and line feed. */
const EMPTY_LINE = 0x0d0a;

/** Both directions' bits. */
const BOTH = 3;

const NO_CANDIDATES: Candidate[] = [];

/** Where a datagram's payload lies; a decoded packet is one. */
export interface DatagramPayload {
  readonly bytes: DataView;
  /** Offset of the payload. */
  readonly payloadAt: number;
  /** Offset just past what was captured of it. */
  readonly end: number;
  /** Its length before it was cut into fragments or cut short, in bytes. */
  readonly datagramBytes: number;
}

/** What is known of the protocols around the one looked for. */
interface Outer {
  readonly recognition: Recognition;
  readonly kind: HandOver;
}

/** See the head of this file. */
export class FlowRecognition {
  readonly #set: RecogniserSet;
  readonly #transport: Transport;
  readonly #clientPort: number;
  readonly #serverPort: number;
  #candidates: Candidate[] = NO_CANDIDATES;
  #outer: Outer | undefined = undefined;
  #handOvers = 0;
  #datagramsLeft: number;
  #best: Candidate | undefined = undefined;
  // One bit for each direction.
  /** Its first bytes were looked at. */
  #begun = 0;
  /** Its bytes are wanted no more. */
  #over = 0;
  /** Starts that were tried in each direction, in four bits each. */
  #attempts = 0;
  /** Bytes let go in each direction since the contest began. */
  #gone0 = 0;
  #gone1 = 0;
  /** Bytes that a hand-over in one direction declared done with in the other, not yet let go. */
  #skip = 0;
  #skipDirection = 0;
  #midStream = false;
  /** True when direction 1 opened the connection: its SYN was not seen, the answer to it was. */
  isReversed = false;
  /** True when no further byte can change the answer. */
  settled = false;

  /**
   * @param set - the recognisers
   * @param transport - of the flow
   * @param clientPort - port of the side that sent first
   * @param serverPort - port of the other side
   */
  constructor(set: RecogniserSet, transport: Transport, clientPort: number, serverPort: number) {
    this.#set = set;
    this.#transport = transport;
    this.#clientPort = clientPort;
    this.#serverPort = serverPort;
    this.#datagramsLeft = set.limits.datagrams;
  }

  /** The answer so far; `undefined` when nothing matched yet. Allocates. */
  get result(): Recognition | undefined {
    const best = this.#best;
    const outer = this.#outer;
    if (best === undefined) return outer?.recognition ?? this.#guessed();
    const recognition = plainRecognition(best);
    return outer === undefined ? recognition : joined(outer, recognition);
  }

  #guessed(): Recognition | undefined {
    const protocol = this.settled ? this.#set.guess(this.#transport, this.#serverPort) : undefined;
    if (protocol === undefined) return undefined;
    return {
      protocol,
      confidence: CONFIDENCE.GUESSED,
      encrypted: false,
      server: -1,
      layers: [protocol],
      facts: {},
    };
  }

  /**
   * Takes notice that the first bytes of a direction come next.
   *
   * @param _direction - which
   * @param midStream - true when bytes before them were not seen
   */
  begin(_direction: 0 | 1, midStream: boolean): void {
    if (midStream) this.#midStream = true;
  }

  /**
   * Looks at the bytes of one direction of a stream.
   *
   * @param direction - 0 from the side that sent first, 1 from the other
   * @param bytes - buffer
   * @param at - offset of the first byte not yet let go
   * @param end - offset just past the last byte in order
   * @returns how many bytes from `at` are let go, or {@link ENOUGH}
   */
  receive(direction: 0 | 1, bytes: DataView, at: number, end: number): number {
    if (this.settled) return ENOUGH;
    if ((this.#over & (1 << direction)) !== 0) {
      this.#addGone(direction, end - at);
      return end - at;
    }
    let from = this.#afterEmptyLines(direction, bytes, at, end);
    if (this.#mayBeEmptyLine(direction, bytes, from, end)) return from - at;
    if (this.#skip > 0 && this.#skipDirection === direction) {
      from += Math.min(this.#skip, end - at);
      this.#skip -= from - at;
    }
    for (;;) {
      const handOvers = this.#handOvers;
      const released = this.#receiveFrom(direction, bytes, from, end);
      if (this.settled) return ENOUGH;
      if (this.#handOvers === handOvers) this.#addGone(direction, released);
      from += released;
      if (this.#handOvers === handOvers || from >= end) return from - at;
    }
  }

  /**
   * Where a direction begins behind its empty lines. Protocols of lines allow
   * them in front of a message (RFC 9112 section 2.2, RFC 3261 section 7.5), and SIP keeps connections alive
   * with them (RFC 5626 section 3.5.1); no other begins so.
   */
  #afterEmptyLines(direction: 0 | 1, bytes: DataView, at: number, end: number): number {
    if ((this.#begun & (1 << direction)) !== 0 || this.#skip > 0) return at;
    let from = at;
    while (from + 2 <= end && bytes.getUint16(from) === EMPTY_LINE) from += 2;
    return from;
  }

  /** True when nothing is there yet but, perhaps, the first half of an empty line's end. */
  #mayBeEmptyLine(direction: 0 | 1, bytes: DataView, from: number, end: number): boolean {
    if (from >= end) return true;
    if (end - from > 1 || (this.#begun & (1 << direction)) !== 0 || this.#skip > 0) return false;
    return bytes.getUint8(from) === EMPTY_LINE >> 8;
  }

  #addGone(direction: 0 | 1, bytes: number): void {
    if (direction === 0) this.#gone0 += bytes;
    else this.#gone1 += bytes;
  }

  #receiveFrom(direction: 0 | 1, bytes: DataView, at: number, end: number): number {
    const most = this.#set.limits.streamBytes;
    const evidence = this.#show(direction, bytes, at, Math.min(end, at + most));
    evidence.transport = "TCP";
    evidence.ended = evidence.bytes.length >= most;
    evidence.wireLength = evidence.bytes.length;
    const released = this.#look(evidence, evidence.bytes.length);
    if (evidence.ended && this.#candidates.length > 0 && released === 0) this.#over |= 1 << direction;
    return evidence.ended && released === 0 ? most : released;
  }

  /**
   * Looks at one datagram.
   *
   * @param direction - 0 from the side that sent first, 1 from the other
   * @param datagram - where its payload lies
   */
  datagram(direction: 0 | 1, datagram: DatagramPayload): void {
    const { bytes, payloadAt, end } = datagram;
    if (this.settled || payloadAt >= end) return;
    const evidence = this.#show(direction, bytes, payloadAt, end);
    evidence.transport = "UDP";
    evidence.ended = this.#datagramsLeft <= 1;
    evidence.wireLength = Math.max(datagram.datagramBytes, end - payloadAt);
    this.#begun = 0;
    this.#look(evidence, 1);
    this.#datagramsLeft -= 1;
    if (this.#datagramsLeft <= 0) this.#settle();
  }

  /**
   * Says that bytes of this direction are missing: what follows is not the continuation of what was shown.
   *
   * @param direction - in which bytes are missing
   */
  gap(direction: 0 | 1): void {
    if (this.settled) return;
    this.#candidates = this.#candidates.filter((candidate) => candidate.confidence !== CONFIDENCE.NONE);
    for (const candidate of this.#candidates) candidate.need[direction] = OTHER_SIDE;
    this.#midStream = true;
    if (this.#best === undefined) this.#begun &= ~(1 << direction);
    else this.#over |= 1 << direction;
    this.#resolve();
  }

  /** Says that no more bytes come in either direction. */
  finish(): void {
    this.#settle();
  }

  #show(direction: 0 | 1, bytes: DataView, at: number, end: number): Evidence {
    const { evidence } = this.#set;
    const clientPort = this.#clientPort;
    const serverPort = this.#serverPort;
    evidence.bytes.bind(bytes, at, end);
    evidence.direction = direction;
    evidence.fromOpener = (direction === 0) !== this.isReversed;
    evidence.behind = this.#outer?.recognition.protocol;
    evidence.midStream = this.#midStream;
    evidence.sourcePort = direction === 0 ? clientPort : serverPort;
    evidence.destinationPort = direction === 0 ? serverPort : clientPort;
    return evidence;
  }

  /** One round of looks. Answers how many bytes of the direction are let go. */
  #look(evidence: Evidence, units: number): number {
    const { direction } = evidence;
    const handOvers = this.#handOvers;
    for (const candidate of this.#candidates) {
      if (candidate.done || (units < candidate.need[direction] && !evidence.ended)) continue;
      this.#ask(evidence, candidate.recogniser, candidate, units);
      if (this.#handOvers !== handOvers) return evidence.restart[direction];
    }
    if (
      (this.#begun & (1 << direction)) === 0 &&
      units > 0 &&
      this.#best?.confidence !== CONFIDENCE.CERTAIN
    ) {
      this.#begun |= 1 << direction;
      this.#glance(evidence, units);
      if (this.#handOvers !== handOvers) return evidence.restart[direction];
    }
    this.#resolve();
    return this.#released(direction, units);
  }

  /** Every recogniser that the first byte admits looks once. */
  #glance(evidence: Evidence, units: number): void {
    const handOvers = this.#handOvers;
    for (const recogniser of this.#set.starting(evidence.transport, evidence.bytes.u8(0))) {
      if (this.#has(recogniser)) continue;
      this.#ask(evidence, recogniser, undefined, units);
      if (this.#handOvers !== handOvers || this.#best?.confidence === CONFIDENCE.CERTAIN) return;
    }
  }

  #has(recogniser: Recogniser): boolean {
    for (const candidate of this.#candidates) if (candidate.recogniser === recogniser) return true;
    return this.#outer?.recognition.layers.includes(recogniser.protocol) ?? false;
  }

  #ask(evidence: Evidence, recogniser: Recogniser, candidate: Candidate | undefined, units: number): void {
    evidence.recogniser = recogniser;
    evidence.candidate = candidate;
    const answer = recogniser.judge(evidence);
    const known = evidence.candidate;
    if (answer === NO_MATCH && (known === undefined || known.confidence === CONFIDENCE.NONE)) {
      if (known !== undefined) this.#candidates = this.#candidates.filter((other) => other !== known);
      return;
    }
    const kept = known ?? new Candidate(recogniser);
    if (candidate === undefined) this.#keep(kept);
    this.#record(evidence, kept, answer, units);
  }

  #keep(candidate: Candidate): void {
    if (this.#candidates === NO_CANDIDATES) this.#candidates = [candidate];
    else this.#candidates.push(candidate);
  }

  #record(evidence: Evidence, candidate: Candidate, answer: Answer, units: number): void {
    if (answer === HANDED_OVER) {
      this.#handOver(evidence, candidate);
      return;
    }
    const { direction } = evidence;
    candidate.need[direction] = nextLook(evidence, answer, units);
    candidate.done =
      answer === DONE || (candidate.need[0] === OTHER_SIDE && candidate.need[1] === OTHER_SIDE);
    if (candidate.confidence > (this.#best?.confidence ?? CONFIDENCE.NONE)) this.#best = candidate;
  }

  #handOver(evidence: Evidence, candidate: Candidate): void {
    const recognition = plainRecognition(candidate);
    const kind = evidence.handOverKind;
    this.#outer = {
      recognition: this.#outer === undefined ? recognition : joined(this.#outer, recognition),
      kind,
    };
    this.#candidates = NO_CANDIDATES;
    this.#best = undefined;
    this.#begun = 0;
    this.#over = 0;
    this.#skipDirection = evidence.direction === 0 ? 1 : 0;
    const gone = this.#skipDirection === 0 ? this.#gone0 : this.#gone1;
    this.#skip = Math.max((evidence.restart[this.#skipDirection] ?? 0) - gone, 0);
    this.#gone0 = 0;
    this.#gone1 = 0;
    this.#datagramsLeft = DATAGRAMS_AFTER_HAND_OVER;
    this.#handOvers += 1;
    if (this.#handOvers >= HAND_OVERS_MAX) this.#settle();
  }

  /** Drops whoever has lost, and settles when there is nothing left to wait for. */
  #resolve(): void {
    const best = this.#best;
    if (best === undefined) {
      this.#giveUp();
      return;
    }
    if (best.confidence === CONFIDENCE.CERTAIN && this.#candidates.length > 1) this.#candidates = [best];
    if (best.confidence === CONFIDENCE.CERTAIN) {
      if (best.done) this.#settle();
    } else if (this.#transport === "TCP" && this.#begun === BOTH) {
      if (this.#candidates.every((candidate) => candidate.done)) this.#settle();
    }
  }

  /** Nothing matched: waits for candidates and the other direction, tries afresh where that makes sense. */
  #giveUp(): void {
    if (this.#transport === "UDP") return;
    this.#candidates = this.#candidates.filter((candidate) => !candidate.done);
    if (this.#candidates.length > 0) return;
    this.#candidates = NO_CANDIDATES;
    for (let direction = 0; direction < 2; direction += 1) {
      const bit = 1 << direction;
      if ((this.#begun & bit) === 0 || (this.#over & bit) !== 0) continue;
      const attempts = ((this.#attempts >> (4 * direction)) & 15) + 1;
      this.#attempts += 1 << (4 * direction);
      if (this.#midStream && attempts < this.#set.limits.attempts) this.#begun &= ~bit;
      else this.#over |= bit;
    }
    if (this.#over === BOTH) this.#settle();
  }

  #released(direction: 0 | 1, units: number): number {
    if (this.#candidates.length === 0) return units;
    for (const candidate of this.#candidates) {
      if (!candidate.done && candidate.need[direction] !== OTHER_SIDE) return 0;
    }
    this.#over |= 1 << direction;
    return units;
  }

  #settle(): void {
    this.settled = true;
    this.#candidates = NO_CANDIDATES;
    if (this.#best !== undefined) this.#best.state = undefined;
  }
}

/** Bytes at which a recogniser that gave this answer looks again; datagrams are looked at one by one. */
function nextLook(evidence: Evidence, answer: Answer, units: number): number {
  if (evidence.transport === "UDP") return answer > 0 ? 0 : OTHER_SIDE;
  return answer === NO_MATCH || evidence.ended ? OTHER_SIDE : Math.max(answer, units + 1);
}

function plainRecognition(candidate: Candidate): Recognition {
  const { protocol, confidence, encrypted, server } = candidate;
  const facts = candidate.facts ?? {};
  return { protocol, confidence, encrypted, server, layers: [protocol], facts };
}

/** The recognition of a flow in which `inner` was found behind `outer`. */
function joined(outer: Outer, inner: Recognition): Recognition {
  const { recognition, kind } = outer;
  const layers = [...recognition.layers, ...inner.layers];
  const facts: Facts = { ...recognition.facts, ...inner.facts };
  const leading = kind === "becomes" ? inner : recognition;
  const confidence: Confidence = leading.confidence;
  const encrypted = inner.encrypted || (kind === "carries" && recognition.encrypted);
  const server = recognition.server < 0 ? inner.server : recognition.server;
  return { protocol: leading.protocol, confidence, encrypted, server, layers, facts };
}
