/**
 * The pcap file format (draft-ietf-opsawg-pcap): a header, then records. Read in both byte orders, written in
 * one.
 */
import type { LimitValues } from "../base/index.ts";
import type { CaptureFaultCode } from "./capture-fault.ts";
import type { CaptureInterface, CaptureRecord } from "./capture-record.ts";
import type { CaptureWindow } from "./capture-window.ts";

// Byte offsets of the file header's fields (section 4).
const MAGIC = 0;
const MAJOR_VERSION = 4;
const MINOR_VERSION = 6;
const SNAP_LENGTH = 16;
const LINK_TYPE_FIELD = 20;
const FILE_HEADER_BYTES = 24;

// Byte offsets of a record header's fields (section 5).
const SECONDS = 0;
const FRACTION = 4;
const CAPTURED_LENGTH = 8;
const ORIGINAL_LENGTH = 12;
const RECORD_HEADER_BYTES = 16;

/** Fractions of seconds are microseconds (section 4). */
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
/** Fractions of seconds are nanoseconds (section 4). */
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAJOR = 2;
const MINOR = 4;
/** The upper bits tell of frame check sequences (section 4). */
const LINK_TYPE_MASK = 0xffff;
const NANOSECONDS_PER_MICROSECOND = 1000;

/** True when four bytes are the magic of a pcap file in one of the byte orders. */
export function isPcapMagic(bytes: DataView, at: number): boolean {
  return isMagic(bytes.getUint32(at + MAGIC)) || isMagic(bytes.getUint32(at + MAGIC, true));
}

function isMagic(value: number): boolean {
  return value === MAGIC_MICROSECONDS || value === MAGIC_NANOSECONDS;
}

/** Parses a pcap file from a window. */
export class PcapParser {
  readonly #window: CaptureWindow;
  readonly #limits: LimitValues;
  #little = false;
  #nanosecondsPerUnit = 1;
  #interfaces: readonly CaptureInterface[] = [];

  /** Why {@link PcapParser.next} answered false, when it was not for want of bytes. */
  fault: CaptureFaultCode | undefined = undefined;

  /**
   * @param window - at the start of the file
   * @param limits - bounds of everything that a file can claim
   */
  constructor(window: CaptureWindow, limits: LimitValues) {
    this.#window = window;
    this.#limits = limits;
  }

  /** The one interface of the file; empty until its header has come. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#interfaces;
  }

  /**
   * Fills the record with the next packet.
   *
   * @returns false when it has not come whole, or with a fault
   */
  next(record: CaptureRecord): boolean {
    if (this.#interfaces.length === 0 && !this.#begin(record)) return false;
    const window = this.#window;
    const little = this.#little;
    if (!window.require(RECORD_HEADER_BYTES)) return false;
    const capturedBytes = window.bytes.getUint32(window.at + CAPTURED_LENGTH, little);
    if (capturedBytes > this.#limits.captureRecordBytes) return this.#fail("capture-record-length");
    if (!window.require(RECORD_HEADER_BYTES + capturedBytes)) return false;
    const { bytes, at } = window;
    record.bytes = bytes;
    record.at = at + RECORD_HEADER_BYTES;
    record.end = record.at + capturedBytes;
    // Some writers tell an original length of zero, or one that is less than what they kept.
    record.wireBytes = Math.max(bytes.getUint32(at + ORIGINAL_LENGTH, little), capturedBytes);
    record.seconds = bytes.getUint32(at + SECONDS, little);
    record.nanoseconds = bytes.getUint32(at + FRACTION, little) * this.#nanosecondsPerUnit;
    record.offset = window.offset;
    window.skip(RECORD_HEADER_BYTES + capturedBytes);
    return true;
  }

  #begin(record: CaptureRecord): boolean {
    const window = this.#window;
    if (!window.require(FILE_HEADER_BYTES)) return false;
    const { bytes, at } = window;
    this.#little = isMagic(bytes.getUint32(at + MAGIC, true));
    const little = this.#little;
    const nanoseconds = bytes.getUint32(at + MAGIC, little) === MAGIC_NANOSECONDS;
    this.#nanosecondsPerUnit = nanoseconds ? 1 : NANOSECONDS_PER_MICROSECOND;
    if (bytes.getUint16(at + MAJOR_VERSION, little) !== MAJOR) return this.#fail("capture-version");
    const linkType = bytes.getUint32(at + LINK_TYPE_FIELD, little) & LINK_TYPE_MASK;
    this.#interfaces = [{ linkType, snapBytes: bytes.getUint32(at + SNAP_LENGTH, little), name: "" }];
    record.linkType = linkType;
    record.interface = 0;
    record.interfaceName = "";
    window.skip(FILE_HEADER_BYTES);
    return true;
  }

  #fail(fault: CaptureFaultCode): false {
    this.fault = fault;
    return false;
  }
}

/** A packet to write into a capture file. */
export interface CapturedPacket {
  /** The frame, as the interface's link type has it. */
  readonly bytes: Uint8Array;
  /** Whole seconds since 1970-01-01 UTC. */
  readonly seconds: number;
  /** Nanoseconds beyond the second, 0 to 999999999. */
  readonly nanoseconds: number;
  /** Length of the frame where it was met, in bytes; default the length of `bytes`. */
  readonly wireBytes?: number;
}

/**
 * Writes pcap with nanoseconds, little-endian. Every method returns the bytes to append to the file.
 *
 * @example
 * const writer = new PcapWriter(LINK_TYPE.RAW);
 * file.write(writer.header());
 * file.write(writer.packet({ bytes, seconds, nanoseconds }));
 */
export class PcapWriter {
  readonly #linkType: number;
  readonly #snapBytes: number;

  /**
   * @param linkType - kind of frames, see LINK_TYPE
   * @param snapBytes - most bytes of a frame that will be written; default 262144
   */
  constructor(linkType: number, snapBytes = 262_144) {
    this.#linkType = linkType;
    this.#snapBytes = snapBytes;
  }

  /** The file's header; write it first. */
  header(): Uint8Array {
    const bytes = new DataView(new ArrayBuffer(FILE_HEADER_BYTES));
    bytes.setUint32(MAGIC, MAGIC_NANOSECONDS, true);
    bytes.setUint16(MAJOR_VERSION, MAJOR, true);
    bytes.setUint16(MINOR_VERSION, MINOR, true);
    bytes.setUint32(SNAP_LENGTH, this.#snapBytes, true);
    bytes.setUint32(LINK_TYPE_FIELD, this.#linkType, true);
    return new Uint8Array(bytes.buffer);
  }

  /** One packet; longer ones are cut to the snap length. */
  packet(packet: CapturedPacket): Uint8Array {
    const captured = packet.bytes.subarray(0, this.#snapBytes);
    const octets = new Uint8Array(RECORD_HEADER_BYTES + captured.length);
    const bytes = new DataView(octets.buffer);
    bytes.setUint32(SECONDS, packet.seconds, true);
    bytes.setUint32(FRACTION, packet.nanoseconds, true);
    bytes.setUint32(CAPTURED_LENGTH, captured.length, true);
    bytes.setUint32(ORIGINAL_LENGTH, packet.wireBytes ?? packet.bytes.length, true);
    octets.set(captured, RECORD_HEADER_BYTES);
    return octets;
  }
}
