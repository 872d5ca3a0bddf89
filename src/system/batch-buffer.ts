/**
 * The memory that recvmmsg(2) fills with a batch of datagrams, made once and used for the life of a socket.
 *
 * Each datagram has a slot large enough for the largest packet, 64 KiB and more, but the memory of a slot is
 * only taken from the system when a packet reaches it, so small packets cost little. The distance between
 * slots is an odd number of cache lines: with a round distance the headers of all packets would compete for
 * the same few lines.
 */
import { invariant } from "../base/index.ts";
import { addressOf, IO_VECTOR_LAYOUT, type Memory, RECEIVED_LAYOUT } from "./libc.ts";

const CACHE_LINE_BYTES = 64;

/** Bit of a datagram's flags: it was longer than its slot (MSG_TRUNC). */
const TRUNCATED = 0x20;

/** Byte order of the machine, in which the system's structures are written. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Distance between slots that hold `bytes` each. */
function slotDistance(bytes: number): number {
  const lines = Math.ceil(bytes / CACHE_LINE_BYTES);
  return (lines % 2 === 0 ? lines + 1 : lines) * CACHE_LINE_BYTES;
}

/** Receive memory for a batch. */
export class BatchBuffer {
  readonly #headers: ArrayBuffer;
  readonly #headerView: DataView;
  readonly #vectors: ArrayBuffer;
  readonly #memory: ArrayBuffer;
  readonly #distance: number;

  /** Number of slots. */
  readonly slots: number;
  /** Every slot's bytes. */
  readonly bytes: DataView;

  /**
   * @param slots - datagrams of a batch, 1 to 1024
   * @param slotBytes - longest datagram expected, in bytes
   */
  constructor(slots: number, slotBytes: number) {
    invariant(IO_VECTOR_LAYOUT.SIZE === 16, "pointers have 64 bits");
    this.slots = slots;
    this.#distance = slotDistance(slotBytes);
    this.#memory = new ArrayBuffer(slots * this.#distance);
    this.bytes = new DataView(this.#memory);
    this.#vectors = new ArrayBuffer(slots * IO_VECTOR_LAYOUT.SIZE);
    this.#headers = new ArrayBuffer(slots * RECEIVED_LAYOUT.SIZE);
    this.#headerView = new DataView(this.#headers);
    this.#connect(slotBytes);
  }

  /** The structures that recvmmsg(2) works on. */
  get headers(): Memory {
    return this.#headers;
  }

  /** Offset of a slot in {@link BatchBuffer.bytes}. */
  slotAt(slot: number): number {
    return slot * this.#distance;
  }

  /** Length of the datagram in a slot, in bytes, as far as it fits. */
  lengthOf(slot: number): number {
    return this.#headerView.getUint32(slot * RECEIVED_LAYOUT.SIZE + RECEIVED_LAYOUT.BYTES, LITTLE_ENDIAN);
  }

  /** True when the datagram in a slot was longer than the slot. */
  isTruncated(slot: number): boolean {
    const at = slot * RECEIVED_LAYOUT.SIZE + RECEIVED_LAYOUT.FLAGS;
    return (this.#headerView.getUint32(at, LITTLE_ENDIAN) & TRUNCATED) !== 0;
  }

  /** Tells the structures where the slots are. */
  #connect(slotBytes: number): void {
    const vectors = new DataView(this.#vectors);
    const vectorsAddress = addressOf(this.#vectors);
    const memoryAddress = addressOf(this.#memory);
    for (let slot = 0; slot < this.slots; slot += 1) {
      const vector = slot * IO_VECTOR_LAYOUT.SIZE;
      const base = memoryAddress + BigInt(this.slotAt(slot));
      vectors.setBigUint64(vector + IO_VECTOR_LAYOUT.BASE, base, LITTLE_ENDIAN);
      vectors.setBigUint64(vector + IO_VECTOR_LAYOUT.BYTES, BigInt(slotBytes), LITTLE_ENDIAN);
      const header = slot * RECEIVED_LAYOUT.SIZE;
      const vectorAddress = vectorsAddress + BigInt(vector);
      this.#headerView.setBigUint64(header + RECEIVED_LAYOUT.VECTORS, vectorAddress, LITTLE_ENDIAN);
      this.#headerView.setBigUint64(header + RECEIVED_LAYOUT.VECTOR_COUNT, 1n, LITTLE_ENDIAN);
    }
  }
}
