/**
 * A short name for a long text, to know it again. No secret: whoever wants two texts with one name can make
 * them.
 */

const FIRST = 0x811c9dc5;
const SECOND = 0x9e3779b9;
const PRIME = 0x01000193;
const MIXER = 0x85ebca6b;

/** Takes texts one after the other. Two different sequences have different names, but for one in 2^64. */
export class Fingerprint {
  #first = FIRST;
  #second = SECOND;

  /** Adds texts. */
  add(...texts: readonly string[]): void {
    for (const text of texts) {
      this.#step(text.length);
      for (let at = 0; at < text.length; at += 1) this.#step(text.charCodeAt(at));
    }
  }

  /** The name so far: 16 hexadecimal digits. */
  get text(): string {
    return [this.#first, this.#second].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #step(value: number): void {
    // FNV-1a, and beside it a multiplication that carries the upper bits down.
    this.#first = Math.imul(this.#first ^ value, PRIME);
    const mixed = Math.imul(this.#second ^ value, MIXER);
    this.#second = mixed ^ (mixed >>> 15);
  }
}
