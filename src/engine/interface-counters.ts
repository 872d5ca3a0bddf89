/**
 * Traffic of each interface, counted as pf counts it: bytes and packets by direction and family, packets that
 * passed and packets that were blocked. A forwarded packet comes in by one interface and goes out by another
 * and is counted at both. A set of typed arrays, so counting allocates nothing.
 */
import { HOOK } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";

/** Interfaces that are told apart; a power of two. Whatever more there are is counted together. */
const INTERFACES_MAX = 64;

/** Index under which the rest is counted. */
const OTHERS = 0;

// Fields of one direction and family.
const BYTES = 0;
const PASSED = 1;
const BLOCKED = 2;
const FIELDS = 3;

// Parts of one interface.
const IN = 0;
const OUT = 1;
const FAMILIES = 2;
const ROW = 2 * FAMILIES * FIELDS;

/** What went one way in one family. */
export interface DirectionTraffic {
  /** Of IP packets, passed or not. */
  readonly bytes: number;
  readonly passedPackets: number;
  readonly blockedPackets: number;
}

/** What went one way. */
export interface FamilyTraffic {
  readonly ipv4: DirectionTraffic;
  readonly ipv6: DirectionTraffic;
}

/** What went over one interface. */
export interface InterfaceTraffic {
  /** Index of the interface; 0 for all that found no place of their own. */
  readonly index: number;
  readonly in: FamilyTraffic;
  readonly out: FamilyTraffic;
}

/** See above. */
export class InterfaceCounters {
  /** Interface of each row, 0 for a free one; the last row is that of the rest. */
  readonly #indexes = new Int32Array(INTERFACES_MAX + 1);
  readonly #values = new Float64Array((INTERFACES_MAX + 1) * ROW);

  /** Counts a packet that was judged. @param passed - whether it was accepted */
  count(packet: Packet, passed: boolean): void {
    if (packet.hook !== HOOK.OUTPUT) this.#add(packet.inInterface, IN, packet, passed);
    if (packet.hook !== HOOK.INPUT) this.#add(packet.outInterface, OUT, packet, passed);
  }

  /** What was counted so far, copied. */
  read(): InterfaceTraffic[] {
    const rows = [...this.#indexes.keys()].filter((row) => this.#isUsed(row));
    return rows.map((row) => ({
      index: this.#indexes[row] ?? OTHERS,
      in: this.#family(row, IN),
      out: this.#family(row, OUT),
    }));
  }

  // oxlint-disable-next-line max-params -- an object for each packet would be garbage
  #add(index: number, direction: number, packet: Packet, passed: boolean): void {
    const family = packet.family === 6 ? 1 : 0;
    const at = this.#rowOf(index) * ROW + (direction * FAMILIES + family) * FIELDS;
    const values = this.#values;
    const verdict = at + (passed ? PASSED : BLOCKED);
    values[at + BYTES] = (values[at + BYTES] as number) + packet.wireBytes;
    values[verdict] = (values[verdict] as number) + 1;
  }

  /** Row of an interface; a new one takes the first that is free. */
  #rowOf(index: number): number {
    if (index === OTHERS) return INTERFACES_MAX;
    for (let step = 0; step < INTERFACES_MAX; step += 1) {
      const row = (index + step) & (INTERFACES_MAX - 1);
      const found = this.#indexes[row] as number;
      if (found === index) return row;
      if (found !== 0) continue;
      this.#indexes[row] = index;
      return row;
    }
    return INTERFACES_MAX;
  }

  #isUsed(row: number): boolean {
    return this.#values.subarray(row * ROW, (row + 1) * ROW).some((value) => value !== 0);
  }

  #family(row: number, direction: number): FamilyTraffic {
    return { ipv4: this.#direction(row, direction, 0), ipv6: this.#direction(row, direction, 1) };
  }

  #direction(row: number, direction: number, family: number): DirectionTraffic {
    const at = row * ROW + (direction * FAMILIES + family) * FIELDS;
    const value = (field: number): number => this.#values[at + field] ?? 0;
    return { bytes: value(BYTES), passedPackets: value(PASSED), blockedPackets: value(BLOCKED) };
  }
}
