/** Files that people write and a firewall reads as a whole: policies, and lists of addresses. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/** Bytes read at a time. */
const CHUNK_BYTES = 256 * 1024;

/** The content of an open file; what has no end, or waits for a writer, is refused before it is read. */
function readBounded(descriptor: number, bytesMax: number): Uint8Array {
  const facts = fstatSync(descriptor);
  if (!facts.isFile()) throw new Error("it is no regular file");
  const tooLarge = new Error(`it is larger than ${bytesMax} bytes`);
  if (facts.size > bytesMax) throw tooLarge;
  const chunks: Uint8Array[] = [];
  // The size is not relied on: a file may grow, and those of /proc have none.
  for (let total = 0; ; ) {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const count = readSync(descriptor, chunk);
    if (count === 0) return Buffer.concat(chunks, total);
    total += count;
    if (total > bytesMax) throw tooLarge;
    chunks.push(chunk.subarray(0, count));
  }
}

/**
 * Reads a regular file in UTF-8.
 *
 * @param bytesMax - largest file that is read, in bytes
 * @throws {Error} when there is none, it is no such file, or it is larger
 */
export function readBoundedText(path: string, bytesMax: number): string {
  // Without O_NONBLOCK the opening of a FIFO waits for whoever writes to it.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readBounded(descriptor, bytesMax));
  } finally {
    closeSync(descriptor);
  }
}
