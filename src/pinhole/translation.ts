/**
 * Translation of addresses: what is leased for a pinhole, and what a packet filter must do about it.
 *
 * Four ends have a name (RFC 5189 section 2.3.5): A0 is our host, A3 the other one. A2 is ours and stands for
 * our host in the world; A1 is ours and stands for the world on our side, with `twice` only:
 *
 * ```
 *            inside                  outside
 *   A0 ─────────────── A1 | A2 ─────────────── A3
 * ```
 *
 * A packet to A2 goes to A0 instead, and with `twice` comes from A1. A packet from A0 to A3 comes from A2
 * instead; with `twice` only one that was sent to A1 does, and goes to A3. Answers find their way by the
 * kernel's table of connections. Ports go one by one: the third port of A0's range is the third of A2's.
 */
import { type Milliseconds, parseAddress, Prefix } from "../base/index.ts";
import { BindingTable, checkParity, parityOf } from "./binding-table.ts";
import { makeTranslation, type Translation, type TranslationWay } from "./element.ts";
import { ALL_PORTS, Endpoint, PORT_MAX, portCount } from "./endpoint.ts";
import type { Entropy } from "./identifier.ts";
import type { Pinhole } from "./pinhole.ts";
import { canonicalAddress, type LeaseWish, type PoolPlan, PortPool, type PortLease } from "./port-pool.ts";
import { PinholeRefusal } from "./refusal.ts";
import { checkTranslation, type NatSpec, type PinholeRequest } from "./specification.ts";
import type { UndoLog } from "./undo-log.ts";

/** Which addresses and ports translation may use. */
export interface TranslationPlan {
  /** What stands for our side in the world. */
  readonly outside: PoolPlan;
  /** What stands for the world on our side; absent: translation is never twice. */
  readonly inside?: PoolPlan;
}

/** How many ports a request needs on one side; 0 for a whole address. */
function countFor({ kind, spec, hasPorts }: PinholeRequest, end: Endpoint): number {
  if (!hasPorts) return 0;
  const isReserve = kind === "reserve";
  const count = isReserve ? (spec.portCount ?? 1) : portCount(end.ports);
  return end.isAnyPort && !isReserve ? 0 : count % PORT_MAX;
}

function parityFor({ kind, spec }: PinholeRequest, end: Endpoint): LeaseWish["parity"] {
  if (spec.parity !== "same") return spec.parity ?? "any";
  if (kind === "reserve" || end.isAnyPort) return "any";
  return parityOf(end.ports.low);
}

function wishFor(request: PinholeRequest, end: Endpoint, place: NatSpec["outside"]): LeaseWish {
  const { protocol, spec } = request;
  const { family } = end;
  const wish = { family, protocol, count: countFor(request, end), parity: parityFor(request, end) };
  if (place === undefined) return { ...wish, isExact: false };
  const address = canonicalAddress(place.address);
  return { ...wish, ...place, address, isExact: spec.nat?.exact === true };
}

/** A lease with the end that it stands for. */
interface Standing {
  readonly table: BindingTable;
  readonly lease: PortLease;
  readonly end: Endpoint;
}

/** Leases for pinholes. */
export class Translations {
  readonly #outside: BindingTable;
  readonly #inside: BindingTable | undefined;

  /** @throws {FirewallError} `POOL_ADDRESS_INVALID`, `POOL_PORTS_INVALID` */
  constructor(plan: TranslationPlan, undo: UndoLog, entropy: Entropy) {
    const parts = { undo, entropy };
    this.#outside = new BindingTable(new PortPool("outside", plan.outside, parts), undo);
    this.#inside =
      plan.inside === undefined
        ? undefined
        : new BindingTable(new PortPool("inside", plan.inside, parts), undo);
  }

  /** What it does. */
  get modes(): readonly NatSpec["mode"][] {
    return this.#inside === undefined ? ["traditional"] : ["traditional", "twice"];
  }

