/**
 * The packet path: a packet and the time come in, a verdict comes out.
 *
 *     packet ─► state table (what is known of its flow?) ─► chains of rules ─► verdict
 *                     ▲                                                         │
 *                     └──────────── accepted packets step the flow ◄────────────┘
 *
 * The flow is asked before the rules run and stepped after they accepted, both in one call and on one thread,
 * so a rule can never see a state that a packet still on its way has already changed. Dropped and rejected
 * packets step nothing: for the connection they were never there.
 *
 * No I/O, no clock, and no allocation per packet.
 */
import { type Milliseconds, PINHOLE_MARK, TCP_FLAG, VERDICT, type Verdict } from "../base/index.ts";
import {
  CONTENT,
  Evaluator,
  FLOW,
  type Policy,
  type RuleContext,
  type RuleMemory,
  type RuleReport,
} from "../policy/index.ts";
import type { RecogniserFailure } from "../recognise/index.ts";
import { COMMIT, DIRECTION, type Tracker } from "../state/index.ts";
import { Packet } from "../wire/index.ts";
import { COUNTER } from "./counters.ts";
import { InterfaceCounters } from "./interface-counters.ts";
import type { InspectedContent, Seal } from "./flow-content.ts";
import { Inspection, notedProtocol, protocolNote } from "./inspection.ts";
import { SEAL, Sealing, type SealSettings } from "./sealing.ts";

/** Told of every judged packet. */
export interface EngineObserver {
  /** The packet and the engine's fields are valid during the call only. */
  judged(packet: Packet, engine: Engine, now: Milliseconds): void;
}

/** A policy with what it needs to be in force. */
export interface EnginePolicy {
  readonly policy: Policy;
  /** Memory that its rules share with those of other workers. */
  readonly memory: RuleMemory;
  /** Counts the policies that were in force, from 1. */
  readonly revision: number;
}

/** What an engine is made of. */
export interface EngineOptions {
  readonly initial: EnginePolicy;
  readonly tracker: Tracker;
  /** Where rules print, log and report their errors. */
  readonly report: RuleReport;
  /** Name of an interface by its index, "" when unknown. Does not allocate. */
  readonly interfaceName: (index: number) => string;
  /** Slots as in COUNTER. */
  readonly counters: Float64Array;
  readonly observer?: EngineObserver;
  /** Told when a recogniser of the policy's own fails. */
  readonly recogniserFailed?: RecogniserFailure;
}

/** Where a verdict of the kernel comes from. */
export interface AdoptedPlace {
  readonly chain: number;
  readonly rule: number;
  /** The policy that they belong to, in force or replaced; absent when it is not known. */
  readonly policy: Policy | undefined;
  readonly revision: number;
}

/** Value of {@link Engine.transition} when the packet did not touch the state table. */
export const NOT_TRACKED = -1;

/** The one context that all rules of an engine are asked with. */
class EngineContext implements RuleContext {
  packet: Packet = new Packet();
  now: Milliseconds = 0;
  tcpState = 0;
  flow: number = FLOW.NEW;
  content: InspectedContent | undefined = undefined;
  readonly interfaceName: (index: number) => string;
  readonly report: RuleReport;

  constructor(interfaceName: (index: number) => string, report: RuleReport) {
    this.interfaceName = interfaceName;
    this.report = report;
  }
}

/** An inspection, when some rule wants one. */
function inspectionFor(
  { wants, policy }: Evaluator,
  failed: RecogniserFailure | undefined,
): Inspection | undefined {
  if (wants === CONTENT.NOTHING) return undefined;
  const { pending, limits } = policy.settings;
  return new Inspection({ wants, bounds: pending, limits, own: policy.recognisers, failed });
}

/** True when two policies look at the bytes of flows in the same way, so that what is known stays good. */
function inspectsAlike(one: Evaluator, other: Evaluator): boolean {
  const { pending, limits } = one.policy.settings;
  const { pending: nextPending, limits: nextLimits } = other.policy.settings;
  const { recognisers } = one.policy;
  return (
    one.wants === other.wants &&
    pending.packets === nextPending.packets &&
    pending.bytes === nextPending.bytes &&
    limits.contentFlows === nextLimits.contentFlows &&
    recognisers.length === other.policy.recognisers.length &&
    recognisers.every((recogniser, at) => recogniser === other.policy.recognisers[at])
  );
}

