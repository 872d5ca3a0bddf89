/** Headers that compressors repeat inside their streams: LZMA2 chunks and Zstandard blocks. */

// LZMA2 chunk, as liblzma's lzma2_encoder.c writes it: control byte with the high bits of the plain size
// minus 1, its low 16 bits, the packed size minus 1, then the range coder's first byte, which is always 0.
const LZMA2_CONTROL = 0;
const LZMA2_PLAIN = 1;
const LZMA2_PACKED = 3;
const LZMA2_RANGE_CODER = 5;
// A chunk that continues dictionary, state and properties, with less than 1 MiB of plain bytes.
const LZMA2_CONTINUED = 0x80;
const LZMA2_PLAIN_HIGH_MAX = 0x0f;
// Encoders end a chunk when it comes near 64 KiB. Measured: liblzma within 3 bytes of 65,536 − 4,096; 7-Zip
// 26.02 from 5 to 95 bytes behind 65,536 − 16,384.
const XZ_PACKED_BYTES = 61_440;
const XZ_SPREAD_BYTES = 4;
const SEVEN_ZIP_PACKED_BYTES = 49_152;
const SEVEN_ZIP_SPREAD_BYTES = 104;

/** Which encoder would have closed an LZMA2 chunk here. */
export const LZMA2_KIND = { NONE: 0, XZ: 1, SEVEN_ZIP: 2 } as const;

/**
 * Does the header of a full LZMA2 chunk begin here?
 *
 * @param bytes - at least six bytes from `at` on
 * @param at - offset of the control byte
 * @returns a value of {@link LZMA2_KIND}
 */
export function lzma2Kind(bytes: Uint8Array, at: number): number {
  const high = (bytes[at + LZMA2_CONTROL] ?? 0) - LZMA2_CONTINUED;
  if (high < 0 || high > LZMA2_PLAIN_HIGH_MAX || bytes[at + LZMA2_RANGE_CODER] !== 0) return LZMA2_KIND.NONE;
  const packed = lzma2PackedBytes(bytes, at);
  const plain = (high << 16) | ((bytes[at + LZMA2_PLAIN] ?? 0) << 8) | (bytes[at + LZMA2_PLAIN + 1] ?? 0);
  if (plain < packed) return LZMA2_KIND.NONE;
  if (Math.abs(packed - XZ_PACKED_BYTES) <= XZ_SPREAD_BYTES) return LZMA2_KIND.XZ;
  const beyond = packed - SEVEN_ZIP_PACKED_BYTES;
  return beyond >= 0 && beyond <= SEVEN_ZIP_SPREAD_BYTES ? LZMA2_KIND.SEVEN_ZIP : LZMA2_KIND.NONE;
}

function lzma2PackedBytes(bytes: Uint8Array, at: number): number {
  return (((bytes[at + LZMA2_PACKED] ?? 0) << 8) | (bytes[at + LZMA2_PACKED + 1] ?? 0)) + 1;
}

/** Distance from one LZMA2 chunk header to the next, in bytes. */
export function lzma2ChunkBytes(bytes: Uint8Array, at: number): number {
  return lzma2PackedBytes(bytes, at) + LZMA2_RANGE_CODER;
}

// Zstandard block (RFC 8878 §3.1.1.2): three bytes, little-endian: last block 1 bit, type 2 bits, size 21
// bits.
const ZSTD_HEADER_BYTES = 3;
const ZSTD_COMPRESSED = 2;
const ZSTD_BLOCK_BYTES_MAX = 128 * 1024;
// Literals section (§3.1.1.3.1): type 2 bits, size format 2 bits, regenerated and compressed size of 10, 14
// or 18 bits.
const LITERALS_WITH_TREE = 2;
const LITERALS_TREELESS = 3;
const JUMP_TABLE_BYTES = 6;
const STREAMS = 4;
// Each stream holds a quarter of the literals; their packed sizes differ little.
const STREAM_SPREAD = 0.3;
const STREAM_BYTES_MIN = 48;
/**
 * Bytes that {@link zstdBlockBytes} looks at: block and literals header, the longest tree, the jump table.
 */
export const ZSTD_REACH_BYTES: number = ZSTD_HEADER_BYTES + 5 + 128 + JUMP_TABLE_BYTES;

/**
 * Length of the Zstandard block whose header begins here, when its four literal streams fit together.
 *
 * @param bytes - at least {@link ZSTD_REACH_BYTES} bytes from `at` on
 * @param at - offset of the block header
 * @returns bytes from this header to the next; 0 when this is none
 */
export function zstdBlockBytes(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (((first >> 1) & 3) !== ZSTD_COMPRESSED) return 0;
  const size = (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | first) >> 3;
  if (size > ZSTD_BLOCK_BYTES_MAX) return 0;
  return literalsFit(bytes, at + ZSTD_HEADER_BYTES, size) ? size + ZSTD_HEADER_BYTES : 0;
}

// Bits of each size by size format (§3.1.1.3.1.1); format 0 has a single stream and no jump table.
const LITERALS_SIZE_BITS = [0, 10, 14, 18];

function literalsFit(bytes: Uint8Array, at: number, blockBytes: number): boolean {
  const first = bytes[at] ?? 0;
  const type = first & 3;
  const sizeBits = LITERALS_SIZE_BITS[(first >> 2) & 3] ?? 0;
  if (type < LITERALS_WITH_TREE || sizeBits === 0) return false;
  const headerBytes = (4 + 2 * sizeBits) >> 3;
  // The sizes span up to 40 bits: arithmetic instead of shifts.
  let word = 0;
  for (let i = headerBytes - 1; i >= 0; i--) word = word * 256 + (bytes[at + i] ?? 0);
  const regenerated = Math.floor(word / 16) % 2 ** sizeBits;
  const compressed = Math.floor(word / 16 / 2 ** sizeBits);
  if (compressed >= Math.min(regenerated, blockBytes - headerBytes)) return false;
  if (regenerated > ZSTD_BLOCK_BYTES_MAX) return false;
  const body = at + headerBytes;
  const tree = type === LITERALS_TREELESS ? 0 : treeBytes(bytes[body] ?? 0);
  return streamsFit(bytes, body + tree, compressed - tree - JUMP_TABLE_BYTES);
}

// Huffman tree description (§4.2.1.1): its length, or the number of weights of four bits plus 127.
function treeBytes(first: number): number {
  return first < 128 ? first + 1 : ((first - 126) >> 1) + 1;
}

function streamsFit(bytes: Uint8Array, jumpTable: number, total: number): boolean {
  const mean = total / STREAMS;
  if (mean < STREAM_BYTES_MIN) return false;
  let rest = total;
  for (let i = 0; i < STREAMS - 1; i++) {
    const size = ((bytes[jumpTable + 2 * i + 1] ?? 0) << 8) | (bytes[jumpTable + 2 * i] ?? 0);
    if (Math.abs(size - mean) > mean * STREAM_SPREAD) return false;
    rest -= size;
  }
  return Math.abs(rest - mean) <= mean * STREAM_SPREAD;
}
