/** Who has failed to prove who it is, and must wait. */
import { type Milliseconds, MINUTE } from "../../base/index.ts";

/** Failures within {@link MEMORY_MS} after which an address must wait. */
const FAILURES_MAX = 3;
const MEMORY_MS = 10 * MINUTE;
const WAIT_MS = MINUTE;

/** Addresses that are remembered, at most; the oldest is forgotten first. */
const ADDRESSES_MAX = 4096;

/** Remembers failures by the address they came from. */
export class AuthGuard {
  readonly #failures: Map<string, Milliseconds[]> = new Map();

  /** Notes a failure. */
  fail(address: string, now: Milliseconds): void {
    const recent = (this.#failures.get(address) ?? []).filter((at) => now - at < MEMORY_MS);
    this.#failures.delete(address);
    this.#failures.set(address, [...recent, now].slice(-FAILURES_MAX));
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > ADDRESSES_MAX && oldest !== undefined) this.#failures.delete(oldest);
  }

  /** True when an address has failed too often, and a short while ago. */
  mustWait(address: string, now: Milliseconds): boolean {
    const failures = this.#failures.get(address) ?? [];
    const [first = 0, last = 0] = [failures[0], failures.at(-1)];
    return failures.length >= FAILURES_MAX && now - first < MEMORY_MS + WAIT_MS && now - last < WAIT_MS;
  }
}
