/**
 * What is known of one flow's bytes: recognition, byte statistics, a sample, and what rules remember of it.
 *
 * It consumes the flow's stream. Statistics and sample are there only while rules may still want them: they
 * are given back once the bounds of `settings.pending` are reached.
 */
import type { Milliseconds, Verdict } from "../base/index.ts";
import { StreamClassifier } from "../classify/index.ts";
import {
  CONTENT,
  type ContentClasses,
  type ContentFacts,
  type FlowContent,
  type RejectWith,
  SAMPLE_BYTES_MAX,
} from "../policy/index.ts";
import { CONFIDENCE, ENOUGH, type FlowRecognition, type Recognition } from "../recognise/index.ts";
import type { Datagram, StreamConsumer, StreamDirection } from "../stream/index.ts";

/** The first allocation of a sample, in bytes; it doubles. */
const SAMPLE_BYTES_MIN = 2048;

const NO_FACTS: ContentFacts = {};
const NO_LAYERS: readonly string[] = [];
const NO_BYTES = new Uint8Array(0);

/** Bounds beyond which no rule waits for a flow. */
export interface ContentBounds {
  readonly packets: number;
  readonly bytes: number;
}

/** What all flows of an engine share. */
export interface ContentSetting {
  /** Bits of CONTENT. */
  readonly wants: number;
  readonly bounds: ContentBounds;
  /** Asked before memory for a flow's bytes is taken: false when there is none. */
  reserve(): boolean;
  /** Told that the memory is free again. */
  giveBack(): void;
  /** Counts policies: what rules of earlier ones have noted of a flow counts no more. */
  era: number;
  /** Number by which flows know a rule. They outlive policies, so none of them keeps a rule. */
  numberOf(rule: object): number;
}

/** What the rules of one policy have noted of a flow, by their numbers. */
class RuleNotes {
  readonly era: number;
  readonly values: Map<number, number> = new Map();
  shadows: Set<number> | undefined = undefined;
  isNeeded = false;

  constructor(era: number) {
    this.era = era;
  }
}

/** The verdict that a flow has for good. */
export interface Seal {
  readonly verdict: Verdict;
  readonly chain: number;
  readonly rule: number;
  readonly rejectWith: RejectWith;
  readonly revision: number;
  /** When it was given. */
  readonly at: Milliseconds;
}

/** See the head of this file. */
export class InspectedContent implements FlowContent, StreamConsumer {
  isClosed = false;
  readonly isMidStream: boolean;
  /** Set when a rule has ended the flow. */
  seal: Seal | undefined = undefined;
  /** True when the rule that is noted with the flow has not judged it, but waits for its bytes. */
  isNotedEarly = false;
  /** True when its bytes were let go of before a rule was done with them. */
  isGivenUp = false;
  /** Id of the flow in the state table, -1 while it has none. */
  flowId = -1;
  readonly #setting: ContentSetting;
  readonly #recognition: FlowRecognition;
  #known: Recognition | undefined = undefined;
  #inherited: Recognition | undefined = undefined;
  /** True when there are bytes that `#known` does not tell of. */
  #isStale = false;
  #packets = 0;
  #bytes = 0;
  /** True while statistics and sample may be kept. */
  #isReserved = false;
  #isRefused = false;
  readonly #classes: [StreamClassifier | undefined, StreamClassifier | undefined] = [undefined, undefined];
  readonly #samples: [Uint8Array, Uint8Array] = [NO_BYTES, NO_BYTES];
  readonly #sampled: [number, number] = [0, 0];
  /** Bytes at the front of the next hand-over that were counted already, by direction. */
  readonly #ahead: [number, number] = [0, 0];
  #notes: RuleNotes | undefined = undefined;
  #isWaiting = false;

  /**
   * @param setting - shared by all flows
   * @param recognition - of this flow
   * @param isMidStream - true when its beginning was not seen
   */
  constructor(setting: ContentSetting, recognition: FlowRecognition, isMidStream: boolean) {
    this.#setting = setting;
    this.#recognition = recognition;
    this.isMidStream = isMidStream;
  }

  get protocol(): string {
    return this.#recognised()?.protocol ?? "";
  }

  get layers(): readonly string[] {
    return this.#recognised()?.layers ?? NO_LAYERS;
  }

  get confidence(): number {
    return this.#recognised()?.confidence ?? 0;
  }

  get isEncrypted(): boolean {
    return this.#recognised()?.encrypted ?? false;
  }

  get facts(): ContentFacts {
    return this.#recognised()?.facts ?? NO_FACTS;
  }

  get isSettled(): boolean {
    return this.#recognition.settled;
  }

  classes(direction: StreamDirection): ContentClasses | undefined {
    return this.#classes[direction];
  }

  sample(direction: StreamDirection): Uint8Array {
    return this.#samples[direction].subarray(0, this.#sampled[direction]);
  }

  recall(rule: object): number | undefined {
    return this.#noted()?.values.get(this.#setting.numberOf(rule));
  }

  remember(rule: object, value: number): void {
    this.#note().values.set(this.#setting.numberOf(rule), value);
  }

