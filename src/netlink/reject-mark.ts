/**
 * How userspace asks the kernel for more than accept and drop, the only words a queue knows: to refuse a
 * packet, or to judge the rest of its flow alike.
 *
 * Such a packet is accepted with a mark, and a chain of our table just behind the queue acts on it. A refusal
 * is nftables' own `reject`: what the sender gets is what any kernel would send. A seal is noted in the
 * connection's mark. Of the mark only the bits of a mask are ours; all others pass through untouched.
 */
import { FirewallError, PROTOCOL } from "../base/index.ts";

/** Bits of the packet mark that are ours unless the policy says otherwise. */
export const DEFAULT_MARK_MASK = 0x70000000;

/** What is asked, as the value of our bits in the mark. */
export const REJECT_KIND = {
  /** TCP reset. */
  RESET: 1,
  /** ICMP host unreachable; ICMPv6 address unreachable. */
  HOST_UNREACHABLE: 2,
  /** ICMP or ICMPv6 "administratively prohibited". */
  ADMIN_PROHIBITED: 3,
  /** ICMP or ICMPv6 port unreachable. Upwards this and those above: see judged-priority.ts. */
  PORT_UNREACHABLE: 4,
  /**
   * The packet goes on, and so does every later one of its flow; after the answer to a SYN those behind its
   * acknowledgement.
   * Upwards: this is that acknowledgement, and it is vouched for.
   */
  SEAL_ACCEPT: 5,
  /** The packet is dropped, and so is every later one of its flow. */
  SEAL_DROP: 6,
  /**
   * Upwards: the kernel's tracker has found that the segment fits its connection, which stands, or of a SYN
   * that it begins none. Of what is no segment: the kernel asks whether it can be read.
   * Downwards: a seal that is there ends. Back to the hook: it can be read.
   */
  VOUCHED: 7,
} as const;

/** What is asked, by its number. */
export type RejectKind = (typeof REJECT_KIND)[keyof typeof REJECT_KIND];

/** Puts our bits into marks. */
export class RejectMarks {
  /** Bits of the packet mark that are ours. */
  readonly mask: number;
  readonly #shift: number;

  /**
   * @param mask - three or more adjacent bits
   * @throws {FirewallError} `MARK_MASK_INVALID`
   */
  constructor(mask: number) {
    const shift = 31 - Math.clz32(mask & -mask);
    const width = mask >>> shift;
    if (
      !Number.isInteger(mask) ||
      mask <= 0 ||
      mask > 0xffffffff ||
      width < 7 ||
      (width & (width + 1)) !== 0
    ) {
      const message = `The mark mask 0x${mask.toString(16)} must have three or more adjacent bits.`;
      throw new FirewallError("MARK_MASK_INVALID", message, { details: { mask } });
    }
    this.mask = mask >>> 0;
    this.#shift = shift;
  }

  /** True for the mark of a segment that the kernel's tracker vouches for. */
  isVouched(mark: number): boolean {
    return (mark & this.mask) >>> this.#shift === REJECT_KIND.VOUCHED || this.isCarried(mark);
  }

  /**
   * True for the mark of a packet that the kernel judges by itself once it knows that it can be read: it goes
   * back to its hook as it is.
   *
   * @param protocol - the packet's (IANA number)
   */
  asksIfReadable(mark: number, protocol: number): boolean {
    return protocol !== PROTOCOL.TCP && (mark & this.mask) >>> this.#shift === REJECT_KIND.VOUCHED;
  }

  /** True for the mark of a segment with which the kernel has begun to carry its connection. */
  isCarried(mark: number): boolean {
    return (mark & this.mask) >>> this.#shift === REJECT_KIND.SEAL_ACCEPT;
  }

  /** True for the mark of a packet that the kernel has dropped or refused already. */
  isJudged(mark: number): boolean {
    const kind = (mark & this.mask) >>> this.#shift;
    return kind !== 0 && kind <= REJECT_KIND.PORT_UNREACHABLE;
  }

  /** A mark without our bits, signed. */
  without(mark: number): number {
    return mark & ~this.mask;
  }

  /** The mask's bits for what is asked, unsigned. */
  bits(kind: RejectKind): number {
    return (kind << this.#shift) >>> 0;
  }

  /**
   * The mark that asks; bits that are not ours keep their value.
   *
   * @param mark - the packet's mark
   * @returns 32 bits as a signed number, which V8 keeps without a box
   */
  apply(mark: number, kind: RejectKind): number {
    return (mark & ~this.mask) | (kind << this.#shift);
  }
}
