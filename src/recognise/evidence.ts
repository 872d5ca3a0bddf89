/**
 * What a recogniser is shown, and where it writes what it found.
 *
 * One evidence serves all flows of a worker: it is moved from look to look and must not be kept. What a
 * recogniser wants to remember of a flow it puts into {@link Evidence.state}, which is made on the first use,
 * so that a flow that is refused at first sight costs no memory.
 */
import { ByteWindow } from "./byte-window.ts";
import type { Cryptography } from "./crypto.ts";
import {
  type Answer,
  CONFIDENCE,
  type Confidence,
  type Facts,
  HANDED_OVER,
  type Recogniser,
  type Transport,
} from "./recogniser.ts";

/** How the following protocol stands to the one that hands over. */
export type HandOver =
  /** The flow turns into it: SMTP after STARTTLS is TLS. */
  | "becomes"
  /** It is the way this protocol protects or carries its payload: RDP in TLS is RDP still. */
  | "carries";

/** One recogniser's view of one flow, kept while it is undecided or still learning. */
export class Candidate {
  readonly recogniser: Recogniser;
  protocol: string;
  encrypted: boolean;
  confidence: Confidence = CONFIDENCE.NONE;
  facts: Facts | undefined = undefined;
  state: unknown = undefined;
  /** Bytes each direction must have before the next look. */
  readonly need: [number, number] = [0, 0];
  done = false;
  /** Looks that were counted, see {@link Evidence.countLook}. */
  looks = 0;
  /** Direction that the server sends in; -1 while unknown. */
  server: -1 | 0 | 1 = -1;

  constructor(recogniser: Recogniser) {
    this.recogniser = recogniser;
    this.protocol = recogniser.protocol;
    this.encrypted = recogniser.encrypted;
  }
}

/** See the head of this file. */
export class Evidence {
  /**
   * The bytes: for a stream all of this direction from where recognition began, for a datagram its payload.
   */
  readonly bytes: ByteWindow = new ByteWindow();
  transport: Transport = "TCP";
  /** 0: from the side that sent first; 1: from the other. */
  direction: 0 | 1 = 0;
  /**
   * True when these bytes come from the side that opened the connection, or, where the opening was not seen,
   * from the side that was seen first.
   */
  fromOpener = true;
  /** True when this direction will show no more bytes than these. */
  ended = false;
  /** True when the first bytes of the flow were not seen, so that these may begin anywhere. */
  midStream = false;
  /** The protocol that handed over to what is looked at, `undefined` when none did. */
  behind: string | undefined = undefined;
  /**
   * Bytes of the whole datagram; more than `bytes` holds when it is fragmented or the capture was cut short.
   */
  wireLength = 0;
  /**
   * Ports of the sender and the receiver. Only for telling apart protocols that share one format and differ
   * by registered port alone, such as DNS and mDNS (RFC 6762 section 3); never for recognising a format.
   */
  sourcePort = 0;
  destinationPort = 0;
  readonly cryptography: Cryptography;
  /** The recogniser at work. */
  recogniser: Recogniser | undefined = undefined;
  /** Its memory of the flow, once there is any. */
  candidate: Candidate | undefined = undefined;
  /** How a following protocol stands to this one, valid after a hand-over. */
  handOverKind: HandOver = "becomes";
  /** Where the following protocol begins in each direction, valid after a hand-over. */
  readonly restart: [number, number] = [0, 0];

  constructor(cryptography: Cryptography) {
    this.cryptography = cryptography;
  }

  /** The candidate, made on the first use. */
  get #own(): Candidate {
    this.candidate ??= new Candidate(this.recogniser as Recogniser);
    return this.candidate;
  }

  /** True when one of the two ports is `port`; for twins only, see {@link Evidence.sourcePort}. */
  hasPort(port: number): boolean {
    return this.sourcePort === port || this.destinationPort === port;
  }

  /** True once {@link Evidence.match} was called for this flow. */
  get matched(): boolean {
    return this.candidate !== undefined && this.candidate.confidence !== CONFIDENCE.NONE;
  }

  /**
   * Says that the bytes are this protocol. May be called again; the confidence never falls.
   *
   * @param confidence - how sure
   * @param protocol - name, where the recogniser knows several
   */
  match(confidence: Confidence, protocol?: string): Facts {
    const own = this.#own;
    if (confidence > own.confidence) own.confidence = confidence;
    if (protocol !== undefined) own.protocol = protocol;
    own.facts ??= {};
    return own.facts;
  }

  /** Says whether the payload is hidden, where that is a matter of the flow and not of the protocol. */
  setEncrypted(encrypted: boolean): void {
    this.#own.encrypted = encrypted;
  }

  /** Says that these bytes were sent by the server, whoever was seen first. */
  isFromServer(): void {
    this.#own.server = this.direction;
  }

  /** Says that these bytes were sent by the client, whoever was seen first. */
  isFromClient(): void {
    this.#own.server = this.direction === 0 ? 1 : 0;
  }

  /** The facts of this flow so far. */
  get facts(): Facts {
    const own = this.#own;
    own.facts ??= {};
    return own.facts;
  }

  /**
   * What this recogniser remembers of this flow.
   *
   * @param make - makes it on the first use
   */
  state<State>(make: () => State): State {
    const own = this.#own;
    own.state ??= make();
    return own.state as State;
  }

  /** Counts a look of this recogniser at this flow. @returns how many were counted */
  countLook(): number {
    const own = this.#own;
    own.looks += 1;
    return own.looks;
  }

  /** What this recogniser remembers, or `undefined` when it has made nothing. */
  peek<State>(): State | undefined {
    return this.candidate?.state as State | undefined;
  }

  /**
   * Ends this protocol's part: what follows is looked at afresh.
   *
   * @param kind - whether the flow becomes what follows, or carries it
   * @param here - position in this direction where the following protocol begins
   * @param there - position in the other direction, 0 when nothing of that direction belongs to this protocol
   */
  handOver(kind: HandOver, here: number, there: number): Answer {
    this.handOverKind = kind;
    this.restart[this.direction] = here;
    this.restart[this.direction === 0 ? 1 : 0] = there;
    return HANDED_OVER;
  }
}
