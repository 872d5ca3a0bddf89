/**
 * What betrays a format apart from statistics: marks that its streams repeat.
 *
 * The scanner walks over a stream once, however it is cut. Each detector needs some bytes beyond the place it
 * looks at, so the last bytes of every piece are carried over to the next one: {@link NEAR_REACH_BYTES} for
 * headers that are short, {@link ZSTD_REACH_BYTES} for Zstandard blocks. Places nearer to the end are judged
 * when more bytes have come. Headers that tell where the next one lies form chains; two links are more than
 * chance.
 */

import { LZMA2_KIND, lzma2ChunkBytes, lzma2Kind, ZSTD_REACH_BYTES, zstdBlockBytes } from "./block-headers.ts";
import { isFlacHeader, mpegFrameBytes, mpegSignature, nalBytes } from "./frame-headers.ts";

/** Bytes that the detectors of short headers look at. */
export const NEAR_REACH_BYTES = 16;
const CARRY_BYTES: number = ZSTD_REACH_BYTES;
const PIECE_BYTES = 8192;
const CHAIN_SLOTS = 8;
const NOWHERE = -1;

// A slot of a chain: where the next header is expected, what it must have in common, links so far.
const SLOT_WORDS = 3;
const EXPECTED = 0;
const SIGNATURE = 1;
const LINKS = 2;

/** Follows headers that tell where the next header lies. */
export class Chain {
  #slots: Int32Array | undefined;
  #next = 0;
  /** Headers seen. */
  headers = 0;
  /** Most headers in a row that lay where the one before had told. */
  longest = 0;

  /** Forgets all headers. */
  clear(): void {
    this.#slots?.fill(NOWHERE);
    this.#next = 0;
    this.headers = 0;
    this.longest = 0;
  }

