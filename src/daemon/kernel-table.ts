/** The kernel's connections as states: listed, killed and watched in the network namespace of the process. */
import { FirewallError } from "../base/index.ts";
import { ConntrackEntry, type ConntrackKey } from "../netlink/index.ts";
import { Conntrack, ConntrackList, ConntrackWatch, LocalAddresses, resolveUser } from "../system/index.ts";
import { type KernelStatus, KernelFlow, parseStateId, type State, StateFilter } from "../view/index.ts";
import type { WatchEvent } from "../client/index.ts";
import { FlowWatch } from "./flow-watch.ts";
import type { FlowEvent } from "./worker-protocol.ts";

/** States handed on before other work has its turn. */
const SLICE_STATES = 512;

/** Lets other work have its turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function keyOf(entry: ConntrackEntry): ConntrackKey {
  const { family, zone, id, original } = entry;
  return {
    family,
    zone,
    id,
    original: original.copy(),
  };
}

/** How connections are deleted. */
interface Deletion {
  /** Tells which are; all when absent. */
  readonly wanted?: (state: State) => boolean;
  /** Called with those that are about to be. */
  readonly deleting?: (states: readonly State[]) => void;
}

/** The kernel's table. */
export class KernelTable {
  readonly #creatorId: number;
  readonly #locals = new LocalAddresses();

  /** @param creatorId - id of this host, 32 bits, stamped on its states */
  constructor(creatorId: number) {
    this.#creatorId = creatorId;
  }

  /**
   * States that a filter chooses. The kernel holds back what it can by itself.
   *
   * @throws {FirewallError} `FILTER_INVALID`, `NETLINK_REFUSED`
   */
  async *list(filter: string): AsyncGenerator<State> {
    const chosen = StateFilter.parse(filter, { user: resolveUser });
    for await (const { state } of this.#visit(chosen)) yield state;
  }

  /** The table in figures; null where this process may not ask, or the kernel has none. */
  status(): KernelStatus | null {
    try {
      const table = Conntrack.open();
      try {
        return { ...table.size(), statistics: table.statistics() };
      } finally {
        table.close();
      }
    } catch (error) {
      if (error instanceof FirewallError) return null;
      throw error;
    }
  }

  /** The state with an id, `undefined` when it is gone. */
  async get(id: string): Promise<State | undefined> {
    const parts = parseStateId(id);
    if (parts === undefined || parts.worker !== undefined) return undefined;
    const { number } = parts;
    // A million objects are not made to find one.
    for await (const { state } of this.#visit(StateFilter.parse(""), ({ id: each }) => each === number))
      return state;
    return undefined;
  }

  /**
   * Deletes connections.
   *
   * @param filter - chooses those that are looked at
   * @param deletion - which of them are deleted
   * @returns how many were
   */
  async kill(filter: string, { wanted = () => true, deleting }: Deletion = {}): Promise<number> {
    let deleted = 0;
    let held: { state: State; key: ConntrackKey }[] = [];
    const deleteHeld = (): void => {
      deleting?.(held.map(({ state }) => state));
      deleted += this.#delete(held.map(({ key }) => key));
      held = [];
    };
    for await (const found of this.#visit(StateFilter.parse(filter, { user: resolveUser }))) {
      if (wanted(found.state)) held.push(found);
      if (held.length >= SLICE_STATES) deleteHeld();
    }
    deleteHeld();
    return deleted;
  }

  /**
   * Watches the kernel's connections.
   *
   * @param tell - takes events as they come, and how many sources of events ran over
   * @returns a function that ends the watch
   */
  watch(tell: (events: readonly FlowEvent[], lost: number) => void): () => void {
    const flow = this.#openFlow();
    const event = (kind: FlowEvent["kind"], entry: ConntrackEntry): void => {
      flow.bind(entry, Date.now());
      tell([{ kind, state: flow.state() }], 0);
    };
    const watch = ConntrackWatch.open({
      present: () => undefined,
      began: (entry) => event("new", entry),
      changed: (entry) => event("update", entry),
      ended: (entry) => event("destroy", entry),
      gap: () => tell([], 1),
      vanished: () => undefined,
    });
    void watch.run().catch(() => tell([], 1));
    return () => watch.stop();
  }

  /**
   * What connections do, as it happens, until the loop is left.
   *
   * @throws {FirewallError} `FILTER_INVALID`, `NETLINK_REFUSED`
   */
  async *events(filter: string): AsyncGenerator<WatchEvent> {
    const watch = new FlowWatch(StateFilter.parse(filter, { user: resolveUser }), false);
    const stop = this.watch((events, lost) => watch.take(events, lost));
    try {
      yield* watch.events();
    } finally {
      stop();
    }
  }

  #openFlow(): KernelFlow {
    this.#locals.refresh(performance.now());
    return new KernelFlow({
      isLocal: (family, words) => this.#locals.contains(family, words),
      creatorId: this.#creatorId,
    });
  }

  #delete(keys: readonly ConntrackKey[]): number {
    if (keys.length === 0) return 0;
    const table = Conntrack.open();
    try {
      return table.delete(keys).deleted;
    } finally {
      table.close();
    }
  }

  async *#visit(
    filter: StateFilter,
    wanted: (entry: ConntrackEntry) => boolean = () => true,
  ): AsyncGenerator<{ state: State; key: ConntrackKey }> {
    const flow = this.#openFlow();
    const list = ConntrackList.open();
    const entry = new ConntrackEntry();
    try {
      list.begin(filter.kernelFilter());
      let found: { state: State; key: ConntrackKey }[] = [];
      const visit = (each: ConntrackEntry): void => {
        if (!wanted(each)) return;
        flow.bind(each, Date.now());
        if (filter.matches(flow)) found.push({ state: flow.state(), key: keyOf(each) });
      };
      for (let goesOn = true; goesOn; ) {
        goesOn = list.read(entry, visit);
        if (found.length < SLICE_STATES && goesOn) continue;
        yield* found;
        found = [];
        await nextTurn();
      }
    } finally {
      list.close();
    }
  }
}
