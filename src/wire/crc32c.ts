/** CRC32c, the Castagnoli polynomial (RFC 9260 appendix A). */

/** The polynomial 0x1edc6f41 with its bits reversed. */
const REVERSED_POLYNOMIAL = 0x82f63b78;

function makeTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let octet = 0; octet < table.length; octet += 1) {
    let value = octet;
    for (let bit = 0; bit < 8; bit += 1) value = (value & 1 ? REVERSED_POLYNOMIAL : 0) ^ (value >>> 1);
    table[octet] = value;
  }
  return table;
}

const TABLE = makeTable();

/** Width of the checksum field that is taken as zero, in bytes. */
const FIELD_BYTES = 4;

/**
 * Computes a CRC32c over bytes that contain the field for it.
 *
 * @param bytes - buffer
 * @param at - offset of the first byte
 * @param end - offset just past the last byte
 * @param fieldAt - offset of four bytes that count as zero; a value outside the range leaves none out
 * @returns 32 bits, unsigned
 */
export function crc32c(bytes: DataView, at: number, end: number, fieldAt: number): number {
  let crc = 0xffffffff;
  for (let offset = at; offset < end; offset += 1) {
    const octet = offset >= fieldAt && offset < fieldAt + FIELD_BYTES ? 0 : bytes.getUint8(offset);
    crc = (TABLE[(crc ^ octet) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