  /**
   * Notes a header.
   *
   * @param place - offset of the header in the stream
   * @param target - offset of the header that should follow
   * @param signature - what the next header must have in common with this one
   */
  note(place: number, target: number, signature = 0): void {
    this.headers++;
    this.#slots ??= new Int32Array(CHAIN_SLOTS * SLOT_WORDS).fill(NOWHERE);
    const slots = this.#slots;
    for (let slot = 0; slot < slots.length; slot += SLOT_WORDS) {
      if (slots[slot + EXPECTED] !== place || slots[slot + SIGNATURE] !== signature) continue;
      const links = (slots[slot + LINKS] ?? 0) + 1;
      slots[slot + LINKS] = links;
      slots[slot + EXPECTED] = target;
      this.longest = Math.max(this.longest, links);
      return;
    }
    slots[this.#next + EXPECTED] = target;
    slots[this.#next + SIGNATURE] = signature;
    slots[this.#next + LINKS] = 0;
    this.#next = (this.#next + SLOT_WORDS) % slots.length;
  }
}

const word = (text: string): number =>
  (text.charCodeAt(0) << 24) |
  (text.charCodeAt(1) << 16) |
  (text.charCodeAt(2) << 8) |
  text.charCodeAt(3) |
  0;

// Four bytes that stand inside streams of these formats, not only at their beginning.
const MARKS: readonly number[] = [
  word("OggS"), // Ogg page (RFC 3533 §6)
  word("IDAT"), // PNG data chunk
  word("fdAT"), // animated PNG
  word("PK\x01\x02"), // ZIP central directory
  word("PK\x03\x04"), // ZIP member
  word("PK\x07\x08"), // ZIP data descriptor
  word("obj\n"), // PDF objects and streams
  word("obj\r"),
  word("ream"),
  word("moof"), // MP4 fragments
  word("mdat"),
  word("trun"),
  word("ANMF"), // animated WebP
  word("VP8 "),
  word("VP8L"),
  word("ALPH"),
];
// What a byte may begin, as bits.
const BEGINS_SYNC = 1;
const BEGINS_NAL = 2;
const BEGINS_LZMA2 = 4;
const BEGINS_MARK = 8;
const BEGINS = new Uint8Array(256);
BEGINS[0xff] = BEGINS_SYNC;
BEGINS[0x00] = BEGINS_NAL;
for (let value = 0x80; value < 0x90; value++) BEGINS[value] = BEGINS_LZMA2;
for (const mark of MARKS) BEGINS[mark >>> 24] = BEGINS_MARK;
// The third byte of a Zstandard block header holds the high bits of a size of at most 128 KiB.
const ZSTD_SIZE_BYTE = 2;
const ZSTD_SIZE_HIGH_MAX = 0x10;

// Ones where a byte may begin anything, and where a third byte may be that of a Zstandard block.
const BEGINS_ANY = BEGINS.map((begins) => (begins === 0 ? 0 : 1));
const ZSTD_SIZE_FITS = Uint8Array.from(BEGINS, (_, value) => (value <= ZSTD_SIZE_HIGH_MAX ? 1 : 0));

const scratch = new Uint8Array(CARRY_BYTES + PIECE_BYTES);
const headerPlaces = new Uint16Array(CARRY_BYTES + PIECE_BYTES);
const blockPlaces = new Uint16Array(CARRY_BYTES + PIECE_BYTES);

/** Looks for the marks of formats in one stream. Holds less than a kilobyte. */
export class StructureScanner {
  readonly #carry = new Uint8Array(CARRY_BYTES);
  #carried = 0;
  #place = 0;
  #nearDone = 0;
  #farDone = 0;
  /** MPEG audio frame headers. */
  readonly mpeg: Chain = new Chain();
  /** H.264 NAL units in MP4. */
  readonly nal: Chain = new Chain();
  /** LZMA2 chunk headers as liblzma writes them. */
  readonly xz: Chain = new Chain();
  /** LZMA2 chunk headers as 7-Zip writes them. */
  readonly sevenZip: Chain = new Chain();
  /** Zstandard blocks. */
  readonly zstd: Chain = new Chain();
  /** FLAC frame headers with a right checksum. */
  flacHeaders = 0;
  /** Four-byte marks of containers. */
  marks = 0;
  /** Bytes 0xff followed by what JPEG data may hold there: 0 or a restart marker. */
  stuffed = 0;
  /** Bytes 0xff followed by anything else. */
  unstuffed = 0;

  /** Forgets the stream. */
  clear(): void {
    this.#carried = 0;
    this.#place = 0;
    this.#nearDone = 0;
    this.#farDone = 0;
    for (const chain of [this.mpeg, this.nal, this.xz, this.sevenZip, this.zstd]) chain.clear();
    this.flacHeaders = 0;
    this.marks = 0;
    this.stuffed = 0;
    this.unstuffed = 0;
  }

  /** Looks at the next piece of the stream. */
  push(bytes: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to; at += PIECE_BYTES) this.#scan(bytes, at, Math.min(to, at + PIECE_BYTES));
  }

  #scan(bytes: Uint8Array, from: number, to: number): void {
    const carried = this.#carried;
    const total = carried + to - from;
    scratch.set(this.#carry.subarray(0, carried));
    scratch.set(bytes.subarray(from, to), carried);
    const origin = this.#place - carried;
    const farFrom = Math.max(0, this.#farDone - origin);
    const nearFrom = Math.max(farFrom, this.#nearDone - origin);
    const farTo = Math.max(nearFrom, total - ZSTD_REACH_BYTES);
    const nearTo = Math.max(farTo, total - NEAR_REACH_BYTES);
    this.#far(origin, farFrom, Math.min(nearFrom, total - ZSTD_REACH_BYTES));
    this.#both(origin, nearFrom, farTo);
    this.#near(origin, farTo, nearTo);
    this.#farDone = Math.max(this.#farDone, origin + total - ZSTD_REACH_BYTES);
    this.#nearDone = origin + nearTo;
    this.#carried = Math.min(CARRY_BYTES, total);
    this.#carry.set(scratch.subarray(total - this.#carried, total));
    this.#place += to - from;
  }

  // Places with enough bytes behind them for every detector: most of a stream. Most of them begin nothing, so
  // first the few are written down, without a branch that nobody could foretell.
  #both(origin: number, from: number, to: number): void {
    let headers = 0;
    let blocks = 0;
    for (let at = from; at < to; at++) {
      headerPlaces[headers] = at;
      headers += BEGINS_ANY[scratch[at] ?? 0] ?? 0;
      blockPlaces[blocks] = at;
      blocks += ZSTD_SIZE_FITS[scratch[at + ZSTD_SIZE_BYTE] ?? 0] ?? 0;
    }
    for (let i = 0; i < headers; i++) {
      const at = headerPlaces[i] ?? 0;
      this.#header(BEGINS[scratch[at] ?? 0] ?? 0, origin, at);
    }
    for (let i = 0; i < blocks; i++) this.#zstdBlock(origin, blockPlaces[i] ?? 0);
  }

  #near(origin: number, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const begins = BEGINS[scratch[at] ?? 0] ?? 0;
      if (begins !== 0) this.#header(begins, origin, at);
    }
  }

  #far(origin: number, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      if (ZSTD_SIZE_FITS[scratch[at + ZSTD_SIZE_BYTE] ?? 0] === 1) this.#zstdBlock(origin, at);
    }
  }

  #header(begins: number, origin: number, at: number): void {
    if (begins === BEGINS_NAL) this.#nalUnit(origin, at);
    else if (begins === BEGINS_LZMA2) this.#lzma2(origin, at);
    else if (begins === BEGINS_SYNC) this.#sync(origin, at);
    else this.#mark(at);
  }

  #zstdBlock(origin: number, at: number): void {
    const length = zstdBlockBytes(scratch, at);
    if (length > 0) this.zstd.note(origin + at, origin + at + length);
  }

  // JPEG (ITU-T T.81 §F.1.2.3, §E.1.4): a 0 follows each 0xff of the data; restart markers are D0 to D7.
  #sync(origin: number, at: number): void {
    const next = scratch[at + 1] ?? 0;
    if (next === 0 || (next & 0xf8) === 0xd0) {
      this.stuffed++;
      return;
    }
    this.unstuffed++;
    const length = mpegFrameBytes(scratch, at);
    if (length > 0) this.mpeg.note(origin + at, origin + at + length, mpegSignature(scratch, at));
    else if (isFlacHeader(scratch, at)) this.flacHeaders++;
  }

  #nalUnit(origin: number, at: number): void {
    const length = nalBytes(scratch, at);
    if (length > 0) this.nal.note(origin + at, origin + at + length);
  }

  #lzma2(origin: number, at: number): void {
    const kind = lzma2Kind(scratch, at);
    if (kind === LZMA2_KIND.NONE) return;
    const chain = kind === LZMA2_KIND.XZ ? this.xz : this.sevenZip;
    chain.note(origin + at, origin + at + lzma2ChunkBytes(scratch, at));
  }

  #mark(at: number): void {
    const value =
      ((scratch[at] ?? 0) << 24) |
      ((scratch[at + 1] ?? 0) << 16) |
      ((scratch[at + 2] ?? 0) << 8) |
      (scratch[at + 3] ?? 0);
    if (MARKS.includes(value)) this.marks++;
  }
}
