/** Bits in nftables' language. */

/** A number of 32 bits, such as `0x08000000`. */
export function hexadecimal(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, "0")}`;
}
