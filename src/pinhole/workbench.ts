/**
 * Where transactions are decided: everything the store knows, one change at a time.
 *
 * The functions here know what a change entails, elements, groups, events; whether it is allowed is decided
 * in operations.ts.
 */
import { invariant, type Milliseconds } from "../base/index.ts";
import type { AccessProfile } from "./access-profile.ts";
import { compileElements } from "./compilation.ts";
import { ElementLedger } from "./element-ledger.ts";
import type { Element, StandingElement } from "./element.ts";
import type { PinholeEventType, PinholeNews } from "./event-log.ts";
import { type GroupFacts, GroupRegistry } from "./group-registry.ts";
import type { NumberSource } from "./identifier.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import { END_REASONS, nextState, type PinholeState } from "./life-cycle.ts";
import { LimitLedger } from "./limit-ledger.ts";
import type { Moment } from "./moment.ts";
import { changePinhole, type Pinhole } from "./pinhole.ts";
import { Population } from "./population.ts";
import type { PortLease } from "./port-pool.ts";
import { type EndedPinhole, type PackedPinhole, type PinholeRecord, unpackPinhole } from "./record.ts";
import type { PinholeRequest } from "./specification.ts";
import { compileTranslations, modeUnsupported, type Translations } from "./translation.ts";
import type { UndoLog } from "./undo-log.ts";

/** Who causes a change, and when. */
export interface Cause {
  readonly moment: Moment;
  /** Generation that the change makes. */
  readonly generation: number;
  /** What the one who caused it called himself; empty when nobody asked for it. */
  readonly origin: string;
}

/** How an end comes about. */
export type Ending = keyof typeof END_REASONS;

/** What is asked for, and what it is granted. */
export interface Grant {
  readonly request: PinholeRequest;
  /** Seconds; null for ever. */
  readonly granted: number | null;
  readonly limit: PinholeLimits | undefined;
}

/**
 * The limits that count for a request: its own, or those of the profile.
 *
 * @param profile - of the agent
 */
export function limitsFor(request: PinholeRequest, profile: AccessProfile): PinholeLimits | undefined {
  return request.kind === "permit" ? (request.spec.limit ?? profile.limit) : undefined;
}

/** When a lease that begins now ends: a whole millisecond, which is short to write down. */
export function deadlineAfter(granted: number | null, now: Milliseconds): Milliseconds {
  return granted === null ? Number.POSITIVE_INFINITY : Math.ceil(now) + granted * 1000;
}

/** A lease that begins now. */
export function leaseFrom(
  granted: number | null,
  { now, wall }: Moment,
): Pick<Pinhole, "granted" | "deadline" | "deadlineAt"> {
  return { granted, deadline: deadlineAfter(granted, now), deadlineAt: deadlineAfter(granted, wall) };
}

/** The state in which a request begins to live. */
export function stateOnceOpen({ kind }: PinholeRequest): PinholeState {
  const state = nextState("staged", kind === "reserve" ? "reserve" : "open");
  invariant(state !== undefined, "what is staged can be opened");
  return state;
}

function groupOf({ group, groupNumber, owner }: Pinhole): GroupFacts {
  return { id: group, number: groupNumber, owner };
}

/** Everything the store knows. */
export class Workbench {
  readonly population: Population;
  readonly elements: ElementLedger;
  readonly limits: LimitLedger;
  readonly groups: GroupRegistry;
  readonly #undo: UndoLog;
  readonly #translations: Translations | undefined;
  readonly #expansionMax: number;
  #news: PinholeNews[] = [];
  #changed: Set<string> = new Set();
  #ended: EndedPinhole[] = [];

