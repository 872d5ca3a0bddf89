/**
 * The CHLO message of Google QUIC: tags and values, in the clear up to Q046 and sealed as an Initial in Q050.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Facts } from "../recogniser.ts";

// "CHLO", number of tags, padding; then a tag and the end of its value for each; then the values.
const TAG_COUNT = 4;
const TAGS = 8;
const ENTRY_BYTES = 8;
const TAGS_MAX = 128;

/** Bytes in front of CHLO in which it is looked for: public header, hash, and the frame's head. */
const SEARCH_BYTES = 96;

/**
 * Finds the client's hello and writes what it tells into `facts`.
 *
 * @param window - packet, or frames once opened
 * @returns false when there is no hello
 */
export function learnGoogleHello(facts: Facts, window: ByteWindow): boolean {
  let at = 0;
  while (at < SEARCH_BYTES && !window.has("CHLO", at)) at += 1;
  const count = window.u16le(at + TAG_COUNT);
  if (at >= SEARCH_BYTES || count < 1 || count > TAGS_MAX) return false;
  const valuesAt = at + TAGS + count * ENTRY_BYTES;
  let from = 0;
  for (let index = 0; index < count; index += 1) {
    const entryAt = at + TAGS + index * ENTRY_BYTES;
    const to = window.u32le(entryAt + 4);
    if (to < from) break;
    if (window.has("SNI\0", entryAt)) facts.serverName = window.name(valuesAt + from, valuesAt + to);
    if (window.has("UAID", entryAt)) facts.clientSoftware = window.text(valuesAt + from, valuesAt + to);
    from = to;
  }
  return true;
}