/** Judges packets, one at a time. */
export class Engine {
  readonly tracker: Tracker;
  readonly counters: Float64Array;
  readonly interfaces: InterfaceCounters = new InterfaceCounters();
  /** Verdict, chain, rule and reason of the packet judged last, and the policy in force. */
  evaluator: Evaluator;
  /** What the state table made of the packet judged last; {@link NOT_TRACKED} when it was not accepted. */
  transition: number = NOT_TRACKED;
  /** State that the rules saw, an index into TCP_STATES. Valid for TCP. */
  stateBefore = 0;
  /** What is known of the bytes of the last packet's flow; `undefined` when no rule wants it. */
  content: InspectedContent | undefined = undefined;
  /** Set while the observer is told of a packet that the kernel has judged. */
  adopted: AdoptedPlace | undefined = undefined;
  /** True when the packet judged last made a rule end its flow for good. */
  ended = false;
  /** What shall become of the later packets of the last packet's flow, a value of SEAL. */
  seal: number = SEAL.NONE;
  readonly #sealing: Sealing;
  /** Present while the policy in force has rules about the bytes of flows. */
  #inspection: Inspection | undefined;
  readonly #recogniserFailed: RecogniserFailure | undefined;
  readonly #context: EngineContext;
  readonly #observer: EngineObserver | undefined;
  #revision: number;

  constructor(options: EngineOptions) {
    this.tracker = options.tracker;
    this.counters = options.counters;
    this.evaluator = new Evaluator(options.initial.policy, options.initial.memory);
    this.#revision = options.initial.revision;
    this.#recogniserFailed = options.recogniserFailed;
    this.#inspection = inspectionFor(this.evaluator, this.#recogniserFailed);
    this.#context = new EngineContext(options.interfaceName, options.report);
    this.#observer = options.observer;
    this.#sealing = new Sealing(options.tracker, options.interfaceName, options.report);
  }

  /**
   * Says which flows may be sealed from now on; none at first. Seals that were wished for already are not
   * ended by this: see {@link Engine.takeBack}.
   */
  allowSeals(settings: SealSettings): void {
    this.#sealing.settings = settings;
  }

  /**
   * Under pressure flows are sealed without waiting for bytes that can change no verdict.
   *
   * @param isPressed - whether packets wait longer than they should
   */
  press(isPressed: boolean): void {
    this.#sealing.isPressed = isPressed;
  }

  /** All flows are judged here again: seals are void. */
  takeBack(): void {
    this.tracker.takeBack();
  }

  /** Revision of the policy in force. */
  get revision(): number {
    return this.#revision;
  }

  /** Puts another policy in force. Flows stay; from their next packet on they are judged by it. */
  swap(next: EnginePolicy): void {
    const before = this.evaluator;
    this.evaluator = new Evaluator(next.policy, next.memory);
    this.#revision = next.revision;
    if (inspectsAlike(before, this.evaluator)) {
      this.#inspection?.renew();
      return;
    }
    this.#inspection = inspectionFor(this.evaluator, this.#recogniserFailed);
    this.content = undefined;
    this.#context.content = undefined;
  }

  /** Flows whose bytes are followed, those that hold memory for rules, and those for which there was none. */
  get inspected(): { readonly flows: number; readonly holding: number; readonly refused: number } {
    const { size = 0, holding = 0, refused = 0 } = this.#inspection ?? {};
    return { flows: size, holding, refused };
  }

  /** What is known of the bytes of a flow. @param id - of the flow in the state table */
  contentOf(id: number): InspectedContent | undefined {
    return this.#inspection?.contentOf(id);
  }

  /** To be told of each flow that leaves the state table, while its row can be read. */
  removed(slot: number): void {
    this.#inspection?.forget(this.tracker.flows.id(slot));
  }

  /** Lets flows expire; to be called at least every few hundred milliseconds. */
  expire(now: Milliseconds): void {
    this.tracker.expire(now);
    this.#inspection?.expire(now);
  }