  /**
   * @param undo - where every change is noted
   * @param groupNumbers - gives numbers to groups
   * @param translations - notes its changes there too; undefined where no addresses are translated
   * @param expansionMax - up to this many pairs of ports become single ports
   */
  constructor(
    undo: UndoLog,
    groupNumbers: NumberSource,
    translations: Translations | undefined,
    expansionMax: number,
  ) {
    this.#undo = undo;
    this.#translations = translations;
    this.#expansionMax = expansionMax;
    this.population = new Population(undo);
    this.groups = new GroupRegistry(groupNumbers, undo, (number) => this.population.idByNumber(number));
    this.elements = new ElementLedger(undo);
    this.limits = new LimitLedger(undo);
  }

  /** What is to be made known. */
  get news(): readonly PinholeNews[] {
    return this.#news;
  }

  /** Ids of pinholes that may have changed. */
  get changed(): Iterable<string> {
    return this.#changed;
  }

  /** Pinholes that have ended. */
  get ended(): readonly EndedPinhole[] {
    return this.#ended;
  }

  /** What the journal must say about pinholes. */
  records(ids: readonly string[]): { readonly put: PinholeRecord[]; readonly remove: string[] } {
    const put: PinholeRecord[] = [];
    const remove: string[] = [];
    for (const id of ids) {
      const text = this.population.textOf(id);
      if (text === undefined) remove.push(id);
      else put.push({ id, text });
    }
    return { put, remove };
  }

  /**
   * A pinhole as the last commit that was decided leaves it; undefined when that has nothing to do with it.
   */
  left(id: string): Pinhole | undefined {
    const ended = this.#ended.findLast((one) => one.id === id);
    return ended === undefined ? this.population.get(id) : unpackPinhole(ended);
  }

  /** Counts from here. */
  settle(): void {
    this.#news = [];
    this.#changed = new Set();
    this.#ended = [];
    this.elements.settle();
    this.limits.settle();
  }

