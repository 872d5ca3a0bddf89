/**
 * Ends live connections that nothing permits any more.
 *
 * Rules of the administrator that accept what is established, and flows that were handed to the hardware, go
 * on as long as the kernel's tracker knows the connection. So when a pinhole closes, or a block comes, the
 * entries in its boxes are looked at, and those are deleted whose first packet nothing else would let
 * through. The hand-over ends with its entry.
 *
 * A box of single values is one look-up in each direction, done at once; where there are very many, so many
 * in each turn of the event loop. For wider ones the whole table is read, part by part while the event loop
 * goes on. One reading serves all that wait when it begins; whoever comes later waits for the next, since a
 * connection may have come behind the reader's back.
 */
import { setImmediate as turn } from "node:timers/promises";
import { type Family, PROTOCOL } from "../../base/index.ts";
import {
  ConntrackEntry,
  type ConntrackFilter,
  type ConntrackKey,
  keyOf,
  type TupleFacts,
} from "../../netlink/index.ts";
import {
  ANY_PROTOCOL,
  type Box,
  BoxIndex,
  type Cut,
  type Endpoint,
  hostEndpoint,
  type PacketFacts,
  type Pair,
} from "../../pinhole/index.ts";
import { Conntrack, ConntrackList } from "../../system/index.ts";

/** Connections that are judged and ended in one turn of the event loop, at most: about two milliseconds. */
const JUDGED_AT_ONCE = 128;

/** Each of them may have begun at either end. */
const PAIRS_AT_ONCE = JUDGED_AT_ONCE / 2;

function isSingle(endpoint: Endpoint): boolean {
  return endpoint.isHost && endpoint.ports.low === endpoint.ports.high;
}

/** True for a box that holds the packets of one connection in one direction. */
function isExact({ protocol, source, destination }: Box): boolean {
  return protocol !== ANY_PROTOCOL && isSingle(source) && isSingle(destination);
}

/** The entry that a packet from one end to the other begins. */
function keyBetween(protocol: number, from: Endpoint, to: Endpoint): ConntrackKey {
  const original = {
    source: from.prefix.words,
    destination: to.prefix.words,
    protocol,
    sourcePort: from.ports.low,
    destinationPort: to.ports.low,
    icmpType: 0,
    icmpCode: 0,
    icmpIdentifier: 0,
    zone: -1,
  };
  return { family: from.family, original, zone: 0, id: 0 };
}

/** A connection by its packets. */
interface Directions {
  readonly family: Family;
  readonly original: TupleFacts;
  readonly reply: TupleFacts;
}

/**
 * The packet that began a connection, as the filter saw it: behind the translation of its destination and
 * before that of its source, which is where the answers come from and where the first packet came from.
 */
function firstPacket({ family, original, reply }: Directions): PacketFacts {
  const hasPorts = original.protocol !== PROTOCOL.ICMP && original.protocol !== PROTOCOL.ICMPV6;
  return {
    family,
    protocol: original.protocol,
    source: original.source,
    destination: reply.source,
    sourcePort: hasPorts ? original.sourcePort : 0,
    destinationPort: hasPorts ? reply.sourcePort : 0,
    opensTcp: original.protocol === PROTOCOL.TCP,
  };
}

/** Boxes that can be asked what is in them: very many end together when their leases do. */
function indexOf(boxes: readonly Box[]): BoxIndex<Box> {
  const index = new BoxIndex<Box>(({ protocol, source, destination }) => ({
    protocol,
    near: source,
    far: destination,
  }));
  for (const box of boxes) index.add(box);
  return index;
}

function isInAny(boxes: BoxIndex<Box>, pairs: readonly Pair[]): boolean {
  return boxes.size > 0 && pairs.some((pair) => boxes.meets(pair));
}

/** The packets of a connection in both directions, as they come to this machine. */
function tuplesOf({ family, original, reply }: ConntrackEntry): Pair[] {
  return [original, reply].map((tuple) => ({
    protocol: tuple.protocol,
    near: hostEndpoint(family, tuple.source, tuple.sourcePort),
    far: hostEndpoint(family, tuple.destination, tuple.destinationPort),
  }));
}

