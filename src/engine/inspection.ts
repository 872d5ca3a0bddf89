/**
 * The flows of an engine whose bytes some rule of the policy wants: streams, recognition, and by which flow
 * of the state table they are known.
 */
import { type LimitValues, type Milliseconds, MINUTE, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import {
  FlowRecognition,
  type Recogniser,
  type RecogniserFailure,
  RecogniserSet,
} from "../recognise/index.ts";
import { type FlowRecord, StreamTable } from "../stream/index.ts";
import { FRAGMENT, type Packet } from "../wire/index.ts";
import { type ContentBounds, type ContentSetting, InspectedContent } from "./flow-content.ts";

/** Idle time after which the bytes of a flow that is in no state table are forgotten. */
const IDLE: Milliseconds = 10 * MINUTE;

const BUILT_IN = new RecogniserSet();

/** Largest number that can be noted on a flow. */
const NOTE_MAX = 65_535;

/**
 * What is recognised, by the number noted on flows less 1; the same for all engines of a process. Names are
 * added by policies with recognisers of their own and never taken away: flows outlive policies.
 */
const NOTED: string[] = [...BUILT_IN.protocols];
const NOTES = new Map(NOTED.map((protocol, index) => [protocol, index + 1]));

function addNotes(protocols: readonly string[]): void {
  for (const protocol of protocols) {
    if (NOTES.has(protocol) || NOTED.length >= NOTE_MAX) continue;
    NOTES.set(protocol, NOTED.push(protocol));
  }
}

/** The number that stands for a protocol on a flow of the state table, 0 when there is none. */
export function protocolNote(protocol: string): number {
  return NOTES.get(protocol) ?? 0;
}

/** Name of the protocol that a number noted on a flow stands for, `""` when none. */
export function notedProtocol(note: number): string {
  return NOTED[note - 1] ?? "";
}

/** What an inspection is made of. */
export interface InspectionOptions {
  /** Bits of CONTENT. */
  readonly wants: number;
  readonly bounds: ContentBounds;
  readonly limits: LimitValues;
  /** Recognisers of the policy's own. */
  readonly own: readonly Recogniser[];
  /** Told when one of them fails. */
  readonly failed: RecogniserFailure | undefined;
}

/** See the head of this file. */
export class Inspection {
  readonly #streams: StreamTable<InspectedContent>;
  readonly #setting: ContentSetting;
  readonly #flows = new Map<number, FlowRecord<InspectedContent>>();
  /** Flows that hold memory for their bytes. */
  #reserved = 0;
  /** Flows that were not judged by their bytes because the limit `contentFlows` was reached. */
  refused = 0;
  #flow: FlowRecord<InspectedContent> | undefined = undefined;

  /** @param options - what is wanted, and limits */
  constructor({ wants, bounds, limits, own, failed }: InspectionOptions) {
    const watched = failed === undefined ? { own } : { own, failed };
    const recognisers = own.length === 0 ? BUILT_IN : new RecogniserSet(watched);
    addNotes(recognisers.protocols);
    const numbers = new WeakMap<object, number>();
    let rules = 0;
    const setting: ContentSetting = {
      wants,
      bounds,
      reserve: () => this.#reserve(limits.contentFlows),
      giveBack: () => {
        this.#reserved -= 1;
      },
      era: 0,
      numberOf: (rule) => {
        const known = numbers.get(rule) ?? rules;
        if (known === rules) numbers.set(rule, rules++);
        return known;
      },
    };
    this.#setting = setting;
    this.#streams = new StreamTable<InspectedContent>({
      limits,
      open: (packet, flow) => {
        this.#unbind(flow);
        return openContent({ setting, recognisers }, packet, flow);
      },
      release: (flow) => {
        this.#unbind(flow);
        flow.consumer.release();
      },
    });
  }

  /** Another policy is in force that looks at bytes in the same way: what was learnt of them stays good. */
  renew(): void {
    this.#setting.era += 1;
  }

  /** Flows that hold memory for their bytes. */
  get holding(): number {
    return this.#reserved;
  }

  /** Flows whose bytes are followed. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Takes the bytes of a packet.
   *
   * @param packet - decoded
   * @returns what is known of its flow; `undefined` for a packet that has none, or cannot be read
   */
  push(packet: Packet, now: Milliseconds): InspectedContent | undefined {
    this.#flow = undefined;
    const { protocol } = packet;
    if (packet.fault !== undefined || packet.fragment === FRAGMENT.LATER) return undefined;
    if (protocol !== PROTOCOL.TCP && protocol !== PROTOCOL.UDP) return undefined;
    const found = this.#streams.find(packet)?.consumer;
    if (packet.payloadBytes > 0) found?.countPacket();
    const flow = this.#streams.push(packet, now);
    if (found === undefined && packet.payloadBytes > 0) flow.consumer.countPacket();
    this.#flow = flow;
    return flow.consumer;
  }

  /** Ties the flow pushed last to its entry in the state table. @param id - of the entry */
  bind(id: number): void {
    const flow = this.#flow;
    if (flow === undefined || flow.consumer.flowId === id) return;
    this.#unbind(flow);
    flow.consumer.flowId = id;
    this.#flows.set(id, flow);
  }

  /** What is known of a flow of the state table. */
  contentOf(id: number): InspectedContent | undefined {
    return this.#flows.get(id)?.consumer;
  }

  /** Forgets the bytes of a flow that leaves the state table; one that was ended is remembered. */
  forget(id: number): void {
    const flow = this.#flows.get(id);
    if (flow === undefined) return;
    this.#flows.delete(id);
    if (flow.consumer.seal === undefined && flow.consumer.flowId === id) this.#streams.remove(flow);
  }

  /** Lets go of flows that have long been idle and are in no state table, or were ended. */
  expire(now: Milliseconds): void {
    this.#streams.expire(now - IDLE);
  }

  /** What is known of the flow of a packet, before its bytes are taken. */
  find(packet: Packet): InspectedContent | undefined {
    return this.#streams.find(packet)?.consumer;
  }

  /**
   * The packet begins another connection on the ports of one that is known: by its own bytes it is judged.
   */
  reopen(packet: Packet): void {
    const flow = this.#streams.find(packet);
    if (flow !== undefined) this.#streams.remove(flow);
  }

  #unbind(flow: FlowRecord<InspectedContent>): void {
    // A record that is being made has no consumer yet.
    const known = flow.consumer as InspectedContent | undefined;
    if (known !== undefined && known.flowId >= 0) this.#flows.delete(known.flowId);
  }

  #reserve(most: number): boolean {
    if (this.#reserved >= most) {
      this.refused += 1;
      return false;
    }
    this.#reserved += 1;
    return true;
  }
}

function openContent(
  { setting, recognisers }: { setting: ContentSetting; recognisers: RecogniserSet },
  packet: Packet,
  flow: FlowRecord<InspectedContent>,
): InspectedContent {
  const isTcp = packet.protocol === PROTOCOL.TCP;
  const transport = isTcp ? "TCP" : "UDP";
  const recognition = new FlowRecognition(recognisers, transport, packet.sourcePort, packet.destinationPort);
  recognition.isReversed = flow.isReversed;
  const earlier = flow.consumer as InspectedContent | undefined;
  earlier?.release();
  return new InspectedContent(setting, recognition, isTcp && (packet.tcpFlags & TCP_FLAG.SYN) === 0);
}
