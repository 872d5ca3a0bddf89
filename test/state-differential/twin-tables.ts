/**
 * Two trackers that see the same packets: ours, fed from a kernel queue in this process, and the kernel's.
 *
 * A packet reaches our queue when the kernel's tracker has entered it already, and goes on when we say so. So
 * while packets that wait have been entered into our table and have no answer yet, both tables stand at the
 * same packet, and {@link TwinTables.compare} may compare them. Only the first packet of a flow is different:
 * the kernel lists its entry when the packet has left.
 */
import { DEFAULT_PRIORITY, KernelRules, probeKernel, requireQueueExpression } from "#backend";
import { type Family, type HookName, PROTOCOL, sameWords, TCP_STATES } from "#base";
import type { Namespace } from "#lab";
import {
  CONNTRACK_STATUS,
  CONNTRACK_TCP_STATES,
  type ConntrackEntry,
  type ConntrackKey,
  type ConntrackTcpState,
  DEFAULT_MARK_MASK,
} from "#netlink";
import { DATAGRAM_STATES, PEER, Tracker } from "#state";
import { Conntrack, inNamespace, QueueSocket } from "#system";
import { KernelFlow, TrackerFlow } from "#view";
import { decodePacket, Packet } from "#wire";

/** Levels of the local and the remote end, as view/level.ts gives them. */
export type Levels = readonly [local: number, remote: number];

/** What both tables hold of one flow at one moment. */
export interface Pair {
  /** Our state, or `absent`. */
  readonly own: string;
  /** The kernel's state, or `absent`. */
  readonly kernel: string;
  readonly ownLevels: Levels | undefined;
  readonly kernelLevels: Levels | undefined;
  /** What is left to the kernel's entry, in seconds. */
  readonly timeoutSeconds: number;
  /** Whether our table takes the flow as one whose beginning it has not seen. */
  readonly sloppy: boolean;
}

/** One flow at two moments. */
export interface Step {
  /** Both ends and the protocol. */
  readonly flow: string;
  /** At the last comparison; `undefined` at the first. */
  readonly before: Pair | undefined;
  readonly after: Pair;
  /** TCP control bits of the packets between, all together. */
  readonly tcpFlags: number;
  /** What our table made of the last packet: bits of COMMIT. */
  readonly did: number;
}

/** A flow that was met. */
interface Met {
  readonly key: ConntrackKey;
  /** Id in our table, -1 when it holds none. */
  id: number;
  tcpFlags: number;
  did: number;
  /** Packets came since the last comparison. */
  touched: boolean;
  /** Packets came since its states were read. */
  came: boolean;
  pair: Pair | undefined;
}

/** How the trackers are set up. */
export interface TwinOptions {
  readonly hooks: readonly HookName[];
  /** Ours is strict; the kernel's is what strict ours corresponds to. */
  readonly strict?: boolean;
}

const TRACKED = "table inet track {\n chain c { type filter hook input priority 0; ct state new accept; }\n}";
const NAMES = {
  interfaceName: () => "",
  rule: () => undefined,
  application: () => "",
  details: () => undefined,
};
const QUEUE = {
  queue: 0,
  copyRangeBytes: 65_535,
  queuePackets: 16_384,
  batchPackets: 256,
  receiveBufferBytes: 16_777_216,
  failOpen: false,
  wholeSuperPackets: true,
  acceptUnanswered: true,
  wakeFd: -1,
};
const FLOWS = 65_536;

/** Both directions of a flow under one name. */
function nameOf(packet: Packet): string {
  const { protocol } = packet;
  const isEcho = protocol === PROTOCOL.ICMP || protocol === PROTOCOL.ICMPV6;
  const [from, to] = isEcho
    ? [packet.icmpIdentifier, packet.icmpIdentifier]
    : [packet.sourcePort, packet.destinationPort];
  const ends = [`${packet.source.join(".")}:${from}`, `${packet.destination.join(".")}:${to}`];
  return `${protocol} ${ends.sort().join(" ")}`;
}

function keyOf(packet: Packet): ConntrackKey {
  const { protocol, sourcePort, destinationPort, icmpType, icmpCode, icmpIdentifier } = packet;
  const source = packet.source.slice();
  const destination = packet.destination.slice();
  const numbers = { sourcePort, destinationPort, icmpType, icmpCode, icmpIdentifier };
  const original = { source, destination, protocol, ...numbers, zone: -1 };
  return { family: packet.family as Family, zone: 0, id: 0, original };
}

/** See above. All that it does, once open, is synchronous. */
export class TwinTables {
  readonly tracker: Tracker;
  readonly #host: Namespace;
  readonly #queue: QueueSocket;
  readonly #rules: KernelRules;
  readonly #conntrack: Conntrack;
  readonly #packet = new Packet();
  readonly #met = new Map<string, Met>();
  readonly #flow: TrackerFlow;

  private constructor(host: Namespace, { hooks, strict = false }: TwinOptions) {
    this.#host = host;
    const expression = requireQueueExpression(probeKernel());
    const queues = { first: QUEUE.queue, count: 1, bypass: false };
    const plan = { table: "twins", hooks, priority: DEFAULT_PRIORITY, markMask: DEFAULT_MARK_MASK, queues };
    const opened = inNamespace(host.fullName, () => ({
      queue: QueueSocket.open(QUEUE),
      rules: KernelRules.install(plan, expression),
      conntrack: Conntrack.open(),
    }));
    this.#queue = opened.queue;
    this.#rules = opened.rules;
    this.#conntrack = opened.conntrack;
    this.tracker = new Tracker({ capacity: FLOWS, strict });
    this.#flow = new TrackerFlow(this.tracker, NAMES, { worker: 0, creatorId: 1 });
  }

