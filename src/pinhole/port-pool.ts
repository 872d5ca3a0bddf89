/**
 * Addresses and ports that are leased to pinholes, where addresses are translated.
 *
 * Of one address a run of consecutive ports is leased, for each protocol apart; or the address as a whole. A
 * run begins by chance, so that nobody can guess it; what is given back rests for a while, so that late
 * packets of the former flow do not reach the next one.
 */
import {
  type Family,
  FirewallError,
  formatAddress,
  type Milliseconds,
  parseAddress,
  type Port,
  SECOND,
} from "../base/index.ts";
import { PORT_MAX } from "./endpoint.ts";
import type { Entropy } from "./identifier.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { UndoLog } from "./undo-log.ts";

/** Addresses and ports that are kept for a pinhole. */
export interface PortLease {
  /** `outside`: stands for our side in the world. `inside`: stands for the world on our side. */
  readonly side: "outside" | "inside";
  readonly address: string;
  /** IANA number. */
  readonly protocol: number;
  /** First port; 0 when the address is leased as a whole. */
  readonly port: Port;
  /** How many consecutive ports; 0 when the address is leased as a whole. */
  readonly count: number;
}

/** What may be leased on one side. Nothing else of the machine should use it. */
export interface PoolPlan {
  /** Addresses of which runs of ports are leased. */
  readonly addresses: readonly string[];
  /** First and last port that are leased of each. */
  readonly ports: readonly [Port, Port];
  /** Addresses that are leased as a whole, and of which no ports are. */
  readonly hosts?: readonly string[];
}

/** A wish for a lease. */
export interface LeaseWish {
  readonly family: Family;
  /** IANA number. */
  readonly protocol: number;
  /** How many consecutive ports; 0 for a whole address. */
  readonly count: number;
  readonly parity: "any" | "odd" | "even";
  /** Which address would be best, as {@link canonicalAddress} writes it. */
  readonly address?: string;
  /** Which first port of that address. */
  readonly port?: Port;
  /** True: exactly these, or a refusal. */
  readonly isExact: boolean;
}

/** How long what was given back rests. */
const REST_MS = 120 * SECOND;

const RANDOM_BYTES = 4;

/** Ports of one address that are leased or rest, for one protocol. */
type PortMap = Uint8Array;

/** Something that was given back, and until when it rests. */
interface Resting {
  readonly lease: PortLease;
  readonly until: Milliseconds;
  isOver: boolean;
}

function familyOf(text: string): Family {
  const family = parseAddress(text)?.family;
  if (family !== undefined) return family;
  throw new FirewallError("POOL_ADDRESS_INVALID", `"${text}" is no address to translate to.`);
}

/** Writes an address as everybody else writes it; what is none stays as it is. */
export function canonicalAddress(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address.family, address.words);
}

/** Addresses of one side. Changes are noted, so that a transaction that fails leaves no trace. */
export class PortPool {
  readonly side: PortLease["side"];
  readonly #addresses: Readonly<Record<Family, readonly string[]>>;
  readonly #hosts: Readonly<Record<Family, readonly string[]>>;
  readonly #low: Port;
  readonly #high: Port;
  readonly #undo: UndoLog;
  readonly #entropy: Entropy;
  readonly #ports: Map<string, PortMap> = new Map();
  readonly #takenHosts: Set<string> = new Set();
  #resting: Resting[] = [];

  /**
   * @param plan - what may be leased
   * @param undo - where every change is noted
   * @throws {FirewallError} `POOL_ADDRESS_INVALID`, `POOL_PORTS_INVALID`
   */
  constructor(
    side: PortLease["side"],
    plan: PoolPlan,
    parts: { readonly undo: UndoLog; readonly entropy: Entropy },
  ) {
    const [low, high] = plan.ports;
    if (!(low >= 1 && low <= high && high <= PORT_MAX)) {
      throw new FirewallError(
        "POOL_PORTS_INVALID",
        `${low} to ${high} is no range of ports to translate to.`,
      );
    }
    this.side = side;
    this.#low = low;
    this.#high = high;
    this.#addresses = byFamily(plan.addresses);
    this.#hosts = byFamily(plan.hosts ?? []);
    this.#undo = parts.undo;
    this.#entropy = parts.entropy;
  }

  /**
   * Leases what is wished for, or something like it unless the wish is exact.
   *
   * @param now - on the monotonic clock
   * @throws {PinholeRefusal} `IP_VERSION_MISMATCH`, `ADDRESS_FORBIDDEN`, `NO_ADDRESSES`, `NO_PORTS`,
   *   `CONFLICT`
   */
  lease(wish: LeaseWish, now: Milliseconds): PortLease {
    this.#wake(now);
    for (const address of this.#candidates(wish)) {
      const lease = this.#leaseOf(address, wish);
      if (lease === undefined) continue;
      this.#take(lease);
      this.#undo.note(() => this.#free(lease));
      return lease;
    }
    throw this.#nothingLeft(wish);
  }

  /** Takes up a lease of a former run. */
  adopt(lease: PortLease): void {
    this.#take(lease);
  }