  /**
   * Judges one packet.
   *
   * @param packet - decoded; its fault, if any, is judged too
   * @param now - monotonic time, never before that of the last call
   */
  judge(packet: Packet, now: Milliseconds): Verdict {
    const { tracker, evaluator } = this;
    const context = this.#context;
    tracker.lookup(packet, now);
    this.stateBefore = tracker.tcpState;
    context.packet = packet;
    context.now = now;
    context.tcpState = tracker.tcpState;
    context.flow = tracker.slot < 0 ? FLOW.NEW : tracker.direction;
    if (this.#inspection !== undefined) this.#inspect(this.#inspection, packet, now);
    const wasSealed = tracker.slot >= 0 && tracker.flows.isOffloaded(tracker.slot);
    const verdict = this.#verdict(evaluator, packet);
    this.transition = NOT_TRACKED;
    this.ended = false;
    const isEnded = this.content?.seal !== undefined;
    if (verdict === VERDICT.ACCEPT && packet.fault === undefined && !isEnded) this.#step(packet, now);
    if (this.content !== undefined) this.#note(this.content, verdict);
    this.seal = this.#sealing.wish(evaluator, packet, this.content, now);
    if (this.seal !== SEAL.NONE) this.#noteSeal(this.seal, packet, wasSealed);
    this.#count(packet, verdict);
    this.#observer?.judged(packet, this, now);
    return verdict;
  }

  /**
   * Counts and tells of a packet that the kernel has judged by the same policy. It has no effect on its flow:
   * it was dropped.
   *
   * @param verdict - DROP or REJECT
   * @param place - chain and rule that gave it, and their policy as far as they are known
   */
  adopt(packet: Packet, now: Milliseconds, verdict: Verdict, place: AdoptedPlace): void {
    const isKnown = place.policy !== undefined;
    this.evaluator.adopt(verdict, isKnown ? place.chain : -1, isKnown ? place.rule : -1);
    this.adopted = place;
    this.transition = NOT_TRACKED;
    this.content = undefined;
    this.ended = false;
    this.seal = SEAL.NONE;
    this.#count(packet, verdict);
    this.#observer?.judged(packet, this, now);
    this.adopted = undefined;
  }

  /** Takes the packet's bytes; a flow that was seen before is what it was then. */
  #inspect(inspection: Inspection, packet: Packet, now: Milliseconds): void {
    const { tracker } = this;
    if (this.#begins(inspection, packet, now)) inspection.reopen(packet);
    const content = tracker.killed
      ? inspection.contentOf(tracker.flows.id(tracker.slot))
      : inspection.push(packet, now);
    this.content = content;
    this.#context.content = content;
    if (content === undefined || !content.isMidStream || content.protocol !== "") return;
    const noted = tracker.slot < 0 ? "" : notedProtocol(tracker.flows.note(tracker.slot));
    if (noted !== "") content.inherit(noted);
  }

  /**
   * True for a SYN on the ports of a connection that is over: for the state table, or because a rule has
   * ended it, or because the policy drops whatever it says, and no end is heard any more. What ended its
   * bytes does not count: under a seal it was not seen.
   */
  #begins(inspection: Inspection, packet: Packet, now: Milliseconds): boolean {
    if (!packet.isTcp || (packet.tcpFlags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) !== TCP_FLAG.SYN) return false;
    const content = inspection.find(packet);
    if (content === undefined) return false;
    if (content.seal !== undefined || this.tracker.reopens) return true;
    return this.#sealing.isDropped(this.evaluator, packet, content, now);
  }