  /**
   * Makes a host's packets go through both trackers.
   *
   * @param host - the namespace
   * @param options - where packets are met, and how they are judged
   */
  static async open(host: Namespace, options: TwinOptions): Promise<TwinTables> {
    await host.must(["nft", TRACKED]);
    await host.must(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"]);
    return new TwinTables(host, options);
  }

  /**
   * Enters the packets that wait into our table. They go on with {@link TwinTables.release}.
   *
   * @param waitMs - longest wait for the first of them
   * @returns how many there were
   */
  take(waitMs: number): number {
    const queue = this.#queue;
    let taken = 0;
    for (let wait = waitMs; queue.receive(wait) > 0; wait = 0) {
      while (queue.next()) {
        this.#enter();
        queue.accept();
        taken += 1;
      }
    }
    return taken;
  }

  /** Lets the packets that were taken go on. */
  release(): void {
    this.#queue.flush();
  }

  /**
   * The flows of which packets came since they were compared last, as both tables hold them. Packets that
   * come meanwhile are taken; their flows wait for the next comparison.
   */
  compare(): Step[] {
    const compared: [string, Met, Pair][] = [];
    for (const [flow, met] of this.#met) {
      if (met.touched) compared.push([flow, met, this.#pair(met)]);
      met.came = false;
    }
    this.take(0);
    return compared
      .filter(([, { came }]) => !came)
      .map(([flow, met, after]) => {
        const { pair: before, tcpFlags, did } = met;
        Object.assign(met, { pair: after, touched: false, tcpFlags: 0 });
        return { flow, before, after, tcpFlags, did };
      });
  }

  /** Forgets all flows, in both tables. */
  clear(): void {
    this.#met.clear();
    this.tracker.flows.visit(0, FLOWS, (slot) => this.tracker.remove(slot));
    this.#conntrack.flush();
  }

  /** Lets all packets go, unjudged from here on. */
  close(): void {
    inNamespace(this.#host.fullName, () => {
      this.#rules.stopQueueing();
      this.take(0);
      this.release();
      this.#rules.remove();
    });
    this.#queue.close();
    this.#conntrack.close();
  }

  #enter(): void {
    const packet = this.#packet;
    const { payloadAt, payloadEnd, wireBytes } = this.#queue.packet;
    this.#queue.packet.describe(packet);
    decodePacket(packet, this.#queue.bytes, payloadAt, payloadEnd, wireBytes);
    if (packet.fault !== undefined) return;
    const { tracker } = this;
    const now = performance.now();
    tracker.lookup(packet, now);
    const did = tracker.commit(packet, now);
    // What neither table makes a flow of, such as neighbour discovery.
    if (tracker.related || (packet.protocol !== PROTOCOL.TCP && tracker.slot < 0)) return;
    const name = nameOf(packet);
    const met = this.#met.get(name) ?? newlyMet(packet);
    if (tracker.slot >= 0) met.id = tracker.flows.id(tracker.slot);
    met.did = did;
    met.touched = true;
    met.came = true;
    if (packet.protocol === PROTOCOL.TCP) met.tcpFlags |= packet.tcpFlags;
    this.#met.set(name, met);
  }

  #pair({ key, id }: Met): Pair {
    const { flows } = this.tracker;
    const entry = this.#conntrack.get(key);
    const slot = id < 0 ? -1 : flows.slotOf(id);
    if (slot < 0) {
      return { own: "absent", ownLevels: undefined, sloppy: false, ...kernelSide(entry, undefined) };
    }
    this.#flow.bind(slot, performance.now());
    const states: readonly string[] = key.original.protocol === PROTOCOL.TCP ? TCP_STATES : DATAGRAM_STATES;
    const local = new Uint32Array(4);
    flows.copyAddress(slot, PEER.LOCAL, local);
    return {
      own: states[flows.state(slot)] ?? "",
      ownLevels: [this.#flow.level(PEER.LOCAL), this.#flow.level(PEER.REMOTE)],
      sloppy: flows.isSloppy(slot),
      ...kernelSide(entry, local),
    };
  }
}

function newlyMet(packet: Packet): Met {
  return { key: keyOf(packet), id: -1, tcpFlags: 0, did: 0, touched: true, came: true, pair: undefined };
}

type KernelSide = Pick<Pair, "kernel" | "kernelLevels" | "timeoutSeconds">;

/** @param local - address of the end that our table calls local, so that both speak of the same ends */
function kernelSide(entry: ConntrackEntry | undefined, local: Uint32Array | undefined): KernelSide {
  if (entry === undefined) return { kernel: "absent", kernelLevels: undefined, timeoutSeconds: 0 };
  const isLocal = (_family: Family, words: Uint32Array): boolean =>
    local !== undefined && sameWords(words, local);
  const flow = new KernelFlow({ isLocal, creatorId: 1 });
  flow.bind(entry, 0);
  return {
    kernel: entry.original.protocol === PROTOCOL.TCP ? tcpStateOf(entry) : datagramStateOf(entry),
    timeoutSeconds: entry.timeoutSeconds,
    kernelLevels: [flow.level(PEER.LOCAL), flow.level(PEER.REMOTE)],
  };
}

function tcpStateOf(entry: ConntrackEntry): ConntrackTcpState {
  return CONNTRACK_TCP_STATES[entry.tcpState] ?? "NONE";
}

function datagramStateOf(entry: ConntrackEntry): string {
  return (entry.status & CONNTRACK_STATUS.SEEN_REPLY) === 0 ? "UNREPLIED" : "REPLIED";
}
