/**
 * Reads pcapng (draft-ietf-opsawg-pcapng): sections in either byte order, interfaces with clocks of their
 * own, packets in three kinds of blocks. Blocks of other kinds are passed over without being gathered.
 */
import type { LimitValues } from "../base/index.ts";
import type { CaptureFaultCode } from "./capture-fault.ts";
import type { CaptureInterface, CaptureRecord } from "./capture-record.ts";
import { DEFAULT_UNITS_PER_SECOND, setTime, unitsPerSecond } from "./capture-time.ts";
import type { CaptureWindow } from "./capture-window.ts";
import {
  BLOCK,
  BLOCK_ALIGNMENT,
  BLOCK_BYTES_MIN,
  BLOCK_LENGTH,
  BLOCK_TRAILER_BYTES,
  BLOCK_TYPE,
  BYTE_ORDER_MAGIC,
  ENHANCED_CAPTURED,
  ENHANCED_DATA,
  ENHANCED_INTERFACE,
  ENHANCED_ORIGINAL,
  ENHANCED_TIME_HIGH,
  ENHANCED_TIME_LOW,
  INTERFACE_LINK_TYPE,
  INTERFACE_OPTIONS,
  INTERFACE_SNAP_LENGTH,
  MAJOR_VERSION,
  OPTION,
  OPTION_CODE,
  OPTION_LENGTH,
  OPTION_VALUE,
  PACKET_INTERFACE,
  padded,
  SECTION_BYTE_ORDER,
  SECTION_MAJOR,
  SECTION_OPTIONS,
  SIMPLE_DATA,
  SIMPLE_ORIGINAL,
} from "./pcapng.ts";
import { decodeUtf8 } from "./utf8.ts";

/** What became of a block: the record is filled, or there is more to read, or there is a fault. */
type Outcome = "packet" | "no-packet" | "fault";

const INTERFACE_OFFSET_BYTES = 8;
const WORD = 0x1_0000_0000;

/** An interface while its options are read. */
interface InterfaceDraft {
  linkType: number;
  snapBytes: number;
  name: string;
  unitsPerSecond: number;
  /** Seconds to add to every time of the interface (if_tsoffset). */
  offsetSeconds: number;
}

function isKnown(type: number): boolean {
  switch (type) {
    case BLOCK.SECTION:
    case BLOCK.INTERFACE:
    case BLOCK.PACKET:
    case BLOCK.SIMPLE_PACKET:
    case BLOCK.ENHANCED_PACKET:
      return true;
    default:
      return false;
  }
}

/** Parses a pcapng file from a window. */
export class PcapngParser {
  readonly #window: CaptureWindow;
  readonly #limits: LimitValues;
  #little = false;
  #interfaces: InterfaceDraft[] = [];

  /** Why {@link PcapngParser.next} answered false, when it was not for want of bytes. */
  fault: CaptureFaultCode | undefined = undefined;

  /**
   * @param window - at the start of the file
   * @param limits - bounds of everything that a file can claim
   */
  constructor(window: CaptureWindow, limits: LimitValues) {
    this.#window = window;
    this.#limits = limits;
  }

