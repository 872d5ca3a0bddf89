/**
 * What pinholes mean for a packet, straight from what their owners asked for.
 *
 * This is the plain reading of the words, one pinhole after the other, without boxes, sets or indexes. Packet
 * filters and the simulator are held against it; and it explains to a person why a packet passes.
 */
import { type AddressWords, type Family, type Port, PROTOCOL } from "../base/index.ts";
import { ANY_PROTOCOL } from "./element.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Pinhole } from "./pinhole.ts";
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
