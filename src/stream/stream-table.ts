/**
 * The flows whose bytes are followed: packets in, streams found or made.
 *
 * A flow is a 5-tuple, met in either direction. The table is a chained hash table that doubles with its
 * flows, threaded by a list in the order of last use, from whose end a flow is let go when the limit
 * `streamFlows` is reached or when the owner's time says that it has been idle for long enough.
 */
import {
  type AddressWords,
  defaultLimits,
  type LimitValues,
  type Milliseconds,
  PROTOCOL,
  TCP_FLAG,
} from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import type { StreamConsumer, StreamDirection, StreamObserver } from "./consumer.ts";
import type { OverlapPolicy, StreamMemory } from "./held-bytes.ts";
import { Stream } from "./stream.ts";
import type { StreamSetting } from "./stream-half.ts";

const BUCKETS_MIN = 1024;
const SYN_ACK = TCP_FLAG.SYN | TCP_FLAG.ACK;

/** How a table is made. */
export interface StreamTableOptions<Consumer extends StreamConsumer> {
  /**
   * Makes the consumer of a flow.
   *
   * @param packet - its first packet
   * @param flow - the flow, its ends set
   */
  readonly open: (packet: Packet, flow: FlowRecord<Consumer>) => Consumer;
  /** Called when a flow is let go, after its consumer was told that it has ended. */
  readonly release?: (flow: FlowRecord<Consumer>) => void;
  readonly observer?: StreamObserver;
  /** Which copy of a byte is believed when a retransmission differs. Default: the first. */
  readonly overlap?: OverlapPolicy;
  readonly limits?: LimitValues;
}

/** One flow. */
export class FlowRecord<Consumer extends StreamConsumer> {
  /** Position among all flows the table has seen, from 1. */
  readonly number: number;
  readonly protocol: number;
  readonly family: 4 | 6;
  readonly sourcePort: number;
  readonly destinationPort: number;
  // Addresses as signed words, which the engine keeps inside the object.
  readonly #source0: number;
  readonly #source1: number;
  readonly #source2: number;
  readonly #source3: number;
  readonly #destination0: number;
  readonly #destination1: number;
  readonly #destination2: number;
  readonly #destination3: number;
  /** When the last packet came. */
  lastSeen: Milliseconds = 0;
  packets = 0;
  /** True when the first packet's destination opened the connection. */
  isReversed = false;
  /** True when the opening of the connection was not seen. */
  isMidStream = false;
  /** Set by the table before anyone sees the record. */
  consumer!: Consumer;
  stream!: Stream;
  /** Next in the hash chain, and neighbours in the order of last use; the table's own. */
  chain: FlowRecord<Consumer> | undefined = undefined;
  older: FlowRecord<Consumer> | undefined = undefined;
  newer: FlowRecord<Consumer> | undefined = undefined;
  readonly hash: number;

  /**
   * @param number - from 1
   * @param packet - the first packet
   * @param hash - of its ends
   */
  constructor(number: number, packet: Packet, hash: number) {
    this.number = number;
    this.hash = hash;
    this.protocol = packet.protocol;
    this.family = packet.family === 6 ? 6 : 4;
    const { source, destination } = packet;
    this.sourcePort = packet.hasPorts ? packet.sourcePort : 0;
    this.destinationPort = packet.hasPorts ? packet.destinationPort : 0;
    this.#source0 = (source[0] ?? 0) | 0;
    this.#source1 = (source[1] ?? 0) | 0;
    this.#source2 = (source[2] ?? 0) | 0;
    this.#source3 = (source[3] ?? 0) | 0;
    this.#destination0 = (destination[0] ?? 0) | 0;
    this.#destination1 = (destination[1] ?? 0) | 0;
    this.#destination2 = (destination[2] ?? 0) | 0;
    this.#destination3 = (destination[3] ?? 0) | 0;
  }