  #verdict(evaluator: Evaluator, packet: Packet): Verdict {
    const seal = this.content?.seal;
    if (seal === undefined) {
      return this.tracker.killed ? evaluator.dropKilled() : evaluator.evaluate(this.#context);
    }
    // Whoever resets a connection that both ends shall give up, we or one of them, is right.
    const isReset = packet.isTcp && (packet.tcpFlags & TCP_FLAG.RST) !== 0 && packet.payloadBytes === 0;
    if (isReset && seal.verdict === VERDICT.REJECT) {
      return evaluator.repeat(VERDICT.ACCEPT, seal.chain, seal.rule);
    }
    if (seal.revision !== this.#revision) return evaluator.dropKilled();
    if ((packet.mark & PINHOLE_MARK) !== 0 && this.#passesBefore(evaluator, seal)) return VERDICT.ACCEPT;
    evaluator.rejectWith = seal.rejectWith;
    return evaluator.repeat(seal.verdict, seal.chain, seal.rule);
  }

  /**
   * True when a packet that a pinhole permits now is accepted before it comes to the rule that ended its
   * flow. Behind that rule nothing counts: what it saw of the flow's bytes is gone.
   */
  #passesBefore(evaluator: Evaluator, seal: Seal): boolean {
    const verdict = evaluator.evaluate(this.#context);
    if (verdict !== VERDICT.ACCEPT || evaluator.reason !== "rule") return false;
    return evaluator.chain === seal.chain && evaluator.rule < seal.rule;
  }

  /** Keeps what the packet told of its flow; what a rule says of a flow's bytes holds for good. */
  #note(content: InspectedContent, verdict: Verdict): void {
    const { tracker, evaluator } = this;
    const { slot } = tracker;
    if (slot >= 0 && this.transition !== NOT_TRACKED && !tracker.related) {
      this.#inspection?.bind(tracker.flows.id(slot));
      const note = protocolNote(content.protocol);
      if (note !== 0 && note !== tracker.flows.note(slot)) tracker.setNote(slot, note);
    }
    content.closeWhenDue();
    if (verdict === VERDICT.ACCEPT || content.seal !== undefined || !evaluator.isByContent) return;
    const { chain, rule, rejectWith } = evaluator;
    const revision = this.#revision;
    content.seal = { verdict, chain, rule, rejectWith, revision, at: this.#context.now };
    content.release();
    this.ended = true;
    if (slot < 0) return;
    tracker.attribute(slot, chain, rule, revision);
    tracker.kill(slot);
  }

  #noteSeal(seal: number, packet: Packet, wasSealed: boolean): void {
    const { tracker } = this;
    if (seal === SEAL.OPENING) return;
    if (seal === SEAL.ACCEPT && packet.carried) tracker.carry(tracker.slot);
    else if (seal === SEAL.ACCEPT) tracker.setOffloaded(tracker.slot, true);
    // Of a flow that is dropped only these still come up.
    const goesOn = packet.isTcp && (packet.tcpFlags & (TCP_FLAG.SYN | TCP_FLAG.FIN | TCP_FLAG.RST)) !== 0;
    if (seal === SEAL.ACCEPT ? !wasSealed : !goesOn) this.#add(COUNTER.sealed, 1);
    if (seal === SEAL.ACCEPT && !wasSealed && this.content?.isGivenUp === true)
      this.#add(COUNTER.sealedEarly, 1);
  }

  /**
   * Steps the flow of an accepted packet. Which rule let it in is noted with its first packet, and anew when
   * a packet of the same direction passes under another policy, or when none waits for its bytes any more.
   */
  #step(packet: Packet, now: Milliseconds): void {
    const { tracker, evaluator } = this;
    this.transition = tracker.commit(packet, now);
    if ((this.transition & COMMIT.UNDEFINED) !== 0) this.#add(COUNTER.undefinedTransitions, 1);
    const { slot, direction, related } = tracker;
    if (slot < 0 || direction !== DIRECTION.ORIGINAL || related || this.#isNoted(slot)) return;
    tracker.attribute(slot, evaluator.chain, evaluator.rule, this.#revision);
    if (this.content !== undefined) this.content.isNotedEarly = evaluator.reason === "pending";
  }

  /** True when no rule of the policy in force can be noted better with a flow than the one that is. */
  #isNoted(slot: number): boolean {
    const isEarly = this.content?.isNotedEarly === true && this.evaluator.reason !== "pending";
    return !isEarly && this.tracker.flows.revision(slot) === this.#revision;
  }

  #count(packet: Packet, verdict: Verdict): void {
    this.#add(COUNTER.packets, 1);
    this.#add(COUNTER.bytes, packet.wireBytes);
    this.interfaces.count(packet, verdict === VERDICT.ACCEPT);
    if (verdict === VERDICT.ACCEPT) this.#add(COUNTER.accepted, 1);
    else if (verdict === VERDICT.DROP) this.#add(COUNTER.dropped, 1);
    else this.#add(COUNTER.rejected, 1);
    if (packet.fault !== undefined) this.#add(COUNTER.malformed, 1);
    if (this.evaluator.reason === "rule-error") this.#add(COUNTER.ruleErrors, 1);
  }

  #add(slot: number, amount: number): void {
    this.counters[slot] = (this.counters[slot] ?? 0) + amount;
  }
}
