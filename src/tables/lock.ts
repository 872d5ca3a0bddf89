/**
 * A sequence lock: a single writer, any number of readers that never write.
 *
 * A reader notes the sequence, reads, and reads again when the sequence has moved or was odd. What it sees in
 * between may be torn, so reading code must be bounded and must not trust what it follows. A critical section
 * lasts microseconds to a millisecond; a writer that has more to do gives the lock back in between.
 */
export class SequenceLock {
  readonly #words: Int32Array;
  readonly #at: number;

  /**
   * @param words - shared memory
   * @param at - index of the word that holds the sequence
   */
  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Waits until nobody writes. @returns the sequence to compare with in {@link SequenceLock.moved} */
  begin(): number {
    let sequence = Atomics.load(this.#words, this.#at);
    while ((sequence & 1) !== 0) sequence = Atomics.load(this.#words, this.#at);
    return sequence;
  }

  /** True when somebody wrote since {@link SequenceLock.begin}: what was read must be read again. */
  moved(sequence: number): boolean {
    return Atomics.load(this.#words, this.#at) !== sequence;
  }

  /** Makes readers wait. Only the one writer calls this. */
  acquire(): void {
    Atomics.add(this.#words, this.#at, 1);
  }

  /** Lets readers in. */
  release(): void {
    Atomics.add(this.#words, this.#at, 1);
  }
}
