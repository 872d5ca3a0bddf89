/**
 * For whom leased addresses stand, on one side.
 *
 * An end that is translated has one name in the world: whoever opens a second pinhole for the same host and
 * port gets the same leased address, and who would give it another one is refused, "first come, first served"
 * (RFC 5189 section 2.3.9). So other hosts can compare what they see.
 */
import { invariant, type Milliseconds, type Port } from "../base/index.ts";
import type { Endpoint } from "./endpoint.ts";
import type { LeaseWish, PortLease, PortPool } from "./port-pool.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { UndoLog } from "./undo-log.ts";

/** What stands for one port of a host, or for the host. */
interface Binding {
  readonly address: string;
  /** 0 for a host. */
  readonly port: number;
  readonly holders: number;
}

/** A lease counts as that of the ports one by one, so that parts of a run can be shared. */
interface Place {
  readonly name: string;
  readonly host: string;
  /** Distance from the first port of the run. */
  readonly offset: number;
}

function placesOf(endpoint: Endpoint, protocol: number, isWhole: boolean): Place[] {
  const host = endpoint.network;
  if (isWhole) return [{ name: host, host, offset: 0 }];
  const { low, high } = endpoint.ports;
  return Array.from({ length: high - low + 1 }, (_, offset) => ({
    name: `${protocol} ${host} ${low + offset}`,
    host,
    offset,
  }));
}

/** Whether a port is odd or even. */
export function parityOf(port: Port): "odd" | "even" {
  return (port & 1) === 1 ? "odd" : "even";
}

/** The bindings of one side. Changes are noted. */
export class BindingTable {
  readonly #pool: PortPool;
  readonly #undo: UndoLog;
  readonly #bindings: Map<string, Binding> = new Map();
  /** Ports of a host that are bound. */
  readonly #runs: Map<string, number> = new Map();

  constructor(pool: PortPool, undo: UndoLog) {
    this.#pool = pool;
    this.#undo = undo;
  }

  /**
   * What stands for an end: what does already, or what is leased now.
   *
   * @throws {PinholeRefusal} `CONFLICT`, `PARITY_MISMATCH`, and what a pool refuses
   */
  assign(endpoint: Endpoint, wish: LeaseWish, now: Milliseconds): PortLease {
    const lease = this.#standing(endpoint, wish) ?? this.#pool.lease(wish, now);
    this.bind(endpoint, lease);
    return lease;
  }

  /** Leases what stands for nobody yet. */
  reserve(wish: LeaseWish, now: Milliseconds): PortLease {
    return this.#pool.lease(wish, now);
  }

  /** Gives back what stands for nobody. */
  abandon(lease: PortLease, now: Milliseconds): void {
    this.#pool.release(lease, now);
  }

  /**
   * A lease stands for an end from now on.
   *
   * @throws {PinholeRefusal} `CONFLICT` when another one does
   */
  bind(endpoint: Endpoint, lease: PortLease): void {
    const isWhole = lease.count === 0;
    const places = placesOf(endpoint, lease.protocol, isWhole);
    this.#checkKind(endpoint, isWhole);
    for (const { name, host, offset } of places) {
      const known = this.#bindings.get(name);
      const port = isWhole ? 0 : lease.port + offset;
      if (known !== undefined && (known.address !== lease.address || known.port !== port)) {
        throw this.#conflict(endpoint);
      }
      this.#set(name, host, { address: lease.address, port, holders: (known?.holders ?? 0) + 1 });
      this.#undo.note(() => this.#set(name, host, known));
    }
  }

  /** Takes up a lease of a former run. @param endpoint - undefined while it stands for nobody */
  adopt(lease: PortLease, endpoint: Endpoint | undefined): void {
    this.#pool.adopt(lease);
    if (endpoint !== undefined) this.bind(endpoint, lease);
  }

  /** A pinhole lets go of an end; with the last one the lease is given back. */
  unbind(endpoint: Endpoint, lease: PortLease, now: Milliseconds): void {
    const isWhole = lease.count === 0;
    const places = placesOf(endpoint, lease.protocol, isWhole);
    const gone = places.filter(({ name, host }) => {
      const known = this.#bindings.get(name);
      invariant(known !== undefined, "what is let go of was bound");
      const isLast = known.holders === 1;
      this.#set(name, host, isLast ? undefined : { ...known, holders: known.holders - 1 });
      this.#undo.note(() => this.#set(name, host, known));
      return isLast;
    });
    if (gone.length === places.length) return this.#pool.release(lease, now);
    for (const { offset } of gone) {
      this.#pool.release({ ...lease, port: lease.port + offset, count: 1 }, now);
    }
  }

  /** The lease that stands for an end already; undefined when none does. */
  #standing(endpoint: Endpoint, wish: LeaseWish): PortLease | undefined {
    const isWhole = wish.count === 0;
    const [first, ...rest] = placesOf(endpoint, wish.protocol, isWhole);
    const begin = first === undefined ? undefined : this.#bindings.get(first.name);
    if (begin === undefined) {
      if (rest.some(({ name }) => this.#bindings.has(name))) throw this.#conflict(endpoint);
      return undefined;
    }
    const { address, port } = begin;
    const isRun = rest.every(({ name, offset }) => {
      const one = this.#bindings.get(name);
      return one?.address === address && one.port === port + offset;
    });
    const isOther =
      (wish.address !== undefined && wish.address !== address) ||
      (wish.port !== undefined && wish.port !== port);
    if (!isRun || (wish.isExact && isOther)) throw this.#conflict(endpoint);
    const lease: PortLease = {
      side: this.#pool.side,
      address,
      protocol: wish.protocol,
      port,
      count: wish.count,
    };
    checkParity(lease, wish.parity);
    return lease;
  }

  /** A host is translated as a whole or by ports. */
  #checkKind(endpoint: Endpoint, isWhole: boolean): void {
    const host = endpoint.network;
    const isClash = isWhole ? (this.#runs.get(host) ?? 0) > 0 : this.#bindings.has(host);
    if (isClash) throw this.#conflict(endpoint);
  }

  #conflict(endpoint: Endpoint): PinholeRefusal {
    const message = `${endpoint.key} is translated to another ${this.#pool.side} address already.`;
    return new PinholeRefusal("CONFLICT", message, { field: "nat" });
  }

  #set(name: string, host: string, binding: Binding | undefined): void {
    const delta = (binding === undefined ? 0 : 1) - (this.#bindings.has(name) ? 1 : 0);
    if (binding === undefined) this.#bindings.delete(name);
    else this.#bindings.set(name, binding);
    if (name === host || delta === 0) return;
    const runs = (this.#runs.get(host) ?? 0) + delta;
    if (runs === 0) this.#runs.delete(host);
    else this.#runs.set(host, runs);
  }
}

/**
 * Holds a lease against a wish for parity.
 *
 * @throws {PinholeRefusal} `PARITY_MISMATCH`
 */
export function checkParity(lease: PortLease, parity: LeaseWish["parity"]): void {
  if (parity === "any" || lease.count === 0 || parityOf(lease.port) === parity) return;
  const message = `The ${lease.side} port is ${lease.port}, and shall be ${parity}.`;
  throw new PinholeRefusal("PARITY_MISMATCH", message, { field: "parity" });
}