/** What boxes have in common, for the kernel to select by. */
function selectionFor(boxes: readonly Box[]): ConntrackFilter {
  const [family, ...otherFamilies] = new Set(boxes.map(({ source }) => source.family));
  if (family === undefined || otherFamilies.length > 0) return {};
  const [protocol, ...otherProtocols] = new Set(boxes.map((box) => box.protocol));
  if (protocol === undefined || protocol === ANY_PROTOCOL || otherProtocols.length > 0) return { family };
  return { family, original: { protocol } };
}

/** Wide boxes, and who waits for the end of the connections in them. */
interface WideCut {
  readonly cut: Cut;
  readonly end: (ended: number) => void;
  readonly fail: (error: unknown) => void;
}

/** A connection in a wide box, in values of its own. */
interface Candidate {
  readonly key: ConntrackKey;
  readonly first: PacketFacts;
  /** True when it ends whatever permits it. */
  readonly isLeased: boolean;
}

/** Single values between which a connection may be. */
interface ExactPair {
  readonly protocol: number;
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** True when what begins with a packet from one to the other ends whatever permits it. */
  readonly isLeased: boolean;
}

/** What boxes of single values lie between, each once. */
function* exactPairsOf({ boxes, translated }: Cut): Generator<ExactPair> {
  for (const { protocol, source, destination } of translated.filter(isExact)) {
    yield { protocol, from: source, to: destination, isLeased: true };
  }
  const seen = new Set<string>();
  for (const { protocol, source, destination } of boxes.filter(isExact)) {
    // Both boxes of a pinhole that goes both ways lie between the same.
    if (seen.has(`${protocol} ${destination.key} ${source.key}`)) continue;
    seen.add(`${protocol} ${source.key} ${destination.key}`);
    yield { protocol, from: source, to: destination, isLeased: false };
  }
}

/** The packet that begins a connection under a key, where nothing is translated. */
function firstUnder({ family, original }: ConntrackKey): PacketFacts {
  const reply = { ...original, source: original.destination, sourcePort: original.destinationPort };
  return firstPacket({ family, original, reply });
}

/** Takes the next few out; fewer when there are no more. */
function takeSome<Value>(values: Iterator<Value>, count: number): Value[] {
  const taken: Value[] = [];
  while (taken.length < count) {
    const { done, value } = values.next();
    if (done === true) break;
    taken.push(value);
  }
  return taken;
}

/** Finds the connections in wide boxes. */
class WideBoxes {
  readonly #filtered: BoxIndex<Box>;
  readonly #leased: BoxIndex<Box>;

  constructor(cuts: readonly Cut[]) {
    this.#filtered = indexOf(cuts.flatMap(({ boxes }) => boxes));
    this.#leased = indexOf(cuts.flatMap(({ translated }) => translated));
  }

