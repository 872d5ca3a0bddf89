/**
 * Names of network interfaces by index, remembered for a while: they may be renamed, and indexes come back.
 */
import type { Milliseconds } from "../base/index.ts";
import { interfaceIndexToName, interfaceNameToIndex } from "./libc.ts";

/** How long a name is believed. */
const BELIEVED_MS: Milliseconds = 1000;

/** Interfaces that are remembered; at the limit all are forgotten and asked for again. */
const REMEMBERED_MAX = 4096;

const NAME_BYTES = 16;

interface Remembered {
  name: string;
  until: Milliseconds;
}

/** Looks names up in the network namespace of the calling thread. */
export class InterfaceNames {
  readonly #byIndex = new Map<number, Remembered>();
  readonly #memory = new Uint8Array(new ArrayBuffer(NAME_BYTES));

  /**
   * Name of an interface. Allocates nothing while the name is remembered.
   *
   * @param index - interface index; 0 is no interface
   * @param now - monotonic time
   * @returns the name, "" when there is none
   */
  name(index: number, now: Milliseconds): string {
    if (index === 0) return "";
    const known = this.#byIndex.get(index);
    if (known !== undefined && now < known.until) return known.name;
    const name = this.#ask(index);
    if (known !== undefined) {
      known.name = name;
      known.until = now + BELIEVED_MS;
      return name;
    }
    if (this.#byIndex.size >= REMEMBERED_MAX) this.#byIndex.clear();
    this.#byIndex.set(index, { name, until: now + BELIEVED_MS });
    return name;
  }

  #ask(index: number): string {
    if (!interfaceIndexToName(index, this.#memory)) return "";
    const end = this.#memory.indexOf(0);
    return String.fromCharCode(...this.#memory.subarray(0, end < 0 ? NAME_BYTES : end));
  }
}

/** Index of an interface by name, 0 when there is none. */
export function interfaceIndex(name: string): number {
  return interfaceNameToIndex(name);
}
