/** Bits of the kernel's packet mark that one part of Postern sets and another reads. */

/**
 * Says of a packet that a pinhole permits it. The pinholes' chain sets it and clears it on everything else,
 * before the packet is queued; PinholeRule reads it.
 */
export const PINHOLE_MARK = 0x0800_0000;
