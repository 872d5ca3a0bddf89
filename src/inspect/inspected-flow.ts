/** A flow under inspection: the recogniser's view of it, and what is reported in the end. */
import { type AddressWords, type Family, formatEndpoint, PROTOCOL } from "../base/index.ts";
import {
  CONFIDENCE,
  type ConfidenceName,
  confidenceName,
  type Facts,
  FlowRecognition,
  icmpRecognition,
  protocolRecognition,
  type Recognition,
  type RecogniserSet,
} from "../recognise/index.ts";
import type { Datagram, FlowRecord, StreamConsumer, StreamDirection } from "../stream/index.ts";
import type { Packet } from "../wire/index.ts";
import type { TunnelName } from "./tunnel.ts";

/** Kinds of ICMP messages listed of one flow. */
const KINDS_MAX = 16;

/** What is said of a flow; fields without a value are left out. */
export interface FlowReport extends Facts {
  /** Position among the flows of the capture, from 1. */
  readonly flow: number;
  /** Transport protocol: "TCP", "UDP", "ICMP", or the number. */
  readonly l4: string;
  /** Address and port of the side that opened the flow. */
  readonly client: string;
  readonly server: string;
  readonly protocol: string | null;
  readonly encrypted: boolean;
  readonly confidence: ConfidenceName;
  /** Protocols in the flow, outermost first, where there is more than one. */
  readonly layers?: readonly string[];
  /** Tunnels around the flow, outermost first. */
  readonly tunnels?: readonly TunnelName[];
  readonly packets: number;
}

const TRANSPORT_NAMES: ReadonlyMap<number, string> = new Map([
  [PROTOCOL.TCP, "TCP"],
  [PROTOCOL.UDP, "UDP"],
  [PROTOCOL.UDPLITE, "UDPLite"],
  [PROTOCOL.ICMP, "ICMP"],
  [PROTOCOL.ICMPV6, "ICMPV6"],
  [PROTOCOL.SCTP, "SCTP"],
  [2, "IGMP"],
  [8, "EGP"],
  [47, "GRE"],
  [50, "ESP"],
  [51, "AH"],
  [89, "OSPF"],
  [103, "PIM"],
  [112, "VRRP"],
  [113, "PGM"],
]);

/** What a flow is of which nothing is known. */
const UNKNOWN: Recognition = {
  protocol: "",
  confidence: CONFIDENCE.NONE,
  encrypted: false,
  server: -1,
  layers: [],
  facts: {},
};

/** See the head of this file. */
export class InspectedFlow implements StreamConsumer {
  readonly #recognition: FlowRecognition | undefined;
  readonly #tunnels: readonly TunnelName[];
  /** What an earlier connection on the same ports was. */
  readonly #earlier: Recognition | undefined;
  #kinds: string[] | undefined = undefined;

  /**
   * @param set - the recognisers
   * @param packet - the first packet
   * @param tunnels - around it
   * @param flow - its record; the consumer, if there is one, is an earlier connection on the same ports
   */
  constructor(
    set: RecogniserSet,
    packet: Packet,
    tunnels: readonly TunnelName[],
    flow: FlowRecord<InspectedFlow>,
  ) {
    this.#tunnels = tunnels;
    this.#earlier = (flow.consumer as InspectedFlow | undefined)?.result;
    const transport = packet.protocol === PROTOCOL.TCP ? "TCP" : "UDP";
    if (packet.protocol !== PROTOCOL.TCP && packet.protocol !== PROTOCOL.UDP) this.#recognition = undefined;
    else {
      this.#recognition = new FlowRecognition(set, transport, packet.sourcePort, packet.destinationPort);
      this.#recognition.isReversed = flow.isReversed;
    }
  }

  /** What the flow is, as far as it is known. */
  get result(): Recognition | undefined {
    const found = this.#recognition?.result;
    if (found === undefined || found.confidence <= CONFIDENCE.GUESSED) return this.#earlier ?? found;
    return found;
  }

  begin(direction: StreamDirection, midStream: boolean): void {
    this.#recognition?.begin(direction, midStream);
  }

  receive(direction: StreamDirection, bytes: DataView, at: number, end: number): number {
    return this.#recognition?.receive(direction, bytes, at, end) ?? end - at;
  }

  datagram(direction: StreamDirection, datagram: Datagram): void {
    this.#recognition?.datagram(direction, datagram);
  }

  gap(direction: StreamDirection): void {
    this.#recognition?.gap(direction);
  }

  finish(): void {
    this.#recognition?.finish();
  }

  /** Notes what kind of ICMP message a packet is. */
  addIcmp(packet: Packet): void {
    const { kind } = icmpRecognition(packet.protocol === PROTOCOL.ICMPV6, packet.icmpType).facts;
    this.#kinds ??= [];
    if (kind !== undefined && !this.#kinds.includes(kind) && this.#kinds.length < KINDS_MAX)
      this.#kinds.push(kind);
  }

  /** All that is known of the flow. Allocates. */
  report(flow: FlowRecord<InspectedFlow>): FlowReport {
    const result = this.result ?? protocolRecognition(flow.protocol) ?? UNKNOWN;
    const source = formatEndpoint(flow.family, flow.source, flow.sourcePort);
    const destination = formatEndpoint(flow.family, flow.destination, flow.destinationPort);
    const reversed = isReversed(flow, result);
    const facts: Facts = { ...result.facts };
    if (this.#kinds !== undefined) facts.kind = this.#kinds.join(", ");
    return {
      flow: flow.number,
      l4: TRANSPORT_NAMES.get(flow.protocol) ?? String(flow.protocol),
      client: reversed ? destination : source,
      server: reversed ? source : destination,
      protocol: result === UNKNOWN ? null : result.protocol,
      encrypted: result.encrypted,
      confidence: confidenceName(result.confidence),
      ...(result.layers.length > 1 ? { layers: result.layers } : {}),
      ...(this.#tunnels.length > 0 ? { tunnels: this.#tunnels } : {}),
      packets: flow.packets,
      ...facts,
    };
  }
}

// First bits of multicast addresses (RFC 5771 section 3, RFC 4291 section 2.7), and the limited broadcast.
const IPV4_MULTICAST_SHIFT = 28;
const IPV4_MULTICAST = 0xe;
const IPV4_BROADCAST = 0xffff_ffff;
const IPV6_MULTICAST_SHIFT = 24;
const IPV6_MULTICAST = 0xff;

/** True for an address of many, from which no packet comes. */
function isGroup(family: Family, words: AddressWords): boolean {
  if (family === 6) return (words[0] ?? 0) >>> IPV6_MULTICAST_SHIFT === IPV6_MULTICAST;
  const word = words[3] ?? 0;
  return word >>> IPV4_MULTICAST_SHIFT === IPV4_MULTICAST || word === IPV4_BROADCAST;
}

/**
 * True when the side that was seen first is the server; an answer to a group has no client but its sender.
 */
function isReversed(flow: FlowRecord<InspectedFlow>, result: Recognition): boolean {
  if (isGroup(flow.family, flow.destination)) return false;
  return flow.isMidStream && result.server >= 0 ? result.server === 0 : flow.isReversed;
}
