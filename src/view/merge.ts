/**
 * One table out of two: states of our tracker and of the kernel's that are the same flow become one object.
 *
 * Our tracker meets packets behind the translation of destinations and in front of that of sources, so a flow
 * has there the source of the kernel's original direction and the source of its reply direction, which is who
 * answers. Where the queue stands before all translation it is the original direction alone; both are tried.
 * The kernel has one entry for a connection of this host with itself, our tracker two, one per end: both are
 * merged with it.
 */
import { STATE_END, type State, type StateKey, type StatePeer } from "./state.ts";

/** Who speaks first to whom, as a text to look up by. */
function tupleText(state: State, from: StateKey, to: StateKey): string {
  const outgoing = state.direction === "out";
  const first = outgoing ? STATE_END.LOCAL : STATE_END.REMOTE;
  const second = outgoing ? STATE_END.REMOTE : STATE_END.LOCAL;
  const { family, protocol } = state;
  const source = `${from.addresses[first]} ${from.ports[first]}`;
  return `${family} ${protocol} ${source} ${to.addresses[second]} ${to.ports[second]}`;
}

/** What a state of our tracker has in common with the kernel's of the same flow. */
export function ownTuple(state: State): string {
  return tupleText(state, state.nk, state.nk);
}

/** The tuples under which our tracker may hold a flow of the kernel's, the likelier first. */
export function kernelTuples(state: State): readonly [string, string] {
  // Out of the kernel, `sk` is the original direction and `nk` the inverted reply.
  return [tupleText(state, state.sk, state.nk), tupleText(state, state.sk, state.sk)];
}

/** Puts two tables together. Give it our tracker's states first, then the kernel's one by one. */
export class StateMerger {
  readonly #waiting = new Map<string, State[]>();

  /** Takes in a state of our tracker. */
  addOwn(state: State): void {
    const tuple = ownTuple(state);
    const others = this.#waiting.get(tuple);
    if (others === undefined) this.#waiting.set(tuple, [state]);
    else others.push(state);
  }

  /**
   * Takes in a state of the kernel.
   *
   * @returns the merged states, usually one; the state itself when our tracker does not know the flow
   */
  addKernel(state: State): readonly State[] {
    const [likely, other] = kernelTuples(state);
    const own = this.#take(likely) ?? this.#take(other);
    return own === undefined ? [state] : own.map((each) => mergeStates(each, state));
  }

  /** The states of our tracker that the kernel did not know; empties the merger. */
  takeRest(): State[] {
    const rest = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return rest;
  }

  #take(tuple: string): State[] | undefined {
    const found = this.#waiting.get(tuple);
    if (found !== undefined) this.#waiting.delete(tuple);
    return found;
  }
}

/** The larger of two pairs of counters, number by number: whoever missed packets has fewer. */
function largerPair(
  a: readonly [number, number] | null,
  b: readonly [number, number] | null,
): readonly [number, number] | null {
  if (a === null || b === null) return a ?? b;
  return [Math.max(a[0], b[0]), Math.max(a[1], b[1])];
}

function mergePeer(own: StatePeer, kernel: StatePeer, isOffloaded: boolean): StatePeer {
  const { sequenceDifference } = kernel;
  const { level, levelName } = isOffloaded ? kernel : own;
  return {
    ...own,
    level,
    levelName,
    sequenceDifference,
    windowScale: own.windowScale ?? kernel.windowScale,
  };
}

/** True when both states look at the flow from the same end. */
function facesSameWay(own: State, kernel: State): boolean {
  return own.direction === kernel.direction;
}

/** The kernel's key with its ends exchanged. */
function turned(key: StateKey): StateKey {
  const [remote, local] = key.addresses;
  const [remotePort, localPort] = key.ports;
  return { ...key, addresses: [local, remote], ports: [localPort, remotePort] };
}

/**
 * Puts a state of our tracker and one of the kernel's together.
 *
 * Ours knows the rule, the windows and the state machine; the kernel knows translation, offload, and the
 * packets of an offloaded flow that we do not see. While a flow is offloaded only the kernel knows how far it
 * has come, and how long it lives.
 *
 * @param own - of our tracker
 * @param kernel - of the kernel, the same flow
 */
export function mergeStates(own: State, kernel: State): State {
  const same = facesSameWay(own, kernel);
  const offload = kernel.offload === "none" ? own.offload : kernel.offload;
  const offloaded = offload !== "none";
  return {
    ...own,
    source: "both",
    translation: kernel.translation,
    ageMs: own.ageMs === null ? kernel.ageMs : Math.max(own.ageMs, kernel.ageMs ?? 0),
    expiresInMs: offloaded ? (kernel.expiresInMs ?? own.expiresInMs) : own.expiresInMs,
    packets: largerPair(own.packets, kernel.packets),
    bytes: largerPair(own.bytes, kernel.bytes),
    flags: { ...own.flags, sloppy: own.flags.sloppy || kernel.flags.sloppy },
    src: mergePeer(own.src, same ? kernel.src : kernel.dst, offloaded),
    dst: mergePeer(own.dst, same ? kernel.dst : kernel.src, offloaded),
    nk: same ? kernel.nk : turned(kernel.nk),
    sk: same ? kernel.sk : turned(kernel.sk),
    mark: kernel.mark,
    offload,
    kernel: kernel.kernel,
  };
}
