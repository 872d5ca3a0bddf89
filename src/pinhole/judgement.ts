/**
 * What pinholes mean for a packet, straight from what their owners asked for.
 *
 * This is the plain reading of the words, one pinhole after the other, without boxes, sets or indexes. Packet
 * filters and the simulator are held against it; and it explains to a person why a packet passes.
 */
import {
  type AddressWords,
  type Family,
  parseAddress,
  type Port,
  PROTOCOL,
  sameWords,
} from "../base/index.ts";
import { ANY_PROTOCOL } from "./element.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Pinhole } from "./pinhole.ts";
import type { PortLease } from "./port-pool.ts";
import type { PinholeRequest } from "./specification.ts";

/** What counts of a packet. */
export interface PacketFacts {
  readonly family: Family;
  /** IANA number. */
  readonly protocol: number;
  readonly source: AddressWords;
  readonly destination: AddressWords;
  /** 0 where the protocol has none. */
  readonly sourcePort: Port;
  readonly destinationPort: Port;
  /** TCP: SYN without ACK. */
  readonly opensTcp: boolean;
}

/** What becomes of a packet: `none` when no pinhole says anything about it. */
export type Judgement = "block" | "permit" | "none";

interface Side {
  readonly address: AddressWords;
  readonly port: Port;
}

function isIn(side: Side, endpoint: Endpoint, packet: PacketFacts): boolean {
  const { low, high } = endpoint.ports;
  return (
    endpoint.prefix.contains(packet.family, side.address) &&
    (endpoint.isAnyPort || (low <= side.port && side.port <= high))
  );
}

function isBetween(request: PinholeRequest, packet: PacketFacts, ours: Side, theirs: Side): boolean {
  if (!isIn(ours, request.internal, packet) || !isIn(theirs, request.external, packet)) return false;
  // "first port with first port, second with second": RFC 5189 section 2.3.6.
  if (!request.isPairwise) return true;
  return ours.port - request.internal.ports.low === theirs.port - request.external.ports.low;
}

/**
 * True when a pinhole speaks of a packet and lets it through, or stops it if it is a block.
 *
 * @param pinhole - enabled
 */
export function concerns({ request }: Pick<Pinhole, "request">, packet: PacketFacts): boolean {
  if (request.protocol !== ANY_PROTOCOL && request.protocol !== packet.protocol) return false;
  const source = { address: packet.source, port: packet.sourcePort };
  const destination = { address: packet.destination, port: packet.destinationPort };
  const comesIn = isBetween(request, packet, destination, source);
  const goesOut = isBetween(request, packet, source, destination);
  if (request.kind === "block") return comesIn || goesOut;
  const isAnswer = packet.protocol === PROTOCOL.TCP && !packet.opensTcp;
  if (isAnswer) return comesIn || goesOut;
  return (comesIn && request.direction !== "out") || (goesOut && request.direction !== "in");
}

/** What leaves of a packet that begins a connection, and what becomes of it. */
export interface Passage {
  readonly judgement: Judgement;
  /** With the addresses and ports with which it goes on. */
  readonly packet: PacketFacts;
}

interface Standing {
  readonly lease: PortLease;
  readonly end: Endpoint;
}

/** The leased place that stands for one end of a packet. */
function inPlaceOf(side: Side, { lease, end }: Standing): Side {
  const address = parseAddress(lease.address)?.words ?? side.address;
  return { address, port: lease.count === 0 ? side.port : lease.port + side.port - end.ports.low };
}

/** The end for which a leased place stands; undefined when it is another place. */
function behind(side: Side, { lease, end }: Standing): Side | undefined {
  const address = parseAddress(lease.address)?.words;
  if (address === undefined || !sameWords(address, side.address)) return undefined;
  if (lease.count === 0) return { address: end.prefix.words, port: side.port };
  const distance = side.port - lease.port;
  const isInRun = distance >= 0 && distance < lease.count;
  return isInRun ? { address: end.prefix.words, port: end.ports.low + distance } : undefined;
}

