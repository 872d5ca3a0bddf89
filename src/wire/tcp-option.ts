/** TCP options (RFC 9293 section 3.2), walked by a cursor that allocates nothing. */
import { invariant, type SequenceNumber } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";

// Byte offsets of an option's fields (RFC 9293 section 3.1).
const KIND = 0;
const LENGTH = 1;
const DATA = 2;

// Byte offsets within the timestamps option (RFC 7323 section 3.2).
const TIMESTAMP_VALUE = 2;
const TIMESTAMP_ECHO = 6;

/** Kinds of options (IANA "TCP Option Kind Numbers"). */
export const TCP_OPTION = {
  END: 0,
  NO_OPERATION: 1,
  /** RFC 9293 section 3.7.1. */
  MAXIMUM_SEGMENT_SIZE: 2,
  /** RFC 7323 section 2.2. */
  WINDOW_SCALE: 3,
  /** RFC 2018 section 2. */
  SACK_PERMITTED: 4,
  /** RFC 2018 section 3. */
  SACK: 5,
  /** RFC 7323 section 3.2. */
  TIMESTAMPS: 8,
} as const;

/** Most options in one header: it has 40 bytes for them, and the shortest takes one. */
export const TCP_OPTIONS_MAX = 40;

/** Most blocks in one SACK option: "a maximum of 4 blocks" fits the space (RFC 2018 section 3). */
export const SACK_BLOCKS_MAX = 4;

/** Largest shift of the window: "MUST use 14 instead of the specified value" (RFC 7323 section 2.3). */
export const WINDOW_SCALE_MAX = 14;

const MAXIMUM_SEGMENT_SIZE_BYTES = 4;
const WINDOW_SCALE_BYTES = 3;
const SACK_PERMITTED_BYTES = 2;
const SACK_BLOCK_BYTES = 8;
const SACK_EDGE_BYTES = 4;
const TIMESTAMPS_BYTES = 10;

/** Why options can't be walked to their end. */
export type TcpOptionFault = "tcp-option-truncated" | "tcp-option-length";

/** True when an option of a kind that this file reads has the length its RFC gives it. */
function isLengthRight(kind: number, length: number): boolean {
  switch (kind) {
    case TCP_OPTION.MAXIMUM_SEGMENT_SIZE:
      return length === MAXIMUM_SEGMENT_SIZE_BYTES;
    case TCP_OPTION.WINDOW_SCALE:
      return length === WINDOW_SCALE_BYTES;
    case TCP_OPTION.SACK_PERMITTED:
      return length === SACK_PERMITTED_BYTES;
    case TCP_OPTION.TIMESTAMPS:
      return length === TIMESTAMPS_BYTES;
    case TCP_OPTION.SACK:
      return length > DATA && (length - DATA) % SACK_BLOCK_BYTES === 0;
    default:
      return length >= DATA;
  }
}

/**
 * Walks the options of a segment. After {@link TcpOptions.next} answered true, `kind` tells which getters are
 * safe; after false, `fault` tells whether the walk ended early. Padding (kinds 0 and 1) is passed over.
 *
 * One instance serves many segments. Keep values, never the cursor.
 *
 * @example
 * options.bind(bytes, tcp.optionsAt, tcp.payloadAt);
 * while (options.next()) if (options.kind === TCP_OPTION.WINDOW_SCALE) shift = options.windowScale;
 */
export class TcpOptions {
  #bytes: DataView = NO_BYTES;
  #at = 0;
  #nextAt = 0;
  #end = 0;

  /** Kind of the option the cursor stands on. */
  kind = 0;
  /** Its length with kind and length bytes, in bytes. */
  length = 0;
  /** Why the walk ended early. */
  fault: TcpOptionFault | undefined = undefined;

  /**
   * Starts a walk.
   *
   * @param bytes - receive buffer
   * @param at - offset of the first option, in bytes
   * @param end - offset just past the header
   */
  bind(bytes: DataView, at: number, end: number): void {
    this.#bytes = bytes;
    this.#nextAt = at;
    this.#end = end;
    this.fault = undefined;
  }

  /** Moves to the next option; false when there is none, or when it can't be read. */
  next(): boolean {
    while (this.#nextAt < this.#end) {
      const at = this.#nextAt;
      const kind = this.#bytes.getUint8(at + KIND);
      if (kind === TCP_OPTION.END) return false;
      if (kind !== TCP_OPTION.NO_OPERATION) return this.#stand(at, kind);
      this.#nextAt = at + 1;
    }
    return false;
  }

  /** Largest segment that the sender takes, in bytes. Valid on MAXIMUM_SEGMENT_SIZE. */
  get maximumSegmentSize(): number {
    return this.#bytes.getUint16(this.#at + DATA);
  }

