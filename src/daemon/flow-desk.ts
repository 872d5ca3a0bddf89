/**
 * A worker's answers about its flows: lists, kills and events, in slices so short that packets hardly notice.
 *
 * A slice looks at a bounded number of rows and stops early once it has used up its time, so a list of a
 * million flows costs many short pauses and no long one. Filters run on the rows; objects are made only of
 * what they choose.
 */
import type { Milliseconds } from "../base/index.ts";
import { COMMIT, type Tracker } from "../state/index.ts";
import { resolveUser } from "../system/index.ts";
import { type FlowNames, parseStateId, type State, StateFilter, TrackerFlow } from "../view/index.ts";
import type { FlowEvent, FlowSlice, FlowSliceRequest } from "./worker-protocol.ts";

/** Rows one slice looks at. */
const SLICE_ROWS = 65_536;
/** Time after which a slice ends, in milliseconds. */
const SLICE_MS: Milliseconds = 1;
/**
 * States after which a slice ends: handing them over to another thread takes two to three times as long as
 * making them, and packets wait for both. Measured, state.bench.
 */
const SLICE_STATES = 192;
/** Rows looked at between two looks at the clock. */
const STEP_ROWS = 64;

/** What the desk works with. */
export interface FlowDeskOptions {
  readonly tracker: Tracker;
  readonly names: FlowNames;
  /** Index of the worker. */
  readonly worker: number;
  /** Id of this host, 32 bits. */
  readonly creatorId: number;
  /** Events held between two batches; more are counted as lost. */
  readonly eventsMax: number;
  readonly now: () => Milliseconds;
}

function parse(filter: string): StateFilter {
  return StateFilter.parse(filter, { user: resolveUser });
}

/** See above. */
export class FlowDesk {
  readonly #tracker: Tracker;
  readonly #flow: TrackerFlow;
  readonly #worker: number;
  readonly #eventsMax: number;
  readonly #now: () => Milliseconds;
  #watched: StateFilter | undefined;
  #events: FlowEvent[] = [];
  #lost = 0;

  /** @param options - tracker, names, and whose they are */
  constructor(options: FlowDeskOptions) {
    const { tracker, names, worker, creatorId } = options;
    this.#tracker = tracker;
    this.#flow = new TrackerFlow(tracker, names, { worker, creatorId });
    this.#worker = worker;
    this.#eventsMax = options.eventsMax;
    this.#now = options.now;
  }

  /** True while somebody wants events. */
  get isWatched(): boolean {
    return this.#watched !== undefined;
  }

  /**
   * Lists the flows that a filter chooses.
   *
   * @throws {FirewallError} `FILTER_INVALID`
   */
  list(request: FlowSliceRequest): FlowSlice {
    return this.#visit(request, () => undefined);
  }

  /** Removes the flows that a filter chooses; their objects are as they were before. */
  kill(request: FlowSliceRequest): FlowSlice {
    return this.#visit(request, (slot) => this.#kill(slot));
  }

  /** Removes the flow with an id. @returns it as it was, `null` when it is gone */
  killOne(id: string): State | null {
    const slot = this.#slotOf(id);
    if (slot < 0) return null;
    const state = this.#stateAt(slot);
    this.#kill(slot);
    return state;
  }

  /** The state with an id, `null` when it is gone. */
  get(id: string): State | null {
    const slot = this.#slotOf(id);
    return slot < 0 ? null : this.#stateAt(slot);
  }

  /**
   * Begins or ends the making of events.
   *
   * @param filter - which flows are of interest; `null` for none
   */
  watch(filter: string | null): void {
    this.#watched = filter === null ? undefined : parse(filter);
    this.#events = [];
  }

  /** Notes what the last commit did. @param did - its answer; negative when there was none */
  committed(did: number): void {
    if (did < 0 || (did & (COMMIT.MADE | COMMIT.STEPPED)) === 0 || this.#tracker.slot < 0) return;
    this.#note((did & COMMIT.MADE) === 0 ? "update" : "new", this.#tracker.slot);
  }

  /** Notes that a rule has ended a flow for good. @param slot - of the flow; negative when it had none */
  ended(slot: number): void {
    // Any other flow than a connection is gone already, and that was told.
    if (this.isWatched && slot >= 0 && this.#tracker.flows.isKilled(slot)) this.#note("destroy", slot);
  }

  /** Notes that a flow leaves. Its row can still be read. */
  removed(slot: number): void {
    // A killed connection was told when it was killed; what leaves later is what is left of it.
    if (this.isWatched && !this.#tracker.flows.isKilled(slot)) this.#note("destroy", slot);
  }

  /** Takes the events since the last call, and how many were lost; `undefined` when there is neither. */
  takeEvents(): { events: FlowEvent[]; lost: number } | undefined {
    if (this.#events.length === 0 && this.#lost === 0) return undefined;
    const taken = { events: this.#events, lost: this.#lost };
    this.#events = [];
    this.#lost = 0;
    return taken;
  }

  #note(kind: FlowEvent["kind"], slot: number): void {
    if (this.#events.length >= this.#eventsMax) {
      this.#lost += 1;
      return;
    }
    this.#flow.bind(slot, this.#now());
    if (this.#watched?.matches(this.#flow) === true) this.#events.push({ kind, state: this.#flow.state() });
  }

  #stateAt(slot: number): State {
    this.#flow.bind(slot, this.#now());
    return this.#flow.state();
  }

  /** Slot of the flow with an id, -1 when it is gone or another worker's. */
  #slotOf(id: string): number {
    const parts = parseStateId(id);
    if (parts?.worker !== this.#worker) return -1;
    const slot = this.#tracker.flows.slotOf(parts.number);
    return slot < 0 || this.#tracker.flows.isKilled(slot) ? -1 : slot;
  }

  #kill(slot: number): void {
    this.#tracker.kill(slot);
    // Of a connection a closed entry stays behind, so nobody told that it left.
    if (this.isWatched && this.#tracker.flows.isKilled(slot)) this.#note("destroy", slot);
  }

  #visit(
    { cursor, filter, quiet = false, killed = false }: FlowSliceRequest,
    act: (slot: number) => void,
  ): FlowSlice {
    const { matches } = parse(filter);
    const states: State[] = [];
    let count = 0;
    const end = performance.now() + SLICE_MS;
    let next = cursor;
    const goesOn = (): boolean => states.length < SLICE_STATES && performance.now() < end;
    for (let rows = 0; next >= 0 && rows < SLICE_ROWS && goesOn(); rows += STEP_ROWS) {
      next = this.#tracker.flows.visit(next, STEP_ROWS, (slot) => {
        this.#flow.bind(slot, this.#now());
        if (this.#tracker.flows.isKilled(slot) !== killed || !matches(this.#flow)) return;
        count += 1;
        if (!quiet) states.push(this.#flow.state());
        act(slot);
      });
    }
    return { states, count, cursor: next };
  }
}
