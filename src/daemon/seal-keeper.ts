/**
 * What a worker has to settle with the kernel about sealed flows.
 *
 * A sealed flow sends nothing up, so its entry in our table seems idle. Before it expires the kernel's own
 * entry is looked at: how long it has been idle follows from the time it has left. When a sealed flow leaves
 * our table (expired, evicted, killed), the seal is taken off the kernel's entry, so that its next packet is
 * judged like one of an unknown flow.
 *
 * A connection whose SYN was answered and of which nothing more came may stand all the same: the segment with
 * which the kernel begins to carry it comes up, and is lost here when its queue is full and lets packets
 * pass. So before it expires the kernel is asked, and where it carries the connection, it is entered.
 *
 * Questions go to the kernel many at once: most of what one alone costs is the call.
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
  type ConntrackTcpState,
  type SealMarks,
} from "../netlink/index.ts";
import type { Tracker } from "../state/index.ts";
import { Conntrack, readSysctl } from "../system/index.ts";
import type { Packet } from "../wire/index.ts";

/**
 * Flows that wait for a look or for the end of their seal; what finds no room comes again, or is swept later.
 */
const WAITING_MAX = 16_384;
/** Questions to the kernel in one turn, asked together; each takes some microseconds. */
const QUESTIONS_PER_TURN = 32;

/** The kernel's setting for how long each kind of entry lives without packets. */
const TIMEOUT_SETTING = {
  tcp: "net.netfilter.nf_conntrack_tcp_timeout_established",
  udp: "net.netfilter.nf_conntrack_udp_timeout",
  udpStream: "net.netfilter.nf_conntrack_udp_timeout_stream",
  timeWait: "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
} as const;

/**
 * Silence after which a connection is over that the kernel sees in TIME_WAIT: it takes a FIN that is sent
 * twice for those of both ends, while one of them may go on speaking.
 */
const QUIET_MS: Milliseconds = 10 * SECOND;

const [ESTABLISHED, TIME_WAIT, CLOSE] = (["ESTABLISHED", "TIME_WAIT", "CLOSE"] as const).map((state) =>
  CONNTRACK_TCP_STATES.indexOf(state),
);
const { ASSURED, SEEN_REPLY } = CONNTRACK_STATUS;

/** States behind the FIN of one end, and behind those of both. */
const FIN_TAKEN = statesOf("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE");
const BOTH_FINS_TAKEN = statesOf("LAST_ACK", "TIME_WAIT", "CLOSE");

function statesOf(...states: readonly ConntrackTcpState[]): readonly number[] {
  return states.map((state) => CONNTRACK_TCP_STATES.indexOf(state));
}

/** True for a connection that the kernel has seen end. */
function hasEnded({ tcpState }: ConntrackEntry): boolean {
  return tcpState === TIME_WAIT || tcpState === CLOSE;
}

function settingOf({ original, tcpState, status }: ConntrackEntry): keyof typeof TIMEOUT_SETTING | undefined {
  if (original.protocol !== PROTOCOL.TCP) return (status & ASSURED) === 0 ? "udp" : "udpStream";
  if (tcpState === ESTABLISHED) return "tcp";
  // In other states an entry of the kernel lives for seconds: whatever is left, it is alive.
  return tcpState === TIME_WAIT ? "timeWait" : undefined;
}

/** How long the kernel has seen nothing of a flow; 0 where that cannot be told. */
function idleMs(entry: ConntrackEntry): Milliseconds {
  const setting = settingOf(entry);
  if (setting === undefined) return 0;
  const longest = Number(readSysctl(TIMEOUT_SETTING[setting]) ?? Number.NaN) * SECOND;
  const idle = longest - entry.timeoutSeconds * SECOND;
  return idle > 0 ? idle : 0;
}

/** True for a connection that the kernel has seen end, and of which nothing more can be expected. */
function hasFallenSilent(entry: ConntrackEntry): boolean {
  return entry.tcpState === TIME_WAIT ? idleMs(entry) >= QUIET_MS : hasEnded(entry);
}

const ANY_ICMP = { icmpType: 0, icmpCode: 0, icmpIdentifier: 0 } as const;