  /** Shift of the sender's windows, 0 to 14 bits. Valid on WINDOW_SCALE. */
  get windowScale(): number {
    return Math.min(this.#bytes.getUint8(this.#at + DATA), WINDOW_SCALE_MAX);
  }

  /** Number of blocks, 1 to 4. Valid on SACK. */
  get sackBlocks(): number {
    return Math.min((this.length - DATA) / SACK_BLOCK_BYTES, SACK_BLOCKS_MAX);
  }

  /**
   * First sequence number of a block. Valid on SACK.
   *
   * @param block - 0 to `sackBlocks - 1`
   */
  sackLeft(block: number): SequenceNumber {
    return this.#bytes.getUint32(this.#sackAt(block));
  }

  /**
   * Sequence number just past a block. Valid on SACK.
   *
   * @param block - 0 to `sackBlocks - 1`
   */
  sackRight(block: number): SequenceNumber {
    return this.#bytes.getUint32(this.#sackAt(block) + SACK_EDGE_BYTES);
  }

  /** The sender's clock, 32 bits, in units of its own. Valid on TIMESTAMPS. */
  get timestampValue(): number {
    return this.#bytes.getUint32(this.#at + TIMESTAMP_VALUE);
  }

  /** The receiver's clock as the sender saw it last, 32 bits. Valid on TIMESTAMPS with ACK. */
  get timestampEcho(): number {
    return this.#bytes.getUint32(this.#at + TIMESTAMP_ECHO);
  }

  #sackAt(block: number): number {
    invariant(block >= 0 && block < this.sackBlocks, "a SACK block is asked for that the option has not");
    return this.#at + DATA + block * SACK_BLOCK_BYTES;
  }

  #stand(at: number, kind: number): boolean {
    if (at + LENGTH >= this.#end) return this.#fail("tcp-option-truncated");
    const length = this.#bytes.getUint8(at + LENGTH);
    if (!isLengthRight(kind, length)) return this.#fail("tcp-option-length");
    if (at + length > this.#end) return this.#fail("tcp-option-truncated");
    this.#at = at;
    this.#nextAt = at + length;
    this.kind = kind;
    this.length = length;
    return true;
  }

  #fail(fault: TcpOptionFault): false {
    this.fault = fault;
    this.#nextAt = this.#end;
    return false;
  }
}

/** Options to write. */
export interface TcpOptionFields {
  /** Largest segment that the sender takes, in bytes. */
  readonly maximumSegmentSize?: number;
  readonly sackPermitted?: boolean;
  /** The sender's clock, and the receiver's as the sender saw it last; 32 bits each. */
  readonly timestamps?: readonly [value: number, echo: number];
  /** Shift of the sender's windows, 0 to 14 bits. */
  readonly windowScale?: number;
  /** First sequence number and the one just past it, of up to 4 blocks. */
  readonly sack?: readonly (readonly [left: SequenceNumber, right: SequenceNumber])[];
}

function octets(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/**
 * Writes options in the order in which Linux sends them, filled up to whole words with No-Operation.
 *
 * @returns a multiple of 4 bytes, at most 40
 */
export function encodeTcpOptions(fields: TcpOptionFields): Uint8Array {
  const out: number[] = [];
  const { maximumSegmentSize, timestamps, windowScale, sack } = fields;
  if (maximumSegmentSize !== undefined) {
    out.push(TCP_OPTION.MAXIMUM_SEGMENT_SIZE, MAXIMUM_SEGMENT_SIZE_BYTES);
    out.push(maximumSegmentSize >>> 8, maximumSegmentSize & 0xff);
  }
  if (fields.sackPermitted === true) out.push(TCP_OPTION.SACK_PERMITTED, SACK_PERMITTED_BYTES);
  if (timestamps !== undefined) {
    out.push(TCP_OPTION.TIMESTAMPS, TIMESTAMPS_BYTES, ...octets(timestamps[0]), ...octets(timestamps[1]));
  }
  if (windowScale !== undefined) out.push(TCP_OPTION.WINDOW_SCALE, WINDOW_SCALE_BYTES, windowScale);
  if (sack !== undefined) {
    out.push(TCP_OPTION.SACK, DATA + sack.length * SACK_BLOCK_BYTES);
    for (const [left, right] of sack) out.push(...octets(left), ...octets(right));
  }
  while (out.length % 4 !== 0) out.push(TCP_OPTION.NO_OPERATION);
  invariant(out.length <= TCP_OPTIONS_MAX, "TCP options are longer than a header has room for");
  return Uint8Array.from(out);
}
