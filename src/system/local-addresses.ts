/** The addresses of this host, to tell which way a connection of the kernel's table went. */
import { networkInterfaces } from "node:os";
import { type AddressWords, type Family, type Milliseconds, parseAddress, sameWords } from "../base/index.ts";

/** How long the list is believed, in milliseconds: addresses come and go. */
const BELIEVED_MS: Milliseconds = 1000;

/** First octet of the loopback network; all of it is local. */
const LOOPBACK = 127;

/** Addresses in the network namespace of the calling thread. */
export class LocalAddresses {
  readonly #ipv4 = new Set<number>();
  #ipv6: AddressWords[] = [];
  #until: Milliseconds = Number.NEGATIVE_INFINITY;

  /** Reads the addresses anew when they are not believed any more. @param now - monotonic time */
  refresh(now: Milliseconds): void {
    if (now < this.#until) return;
    this.#until = now + BELIEVED_MS;
    this.#ipv4.clear();
    this.#ipv6 = [];
    for (const { address } of Object.values(networkInterfaces()).flatMap((all) => all ?? [])) {
      const parsed = parseAddress(address.replace(/%.*/, ""));
      if (parsed?.family === 4) this.#ipv4.add(parsed.words[3] ?? 0);
      else if (parsed !== undefined) this.#ipv6.push(parsed.words);
    }
  }

  /** True when an address is one of this host's. */
  contains(family: Family, words: AddressWords): boolean {
    if (family === 6) return this.#ipv6.some((own) => sameWords(own, words));
    const value = words[3] ?? 0;
    return value >>> 24 === LOOPBACK || this.#ipv4.has(value);
  }
}