/** A packet's ends as the kernel would have them in its direction. */
function keyOfPacket(packet: Packet): ConntrackKey {
  const { family, protocol, sourcePort, destinationPort } = packet;
  const [source, destination] = [packet.source.slice(), packet.destination.slice()];
  const original = { source, destination, protocol, sourcePort, destinationPort, ...ANY_ICMP, zone: -1 };
  return { family: family === 4 ? 4 : 6, original, zone: 0, id: 0 };
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
    ...ANY_ICMP,
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
type KernelTracker = Pick<Conntrack, "getEach" | "updateEach" | "close">;

/** What the kernel says of a flow: its entry, `undefined` when it has none, or why it does not say. */
type KernelWord = ConntrackEntry | undefined | FirewallError;

/** Asks about flows, and about those that the kernel does not know once more from the other direction. */
function askEach<Word>(
  keys: readonly ConntrackKey[],
  ask: (keys: readonly ConntrackKey[]) => Word[],
  isUnknown: (word: Word | undefined) => boolean,
): Word[] {
  const words = ask(keys);
  const places = words.flatMap((word, at) => (isUnknown(word) ? [at] : []));
  if (places.length === 0) return words;
  const others = ask(places.map((at) => turned(keys[at] as ConntrackKey)));
  for (const [index, at] of places.entries()) words[at] = others[index] as Word;
  return words;
}

/** The kernel's entries of flows. */
function entriesOf(kernel: KernelTracker, keys: readonly ConntrackKey[]): KernelWord[] {
  return askEach(
    keys,
    (some): KernelWord[] => kernel.getEach(some),
    (word) => word === undefined,
  );
}

/** See the head of this file. */
export class SealKeeper {
  readonly #marks: SealMarks;
  /** Ids of flows that seem idle. */
  #idle: number[] = [];
  /** Flows that have left our table. */
  #lost: ConntrackKey[] = [];
  readonly #open: () => KernelTracker;
  #kernel: KernelTracker | undefined;
  /** The generation of seals that is in force. */
  generation = 1;

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

  /** Notes the connection of a packet that is not let through although the kernel carries it already. */
  refused(packet: Packet): void {
    if (this.#lost.length < WAITING_MAX) this.#lost.push(keyOfPacket(packet));
  }

  /** True when the kernel has seen the end of a connection that it carries; false where it does not say. */
  isOver(tracker: Tracker, slot: number): boolean {
    const [word] = this.#ask((kernel) => entriesOf(kernel, [keyOf(tracker, slot)]), 1);
    if (word instanceof FirewallError) return false;
    return word === undefined || hasEnded(word);
  }

  /**
   * True when the kernel has taken a FIN of a connection, and one of each end where our table knows of one
   * already; false where it does not say. A connection that it does not find is taken for gone.
   */
  hasSeenFin(tracker: Tracker, slot: number): boolean {
    const [word] = this.#ask((kernel) => entriesOf(kernel, [keyOf(tracker, slot)]), 1);
    if (word instanceof FirewallError) return false;
    if (word === undefined) return true;
    return (tracker.flows.isClosing(slot) ? BOTH_FINS_TAKEN : FIN_TAKEN).includes(word.tcpState);
  }

  /**
   * Settles some of what was noted. What the kernel refuses, out of memory for instance, comes last the next
   * time, and keeps nothing else waiting.
   *
   * @param now - the present
   */
  turn(tracker: Tracker, now: Milliseconds): void {
    if (this.#lost.length > 0) this.#unseal(QUESTIONS_PER_TURN);
    if (this.#idle.length > 0) this.#look(tracker, now);
  }

  /** Ends the seals of all flows that have left our table. */
  drain(): void {
    this.#unseal(this.#lost.length);
  }

  /** Gives the socket back. */
  close(): void {
    this.#kernel?.close();
    this.#kernel = undefined;
  }

  /** Asks the kernel. Where it cannot be asked at all, that is its word on each of so many questions. */
  #ask<Word>(ask: (kernel: KernelTracker) => Word[], questions: number): (Word | FirewallError)[] {
    try {
      this.#kernel ??= this.#open();
      return ask(this.#kernel);
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      return new Array<FirewallError>(questions).fill(error);
    }
  }

  /** @param most - of the flows that have left our table whose seals are ended */
  #unseal(most: number): void {
    const keys = this.#lost.splice(0, most);
    const change = { mark: { value: 0, mask: this.#marks.mask } };
    const words = this.#ask(
      (kernel) =>
        askEach(
          keys,
          (some) => kernel.updateEach(some, change),
          (word) => word === false,
        ),
      keys.length,
    );
    for (const [at, key] of keys.entries()) if (words[at] instanceof FirewallError) this.#lost.push(key);
  }

  #look(tracker: Tracker, now: Milliseconds): void {
    const { flows } = tracker;
    const ids = this.#idle.splice(0, QUESTIONS_PER_TURN).filter((id) => {
      const slot = flows.slotOf(id);
      return slot >= 0 && (flows.isCarried(slot) || flows.isOffloaded(slot) || flows.isOpening(slot));
    });
    if (ids.length === 0) return;
    const keys = ids.map((id) => keyOf(tracker, flows.slotOf(id)));
    const words = this.#ask((kernel) => entriesOf(kernel, keys), keys.length);
    for (const [at, id] of ids.entries()) {
      const word = words[at];
      const slot = flows.slotOf(id);
      if (word instanceof FirewallError) this.#idle.push(id);
      else if (slot >= 0) this.#settle(tracker, slot, word, now);
    }
  }

  /** @param entry - the kernel's, of a flow that seems idle */
  #settle(tracker: Tracker, slot: number, entry: ConntrackEntry | undefined, now: Milliseconds): void {
    const isCarried = tracker.flows.isCarried(slot);
    const isSeen = isCarried || tracker.flows.isOffloaded(slot);
    if (entry === undefined || (isCarried && hasFallenSilent(entry)) || (!isSeen && !this.#carries(entry))) {
      // Of the seal of a connection that is over nothing is left that is to be taken away.
      if (isCarried) tracker.setOffloaded(slot, false);
      tracker.ended(slot);
      return;
    }
    if (!isSeen) tracker.carryUnseen(slot);
    tracker.renew(slot, now - idleMs(entry));
    if ((entry.status & SEEN_REPLY) !== 0) tracker.answered(slot);
    if (tracker.expiry(slot) <= now) tracker.ended(slot);
  }

  /** True for a connection that the kernel has begun to carry, and that is not over. */
  #carries(entry: ConntrackEntry): boolean {
    return this.#marks.isCarried(entry.mark, this.generation) && !hasEnded(entry);
  }
}