  /** Gives a lease back; it rests from now on. */
  release(lease: PortLease, now: Milliseconds): void {
    const resting = { lease, until: now + REST_MS, isOver: false };
    this.#resting.push(resting);
    this.#undo.note(() => {
      resting.isOver = true;
    });
  }

  /** Addresses that will do, the best first. */
  #candidates(wish: LeaseWish): readonly string[] {
    const { address, count, family, isExact } = wish;
    const addresses = (count === 0 ? this.#hosts : this.#addresses)[family];
    const isOurs = address !== undefined && addresses.includes(address);
    if (address !== undefined && isExact) {
      if (isOurs) return [address];
      const message = `${address} is none of the addresses that are leased ${count === 0 ? "as a whole" : "by ports"}.`;
      throw new PinholeRefusal("ADDRESS_FORBIDDEN", message, { field: `nat.${this.side}.address` });
    }
    if (addresses.length === 0) throw this.#noAddresses(wish);
    return isOurs ? [address, ...this.#shuffled(addresses)] : this.#shuffled(addresses);
  }

  #noAddresses({ family, count }: LeaseWish): PinholeRefusal {
    const other = [...this.#addresses[4], ...this.#addresses[6], ...this.#hosts[4], ...this.#hosts[6]];
    if (other.every((address) => familyOf(address) !== family)) {
      return new PinholeRefusal("IP_VERSION_MISMATCH", `There is no ${this.side} address of IPv${family}.`);
    }
    const what = count === 0 ? "is leased as a whole" : "has ports to lease";
    return new PinholeRefusal("NO_ADDRESSES", `No ${this.side} address of IPv${family} ${what}.`);
  }

  #nothingLeft({ count, address, isExact }: LeaseWish): PinholeRefusal {
    if (isExact && address !== undefined) {
      const message = `Exactly this ${this.side} address and port is not to be had.`;
      return new PinholeRefusal("CONFLICT", message, { field: `nat.${this.side}` });
    }
    if (count === 0) return new PinholeRefusal("NO_ADDRESSES", `Every ${this.side} address is taken.`);
    const message = `There are no ${count} consecutive ports left ${this.side}.`;
    return new PinholeRefusal("NO_PORTS", message);
  }

  #leaseOf(address: string, wish: LeaseWish): PortLease | undefined {
    const { count, protocol } = wish;
    const { side } = this;
    if (count === 0) {
      return this.#takenHosts.has(address) ? undefined : { side, address, protocol, port: 0, count: 0 };
    }
    const port = this.#findRun(this.#mapOf(address, protocol), address, wish);
    return port === 0 ? undefined : { side, address, protocol, port, count };
  }

  /** First port of a run that is free; 0 when there is none. */
  #findRun(map: PortMap, address: string, wish: LeaseWish): Port {
    const { count, parity } = wish;
    if (wish.address === address && wish.port !== undefined) {
      if (this.#isFree(map, wish.port, wish)) return wish.port;
      if (wish.isExact) return 0;
    }
    const step = parity === "any" ? 1 : 2;
    const first = this.#low + (parity !== "any" && (this.#low & 1) !== (parity === "odd" ? 1 : 0) ? 1 : 0);
    const places = Math.floor((this.#high - count + 1 - first) / step) + 1;
    if (places <= 0) return 0;
    const begin = this.#random() % places;
    for (let index = 0; index < places; index += 1) {
      const port = first + ((begin + index) % places) * step;
      if (this.#isFree(map, port, wish)) return port;
    }
    return 0;
  }

  #isFree(map: PortMap, port: Port, { count, parity }: LeaseWish): boolean {
    if (port < this.#low || port + count - 1 > this.#high) return false;
    if (parity !== "any" && (port & 1) !== (parity === "odd" ? 1 : 0)) return false;
    for (let one = port; one < port + count; one += 1) if (map[one] !== 0) return false;
    return true;
  }

  #take(lease: PortLease): void {
    if (lease.count === 0) this.#takenHosts.add(lease.address);
    else this.#mapOf(lease.address, lease.protocol).fill(1, lease.port, lease.port + lease.count);
  }

  #free(lease: PortLease): void {
    if (lease.count === 0) this.#takenHosts.delete(lease.address);
    else this.#mapOf(lease.address, lease.protocol).fill(0, lease.port, lease.port + lease.count);
  }

  #mapOf(address: string, protocol: number): PortMap {
    const name = `${protocol} ${address}`;
    const known = this.#ports.get(name);
    if (known !== undefined) return known;
    const map = new Uint8Array(PORT_MAX + 1);
    this.#ports.set(name, map);
    return map;
  }

  /** What has rested long enough can be leased again. */
  #wake(now: Milliseconds): void {
    let count = 0;
    for (const { lease, until, isOver } of this.#resting) {
      if (!isOver && until > now) break;
      if (!isOver) this.#free(lease);
      count += 1;
    }
    if (count > 0) this.#resting.splice(0, count);
  }

  #random(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#entropy(RANDOM_BYTES);
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  #shuffled(addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    const begin = this.#random() % addresses.length;
    return [...addresses.slice(begin), ...addresses.slice(0, begin)];
  }
}

function byFamily(addresses: readonly string[]): Readonly<Record<Family, readonly string[]>> {
  const of = (family: Family): string[] =>
    addresses.filter((address) => familyOf(address) === family).map(canonicalAddress);
  return { 4: of(4), 6: of(6) };
}
