/**
 * How a connection bears a seal in its mark: the generation of seals it belongs to, and the kind of seal.
 * What the kernel does with it is in the backend's chains.
 */
import { FirewallError, invariant } from "../base/index.ts";

/** Generations of seals: 1 to this one. */
export const SEAL_GENERATIONS = 31;

/** Bits of a connection's mark that are used: five for the generation, two for the kind of seal. */
const WIDTH = 7;
const KIND_SHIFT = 5;
const KINDS = 3;

/** What a seal says of the packets of its flow. */
export const SEAL_KIND = {
  /** They pass but for SYN, FIN and RST. */
  ACCEPTED: 0,
  /** They are dropped. */
  DROPPED: 1,
  /** They pass but for SYN and RST: the kernel carries the connection to its end. */
  CARRIED: 2,
  /** The kernel will carry the connection once it stands. */
  OPENING: 3,
} as const;

/** A kind of seal. */
export type SealKind = (typeof SEAL_KIND)[keyof typeof SEAL_KIND];

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
  bits(generation: number, kind: SealKind): number {
    invariant(generation >= 1 && generation <= SEAL_GENERATIONS, "seals have a generation");
    return ((generation | (kind << KIND_SHIFT)) << this.#shift) >>> 0;
  }

  /** The bits that tell the kind of a seal, unsigned. */
  get kindMask(): number {
    return (KINDS << (KIND_SHIFT + this.#shift)) >>> 0;
  }

  /** Those of dropped flows, unsigned. */
  get droppedBits(): number {
    return (SEAL_KIND.DROPPED << (KIND_SHIFT + this.#shift)) >>> 0;
  }

  /** True when a connection's mark, which bears a seal, says that its packets are dropped. */
  isDropped(mark: number): boolean {
    return (mark & this.kindMask) >>> 0 === this.droppedBits;
  }

  /** True when a connection's mark says that the kernel carries it, by a seal of a generation. */
  isCarried(mark: number, generation: number): boolean {
    return (mark & this.mask) >>> 0 === this.bits(generation, SEAL_KIND.CARRIED);
  }

  /** The generation that a connection's mark names; 0 when it bears no seal. */
  generationOf(mark: number): number {
    return ((mark & this.mask) >>> this.#shift) & SEAL_GENERATIONS;
  }
}
