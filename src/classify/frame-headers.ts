/** Headers that media formats repeat inside their streams: MPEG audio, FLAC, H.264 in MP4. */

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;

// MPEG audio frame header (ISO/IEC 11172-3 §2.4.1.3): 11 bits of sync, version, layer, bit rate, sampling
// rate.
const MPEG_HEADER_BYTES = 4;
const MPEG1 = 3;
const LAYER_3 = 1;
const KILOBITS_MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KILOBITS_MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
// By version: 2.5, reserved, 2, 1.
const KILOBITS = [KILOBITS_MPEG2, [], KILOBITS_MPEG2, KILOBITS_MPEG1];
const HERTZ = [[11_025, 12_000, 8_000], [], [22_050, 24_000, 16_000], [44_100, 48_000, 32_000]];

/**
 * Length of the MPEG layer III frame whose header begins here.
 *
 * @param bytes - at least four bytes from `at` on
 * @param at - offset of the header
 * @returns bytes from this header to the next; 0 when this is no header
 */
export function mpegFrameBytes(bytes: Uint8Array, at: number): number {
  const second = byteAt(bytes, at + 1);
  const third = byteAt(bytes, at + 2);
  const version = (second >> 3) & 3;
  if (byteAt(bytes, at) !== 0xff || second < 0xe0 || ((second >> 1) & 3) !== LAYER_3) return 0;
  const kilobits = KILOBITS[version]?.[third >> 4] ?? 0;
  const hertz = HERTZ[version]?.[(third >> 2) & 3] ?? 0;
  if (hertz === 0 || kilobits === 0) return 0;
  const slots = version === MPEG1 ? 144_000 : 72_000;
  const padding = (third >> 1) & 1;
  return Math.max(MPEG_HEADER_BYTES, Math.floor((slots * kilobits) / hertz) + padding);
}

/** What two headers of one MPEG audio stream have in common: version, layer and sampling rate. */
export function mpegSignature(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) & 0x0c);
}

// FLAC frame header (RFC 9639 §9.1): sync code, block size, rate, channels, sample size, number, CRC-8.
const FLAC_CHANNELS_MAX = 10;
// Bytes that follow for a block size or a sampling rate that is written out (§9.1.6, §9.1.7).
const FLAC_SIZE_BYTES = [0, 0, 0, 0, 0, 0, 1, 2];
const FLAC_RATE_BYTES = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2];

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
  if (byteAt(bytes, at) !== 0xff || (byteAt(bytes, at + 1) & 0xfe) !== 0xf8) return false;
  const length = flacHeaderBytes(bytes, at);
  if (length === 0) return false;
  let crc = 0;
  for (let i = 0; i < length; i++) crc = crcTable[crc ^ byteAt(bytes, at + i)] ?? 0;
  return crc === byteAt(bytes, at + length);
}

// Bytes before the checksum; 0 when a field holds a value that is not allowed.
function flacHeaderBytes(bytes: Uint8Array, at: number): number {
  const third = byteAt(bytes, at + 2);
  const fourth = byteAt(bytes, at + 3);
  const size = third >> 4;
  const rate = third & 15;
  const number = codedNumberBytes(byteAt(bytes, at + 4));
  if (size === 0 || rate === 15 || number === 0) return 0;
  if (fourth >> 4 > FLAC_CHANNELS_MAX || (fourth & 1) !== 0) return 0;
  return 4 + number + (FLAC_SIZE_BYTES[size] ?? 0) + (FLAC_RATE_BYTES[rate] ?? 0);
}

// H.264 NAL unit in MP4 (ISO/IEC 14496-15 §5.3.3.1): four bytes of length, then a byte of importance and
// type.
const NAL_LENGTH_BYTES = 4;
const NAL_BYTES_MIN = 8;
const NAL_BYTES_MAX = 1 << 18;
const NAL_IMPORTANCE_MAX = 3;
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
  const length = (byteAt(bytes, at + 1) << 16) | (byteAt(bytes, at + 2) << 8) | byteAt(bytes, at + 3);
  if (byteAt(bytes, at) !== 0 || length < NAL_BYTES_MIN || length > NAL_BYTES_MAX) return 0;
  return isNalHeader(byteAt(bytes, at + 4)) ? length + NAL_LENGTH_BYTES : 0;
}

// The kinds that make up a film: slices, key slices (never unimportant), enhancement information (always).
function isNalHeader(header: number): boolean {
  const type = header & 31;
  const importance = header >> 5;
  if (type === NAL_SLICE) return importance <= NAL_IMPORTANCE_MAX;
  if (type === NAL_KEY_SLICE) return importance > 0 && importance <= NAL_IMPORTANCE_MAX;
  return type === NAL_ENHANCEMENT && importance === 0;
}
