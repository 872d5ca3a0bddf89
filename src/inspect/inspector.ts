/**
 * What is in the flows of a sequence of packets: tunnels opened, streams put in order, protocols recognised.
 *
 * No I/O and no clock: packets and times come in, reports come out.
 */
import { defaultLimits, type LimitValues, type Milliseconds, PROTOCOL } from "../base/index.ts";
import { type Recogniser, type RecogniserFailure, RecogniserSet } from "../recognise/index.ts";
import { type FlowRecord, type OverlapPolicy, type StreamObserver, StreamTable } from "../stream/index.ts";
import { CaptureReader, decodePacket, decodeRecord, FRAGMENT, Packet } from "../wire/index.ts";
import type { CaptureFault } from "../wire/index.ts";
import { type FlowReport, InspectedFlow } from "./inspected-flow.ts";
import { type TunnelName, TunnelView } from "./tunnel.ts";

const NO_TUNNELS: readonly TunnelName[] = [];

/** How an inspector is made; all have defaults. */
export interface InspectorOptions {
  readonly recognisers?: RecogniserSet;
  /** Recognisers of one's own, where `recognisers` is left out. */
  readonly own?: readonly Recogniser[];
  /** Told when one of those fails. */
  readonly failed?: RecogniserFailure;
  readonly limits?: LimitValues;
  readonly overlap?: OverlapPolicy;
  readonly observer?: StreamObserver;
  /** Takes the report of a flow that is let go before the end because the table was full. */
  readonly onFlow?: (report: FlowReport) => void;
}

/** See the head of this file. */
export class Inspector {
  readonly #set: RecogniserSet;
  readonly #limits: LimitValues;
  readonly #table: StreamTable<InspectedFlow>;
  readonly #tunnel: TunnelView = new TunnelView();
  readonly #inner: Packet[] = [];
  #tunnels: readonly TunnelName[] = NO_TUNNELS;

  /** @param options - recognisers, limits */
  constructor(options: InspectorOptions = {}) {
    this.#limits = options.limits ?? defaultLimits();
    const { onFlow, own = [], failed } = options;
    const watched = failed === undefined ? { own } : { own, failed };
    this.#set = options.recognisers ?? new RecogniserSet(watched);
    this.#table = new StreamTable<InspectedFlow>({
      open: (packet, flow) => new InspectedFlow(this.#set, packet, this.#tunnels, flow),
      limits: this.#limits,
      ...(onFlow === undefined ? {} : { release: (flow) => onFlow(flow.consumer.report(flow)) }),
      ...(options.overlap === undefined ? {} : { overlap: options.overlap }),
      ...(options.observer === undefined ? {} : { observer: options.observer }),
    });
  }

  /** Flows at present. */
  get size(): number {
    return this.#table.size;
  }

  /**
   * Takes a packet.
   *
   * @param packet - decoded; may have a fault
   * @param now - time of the packet
   * @returns the flow it belongs to, the innermost one; `undefined` when it belongs to none
   */
  push(packet: Packet, now: Milliseconds): FlowRecord<InspectedFlow> | undefined {
    this.#tunnels = NO_TUNNELS;
    return this.#push(packet, now, 0);
  }

  #push(packet: Packet, now: Milliseconds, depth: number): FlowRecord<InspectedFlow> | undefined {
    if (packet.family === 0 || packet.fragment === FRAGMENT.LATER) return undefined;
    if (packet.fault !== undefined && packet.transportAt <= packet.at) return undefined;
    if (depth < this.#limits.tunnelDepth && this.#tunnel.bind(packet)) {
      const { name, at, end } = this.#tunnel;
      const inner = this.#innerPacket(depth);
      decodePacket(inner, packet.bytes, at, end);
      this.#tunnels = [...this.#tunnels, name];
      return this.#push(inner, now, depth + 1);
    }
    if (packet.fault !== undefined) return undefined;
    const flow = this.#table.push(packet, now);
    if (packet.protocol === PROTOCOL.ICMP || packet.protocol === PROTOCOL.ICMPV6)
      flow.consumer.addIcmp(packet);
    return flow;
  }

  #innerPacket(depth: number): Packet {
    const known = this.#inner[depth];
    if (known !== undefined) return known;
    const made = new Packet();
    this.#inner[depth] = made;
    return made;
  }

  /** Ends all flows and reports them, in the order in which they began. */
  finish(): FlowReport[] {
    const reports: FlowReport[] = [];
    for (const flow of this.#table.flows()) {
      flow.stream.close();
      reports.push(flow.consumer.report(flow));
    }
    return reports.sort((a, b) => a.flow - b.flow);
  }
}

/** What {@link inspectCapture} found. */
export interface CaptureInspection {
  readonly flows: readonly FlowReport[];
  /** Why the capture could not be read to its end, if it could not. */
  readonly fault: CaptureFault | undefined;
  readonly packets: number;
}

/**
 * Inspects a capture file, pcap or pcapng.
 *
 * @param chunks - its bytes, in pieces of any size
 * @param options - recognisers, limits
 */
export function inspectCapture(
  chunks: Iterable<Uint8Array>,
  options: InspectorOptions = {},
): CaptureInspection {
  const inspector = new Inspector(options);
  const reader = new CaptureReader(options.limits);
  const packet = new Packet();
  let packets = 0;
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      packets += 1;
      if (decodeRecord(packet, record)) inspector.push(packet, record.timestampMs);
    }
  }
  return { flows: inspector.finish(), fault: reader.finish(), packets };
}
