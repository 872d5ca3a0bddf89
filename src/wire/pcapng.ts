/** Numbers of the pcapng file format (draft-ietf-opsawg-pcapng), shared by its parser and its writer. */

/** Types of the blocks that carry something for us; all others are passed over (section 11.1). */
export const BLOCK = {
  /** Section Header: the same in both byte orders. */
  SECTION: 0x0a0d0d0a,
  INTERFACE: 1,
  /** The obsolete Packet Block. */
  PACKET: 2,
  SIMPLE_PACKET: 3,
  ENHANCED_PACKET: 6,
} as const;

/** Options (sections 3.5, 4.1 and 4.2). */
export const OPTION = {
  END: 0,
  COMMENT: 1,
  SECTION_APPLICATION: 4,
  INTERFACE_NAME: 2,
  INTERFACE_RESOLUTION: 9,
  INTERFACE_OFFSET: 14,
} as const;

/** Tells the byte order of a section (section 4.1). */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Version that is read and written. */
export const MAJOR_VERSION = 1;

// Byte offsets common to all blocks (section 3.1), and their size with the second length at the end.
export const BLOCK_TYPE = 0;
export const BLOCK_LENGTH = 4;
export const BLOCK_TRAILER_BYTES = 4;
export const BLOCK_BYTES_MIN = 12;
/** A block's length must be a multiple of this, in bytes (section 3.1). */
export const BLOCK_ALIGNMENT = 4;

// Section Header Block (section 4.1).
export const SECTION_BYTE_ORDER = 8;
export const SECTION_MAJOR = 12;
export const SECTION_LENGTH = 16;
export const SECTION_OPTIONS = 24;

// Interface Description Block (section 4.2).
export const INTERFACE_LINK_TYPE = 8;
export const INTERFACE_SNAP_LENGTH = 12;
export const INTERFACE_OPTIONS = 16;

// Enhanced Packet Block (section 4.3).
export const ENHANCED_INTERFACE = 8;
export const ENHANCED_TIME_HIGH = 12;
export const ENHANCED_TIME_LOW = 16;
export const ENHANCED_CAPTURED = 20;
export const ENHANCED_ORIGINAL = 24;
export const ENHANCED_DATA = 28;

// Simple Packet Block (section 4.4).
export const SIMPLE_ORIGINAL = 8;
export const SIMPLE_DATA = 12;

// Packet Block (section 4.7): as the Enhanced one, with a drop count beside a shorter interface number.
export const PACKET_INTERFACE = 8;

// Options (section 3.5).
export const OPTION_CODE = 0;
export const OPTION_LENGTH = 2;
export const OPTION_VALUE = 4;

/** Length with padding to a whole number of 32-bit words, in bytes. */
export function padded(length: number): number {
  return Math.ceil(length / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT;
}
