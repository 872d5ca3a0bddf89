/** Headers that media formats repeat inside their streams: MPEG audio, FLAC, H.264 in MP4. */

// MPEG audio frame header (ISO/IEC 11172-3 §2.4.1.3): 11 bits of sync, version, layer, bit rate, sampling rate.
const MPEG_HEADER_BYTES = 4;
const MPEG1 = 3;
const LAYER_3 = 1;
const KBITS_MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBITS_MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const HERTZ_MPEG1 = [44_100, 48_000, 32_000];

/**
 * Length of the MPEG layer III frame whose header begins here.
 *
 * @param bytes - at least four bytes from `at` on
 * @param at - offset of the header
 * @returns bytes from this header to the next; 0 when this is no header
 */
export function mpegFrameBytes(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0xff) return 0;
  const second = bytes[at + 1] ?? 0;
  const third = bytes[at + 2] ?? 0;
  const version = (second >> 3) & 3;
  if ((second & 0xe0) !== 0xe0 || version === 1 || ((second >> 1) & 3) !== LAYER_3) return 0;
  const hertz = (HERTZ_MPEG1[(third >> 2) & 3] ?? 0) >> (version === MPEG1 ? 0 : version === 2 ? 1 : 2);
  const kbits = (version === MPEG1 ? KBITS_MPEG1 : KBITS_MPEG2)[third >> 4] ?? 0;
  if (hertz === 0 || kbits === 0) return 0;
  const slots = version === MPEG1 ? 144_000 : 72_000;
  return Math.max(MPEG_HEADER_BYTES, Math.floor((slots * kbits) / hertz) + ((third >> 1) & 1));
}

/** What two headers of one MPEG audio stream have in common: version, layer and sampling rate. */
export function mpegSignature(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) & 0x0c);
}

// FLAC frame header (RFC 9639 §9.1): sync code, block size, rate, channels, sample size, number, CRC-8.
const FLAC_HEADER_BYTES_MAX = 16;

const crcTable = new Uint8Array(256);
for (let value = 0; value < 256; value++) {
  let crc = value;
  // x^8 + x^2 + x + 1 (RFC 9639 §9.1.8).
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? (crc << 1) ^ 0x07 : crc << 1;
  crcTable[value] = crc;
}

function codedNumberBytes(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc0 || first === 0xff) return 0;
  return Math.clz32(~(first << 24));
}

/**
 * Does a FLAC frame header with a right checksum begin here?
 *
 * @param bytes - at least 16 bytes from `at` on
 * @param at - offset of the header
 */
export function isFlacHeader(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 0xff || ((bytes[at + 1] ?? 0) & 0xfe) !== 0xf8) return false;
  const third = bytes[at + 2] ?? 0;
  const fourth = bytes[at + 3] ?? 0;
  const size = third >> 4;
  const rate = third & 15;
  if (size === 0 || rate === 15 || fourth >> 4 > 10 || (fourth & 1) !== 0) return false;
  const number = codedNumberBytes(bytes[at + 4] ?? 0);
  if (number === 0) return false;
  const sizeBytes = size === 6 ? 1 : size === 7 ? 2 : 0;
  const rateBytes = rate === 12 ? 1 : rate === 13 || rate === 14 ? 2 : 0;
  const length = 4 + number + sizeBytes + rateBytes;
  let crc = 0;
  for (let i = 0; i < length && i < FLAC_HEADER_BYTES_MAX; i++)
    crc = crcTable[crc ^ (bytes[at + i] ?? 0)] ?? 0;
  return crc === bytes[at + length];
}

// H.264 NAL unit in MP4 (ISO/IEC 14496-15 §5.3.3.1): four bytes of length, then a byte of importance and type.
const NAL_BYTES_MAX = 1 << 18;
const NAL_SLICE = 1;
const NAL_KEY_SLICE = 5;
const NAL_ENHANCEMENT = 6;

/**
 * Length of the H.264 NAL unit whose length field begins here.
 *
 * @param bytes - at least five bytes from `at` on
 * @param at - offset of the length field
 * @returns bytes from this length field to the next; 0 when this is none
 */
export function nalBytes(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0) return 0;
  const length = ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  if (length < 8 || length > NAL_BYTES_MAX) return 0;
  const header = bytes[at + 4] ?? 0;
  const type = header & 31;
  const importance = header >> 5;
  if (type === NAL_SLICE && importance < 4) return length + 4;
  if (type === NAL_KEY_SLICE && importance > 0 && importance < 4) return length + 4;
  return type === NAL_ENHANCEMENT && importance === 0 ? length + 4 : 0;
}