  /** @returns undefined when a connection is in none of them */
  find(entry: ConntrackEntry): Candidate | undefined {
    const first = firstPacket(entry);
    const from = hostEndpoint(entry.family, first.source, first.sourcePort);
    const to = hostEndpoint(entry.family, first.destination, first.destinationPort);
    const there = { protocol: first.protocol, near: from, far: to };
    const back = { protocol: first.protocol, near: to, far: from };
    const isLeased = this.#leased.size > 0 && isInAny(this.#leased, tuplesOf(entry));
    if (!isLeased && !isInAny(this.#filtered, [there, back])) return undefined;
    const key = keyOf(entry);
    const kept = { family: entry.family, original: key.original, reply: entry.reply.copy() };
    return { key, first: firstPacket(kept), isLeased };
  }
}

/** Ends connections in the network namespace in which it was opened. */
export class FlowCutter {
  readonly #tracker: Conntrack;
  readonly #list: ConntrackList;
  readonly #waiting: WideCut[] = [];
  #reading: Promise<void> | undefined;
  #readings = 0;
  /** Cuts that are on their way. */
  readonly #cuts: Set<Promise<number>> = new Set();

  private constructor(tracker: Conntrack, list: ConntrackList) {
    this.#tracker = tracker;
    this.#list = list;
  }

  /** @throws {FirewallError} `NETLINK_UNAVAILABLE` */
  static open(): FlowCutter {
    return new FlowCutter(Conntrack.open(), ConntrackList.open());
  }

  /** How often the whole table was read. */
  get readings(): number {
    return this.#readings;
  }

  /**
   * Ends what is to be cut.
   *
   * @returns how many connections were ended; of cuts that shared a reading, the first is told of all
   * @throws {FirewallError} `NETLINK_REFUSED`
   */
  async cut(cut: Cut): Promise<number> {
    const ending = this.#cut(cut);
    this.#cuts.add(ending);
    try {
      return await ending;
    } finally {
      this.#cuts.delete(ending);
    }
  }

  /** Waits for what is on its way, and gives the sockets back. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#cuts, this.#reading]);
    this.#tracker.close();
    this.#list.close();
  }

  async #cut(cut: Cut): Promise<number> {
    const exact = this.#cutExact(cut);
    const boxes = cut.boxes.filter((box) => !isExact(box));
    const translated = cut.translated.filter((box) => !isExact(box));
    if (boxes.length + translated.length === 0) return exact;
    const wide = new Promise<number>((end, fail) => {
      this.#waiting.push({ cut: { ...cut, boxes, translated }, end, fail });
      this.#reading ??= this.#readForAll();
    });
    const [ended, endedLater] = await Promise.all([exact, wide]);
    return ended + endedLater;
  }

  /** The first few at once: while nothing is decided that is not in force. */
  async #cutExact(cut: Cut): Promise<number> {
    const pairs = exactPairsOf(cut);
    let some = takeSome(pairs, PAIRS_AT_ONCE);
    let ended = this.#endBetween(some, cut);
    while (some.length === PAIRS_AT_ONCE) {
      await turn();
      some = takeSome(pairs, PAIRS_AT_ONCE);
      ended += await cut.whenSettled(() => this.#endBetween(some, cut));
    }
    return ended;
  }

  #endBetween(pairs: readonly ExactPair[], cut: Cut): number {
    return this.#tracker.delete(pairs.flatMap((pair) => this.#overBetween(pair, cut))).deleted;
  }

  /** Connections between single values that are to end, if they are there. */
  #overBetween({ protocol, from, to, isLeased }: ExactPair, { isPermitted }: Cut): ConntrackKey[] {
    const there = keyBetween(protocol, from, to);
    if (isLeased) return [there];
    const back = keyBetween(protocol, to, from);
    const [isGoing, isComing] = [isPermitted(firstUnder(there)), isPermitted(firstUnder(back))];
    if (isGoing && isComing) return [];
    if (!isGoing && !isComing) return [there, back];
    // The kernel finds an entry by the packets of either direction: which of them began it, it says itself.
    return [there, back].flatMap((key) => {
      const entry = this.#tracker.get(key);
      return entry === undefined || isPermitted(firstPacket(entry)) ? [] : [keyOf(entry)];
    });
  }

  async #readForAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const together = this.#waiting.splice(0);
      try {
        const ended = await this.#read(together.map(({ cut }) => cut));
        for (const [index, { end }] of together.entries()) end(index === 0 ? ended : 0);
      } catch (error) {
        for (const { fail } of together) fail(error);
      }
    }
    this.#reading = undefined;
  }

  async #read(cuts: readonly Cut[]): Promise<number> {
    const wide = new WideBoxes(cuts);
    const selection = selectionFor(cuts.flatMap(({ boxes, translated }) => [...boxes, ...translated]));
    const entry = new ConntrackEntry();
    const candidates: Candidate[] = [];
    const visit = (): void => {
      const found = wide.find(entry);
      if (found !== undefined) candidates.push(found);
    };
    let ended = 0;
    this.#readings += 1;
    await this.#list.beginLater(selection);
    try {
      for (let goesOn = true; goesOn; ) {
        goesOn = await this.#list.readLater(entry, visit);
        while (candidates.length >= JUDGED_AT_ONCE || (!goesOn && candidates.length > 0)) {
          ended += await this.#judge(candidates.splice(0, JUDGED_AT_ONCE), cuts);
        }
      }
    } finally {
      while (await this.#list.readLater(entry, () => undefined));
    }
    return ended;
  }

  /** Ends those of some connections that nothing permits. */
  async #judge(candidates: readonly Candidate[], [any]: readonly Cut[]): Promise<number> {
    if (any === undefined) return 0;
    return any.whenSettled(() => {
      const over = candidates.filter(({ isLeased, first }) => isLeased || !any.isPermitted(first));
      return this.#tracker.delete(over.map(({ key }) => key)).deleted;
    });
  }
}
