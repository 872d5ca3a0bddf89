/** Files that the command line names: read as a whole or piece by piece, with failures in words. */
import { createReadStream, readFileSync } from "node:fs";
import { fileFailure } from "../base/index.ts";

const CODE = "FILE_UNREADABLE";
const STANDARD_INPUT = "-";

/**
 * Reads a file as a whole.
 *
 * @param what - the file is, or the flag that names it
 * @param file - its name; `-` is standard input
 * @throws {FirewallError} `FILE_UNREADABLE`
 */
export function readInput(what: string, file: string): Buffer {
  try {
    return readFileSync(file === STANDARD_INPUT ? 0 : file);
  } catch (cause) {
    throw fileFailure(CODE, `cannot read ${what} ${file}`, cause);
  }
}

/**
 * Reads a file that may be larger than memory.
 *
 * @param what - the file is
 * @param file - its name
 * @param chunkBytes - bytes read at a time
 * @throws {FirewallError} `FILE_UNREADABLE`
 */
export async function* readChunks(
  what: string,
  file: string,
  chunkBytes: number,
): AsyncGenerator<Uint8Array> {
  const chunks = createReadStream(file, { highWaterMark: chunkBytes })[Symbol.asyncIterator]();
  for (;;) {
    let next: IteratorResult<unknown>;
    try {
      next = await chunks.next();
    } catch (cause) {
      throw fileFailure(CODE, `cannot read ${what} ${file}`, cause);
    }
    if (next.done === true) return;
    yield next.value as Uint8Array;
  }
}
