/**
 * File signatures: how a stream of a known format begins.
 *
 * Only the first bytes of a stream are looked at. Some formats cannot be told from ciphertext by statistics,
 * so for them the signature is the only witness and it is believed; for the others a signature that the rest
 * of the stream does not bear out is a lie, because whoever hides ciphertext can write any four bytes before
 * it.
 */

/** One signature. */
export interface Signature {
  /** Name of the format. */
  name: string;
  /** Offset of the signature in the stream, in bytes. */
  at: number;
  /** The signature's bytes; -1 stands for any byte. */
  bytes: readonly number[];
  /** The format's body looks like ciphertext: nothing but the signature speaks against encryption. */
  looksRandom: boolean;
}

const ANY = -1;

function ascii(text: string): number[] {
  return Array.from(text, (letter) => letter.charCodeAt(0));
}

const plainly = (name: string, bytes: readonly number[], at = 0): Signature => ({
  name,
  at,
  bytes,
  looksRandom: false,
});
const randomly = (name: string, bytes: readonly number[], at = 0): Signature => ({
  name,
  at,
  bytes,
  looksRandom: true,
});

/** The signatures known, longest first where one is the beginning of another. */
export const SIGNATURES: readonly Signature[] = [
  randomly("xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), // xz-file-format §2.1.1.1
  randomly("7z", [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]),
  randomly("lzip", [...ascii("LZIP"), 1]),
  randomly("lzma", [0x5d, 0x00, 0x00, ANY, ANY, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  randomly("rar", ascii("Rar!\x1a\x07")),
  randomly("webp", [...ascii("RIFF"), ANY, ANY, ANY, ANY, ...ascii("WEBP")]),
  randomly("mp4", ascii("ftyp"), 4), // ISO/IEC 14496-12 §4.3
  randomly("matroska", [0x1a, 0x45, 0xdf, 0xa3]), // RFC 8794
  plainly("ogg", ascii("OggS")), // RFC 3533 §6
  plainly("gzip", [0x1f, 0x8b, 0x08]), // RFC 1952 §2.3.1
  plainly("bzip2", [...ascii("BZh"), ANY, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
  plainly("zip", ascii("PK\x03\x04")),
  plainly("zstd", [0x28, 0xb5, 0x2f, 0xfd]), // RFC 8878 §3.1.1
  plainly("lz4", [0x04, 0x22, 0x4d, 0x18]),
  plainly("png", [0x89, ...ascii("PNG\r\n"), 0x1a, 0x0a]),
  plainly("jpeg", [0xff, 0xd8, 0xff]), // ITU-T T.81 §B.1.1.3
  plainly("gif", ascii("GIF8")),
  plainly("flac", ascii("fLaC")), // RFC 9639 §6
  plainly("mp3", ascii("ID3")),
  plainly("wave", [...ascii("RIFF"), ANY, ANY, ANY, ANY, ...ascii("WAVE")]),
  plainly("pdf", ascii("%PDF-")),
  plainly("elf", [0x7f, ...ascii("ELF")]),
];

/** Bytes of a stream's beginning that {@link findSignature} looks at. */
export const SIGNATURE_REACH_BYTES = 16;

/**
 * Which format a stream says it is.
 *
 * @param beginning - the first bytes of the stream
 * @param length - how many of them there are
 * @returns the signature, or `undefined` when none fits
 */
export function findSignature(
  beginning: Uint8Array,
  length: number = beginning.length,
): Signature | undefined {
  return SIGNATURES.find((signature) => fits(signature, beginning, length));
}

function fits(signature: Signature, beginning: Uint8Array, length: number): boolean {
  const { at, bytes } = signature;
  if (at + bytes.length > length) return false;
  return bytes.every((byte, i) => byte === ANY || byte === beginning[at + i]);
}