  /**
   * Leases the addresses and ports that a request needs; none when it needs none.
   *
   * @throws {PinholeRefusal} when there is no such thing, or no more of it
   */
  lease(request: PinholeRequest, now: Milliseconds): PortLease[] {
    const { nat } = request.spec;
    if (nat !== undefined && this.#translations === undefined) throw modeUnsupported(nat.mode);
    return this.#translations?.lease(request, now) ?? [];
  }

  /**
   * A pinhole begins to live.
   *
   * @param pinhole - in the state of {@link stateOnceOpen}
   */
  admit(pinhole: Pinhole, cause: Cause): void {
    const text = this.population.add(pinhole);
    this.#hold(pinhole);
    if (pinhole.group !== "") this.groups.join(groupOf(pinhole), pinhole.number);
    const news = pinhole.state === "reserved" ? "pinhole.reserved" : "pinhole.enabled";
    this.#tell(news, pinhole, text, cause);
  }

  /**
   * A pinhole of a former run lives on.
   *
   * @param text - what the journal says of it, where that still holds
   */
  revive(pinhole: Pinhole, text?: string): void {
    this.#translations?.adopt(pinhole);
    this.population.add(pinhole, text);
    const { number, deadline, group, limit } = pinhole;
    if (group !== "") this.groups.join(groupOf(pinhole), number);
    if (pinhole.state !== "enabled") return;
    if (limit !== undefined) this.limits.set(number, limit);
    for (const element of this.elementsOf(pinhole)) this.elements.adopt(element, number, deadline);
  }

  /** What carries a pinhole out; empty for a reservation. Made anew at each call: there are very many. */
  elementsOf({ request, limit, leases }: Pinhole): Element[] {
    const filtering = compileElements(request, limit !== undefined, this.#expansionMax);
    return leases.length === 0 ? filtering : [...filtering, ...compileTranslations(request, leases)];
  }

  /**
   * Every element that shall be in force.
   *
   * @param without - numbers of pinholes that shall not count
   */
  standing(without?: ReadonlySet<number>): Generator<StandingElement> {
    return this.elements.standing(without);
  }

  /**
   * A reservation becomes a permit.
   *
   * @throws {PinholeRefusal} when what was leased does not fit
   */
  enable(pinhole: Pinhole, grant: Grant, cause: Cause): Pinhole {
    const { request, granted, limit } = grant;
    const lease = leaseFrom(granted, cause.moment);
    if (pinhole.leases.length > 0) this.#translations?.enable(pinhole.leases, request);
    const leases = pinhole.leases.length > 0 ? pinhole.leases : this.lease(request, cause.moment.now);
    const state = nextState(pinhole.state, "enable");
    invariant(state !== undefined, "what is reserved can be enabled");
    const { deadline, deadlineAt } = lease;
    const changes = { request, granted, deadline, deadlineAt, limit, leases, state };
    const enabled = this.#advanced(changePinhole(pinhole, changes), cause);
    this.population.replace(pinhole, enabled);
    this.#hold(enabled);
    this.#tell("pinhole.enabled", enabled, this.#textOf(enabled), cause);
    return enabled;
  }

  /** A pinhole gets another lease. */
  renew(pinhole: Pinhole, granted: number | null, cause: Cause): Pinhole {
    invariant(nextState(pinhole.state, "renew") === pinhole.state, "what lives can be renewed");
    const renewed = this.#advanced(changePinhole(pinhole, leaseFrom(granted, cause.moment)), cause);
    this.population.replace(pinhole, renewed);
    this.#hold(renewed);
    this.#tell("pinhole.renewed", renewed, this.#textOf(renewed), cause);
    return renewed;
  }

  /** A pinhole ends. */
  end(pinhole: Pinhole, ending: Ending, cause: Cause): Pinhole {
    const state = nextState(pinhole.state, ending);
    invariant(state !== undefined, `${pinhole.state} cannot ${ending}`);
    const end = { reason: END_REASONS[ending], at: cause.moment.wall };
    const ended = this.#advanced(changePinhole(pinhole, { state, end }), cause);
    const { id, owner, clientId, revision, generation } = ended;
    const packed = { id, owner, clientId, text: this.#textOf(pinhole), revision, generation, end };
    this.population.remove(pinhole);
    for (const element of this.elementsOf(pinhole)) this.elements.release(element, pinhole.number);
    this.limits.set(pinhole.number, undefined);
    this.#translations?.release(pinhole, cause.moment.now);
    this.#ended.push(packed);
    this.#undo.note(() => this.#ended.pop());
    this.#tell("pinhole.ended", ended, packed, cause);
    const { group } = pinhole;
    const isLast = group !== "" && this.groups.leave(groupOf(pinhole), pinhole.number);
    if (isLast) this.#tellGroup(owner, group, cause);
    return ended;
  }

  #hold(pinhole: Pinhole): void {
    if (pinhole.state !== "enabled") return;
    this.limits.set(pinhole.number, pinhole.limit);
    const { number, deadline } = pinhole;
    for (const element of this.elementsOf(pinhole)) this.elements.hold(element, number, deadline);
  }

  #advanced(pinhole: Pinhole, cause: Cause): Pinhole {
    return changePinhole(pinhole, { revision: pinhole.revision + 1, generation: cause.generation });
  }

  #textOf({ id }: Pinhole): string {
    const text = this.population.textOf(id);
    invariant(text !== undefined, "what came in lives");
    return text;
  }

  #tell(type: PinholeEventType, { id, owner }: Pinhole, packed: PackedPinhole, cause: Cause): void {
    this.#changed.add(id);
    const { moment, generation, origin } = cause;
    this.#announce({ type, generation, at: moment.wall, packed, owner, origin });
  }

  #tellGroup(owner: string, group: string, cause: Cause): void {
    const { moment, generation, origin } = cause;
    this.#announce({ type: "group.ended", generation, at: moment.wall, group, owner, origin });
  }

  #announce(news: PinholeNews): void {
    this.#news.push(news);
    this.#undo.note(() => this.#news.pop());
  }
}