  noteShadow(rule: object): boolean {
    const notes = this.#note();
    notes.shadows ??= new Set();
    const number = this.#setting.numberOf(rule);
    if (notes.shadows.has(number)) return false;
    notes.shadows.add(number);
    return true;
  }

  /** True once the policy in force is known to judge by its bytes: none is given up then. */
  get isNeeded(): boolean {
    return this.#noted()?.isNeeded === true;
  }

  /** Notes that the policy in force judges by its bytes. */
  need(): void {
    this.#note().isNeeded = true;
  }

  wait(): void {
    this.#isWaiting = true;
  }

  takeWait(): boolean {
    const was = this.#isWaiting;
    this.#isWaiting = false;
    return was;
  }

  /** Counts a packet with payload, before its bytes are taken. */
  countPacket(): void {
    this.#packets += 1;
  }

  /** After a packet was judged: closes the flow for rules when its bounds are reached. */
  closeWhenDue(): void {
    const { bounds } = this.#setting;
    if (!this.isClosed && (this.#packets >= bounds.packets || this.#bytes >= bounds.bytes)) this.#close();
  }

  begin(direction: StreamDirection, midStream: boolean): void {
    this.#recognition.begin(direction, midStream);
  }

  receive(direction: StreamDirection, bytes: DataView, at: number, end: number): number {
    const from = at + this.#ahead[direction];
    if (from < end) this.#take(direction, bytes, from, end);
    const released = this.#recognition.receive(direction, bytes, at, end);
    this.#isStale = true;
    if (released === ENOUGH) {
      this.#ahead[direction] = 0;
      return this.isClosed ? ENOUGH : end - at;
    }
    this.#ahead[direction] = end - at - released;
    return released;
  }

  datagram(direction: StreamDirection, datagram: Datagram): void {
    this.#take(direction, datagram.bytes, datagram.payloadAt, datagram.end);
    this.#recognition.datagram(direction, datagram);
    this.#isStale = true;
  }

  gap(direction: StreamDirection): void {
    this.#ahead[direction] = 0;
    this.#recognition.gap(direction);
    this.#isStale = true;
  }

  finish(): void {
    this.#recognition.finish();
    this.#isStale = true;
  }

  /** Takes over what an earlier look at the flow has found, until more is found. */
  inherit(protocol: string): void {
    this.#inherited ??= {
      protocol,
      confidence: CONFIDENCE.LIKELY,
      encrypted: false,
      server: -1,
      layers: [protocol],
      facts: {},
    };
    this.#isStale = true;
  }

  /** Lets go of the flow's bytes: what is unknown of them stays so. */
  giveUp(): void {
    this.isGivenUp = true;
    this.#close();
  }

  /** Gives all memory back that is not needed for facts. */
  release(): void {
    this.#close();
  }

  /** What rules of the policy in force have noted. */
  #noted(): RuleNotes | undefined {
    if (this.#notes !== undefined && this.#notes.era !== this.#setting.era) this.#notes = undefined;
    return this.#notes;
  }

  #note(): RuleNotes {
    this.#notes = this.#noted() ?? new RuleNotes(this.#setting.era);
    return this.#notes;
  }

  #recognised(): Recognition | undefined {
    if (this.#isStale) {
      this.#isStale = false;
      this.#known = this.#recognition.result ?? this.#inherited;
    }
    return this.#known;
  }

  #close(): void {
    this.isClosed = true;
    // What is unknown stays so, and what is known does not change any more: rules may rely on it.
    this.#recognition.finish();
    this.#isStale = true;
    if (!this.#isReserved) return;
    this.#isReserved = false;
    this.#setting.giveBack();
    this.#classes.fill(undefined);
    this.#samples.fill(NO_BYTES);
    this.#sampled.fill(0);
  }

  #take(direction: StreamDirection, bytes: DataView, from: number, to: number): void {
    this.#bytes += to - from;
    const { wants } = this.#setting;
    if ((wants & (CONTENT.CLASSES | CONTENT.SAMPLE)) === 0 || !this.#mayKeep()) return;
    const piece = new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);
    if ((wants & CONTENT.SAMPLE) !== 0) this.#addSample(direction, piece);
    if ((wants & CONTENT.CLASSES) === 0) return;
    const classifier = this.#classes[direction] ?? new StreamClassifier({ fromStart: !this.isMidStream });
    this.#classes[direction] = classifier;
    classifier.push(piece);
  }

  #mayKeep(): boolean {
    if (this.isClosed || this.#isRefused) return false;
    if (this.#isReserved) return true;
    this.#isReserved = this.#setting.reserve();
    this.#isRefused = !this.#isReserved;
    return this.#isReserved;
  }

  #addSample(direction: StreamDirection, piece: Uint8Array): void {
    const held = this.#sampled[direction];
    const length = Math.min(held + piece.length, SAMPLE_BYTES_MAX);
    let sample = this.#samples[direction];
    if (length > sample.length) {
      let size = Math.max(SAMPLE_BYTES_MIN, sample.length);
      while (size < length) size *= 2;
      const larger = new Uint8Array(size);
      larger.set(sample.subarray(0, held));
      sample = larger;
      this.#samples[direction] = sample;
    }
    sample.set(piece.subarray(0, length - held), held);
    this.#sampled[direction] = length;
  }
}