  /** Source address of the first packet. Allocates. */
  get source(): AddressWords {
    return Uint32Array.of(this.#source0, this.#source1, this.#source2, this.#source3);
  }

  /** Destination address of the first packet. Allocates. */
  get destination(): AddressWords {
    return Uint32Array.of(this.#destination0, this.#destination1, this.#destination2, this.#destination3);
  }

  /** 0 or 1 for a packet of this flow from or to the first packet's source, -1 for any other packet. */
  match(packet: Packet, sourcePort: number, destinationPort: number): -1 | StreamDirection {
    if (packet.protocol !== this.protocol || packet.family !== this.family) return -1;
    const { source, destination } = packet;
    if (sourcePort === this.sourcePort && destinationPort === this.destinationPort) {
      if (this.#isSource(source) && this.#isDestination(destination)) return 0;
    }
    if (sourcePort !== this.destinationPort || destinationPort !== this.sourcePort) return -1;
    return this.#isSource(destination) && this.#isDestination(source) ? 1 : -1;
  }

  #isSource(words: AddressWords): boolean {
    return (
      (words[3] ?? 0) === this.#source3 >>> 0 &&
      (words[2] ?? 0) === this.#source2 >>> 0 &&
      (words[1] ?? 0) === this.#source1 >>> 0 &&
      (words[0] ?? 0) === this.#source0 >>> 0
    );
  }

  #isDestination(words: AddressWords): boolean {
    return (
      (words[3] ?? 0) === this.#destination3 >>> 0 &&
      (words[2] ?? 0) === this.#destination2 >>> 0 &&
      (words[1] ?? 0) === this.#destination1 >>> 0 &&
      (words[0] ?? 0) === this.#destination0 >>> 0
    );
  }
}

/** Mixes one end into 32 bits (the finaliser of MurmurHash3, which spreads every input bit). */
function endHash(words: Uint32Array, port: number): number {
  let hash = Math.imul((words[0] ?? 0) ^ Math.imul(words[1] ?? 0, 0x9e3779b1), 0x85ebca6b);
  hash =
    Math.imul(hash ^ (words[2] ?? 0) ^ Math.imul(words[3] ?? 0, 0xc2b2ae35), 0x27d4eb2f) ^
    Math.imul(port, 0x165667b1);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

/** See the head of this file. */
export class StreamTable<Consumer extends StreamConsumer> {
  readonly #options: StreamTableOptions<Consumer>;
  readonly #limits: LimitValues;
  readonly #memory: StreamMemory;
  readonly #setting: StreamSetting;
  #buckets: (FlowRecord<Consumer> | undefined)[] = new Array(BUCKETS_MIN).fill(undefined);
  #size = 0;
  #seen = 0;
  #oldest: FlowRecord<Consumer> | undefined = undefined;
  #newest: FlowRecord<Consumer> | undefined = undefined;
  /** Direction of the packet looked up last. */
  direction: StreamDirection = 0;
  /** Flows let go because the table was full. */
  evicted = 0;

  /** @param options - who takes the bytes, limits */
  constructor(options: StreamTableOptions<Consumer>) {
    this.#options = options;
    this.#limits = options.limits ?? defaultLimits();
    this.#memory = { used: 0, max: this.#limits.streamMemoryBytes, spare: [] };
    this.#setting = {
      observer: options.observer ?? {},
      memory: this.#memory,
      policy: options.overlap ?? "first",
      limits: this.#limits,
    };
  }

  /** Flows at present. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that all streams hold at present. */
  get heldBytes(): number {
    return this.#memory.used;
  }

  /**
   * Takes a packet: finds or makes its flow and gives it the bytes.
   *
   * @param packet - decoded without a fault, not a later fragment
   * @param now - any clock that does not run backwards
   * @returns the flow; {@link StreamTable.direction} says which way the packet went
   */
  push(packet: Packet, now: Milliseconds): FlowRecord<Consumer> {
    const flow = this.find(packet) ?? this.#open(packet);
    const { direction } = this;
    if (flow.stream.isOtherConnection(direction, packet)) this.#restart(flow, packet);
    flow.lastSeen = now;
    flow.packets += 1;
    this.#touch(flow);
    flow.stream.push(direction, packet);
    return flow;
  }

  /** Finds the packet's flow and sets {@link StreamTable.direction}. */
  find(packet: Packet): FlowRecord<Consumer> | undefined {
    const sourcePort = packet.hasPorts ? packet.sourcePort : 0;
    const destinationPort = packet.hasPorts ? packet.destinationPort : 0;
    const hash = this.#hash(packet, sourcePort, destinationPort);
    let flow = this.#buckets[hash & (this.#buckets.length - 1)];
    for (; flow !== undefined; flow = flow.chain) {
      if (flow.hash !== hash) continue;
      const direction = flow.match(packet, sourcePort, destinationPort);
      if (direction < 0) continue;
      this.direction = direction === 0 ? 0 : 1;
      return flow;
    }
    this.direction = 0;
    return undefined;
  }

  /** All flows, the one idle for longest first. */
  *flows(): Generator<FlowRecord<Consumer>> {
    for (let flow = this.#oldest; flow !== undefined; flow = flow.newer) yield flow;
  }

  /** Lets go of the flows that have been idle since before `time`. */
  expire(time: Milliseconds): void {
    while (this.#oldest !== undefined && this.#oldest.lastSeen < time) this.#drop(this.#oldest);
  }

  /** Lets go of one flow. */
  remove(flow: FlowRecord<Consumer>): void {
    this.#drop(flow);
  }

  /** Lets go of all flows, the one idle for longest first. */
  clear(): void {
    while (this.#oldest !== undefined) this.#drop(this.#oldest);
  }

  #hash(packet: Packet, sourcePort: number, destinationPort: number): number {
    // A sum, so that both directions meet.
    return (
      (endHash(packet.source, sourcePort) +
        endHash(packet.destination, destinationPort) +
        packet.protocol) >>>
      0
    );
  }

  #open(packet: Packet): FlowRecord<Consumer> {
    if (this.#size >= this.#limits.streamFlows && this.#oldest !== undefined) {
      this.evicted += 1;
      this.#drop(this.#oldest);
    }
    if (this.#size >= this.#buckets.length) this.#grow();
    const sourcePort = packet.hasPorts ? packet.sourcePort : 0;
    const destinationPort = packet.hasPorts ? packet.destinationPort : 0;
    this.#seen += 1;
    const flow = new FlowRecord<Consumer>(
      this.#seen,
      packet,
      this.#hash(packet, sourcePort, destinationPort),
    );
    flow.isMidStream = packet.protocol !== PROTOCOL.TCP || (packet.tcpFlags & TCP_FLAG.SYN) === 0;
    this.direction = 0;
    this.#restart(flow, packet);
    this.#chain(flow);
    this.#size += 1;
    return flow;
  }

  /** Begins a flow, or another connection on its ports: what waits of the one before is handed over first. */
  #restart(flow: FlowRecord<Consumer>, packet: Packet): void {
    (flow.stream as Stream | undefined)?.close();
    const answers = packet.protocol === PROTOCOL.TCP && (packet.tcpFlags & SYN_ACK) === SYN_ACK;
    flow.isReversed = answers === (this.direction === 0);
    flow.consumer = this.#options.open(packet, flow);
    flow.stream = new Stream(flow.consumer, this.#setting);
  }

  #chain(flow: FlowRecord<Consumer>): void {
    const index = flow.hash & (this.#buckets.length - 1);
    flow.chain = this.#buckets[index];
    this.#buckets[index] = flow;
  }

  #grow(): void {
    this.#buckets = new Array(2 * this.#buckets.length).fill(undefined);
    for (let flow = this.#oldest; flow !== undefined; flow = flow.newer) this.#chain(flow);
  }

  /** Moves the flow to the end of the list that is let go last. */
  #touch(flow: FlowRecord<Consumer>): void {
    if (this.#newest === flow) return;
    this.#unlink(flow);
    flow.older = this.#newest;
    flow.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = flow;
    this.#newest = flow;
    this.#oldest ??= flow;
  }

  #unlink(flow: FlowRecord<Consumer>): void {
    if (flow.older !== undefined) flow.older.newer = flow.newer;
    if (flow.newer !== undefined) flow.newer.older = flow.older;
    if (this.#oldest === flow) this.#oldest = flow.newer;
    if (this.#newest === flow) this.#newest = flow.older;
  }

  #drop(flow: FlowRecord<Consumer>): void {
    this.#unlink(flow);
    const index = flow.hash & (this.#buckets.length - 1);
    let link = this.#buckets[index];
    if (link === flow) this.#buckets[index] = flow.chain;
    while (link !== undefined && link !== flow) {
      if (link.chain === flow) link.chain = flow.chain;
      link = link.chain;
    }
    this.#size -= 1;
    flow.stream.close();
    this.#options.release?.(flow);
  }
}