function standings({ leases, request }: Pinhole): { outside?: Standing; inside?: Standing } {
  const [outside] = leases.filter(({ side }) => side === "outside");
  const [inside] = leases.filter(({ side }) => side === "inside");
  return {
    ...(outside === undefined ? {} : { outside: { lease: outside, end: request.internal } }),
    ...(inside === undefined ? {} : { inside: { lease: inside, end: request.external } }),
  };
}

interface Ends {
  readonly source: Side;
  readonly destination: Side;
}

function endsOf(packet: PacketFacts): Ends {
  return {
    source: { address: packet.source, port: packet.sourcePort },
    destination: { address: packet.destination, port: packet.destinationPort },
  };
}

/** Our end, when a packet was sent to what stands for it. */
function oursBehind(pinhole: Pinhole, packet: PacketFacts): Side | undefined {
  const { request } = pinhole;
  const { outside } = standings(pinhole);
  const { source, destination } = endsOf(packet);
  const ours = outside === undefined ? undefined : behind(destination, outside);
  if (ours === undefined || request.direction === "out") return undefined;
  return isBetween(request, packet, ours, source) ? ours : undefined;
}

/** The other end, when a packet was sent to what stands for it. */
function theirsBehind(pinhole: Pinhole, packet: PacketFacts): Side | undefined {
  const { request } = pinhole;
  const { inside } = standings(pinhole);
  const { source, destination } = endsOf(packet);
  const theirs = inside === undefined ? undefined : behind(destination, inside);
  if (theirs === undefined || request.direction === "in") return undefined;
  return isBetween(request, packet, source, theirs) ? theirs : undefined;
}

/**
 * Where a packet comes from instead; undefined when this pinhole says nothing about it.
 *
 * @param sent - the packet as it came
 * @param arrived - as it goes on, with the destination behind that to which it was sent
 */
function sourceOf(pinhole: Pinhole, sent: PacketFacts, arrived: PacketFacts): Side | undefined {
  const { request } = pinhole;
  const { outside, inside } = standings(pinhole);
  const { source, destination } = endsOf(arrived);
  if (outside === undefined) return undefined;
  if (inside === undefined) {
    const goesOut = request.direction !== "in" && isBetween(request, arrived, source, destination);
    return goesOut ? inPlaceOf(source, outside) : undefined;
  }
  if (theirsBehind(pinhole, sent) !== undefined) return inPlaceOf(source, outside);
  return oursBehind(pinhole, sent) === undefined ? undefined : inPlaceOf(source, inside);
}

function translating(pinholes: Iterable<Pinhole>, { protocol }: PacketFacts): Pinhole[] {
  return [...pinholes].filter(
    ({ state, leases, request }) =>
      state === "enabled" &&
      leases.length > 0 &&
      (request.protocol === ANY_PROTOCOL || request.protocol === protocol),
  );
}

/** What becomes of the first packet of a connection, with all translation there is. */
export function forwardPacket(pinholes: readonly Pinhole[], packet: PacketFacts): Passage {
  const translators = translating(pinholes, packet);
  const to = firstOf(translators, (pinhole) => oursBehind(pinhole, packet) ?? theirsBehind(pinhole, packet));
  const arrived =
    to === undefined ? packet : { ...packet, destination: to.address, destinationPort: to.port };
  const from = firstOf(translators, (pinhole) => sourceOf(pinhole, packet, arrived));
  const left = from === undefined ? arrived : { ...arrived, source: from.address, sourcePort: from.port };
  return { judgement: judgePacket(pinholes, arrived), packet: left };
}

function firstOf(
  pinholes: readonly Pinhole[],
  find: (pinhole: Pinhole) => Side | undefined,
): Side | undefined {
  for (const pinhole of pinholes) {
    const found = find(pinhole);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What becomes of a packet. Blocks win, whoever owns them (RFC 4540 section 8.8.1). */
export function judgePacket(pinholes: Iterable<Pinhole>, packet: PacketFacts): Judgement {
  let judgement: Judgement = "none";
  for (const pinhole of pinholes) {
    if (pinhole.state !== "enabled" || !concerns(pinhole, packet)) continue;
    if (pinhole.request.kind === "block") return "block";
    judgement = "permit";
  }
  return judgement;
}