  /**
   * Leases what a request asks for; nothing when it asks for no translation.
   *
   * @throws {PinholeRefusal} when there is no such thing, or no more of it
   */
  lease(request: PinholeRequest, now: Milliseconds): PortLease[] {
    const { nat } = request.spec;
    if (nat === undefined) return [];
    const sides = [{ table: this.#outside, end: request.internal, place: nat.outside }];
    if (nat.mode === "twice") {
      if (this.#inside === undefined) throw modeUnsupported(nat.mode);
      sides.push({ table: this.#inside, end: request.external, place: nat.inside });
    }
    return sides.map(({ table, end, place }) => {
      const wish = wishFor(request, end, place);
      return request.kind === "reserve" ? table.reserve(wish, now) : table.assign(end, wish, now);
    });
  }

  /**
   * What was leased for a reservation stands for the ends of a permit.
   *
   * @throws {PinholeRefusal} `SPEC_INCONSISTENT`, `PARITY_MISMATCH`, `CONFLICT`
   */
  enable(leases: readonly PortLease[], request: PinholeRequest): void {
    const isTwice = leases.some(({ side }) => side === "inside");
    const mode = request.spec.nat?.mode;
    if (mode !== undefined && (mode === "twice") !== isTwice) {
      const message = `Translation was reserved ${isTwice ? "twice" : "the traditional way"}, not ${mode}.`;
      throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "nat.mode" });
    }
    checkTranslation(request, isTwice ? "twice" : "traditional");
    for (const { table, lease, end } of this.#standing(leases, request)) {
      if (lease.count > 0 && (end.isAnyPort || portCount(end.ports) !== lease.count)) {
        const message = `${lease.count} ${lease.side} ports were reserved. Name as many.`;
        throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "internal.ports" });
      }
      checkParity(lease, parityFor(request, end));
      table.bind(end, lease);
    }
  }

  /** Takes up the leases of a pinhole of a former run. */
  adopt({ leases, request, state }: Pick<Pinhole, "leases" | "request" | "state">): void {
    for (const { table, lease, end } of this.#standing(leases, request)) {
      table.adopt(lease, state === "enabled" ? end : undefined);
    }
  }

  /** Gives back the leases of a pinhole that ends. */
  release({ leases, request, state }: Pinhole, now: Milliseconds): void {
    for (const { table, lease, end } of this.#standing(leases, request)) {
      if (state === "enabled") table.unbind(end, lease, now);
      else table.abandon(lease, now);
    }
  }

  #standing(leases: readonly PortLease[], request: PinholeRequest): Standing[] {
    return leases.flatMap((lease) => {
      const table = lease.side === "outside" ? this.#outside : this.#inside;
      const end = lease.side === "outside" ? request.internal : request.external;
      return table === undefined ? [] : [{ table, lease, end }];
    });
  }
}

/** The refusal of a translation that is not to be had here. */
export function modeUnsupported(mode: NatSpec["mode"]): PinholeRefusal {
  const message = `Translation of the kind "${mode}" is not to be had here: see the capabilities.`;
  return new PinholeRefusal("NAT_MODE_UNSUPPORTED", message, { field: "nat.mode" });
}

/** The endpoint that stands for one of the ports of an end, or for all of them. */
function standIn(lease: PortLease, end: Endpoint, one: Endpoint): Endpoint {
  const address = parseAddress(lease.address);
  const { family, words } = address ?? one.prefix;
  const port = lease.port + one.ports.low - end.ports.low;
  return new Endpoint(
    new Prefix(family, words, family === 4 ? 32 : 128),
    lease.count === 0 ? one.ports : { low: port, high: port },
  );
}

/** What an end of a packet becomes. */
interface Change {
  /** The lease because of which it does. */
  readonly lease: PortLease | undefined;
  readonly end: Endpoint;
}

/** With a whole address the packet's port stays as it is. */
function targetOf({ lease, end }: Change): Endpoint {
  return lease?.count === 0 ? end.withPorts(ALL_PORTS) : end;
}

interface Ends {
  readonly internal: Endpoint;
  readonly external: Endpoint;
}

/** Pairs of ends, with single ports where these change. */
function endsOf({ internal, external, isPairwise }: PinholeRequest, out: boolean, inside: boolean): Ends[] {
  const inner = out ? internal.singlePorts() : [internal];
  if (isPairwise && out) {
    const outer = external.singlePorts();
    return inner.map((one, index) => ({ internal: one, external: outer[index] ?? external }));
  }
  const outer = inside ? external.singlePorts() : [external];
  return inner.flatMap((one) => outer.map((other) => ({ internal: one, external: other })));
}

/**
 * What translates the packets of a pinhole: those that may begin a connection.
 *
 * @param request - of a permit
 * @param leases - what was leased for it; none: no translation
 */
export function compileTranslations(request: PinholeRequest, leases: readonly PortLease[]): Translation[] {
  const outside = leases.find(({ side }) => side === "outside");
  if (outside === undefined || request.kind !== "permit") return [];
  const inside = leases.find(({ side }) => side === "inside");
  const { protocol, direction } = request;
  const pairs = endsOf(request, outside.count > 0, inside !== undefined && inside.count > 0);
  return pairs.flatMap(({ internal, external }) => {
    const a2 = standIn(outside, request.internal, internal);
    const a1 = inside === undefined ? undefined : standIn(inside, request.external, external);
    const translate = (way: TranslationWay, from: Endpoint, to: Endpoint, change: Change): Translation =>
      makeTranslation(way, { protocol, source: from, destination: to }, targetOf(change));
    const ours: Change = { lease: outside, end: internal };
    const elements: Translation[] = [];
    if (direction !== "out") {
      elements.push(translate("dnat", external, a2, ours));
      if (a1 !== undefined) elements.push(translate("snat-sent", external, a2, { lease: inside, end: a1 }));
    }
    if (direction !== "in") {
      const theirs: Change = { lease: outside, end: a2 };
      if (a1 === undefined) elements.push(translate("snat", internal, external, theirs));
      else elements.push(translate("snat-sent", internal, a1, theirs));
      if (a1 !== undefined) elements.push(translate("dnat", internal, a1, { lease: inside, end: external }));
    }
    return elements;
  });
}
