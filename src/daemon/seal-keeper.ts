/**
 * What a worker has to settle with the kernel about sealed flows.
 *
 * A sealed flow sends nothing up, so its entry in our table seems idle. Before it expires the kernel's own
 * entry is looked at: how long it has been idle follows from the time it has left. When a sealed flow leaves
 * our table (expired, evicted, killed), the seal is taken off the kernel's entry, so that its next packet is
 * judged like one of an unknown flow.
 *
 * The kernel finds an entry by the ends of either direction as they are on the wire there. Of a flow whose
 * both ends are translated we see neither; it is taken for gone.
 */
import { FirewallError, type Milliseconds, PROTOCOL, SECOND } from "../base/index.ts";
import {
  CONNTRACK_STATUS,
  CONNTRACK_TCP_STATES,
  type ConntrackEntry,
  type ConntrackKey,
  type SealMarks,
} from "../netlink/index.ts";
import type { Tracker } from "../state/index.ts";
import { Conntrack, readSysctl } from "../system/index.ts";

/**
 * Flows that wait for a look or for the end of their seal; what finds no room comes again, or is swept later.
 */
const WAITING_MAX = 16_384;
/** Questions to the kernel in one turn; each takes some 20 microseconds. */
const QUESTIONS_PER_TURN = 32;

/** The kernel's setting for how long each kind of entry lives without packets. */
const TIMEOUT_SETTING = {
  tcp: "net.netfilter.nf_conntrack_tcp_timeout_established",
  udp: "net.netfilter.nf_conntrack_udp_timeout",
  udpStream: "net.netfilter.nf_conntrack_udp_timeout_stream",
} as const;

const ESTABLISHED = CONNTRACK_TCP_STATES.indexOf("ESTABLISHED");
const { ASSURED, SEEN_REPLY } = CONNTRACK_STATUS;

/** How long the kernel has seen nothing of a flow; 0 where that cannot be told. */
function idleMs(entry: ConntrackEntry): Milliseconds {
  const isTcp = entry.original.protocol === PROTOCOL.TCP;
  // In other states an entry of the kernel lives for seconds: whatever is left, it is alive.
  if (isTcp && entry.tcpState !== ESTABLISHED) return 0;
  const isStream = (entry.status & ASSURED) !== 0;
  const setting = isTcp ? TIMEOUT_SETTING.tcp : isStream ? TIMEOUT_SETTING.udpStream : TIMEOUT_SETTING.udp;
  const longest = Number(readSysctl(setting) ?? Number.NaN) * SECOND;
  const idle = longest - entry.timeoutSeconds * SECOND;
  return idle > 0 ? idle : 0;
}

/** A flow's ends as the kernel would have them in its original direction. */
function keyOf({ flows }: Tracker, slot: number): ConntrackKey {
  const first = flows.originalFlowing(slot);
  const other = 1 - first;
  const address = (peer: number): Uint32Array => {
    const words = new Uint32Array(4);
    flows.copyAddress(slot, peer, words);
    return words;
  };
  const original = {
    source: address(first),
    destination: address(other),
    protocol: flows.protocol(slot),
    sourcePort: flows.port(slot, first),
    destinationPort: flows.port(slot, other),
    icmpType: 0,
    icmpCode: 0,
    icmpIdentifier: 0,
    zone: -1,
  };
  return { family: flows.family(slot), original, zone: 0, id: 0 };
}

/** The same ends, seen from the other direction. */
function turned(key: ConntrackKey): ConntrackKey {
  const { source, destination, sourcePort, destinationPort, ...rest } = key.original;
  const original = {
    ...rest,
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
  };
  return { ...key, original };
}

/** What is asked of the kernel's tracker. */
type KernelTracker = Pick<Conntrack, "get" | "update" | "close">;

/** See the head of this file. */
export class SealKeeper {
  readonly #marks: SealMarks;
  /** Ids of flows that seem idle. */
  #idle: number[] = [];
  /** Flows that have left our table. */
  #lost: ConntrackKey[] = [];
  readonly #open: () => KernelTracker;
  #kernel: KernelTracker | undefined;

  /**
   * @param marks - where seals stand in the marks of connections
   * @param open - opens the kernel's tracker
   */
  constructor(marks: SealMarks, open: () => KernelTracker = () => Conntrack.open()) {
    this.#marks = marks;
    this.#open = open;
  }

  /** Notes a flow that seems idle. */
  idle(tracker: Tracker, slot: number): void {
    if (this.#idle.length < WAITING_MAX) this.#idle.push(tracker.flows.id(slot));
  }

  /** Notes a flow that leaves our table, while its row can be read. */
  lost(tracker: Tracker, slot: number): void {
    if (this.#lost.length < WAITING_MAX) this.#lost.push(keyOf(tracker, slot));
  }

  /**
   * Settles some of what was noted. What the kernel refuses, out of memory for instance, comes last the next
   * time, and keeps nothing else waiting.
   *
   * @param now - the present
   */
  turn(tracker: Tracker, now: Milliseconds): void {
    this.#settle(this.#lost, QUESTIONS_PER_TURN, (kernel, key) => this.#unseal(kernel, key));
    this.#settle(this.#idle, QUESTIONS_PER_TURN, (kernel, id) => this.#look(kernel, tracker, id, now));
  }

  /** Ends the seals of all flows that have left our table. */
  drain(): void {
    this.#settle(this.#lost, this.#lost.length, (kernel, key) => this.#unseal(kernel, key));
  }

  /** Gives the socket back. */
  close(): void {
    this.#kernel?.close();
    this.#kernel = undefined;
  }

  /** @param most - of the noted that are settled */
  #settle<Noted>(noted: Noted[], most: number, settle: (kernel: KernelTracker, each: Noted) => void): void {
    for (const each of noted.splice(0, most)) {
      try {
        this.#kernel ??= this.#open();
        settle(this.#kernel, each);
      } catch (error) {
        noted.push(each);
        if (!(error instanceof FirewallError)) throw error;
      }
    }
  }

  #look(kernel: KernelTracker, tracker: Tracker, id: number, now: Milliseconds): void {
    const slot = tracker.flows.slotOf(id);
    if (slot < 0 || !tracker.flows.isOffloaded(slot)) return;
    const key = keyOf(tracker, slot);
    const entry = kernel.get(key) ?? kernel.get(turned(key));
    if (entry !== undefined) {
      tracker.renew(slot, now - idleMs(entry));
      if ((entry.status & SEEN_REPLY) !== 0) tracker.answered(slot);
    }
    if (entry === undefined || tracker.expiry(slot) <= now) tracker.ended(slot);
  }

  #unseal(kernel: KernelTracker, key: ConntrackKey): void {
    const change = { mark: { value: 0, mask: this.#marks.mask } };
    if (!kernel.update(key, change)) kernel.update(turned(key), change);
  }
}
