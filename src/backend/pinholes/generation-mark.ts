/**
 * The number of the rule set in force, in the kernel itself: a set with one element that every transaction
 * replaces.
 *
 * Because the old number must be there to be replaced, a transaction that was made for another rule set is
 * refused as a whole: two daemons on one chain, or a table that somebody emptied, are noticed before anything
 * is lost.
 */
import { HOST_ORDER } from "../../netlink/index.ts";
import { LAYOUT } from "./chain-text.ts";

const KEY_BYTES = 12;
const WORD = 0x1_0000_0000;

/** The element for a generation: layout, then the number's upper and lower 32 bits. */
export function encodeGeneration(generation: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(KEY_BYTES));
  view.setUint32(0, LAYOUT, HOST_ORDER);
  view.setUint32(4, Math.floor(generation / WORD), HOST_ORDER);
  view.setUint32(8, generation % WORD, HOST_ORDER);
  return new Uint8Array(view.buffer);
}

/** The generation that an element says; `undefined` when it is of another layout. */
export function decodeGeneration(key: Uint8Array): number | undefined {
  if (key.length !== KEY_BYTES) return undefined;
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  if (view.getUint32(0, HOST_ORDER) !== LAYOUT) return undefined;
  return view.getUint32(4, HOST_ORDER) * WORD + view.getUint32(8, HOST_ORDER);
}
