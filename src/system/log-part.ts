/**
 * A part of a durable log: what stands in its bytes, and what no longer does.
 *
 * ```
 * part    = head, record*, then zeros or nothing
 * head    = a record whose body is "former " and the length of the part before, in bytes; 0 for none
 * record  = length of the body (4 bytes, little end first), CRC-32 of the body (4 bytes), body
 * filler  = a record whose body is blanks: where a damaged record was
 * ```
 *
 * A crash may leave the last record of the last part by half. Nobody was told that it is there: it is *torn*.
 * Behind a torn record nothing checks out, and no later part says that the part was longer. Everything else
 * that does not check out is *damage*: somebody was told that it is on the disk.
 */
import { crc32 } from "node:zlib";

// Byte offsets in the head of a record.
const LENGTH = 0;
const CHECKSUM = 4;
const HEAD_BYTES = 8;

const FORMER = /^former (\d+)$/;
const BLANK = " ";
const BLANK_BYTE = 0x20;

/** A smaller gap than a filler has in it belongs to the filler of the damage before. */
const FILLER_BYTES_MIN = HEAD_BYTES + 1;

/** So much of a part holds its head, in bytes. */
export const PART_HEAD_BYTES = 32;

/** A stretch of a part. */
export interface Stretch {
  /** Where it begins, in bytes. */
  readonly at: number;
  /** How long it is, in bytes. */
  readonly bytes: number;
}

/** What a part says. */
export interface PartReading {
  /** The bodies of its records. */
  readonly records: readonly Buffer[];
  /** Length of the part before, in bytes; undefined when the head does not check out. */
  readonly former: number | undefined;
  /** Where its records end, in bytes. */
  readonly end: number;
  /** What was on the disk and is not any more. */
  readonly damages: readonly Stretch[];
  /** Bytes of a last record that was never confirmed. */
  readonly tornBytes: number;
}

/** A body as a record. */
export function frameRecord(body: string): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(body));
  bytes.write(body, HEAD_BYTES);
  bytes.writeUInt32LE(bytes.length - HEAD_BYTES, LENGTH);
  bytes.writeUInt32LE(crc32(bytes.subarray(HEAD_BYTES)), CHECKSUM);
  return bytes;
}

/** The head of a part. */
export function framePartHead(formerBytes: number): Buffer {
  return frameRecord(`former ${formerBytes}`);
}

/** What stands in for a stretch that is damaged, which a filler must fit in. */
export function frameFiller(bytes: number): Buffer {
  return frameRecord(BLANK.repeat(bytes - HEAD_BYTES));
}

/** The body of the record at an offset; undefined when there is none that checks out. */
function bodyAt(bytes: Buffer, at: number): Buffer | undefined {
  if (at + HEAD_BYTES >= bytes.length) return undefined;
  const length = bytes.readUInt32LE(at + LENGTH);
  if (length === 0 || length > bytes.length - at - HEAD_BYTES) return undefined;
  const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
  return bytes.readUInt32LE(at + CHECKSUM) === crc32(body) ? body : undefined;
}

/**
 * Where the next record behind an offset begins; undefined when there is none. Bodies are text: nowhere in
 * them stands what might be a length, so hardly a checksum is computed in vain.
 */
function nextRecord(bytes: Buffer, from: number): number | undefined {
  for (let at = from; at + HEAD_BYTES < bytes.length; at += 1) {
    if (bodyAt(bytes, at) !== undefined) return at;
  }
  return undefined;
}

/** Length of a part without the zeros that it ends with, in bytes. */
function writtenBytes(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

/**
 * Reads a part.
 *
 * @param part - its bytes
 * @param expected - where its records end, in bytes; undefined when no later part says so
 */
export function readPart(part: Buffer, expected: number | undefined): PartReading {
  const records: Buffer[] = [];
  const damages: Stretch[] = [];
  let former: number | undefined;
  const bytes = expected === undefined ? part : part.subarray(0, expected);
  let at = 0;
  for (;;) {
    const body = bodyAt(bytes, at);
    if (body === undefined) {
      const next = nextRecord(bytes, at + FILLER_BYTES_MIN);
      if (next === undefined) break;
      damages.push({ at, bytes: next - at });
      at = next;
      continue;
    }
    const head = at === 0 ? FORMER.exec(body.toString("latin1", 0, PART_HEAD_BYTES)) : null;
    if (head !== null) former = Number(head[1]);
    else if (body[0] !== BLANK_BYTE) records.push(body);
    at += HEAD_BYTES + body.length;
  }
  if (expected === undefined) {
    return { records, former, end: at, damages, tornBytes: Math.max(0, writtenBytes(part) - at) };
  }
  if (at < expected) damages.push({ at, bytes: expected - at });
  return { records, former, end: expected, damages, tornBytes: 0 };
}
