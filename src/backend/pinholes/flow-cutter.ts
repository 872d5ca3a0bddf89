/**
 * Ends live connections that nothing permits any more.
 *
 * Rules of the administrator that accept what is established, and flows that were handed to the hardware, go
 * on as long as the kernel's tracker knows the connection. So when a pinhole closes, or a block comes, the
 * entries in its boxes are looked at, and those are deleted whose first packet nothing else would let
 * through. The hand-over ends with its entry.
 *
 * A box of single values is one look-up in each direction; only for wider ones the whole table is read, once
 * for all of them.
 */
import { PROTOCOL } from "../../base/index.ts";
import { ConntrackEntry, type ConntrackKey, keyOf } from "../../netlink/index.ts";
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

/**
 * The packet that began a connection, as the filter saw it: behind the translation of its destination and
 * before that of its source, which is where the answers come from and where the first packet came from.
 */
function firstPacket({
  family,
  original,
  reply,
}: Pick<ConntrackEntry, "family" | "original" | "reply">): PacketFacts {
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

/** Ends connections in the network namespace in which it was opened. */
export class FlowCutter {
  readonly #tracker: Conntrack;
  readonly #list: ConntrackList;

  private constructor(tracker: Conntrack, list: ConntrackList) {
    this.#tracker = tracker;
    this.#list = list;
  }

  /** @throws {FirewallError} `NETLINK_UNAVAILABLE` */
  static open(): FlowCutter {
    return new FlowCutter(Conntrack.open(), ConntrackList.open());
  }

  /**
   * Ends what is to be cut.
   *
   * @returns how many connections were ended
   * @throws {FirewallError} `NETLINK_REFUSED`
   */
  cut(cut: Cut): number {
    const wide = cut.boxes.filter((box) => !isExact(box));
    const wideTranslated = cut.translated.filter((box) => !isExact(box));
    const ended = this.#cutExact(cut);
    if (wide.length + wideTranslated.length === 0) return ended;
    return ended + this.#cutWide(wide, wideTranslated, cut);
  }

  close(): void {
    this.#tracker.close();
    this.#list.close();
  }

  #cutExact(cut: Cut): number {
    const keys = new Map<string, ConntrackKey>();
    for (const { protocol, source, destination } of cut.translated.filter(isExact)) {
      // The kernel finds an entry by the packets of either direction.
      const name = `${protocol} ${source.key} ${destination.key}`;
      keys.set(name, keyBetween(protocol, source, destination));
    }
    for (const { protocol, source, destination } of cut.boxes.filter(isExact)) {
      for (const [from, to] of [
        [source, destination],
        [destination, source],
      ] as const) {
        const name = `${protocol} ${from.key} ${to.key}`;
        if (keys.has(name)) continue;
        const key = keyBetween(protocol, from, to);
        const { original } = key;
        const reply = { ...original, source: original.destination, sourcePort: original.destinationPort };
        const first = firstPacket({ family: key.family, original, reply } as ConntrackEntry);
        if (!cut.isPermitted(first)) keys.set(name, key);
      }
    }
    return this.#tracker.delete([...keys.values()]).deleted;
  }

  #cutWide(boxes: readonly Box[], translated: readonly Box[], cut: Cut): number {
    const keys: ConntrackKey[] = [];
    const [filtered, leased] = [indexOf(boxes), indexOf(translated)];
    this.#list.begin();
    this.#list.readAll(new ConntrackEntry(), (entry) => {
      const first = firstPacket(entry);
      const from = hostEndpoint(entry.family, first.source, first.sourcePort);
      const to = hostEndpoint(entry.family, first.destination, first.destinationPort);
      const there = { protocol: first.protocol, near: from, far: to };
      const back = { protocol: first.protocol, near: to, far: from };
      const isIn = isInAny(filtered, [there, back]) && !cut.isPermitted(first);
      if (isIn || isInAny(leased, tuplesOf(entry))) keys.push(keyOf(entry));
    });
    return this.#tracker.delete(keys).deleted;
  }
}
