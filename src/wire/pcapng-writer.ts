/** Writes pcapng (draft-ietf-opsawg-pcapng): one section, interfaces with names, packets with comments. */
import { invariant } from "../base/index.ts";
import type { CapturedPacket } from "./pcap.ts";
import {
  BLOCK,
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
  padded,
  SECTION_BYTE_ORDER,
  SECTION_LENGTH,
  SECTION_MAJOR,
  SECTION_OPTIONS,
} from "./pcapng.ts";
import { encodeUtf8 } from "./utf8.ts";

/** An option to write. */
interface OptionFields {
  readonly code: number;
  readonly value: Uint8Array;
}

/** 10^-9, as if_tsresol tells it. */
const NANOSECOND_RESOLUTION = 9;
const UNITS_PER_SECOND = 1_000_000_000n;
const WORD_MASK = 0xffff_ffffn;
/** One half of a section length of -1: not specified (section 4.1). */
const SECTION_LENGTH_UNKNOWN = 0xffff_ffff;
/** Longest value that an option's length field can tell, in bytes. */
const OPTION_BYTES_MAX = 0xffff;

function textOption(code: number, text: string | undefined): OptionFields[] {
  if (text === undefined || text === "") return [];
  return [{ code, value: encodeUtf8(text).subarray(0, OPTION_BYTES_MAX) }];
}

function optionsBytes(options: readonly OptionFields[]): number {
  if (options.length === 0) return 0;
  let length = OPTION_VALUE;
  for (const option of options) length += OPTION_VALUE + padded(option.value.length);
  return length;
}

/** A block under construction: fixed part zeroed, options and both lengths in place. */
function makeBlock(type: number, optionsAt: number, options: readonly OptionFields[]): DataView {
  const length = optionsAt + optionsBytes(options) + BLOCK_TRAILER_BYTES;
  const octets = new Uint8Array(length);
  const bytes = new DataView(octets.buffer);
  bytes.setUint32(BLOCK_TYPE, type, true);
  bytes.setUint32(BLOCK_LENGTH, length, true);
  bytes.setUint32(length - BLOCK_TRAILER_BYTES, length, true);
  let at = optionsAt;
  for (const { code, value } of options) {
    bytes.setUint16(at + OPTION_CODE, code, true);
    bytes.setUint16(at + OPTION_LENGTH, value.length, true);
    octets.set(value, at + OPTION_VALUE);
    at += OPTION_VALUE + padded(value.length);
  }
  return bytes;
}

function octetsOf(bytes: DataView): Uint8Array {
  return new Uint8Array(bytes.buffer);
}

/** An interface to describe. */
export interface PcapngInterfaceFields {
  /** Kind of its frames, see LINK_TYPE. */
  readonly linkType: number;
  readonly name?: string;
  readonly comment?: string;
  /** Most bytes that are kept of each frame; 0 for all. Default 0. */
  readonly snapBytes?: number;
}

/** A packet to write. */
export interface PcapngPacketFields extends CapturedPacket {
  /** Index of an interface that has been described; default 0. */
  readonly interface?: number;
  readonly comment?: string;
}

/**
 * Writes pcapng with nanoseconds, little-endian. Every method returns the bytes to append to the file.
 *
 * @example
 * const writer = new PcapngWriter();
 * file.write(writer.header("postern"));
 * file.write(writer.interface({ linkType: LINK_TYPE.RAW, name: "eth0" }));
 * file.write(writer.packet({ bytes, seconds, nanoseconds, comment: "dropped by INPUT[3]" }));
 */
export class PcapngWriter {
  #interfaces = 0;

  /**
   * The section's header; write it first.
   *
   * @param application - name of the program that writes
   * @param comment - about the whole file
   */
  header(application?: string, comment?: string): Uint8Array {
    const options = [
      ...textOption(OPTION.COMMENT, comment),
      ...textOption(OPTION.SECTION_APPLICATION, application),
    ];
    const bytes = makeBlock(BLOCK.SECTION, SECTION_OPTIONS, options);
    bytes.setUint32(SECTION_BYTE_ORDER, BYTE_ORDER_MAGIC, true);
    bytes.setUint16(SECTION_MAJOR, MAJOR_VERSION, true);
    bytes.setUint32(SECTION_LENGTH, SECTION_LENGTH_UNKNOWN, true);
    bytes.setUint32(SECTION_LENGTH + BLOCK_TRAILER_BYTES, SECTION_LENGTH_UNKNOWN, true);
    this.#interfaces = 0;
    return octetsOf(bytes);
  }

  /** Describes an interface; the first has index 0. */
  interface(fields: PcapngInterfaceFields): Uint8Array {
    const options = [
      ...textOption(OPTION.COMMENT, fields.comment),
      ...textOption(OPTION.INTERFACE_NAME, fields.name),
      { code: OPTION.INTERFACE_RESOLUTION, value: Uint8Array.of(NANOSECOND_RESOLUTION) },
    ];
    const bytes = makeBlock(BLOCK.INTERFACE, INTERFACE_OPTIONS, options);
    bytes.setUint16(INTERFACE_LINK_TYPE, fields.linkType, true);
    bytes.setUint32(INTERFACE_SNAP_LENGTH, fields.snapBytes ?? 0, true);
    this.#interfaces += 1;
    return octetsOf(bytes);
  }

  /** One packet of an interface that has been described. */
  packet(fields: PcapngPacketFields): Uint8Array {
    const { bytes: frame, comment, interface: index = 0 } = fields;
    invariant(index < this.#interfaces, "a packet is written of an interface that has not been described");
    const block = makeBlock(
      BLOCK.ENHANCED_PACKET,
      ENHANCED_DATA + padded(frame.length),
      textOption(OPTION.COMMENT, comment),
    );
    const time = BigInt(fields.seconds) * UNITS_PER_SECOND + BigInt(fields.nanoseconds);
    block.setUint32(ENHANCED_INTERFACE, index, true);
    block.setUint32(ENHANCED_TIME_HIGH, Number(time >> 32n), true);
    block.setUint32(ENHANCED_TIME_LOW, Number(time & WORD_MASK), true);
    block.setUint32(ENHANCED_CAPTURED, frame.length, true);
    block.setUint32(ENHANCED_ORIGINAL, fields.wireBytes ?? frame.length, true);
    octetsOf(block).set(frame, ENHANCED_DATA);
    return octetsOf(block);
  }
}
