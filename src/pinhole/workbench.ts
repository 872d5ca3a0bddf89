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
import type { PinholeEventType, PinholeNews } from "./event-log.ts";
import type { GroupRegistry } from "./group-registry.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import { END_REASONS, nextState } from "./life-cycle.ts";
import { LimitLedger } from "./limit-ledger.ts";
import type { Moment } from "./moment.ts";
import type { Pinhole } from "./pinhole.ts";
import { Population } from "./population.ts";
import type { PortLease } from "./port-pool.ts";
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

/** When a lease that begins now ends. */
export function deadlineAfter(granted: number | null, now: Milliseconds): Milliseconds {
  return granted === null ? Number.POSITIVE_INFINITY : now + granted * 1000;
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
  #ended: Pinhole[] = [];

  /**
   * @param undo - where every change is noted
   * @param groups - notes its changes there too
   * @param translations - likewise; undefined where no addresses are translated
   * @param expansionMax - up to this many pairs of ports become single ports
   */
  constructor(
    undo: UndoLog,
    groups: GroupRegistry,
    translations: Translations | undefined,
    expansionMax: number,
  ) {
    this.#undo = undo;
    this.#translations = translations;
    this.#expansionMax = expansionMax;
    this.groups = groups;
    this.population = new Population(undo);
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
  get ended(): readonly Pinhole[] {
    return this.#ended;
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

  /** A pinhole begins to live. */
  admit(pinhole: Omit<Pinhole, "elements" | "state">, cause: Cause): Pinhole {
    const event = pinhole.request.kind === "reserve" ? "reserve" : "open";
    const admitted = this.#complete(pinhole, nextState("staged", event));
    this.#enter(admitted);
    this.#tell(event === "reserve" ? "pinhole.reserved" : "pinhole.enabled", admitted, cause);
    return admitted;
  }

  /** A pinhole of a former run lives on. */
  revive(pinhole: Omit<Pinhole, "elements">): void {
    this.#translations?.adopt(pinhole);
    this.#enter(this.#complete(pinhole, pinhole.state));
  }

  /**
   * A reservation becomes a permit.
   *
   * @throws {PinholeRefusal} when what was leased does not fit
   */
  enable(pinhole: Pinhole, grant: Grant, cause: Cause): Pinhole {
    const { request, granted, limit } = grant;
    const deadline = deadlineAfter(granted, cause.moment.now);
    const { revision } = this.#advanced(pinhole, cause);
    if (pinhole.leases.length > 0) this.#translations?.enable(pinhole.leases, request);
    const leases = pinhole.leases.length > 0 ? pinhole.leases : this.lease(request, cause.moment.now);
    const { generation } = cause;
    const changed = { ...pinhole, request, granted, limit, deadline, leases, revision, generation };
    const enabled = this.#complete(changed, nextState(pinhole.state, "enable"));
    this.population.replace(pinhole, enabled);
    this.#hold(enabled);
    this.#tell("pinhole.enabled", enabled, cause);
    return enabled;
  }

  /** A pinhole gets another lease. */
  renew(pinhole: Pinhole, granted: number | null, cause: Cause): Pinhole {
    invariant(nextState(pinhole.state, "renew") === pinhole.state, "what lives can be renewed");
    const deadline = deadlineAfter(granted, cause.moment.now);
    const renewed = { ...this.#advanced(pinhole, cause), granted, deadline };
    this.population.replace(pinhole, renewed);
    for (const element of renewed.elements) this.elements.hold(element, renewed.number, deadline);
    this.#tell("pinhole.renewed", renewed, cause);
    return renewed;
  }

  /** A pinhole ends. */
  end(pinhole: Pinhole, ending: Ending, cause: Cause): Pinhole {
    const state = nextState(pinhole.state, ending);
    invariant(state !== undefined, `${pinhole.state} cannot ${ending}`);
    const end = { reason: END_REASONS[ending], at: cause.moment.wall };
    const ended: Pinhole = { ...this.#advanced(pinhole, cause), state, end };
    this.population.remove(pinhole);
    for (const element of pinhole.elements) this.elements.release(element, pinhole.number);
    this.limits.set(pinhole.number, undefined);
    this.#translations?.release(pinhole, cause.moment.now);
    this.#ended.push(ended);
    this.#undo.note(() => this.#ended.pop());
    this.#tell("pinhole.ended", ended, cause);
    const { owner, group } = pinhole;
    if (group !== "" && this.groups.leave(owner, group, pinhole.id)) this.#tellGroup(owner, group, cause);
    return ended;
  }

  #complete(pinhole: Omit<Pinhole, "elements" | "state">, state: Pinhole["state"] | undefined): Pinhole {
    invariant(state !== undefined, "a pinhole goes from state to state by the table");
    const { request, limit, leases } = pinhole;
    const filtering = compileElements(request, limit !== undefined, this.#expansionMax);
    const translating = leases.length === 0 ? [] : compileTranslations(request, leases);
    const elements = translating.length === 0 ? filtering : [...filtering, ...translating];
    // One literal, so that all pinholes are of one make; there are very many.
    const { id, number, clientId, owner, group, revision, generation } = pinhole;
    const { granted, deadline, createdAt, end } = pinhole;
    return {
      id,
      number,
      clientId,
      owner,
      request,
      elements,
      group,
      state,
      revision,
      generation,
      granted,
      deadline,
      createdAt,
      limit,
      leases,
      end,
    };
  }

  #enter(pinhole: Pinhole): void {
    this.population.add(pinhole);
    this.#hold(pinhole);
    const group = pinhole.group === "" ? undefined : this.groups.find(pinhole.owner, pinhole.group);
    if (group !== undefined) this.groups.join(group, pinhole.id);
  }

  #hold(pinhole: Pinhole): void {
    if (pinhole.state !== "enabled") return;
    this.limits.set(pinhole.number, pinhole.limit);
    for (const element of pinhole.elements) this.elements.hold(element, pinhole.number, pinhole.deadline);
  }

  #advanced(pinhole: Pinhole, cause: Cause): Pinhole {
    return { ...pinhole, revision: pinhole.revision + 1, generation: cause.generation };
  }

  #tell(type: PinholeEventType, pinhole: Pinhole, cause: Cause): void {
    this.#changed.add(pinhole.id);
    const { moment, generation, origin } = cause;
    this.#announce({ type, generation, at: moment.wall, pinhole, owner: pinhole.owner, origin });
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
