/**
 * How a connection bears a seal in its mark: the generation of seals it belongs to, and whether its packets
 * are dropped. What the kernel does with it is in the backend's chains.
 */
import { FirewallError, invariant } from "../base/index.ts";

/** Generations of seals: 1 to this one. */
export const SEAL_GENERATIONS = 63;

/** Bits of a connection's mark that are used: six for the generation, one for dropped flows. */
const WIDTH = 7;
const DROPPED = 0x40;

/** Puts seals into the marks of connections. */
export class SealMarks {
  /** The bits of the mask that are used. */
  readonly mask: number;
  readonly #shift: number;

  /**
   * @param mask - seven or more adjacent bits, of which the lowest seven are used
   * @throws {FirewallError} `MARK_MASK_INVALID`
   */
  constructor(mask: number) {
    const shift = 31 - Math.clz32(mask & -mask);
    const used = 2 ** WIDTH - 1;
    if (!Number.isInteger(mask) || mask <= 0 || mask > 0xffff_ffff || ((mask >>> shift) & used) !== used) {
      const message = `The mask of connection marks 0x${mask.toString(16)} must have seven or more adjacent bits.`;
      throw new FirewallError("MARK_MASK_INVALID", message, { details: { mask } });
    }
    this.mask = (used << shift) >>> 0;
    this.#shift = shift;
  }

  /** The mark's bits for a seal, unsigned. @param generation - 1 to {@link SEAL_GENERATIONS} */
  bits(generation: number, isDropped: boolean): number {
    invariant(generation >= 1 && generation <= SEAL_GENERATIONS, "seals have a generation");
    return ((generation | (isDropped ? DROPPED : 0)) << this.#shift) >>> 0;
  }

  /** The bit that dropped flows bear, unsigned. */
  get droppedBit(): number {
    return (DROPPED << this.#shift) >>> 0;
  }

  /** True when a connection's mark, which bears a seal, says that its packets are dropped. */
  isDropped(mark: number): boolean {
    return (mark & this.droppedBit) !== 0;
  }

  /** The generation that a connection's mark names; 0 when it bears no seal. */
  generationOf(mark: number): number {
    return ((mark & this.mask) >>> this.#shift) & SEAL_GENERATIONS;
  }
}
