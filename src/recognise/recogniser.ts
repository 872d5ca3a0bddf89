/**
 * What a recogniser is, and what it answers.
 *
 * A recogniser looks at the first bytes of one direction of a flow and says one of three things: this is my
 * protocol, this is not, or I need to see more. It knows nothing of ports, never throws, and keeps what it
 * must remember between two looks in the evidence it is handed, so one object serves all flows.
 */
import type { Evidence } from "./evidence.ts";

/** How sure a recognition is. */
export const CONFIDENCE = {
  /** Nothing matched. */
  NONE: 0,
  /** Only the port number speaks for it. Never the ground of a block. */
  GUESSED: 1,
  /** The bytes fit and hardly fit anything else, but the protocol has no mark of its own. */
  LIKELY: 2,
  /** A mark of the protocol was seen and agreed with the bytes around it. */
  CERTAIN: 3,
} as const;

/** A value of {@link CONFIDENCE}. */
export type Confidence = (typeof CONFIDENCE)[keyof typeof CONFIDENCE];

/** A confidence as programs and people read it. */
export type ConfidenceName = "none" | "guessed" | "likely" | "certain";

const CONFIDENCE_NAMES: readonly ConfidenceName[] = ["none", "guessed", "likely", "certain"];

/** Name of a confidence. */
export function confidenceName(confidence: Confidence): ConfidenceName {
  return CONFIDENCE_NAMES[confidence] ?? "none";
}

/** Answer: these bytes are not my protocol. */
export const NO_MATCH = -1;

/** Answer: the protocol matched and there is nothing more to learn in either direction. */
export const DONE = 0;

/** Answer: another protocol follows at the positions given to {@link Evidence.handOver}. */
export const HANDED_OVER = -2;

/** Answer: this direction has told all; the other one may still. */
export const OTHER_SIDE: number = Number.MAX_SAFE_INTEGER;

/**
 * {@link NO_MATCH}, {@link DONE}, {@link HANDED_OVER}, {@link OTHER_SIDE}, or a number of bytes: look again
 * when this direction has as many. For datagrams any positive number means: look at the next one as well.
 */
export type Answer = number;

/** What was learnt of a flow besides its protocol. Fields are there only when they were seen. */
export interface Facts {
  /** Name of the server as the client, or a question, spells it: SNI, Host, the name asked for. */
  serverName?: string;
  /** Version of the protocol, in its own words. */
  version?: string;
  /** What kind of message or exchange: a method, an ICMP kind, an exchange type. */
  kind?: string;
  /** Path or object asked for. */
  path?: string;
  /** Software of the client, as it says. */
  clientSoftware?: string;
  /** Software of the server, as it says. */
  serverSoftware?: string;
  /** Media type of the answer. */
  contentType?: string;
  /** Status of the answer. */
  status?: number;
  /** User or account named in the clear. */
  user?: string;
  /** TLS application protocols offered, in the client's order (RFC 7301). */
  alpn?: readonly string[];
  /** TLS application protocol chosen by the server. */
  alpnChosen?: string;
  /** TLS versions offered, as code points, GREASE left out (RFC 8446 section 4.2.1). */
  tlsVersions?: readonly number[];
  /** TLS version agreed on, as a code point. */
  tlsVersion?: number;
  /** TLS cipher suites offered, as code points, in order. */
  ciphers?: readonly number[];
  /** TLS cipher suite chosen. */
  cipher?: number;
  /** Names in the server's certificate, where it is sent in the clear (TLS 1.2 and before). */
  certificateNames?: readonly string[];
  /** True when an Encrypted Client Hello was offered (RFC 9849) or its forerunner ESNI. */
  echOffered?: boolean;
  /** MD5 of the client's offer, in hexadecimal. */
  ja3?: string;
  /** MD5 of the server's choice, in hexadecimal. */
  ja3s?: string;
  /** JA4 fingerprint of the client's offer. */
  ja4?: string;
  /** MD5 of the SSH client's algorithm lists, in hexadecimal. */
  hasshClient?: string;
  /** MD5 of the SSH server's algorithm lists, in hexadecimal. */
  hasshServer?: string;
}

/** Transport a recogniser reads: streams of TCP, datagrams of UDP. */
export type Transport = "TCP" | "UDP";

/** See the head of this file. */
export interface Recogniser {
  /** Name of the protocol as results and rules spell it. */
  readonly protocol: string;
  readonly transports: readonly Transport[];
  /** True when the protocol hides its payload by design. */
  readonly encrypted: boolean;
  /** Bytes that a stream or a datagram can begin with; without the list, any. Others never reach `judge`. */
  readonly firstBytes?: readonly number[];
  /**
   * Looks at the bytes of `evidence`. Must not throw, must not keep the evidence, and must cost time linear
   * in the bytes that are there since it looked last.
   */
  judge(evidence: Evidence): Answer;
}

/** What is known of a flow. */
export interface Recognition {
  readonly protocol: string;
  readonly confidence: Confidence;
  /** True when the payload is hidden by design. */
  readonly encrypted: boolean;
  /**
   * Direction that the server sends in, where the bytes tell: 0 the side seen first, 1 the other; -1 unknown.
   */
  readonly server: -1 | 0 | 1;
  /**
   * All protocols that were seen in the flow, outermost first: `["SMTP", "TLS"]`. The last two may be one.
   */
  readonly layers: readonly string[];
  readonly facts: Readonly<Facts>;
}

/** The byte values of the characters of `text`: a first-byte list as one writes it. */
export function charCodes(text: string): number[] {
  return Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
}

/** All byte values from `first` to `last`. */
export function byteRange(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