  /** Interfaces of the section that is being read. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#interfaces;
  }

  /**
   * Fills the record with the next packet.
   *
   * @returns false when it has not come whole, or with a fault
   */
  next(record: CaptureRecord): boolean {
    const window = this.#window;
    while (this.fault === undefined && window.require(BLOCK_BYTES_MIN)) {
      const type = window.bytes.getUint32(window.at + BLOCK_TYPE, this.#little);
      if (type === BLOCK.SECTION && !this.#turn()) return false;
      const length = window.bytes.getUint32(window.at + BLOCK_LENGTH, this.#little);
      if (!this.#isLengthRight(length)) return this.#fail("capture-block-length");
      if (isKnown(type)) {
        if (!window.require(length)) return false;
        if (this.#read(type, length, record)) return true;
      } else {
        window.skip(length);
      }
    }
    return false;
  }

  /** Takes over the byte order of the section whose header is in the window. */
  #turn(): boolean {
    const { bytes, at } = this.#window;
    this.#little = bytes.getUint32(at + SECTION_BYTE_ORDER, true) === BYTE_ORDER_MAGIC;
    if (this.#little || bytes.getUint32(at + SECTION_BYTE_ORDER) === BYTE_ORDER_MAGIC) return true;
    return this.#fail("capture-byte-order");
  }

  #isLengthRight(length: number): boolean {
    const whole = length >= BLOCK_BYTES_MIN && length % BLOCK_ALIGNMENT === 0;
    return whole && length <= this.#limits.captureBlockBytes;
  }

  /** Reads the block in the window and passes over it; true when it filled the record. */
  #read(type: number, length: number, record: CaptureRecord): boolean {
    const window = this.#window;
    const { bytes, at } = window;
    const end = at + length - BLOCK_TRAILER_BYTES;
    if (bytes.getUint32(end, this.#little) !== length) return this.#fail("capture-block-trailer");
    const outcome = this.#readBody(type, end, record);
    if (outcome === "fault") return false;
    record.offset = window.offset;
    window.skip(length);
    return outcome === "packet";
  }

  #readBody(type: number, end: number, record: CaptureRecord): Outcome {
    switch (type) {
      case BLOCK.SECTION:
        return this.#readSection(end);
      case BLOCK.INTERFACE:
        return this.#readInterface(end);
      case BLOCK.SIMPLE_PACKET:
        return this.#readSimplePacket(end, record);
      default:
        return this.#readPacket(type, end, record);
    }
  }

  #readSection(end: number): Outcome {
    const { bytes, at } = this.#window;
    if (at + SECTION_OPTIONS > end) return this.#fault("capture-block-length");
    const major = bytes.getUint16(at + SECTION_MAJOR, this.#little);
    if (major !== MAJOR_VERSION) return this.#fault("capture-version");
    // Interfaces are numbered within their section (section 4.2).
    this.#interfaces = [];
    return "no-packet";
  }

  #readInterface(end: number): Outcome {
    const { bytes, at } = this.#window;
    if (at + INTERFACE_OPTIONS > end) return this.#fault("capture-block-length");
    if (this.#interfaces.length >= this.#limits.captureInterfaces) return this.#fault("capture-interfaces");
    const draft: InterfaceDraft = {
      linkType: bytes.getUint16(at + INTERFACE_LINK_TYPE, this.#little),
      snapBytes: bytes.getUint32(at + INTERFACE_SNAP_LENGTH, this.#little),
      name: "",
      unitsPerSecond: DEFAULT_UNITS_PER_SECOND,
      offsetSeconds: 0,
    };
    this.#interfaces.push(draft);
    return this.#readInterfaceOptions(at + INTERFACE_OPTIONS, end, draft);
  }

  #readInterfaceOptions(first: number, end: number, draft: InterfaceDraft): Outcome {
    const { bytes } = this.#window;
    let at = first;
    while (at + OPTION_VALUE <= end) {
      const code = bytes.getUint16(at + OPTION_CODE, this.#little);
      const length = bytes.getUint16(at + OPTION_LENGTH, this.#little);
      if (code === OPTION.END) break;
      const value = at + OPTION_VALUE;
      if (value + length > end) return this.#fault("capture-option-length");
      if (code === OPTION.INTERFACE_NAME) draft.name = decodeUtf8(bytes, value, value + length);
      if (code === OPTION.INTERFACE_OFFSET && length === INTERFACE_OFFSET_BYTES) {
        draft.offsetSeconds = this.#readSigned(value);
      }
      if (code === OPTION.INTERFACE_RESOLUTION && length > 0) {
        const units = unitsPerSecond(bytes.getUint8(value));
        if (units === undefined) return this.#fault("capture-resolution");
        draft.unitsPerSecond = units;
      }
      at = value + padded(length);
    }
    return "no-packet";
  }

  /** A signed 64-bit number; exact up to 53 bits, which is 285 million years of seconds. */
  #readSigned(at: number): number {
    const { bytes } = this.#window;
    const second = at + BLOCK_ALIGNMENT;
    const high = bytes.getInt32(this.#little ? second : at, this.#little);
    const low = bytes.getUint32(this.#little ? at : second, this.#little);
    return high * WORD + low;
  }

  /** Reads an Enhanced Packet Block, or an obsolete Packet Block, which differs in one field. */
  #readPacket(type: number, end: number, record: CaptureRecord): Outcome {
    const { bytes, at } = this.#window;
    const little = this.#little;
    if (at + ENHANCED_DATA > end) return this.#fault("capture-block-length");
    const enhanced = type === BLOCK.ENHANCED_PACKET;
    const index = enhanced
      ? bytes.getUint32(at + ENHANCED_INTERFACE, little)
      : bytes.getUint16(at + PACKET_INTERFACE, little);
    const source = this.#interfaces[index];
    if (source === undefined) return this.#fault("capture-interface");
    const high = bytes.getUint32(at + ENHANCED_TIME_HIGH, little);
    setTime(record, high, bytes.getUint32(at + ENHANCED_TIME_LOW, little), source.unitsPerSecond);
    record.seconds += source.offsetSeconds;
    record.interface = index;
    record.at = at + ENHANCED_DATA;
    record.wireBytes = bytes.getUint32(at + ENHANCED_ORIGINAL, little);
    return this.#finish(record, source, bytes.getUint32(at + ENHANCED_CAPTURED, little), end);
  }

  /** Reads a Simple Packet Block. It tells no time: that of the packet before it stands. */
  #readSimplePacket(end: number, record: CaptureRecord): Outcome {
    const { bytes, at } = this.#window;
    if (at + SIMPLE_DATA > end) return this.#fault("capture-block-length");
    // It names no interface: it is of the first that the section describes (section 4.4).
    const source = this.#interfaces[0];
    if (source === undefined) return this.#fault("capture-interface");
    record.interface = 0;
    record.at = at + SIMPLE_DATA;
    record.wireBytes = bytes.getUint32(at + SIMPLE_ORIGINAL, this.#little);
    const snapBytes = source.snapBytes || record.wireBytes;
    return this.#finish(record, source, Math.min(record.wireBytes, snapBytes), end);
  }

  #finish(record: CaptureRecord, source: InterfaceDraft, capturedBytes: number, end: number): Outcome {
    if (capturedBytes > this.#limits.captureRecordBytes) return this.#fault("capture-record-length");
    if (record.at + capturedBytes > end) return this.#fault("capture-block-length");
    record.bytes = this.#window.bytes;
    record.end = record.at + capturedBytes;
    record.wireBytes = Math.max(record.wireBytes, capturedBytes);
    record.linkType = source.linkType;
    record.interfaceName = source.name;
    return "packet";
  }

  #fault(fault: CaptureFaultCode): "fault" {
    this.fault = fault;
    return "fault";
  }

  #fail(fault: CaptureFaultCode): false {
    this.fault = fault;
    return false;
  }
}
