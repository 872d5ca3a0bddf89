/**
 * When a flow is handed over to the kernel.
 *
 * The fate of a flow is *sealed* when every later packet of it, in either direction and at each hook that it
 * can meet, gets the same verdict whatever is in it; then no later packet need come up. That is decided here,
 * after a packet was judged, by asking the policy what it will say (Foresight) of both directions.
 *
 * What makes such an answer hold:
 *
 * - *The flow's state stays.* Only flows in a steady state are sealed: no segment without SYN, FIN or RST can
 *   change it, and those three still come up. With the first of them that is accepted and that the kernel's
 *   tracker vouches for, the seal ends.
 * - *Or there is none.* Flows without a handshake are sealed when both ends have spoken, or when one has and
 *   seems to expect no answer; should one come, it passes as well.
 * - *Or the state does not matter.* Where no rule was asked that looks at it, a connection stays sealed while
 *   it closes, and the acknowledgements of the FINs are not seen. Nor is the last one: that it has come is
 *   known when the kernel takes a SYN for the beginning of another connection, or when its entry is gone.
 * - *Or it never did.* A connection of which that is known when its SYN is answered is carried by the kernel
 *   to its end: of what is behind the acknowledgement only SYN and RST come up. A FIN that waited in a queue
 *   would be overtaken by what is said behind it, and lost.
 * - *The kernel sees the same connection.* A seal begins with a segment that the kernel's tracker vouches
 *   for.
 * - *The flow stays in the state table.* While it is sealed its entry does not expire before the kernel's own
 *   entry was asked; when it leaves, whoever is told of it takes the seal away.
 * - *Bytes are settled.* A rule about bytes answers only when no further byte can change its answer.
 * - *Tables and policy stay.* When they change, all seals are void ({@link Engine.takeBack}).
 * - *One packet, one hook.* What goes through the loopback interface is met twice, by two flows that share
 *   one entry in the kernel: such flows are never sealed.
 * - *A dropped flow may be forgotten.* Its packets do not keep its entry alive, so it must be dropped as an
 *   unknown flow as well. What a rule has ended for its bytes stays ended.
 *
 * Under pressure a flow whose bytes are not settled is sealed all the same where no byte can change what
 * becomes of it: then recognition only informs, and what it could have told is given up. See
 * {@link Sealing.isPressed}.
 *
 * Asking costs about as much as judging a packet twice, so what was found is noted on the flow: sealed, or
 * open-ended until its state changes. A flow whose bytes are not settled is asked about again.
 */
import {
  conntrackStateNumber,
  HOOK,
  type Hook,
  type Milliseconds,
  PROTOCOL,
  TCP_FLAG,
  type Verdict,
  VERDICT,
} from "../base/index.ts";
import { type Evaluator, FLOW, type ForesightContext, type RuleReport } from "../policy/index.ts";
import type { Tracker } from "../state/index.ts";
import { FRAGMENT, Packet } from "../wire/index.ts";
import type { InspectedContent } from "./flow-content.ts";

/** What shall become of the later packets of a flow. */
export const SEAL = {
  NONE: 0,
  ACCEPT: 1,
  DROP: 2,
  /** The kernel carries the connection once it stands. */
  OPENING: 3,
} as const;

/** Which flows may be sealed. */
export interface SealSettings {
  readonly accepted: boolean;
  readonly dropped: boolean;
}

const TURNED: Readonly<Partial<Record<Hook, Hook>>> = {
  [HOOK.INPUT]: HOOK.OUTPUT,
  [HOOK.OUTPUT]: HOOK.INPUT,
};

const ESTABLISHED = conntrackStateNumber("established");
const LOOPBACK = "lo";
const { SYN, ACK, FIN, RST } = TCP_FLAG;

/** Asks the policy about packets to come. */
class FutureContext implements ForesightContext {
  readonly packet: Packet = new Packet();
  now: Milliseconds = 0;
  /** True when a rule has looked at the state since this was cleared. */
  stateMatters = false;
  #state = 0;
  flow: number = FLOW.NEW;
  content: InspectedContent | undefined = undefined;
  strictTcp = false;
  readonly interfaceName: (index: number) => string;
  readonly report: RuleReport;

  constructor(interfaceName: (index: number) => string, report: RuleReport) {
    this.interfaceName = interfaceName;
    this.report = report;
  }

  get tcpState(): number {
    this.stateMatters = true;
    return this.#state;
  }

  set tcpState(state: number) {
    this.#state = state;
  }
}

/** Makes a packet that goes the same way as another, or back, with nothing in it but its ends. */
function describe(future: Packet, packet: Packet, isTurned: boolean): void {
  future.hook = isTurned ? (TURNED[packet.hook] ?? packet.hook) : packet.hook;
  future.family = packet.family;
  future.protocol = packet.protocol;
  // Of no other state are packets of a sealed flow, but for those that come up.
  future.conntrackState = packet.conntrackState === 0 ? 0 : ESTABLISHED;
  future.source.set(isTurned ? packet.destination : packet.source);
  future.destination.set(isTurned ? packet.source : packet.destination);
  future.sourcePort = isTurned ? packet.destinationPort : packet.sourcePort;
  future.destinationPort = isTurned ? packet.sourcePort : packet.destinationPort;
}

/** True when no further byte can change what is known of a flow. */
function isFinal(content: InspectedContent | undefined): boolean {
  return content === undefined || (content.isSettled && content.isClosed);
}

/**
 * True unless a rule asks for the state that the kernel's connection tracking gives a packet, and that may
 * change: `established` a connection remains, once both its ends have spoken, for as long as it has a seal.
 *
 * Packets of other states come up past a seal, and where they are judged by bytes, those must be known by
 * then: a seal that began before would have kept them from us.
 */
function isLasting(
  { policy }: Evaluator,
  { conntrackState }: Packet,
  content: InspectedContent | undefined,
): boolean {
  return !policy.asksConntrack || (conntrackState === ESTABLISHED && isFinal(content));
}

/** Decides on seals for one engine. */
export class Sealing {
  readonly #tracker: Tracker;
  readonly #context: FutureContext;
  readonly #interfaceName: (index: number) => string;
  /** Which flows may be sealed now. */
  settings: SealSettings = { accepted: false, dropped: false };
  /** True while packets wait too long: bytes that can change no verdict are not waited for. */
  isPressed = false;

  /**
   * @param tracker - the state table
   * @param interfaceName - name of an interface by its index
   * @param report - of the rules; nothing is said there
   */
  constructor(tracker: Tracker, interfaceName: (index: number) => string, report: RuleReport) {
    this.#tracker = tracker;
    this.#interfaceName = interfaceName;
    this.#context = new FutureContext(interfaceName, report);
  }

  /**
   * What shall become of the later packets of the flow of a packet that was just judged and entered.
   *
   * @param evaluator - has its verdict
   * @param content - what is known of the flow's bytes
   * @returns a value of {@link SEAL}
   */
  wish(
    evaluator: Evaluator,
    packet: Packet,
    content: InspectedContent | undefined,
    now: Milliseconds,
  ): number {
    if (!this.#isAllowed(evaluator.verdict) || !this.#isPlain(packet)) return SEAL.NONE;
    if (!packet.isTcp) return this.#wishStanding(evaluator, packet, content, now);
    if ((packet.tcpFlags & SYN) !== 0) return this.#wishOpening(evaluator, packet, content, now);
    return packet.vouched ? this.#wishStanding(evaluator, packet, content, now) : SEAL.NONE;
  }

  // oxlint-disable-next-line max-params -- those of wish
  #wishStanding(
    evaluator: Evaluator,
    packet: Packet,
    content: InspectedContent | undefined,
    now: Milliseconds,
  ): number {
    const { verdict } = evaluator;
    if (verdict === VERDICT.DROP && content?.seal?.verdict === VERDICT.DROP) return SEAL.DROP;
    if (!this.#isCandidate(evaluator, packet, content)) return SEAL.NONE;
    const { slot, flows } = this.#tracker;
    if (packet.carried && !flows.isEstablished(slot)) return SEAL.NONE;
    const isSealed = flows.isOffloaded(slot) || this.#ask(evaluator, packet, content, now);
    if (!isSealed) return SEAL.NONE;
    return verdict === VERDICT.ACCEPT ? SEAL.ACCEPT : SEAL.DROP;
  }

  /**
   * True when each later packet of the flow of a packet will be dropped, whatever is in it, as those of
   * sealed flows are; whether flows may be sealed does not matter.
   *
   * @param content - what is known of the flow's bytes
   */
  // oxlint-disable-next-line max-params -- those of wish
  isDropped(
    evaluator: Evaluator,
    packet: Packet,
    content: InspectedContent | undefined,
    now: Milliseconds,
  ): boolean {
    if (evaluator.policy.asksConntrack && !isFinal(content)) return false;
    this.#prepare(evaluator, content, now);
    return this.#isDropped(evaluator, packet);
  }

  /** Of the answer to a SYN. It says nothing yet of the connection, which the kernel may not see standing. */
  // oxlint-disable-next-line max-params -- those of wish
  #wishOpening(
    evaluator: Evaluator,
    packet: Packet,
    content: InspectedContent | undefined,
    now: Milliseconds,
  ): number {
    const { slot, direction, flows } = this.#tracker;
    const isAnswer = (packet.tcpFlags & (SYN | ACK | FIN)) === (SYN | ACK) && direction === FLOW.REPLY;
    if (!isAnswer || evaluator.verdict !== VERDICT.ACCEPT) return SEAL.NONE;
    if (!this.#isCandidate(evaluator, packet, content)) return SEAL.NONE;
    if (flows.isOffloaded(slot) || !flows.isOpening(slot)) return SEAL.NONE;
    this.#prepare(evaluator, content, now);
    return this.#isSealed(evaluator, packet) && !this.#context.stateMatters ? SEAL.OPENING : SEAL.NONE;
  }

  // oxlint-disable-next-line max-params -- those of wish
  #ask(
    evaluator: Evaluator,
    packet: Packet,
    content: InspectedContent | undefined,
    now: Milliseconds,
  ): boolean {
    const { slot, flows } = this.#tracker;
    const isSteady = (packet.tcpFlags & FIN) === 0 && this.#isSettled(slot);
    if (!isSteady && !(evaluator.verdict === VERDICT.ACCEPT && flows.isClosing(slot))) return false;
    this.#prepare(evaluator, content, now);
    if (this.isPressed) this.#giveUpBytes(evaluator, packet, content);
    const mayMatter = isSteady && !packet.carried;
    if (this.#isSealed(evaluator, packet) && (mayMatter || !this.#context.stateMatters)) return true;
    if (isSteady && isFinal(content)) this.#tracker.setOpenEnded(slot);
    return false;
  }

  #prepare({ policy }: Evaluator, content: InspectedContent | undefined, now: Milliseconds): void {
    const context = this.#context;
    context.stateMatters = false;
    context.now = now;
    context.content = content;
    context.strictTcp = this.#tracker.isStrict || policy.settings.strictTcp;
  }

  /** Lets go of the bytes of an accepted flow where none of them can change what becomes of it. */
  #giveUpBytes(evaluator: Evaluator, packet: Packet, content: InspectedContent | undefined): void {
    if (content === undefined || isFinal(content) || content.isNeeded) return;
    if (evaluator.verdict !== VERDICT.ACCEPT || evaluator.policy.asksConntrack) return;
    if (this.#passesWhateverItSays(evaluator, packet)) content.giveUp();
    else content.need();
  }

  #passesWhateverItSays({ foresight }: Evaluator, packet: Packet): boolean {
    const context = this.#context;
    return [false, true].every((isTurned) => {
      describe(context.packet, packet, isTurned);
      return foresight.passesWhateverItSays(context);
    });
  }

  /** True when no packet changes the state of a flow but one that begins or ends it, or an answer. */
  #isSettled(slot: number): boolean {
    const { flows } = this.#tracker;
    return flows.isSteady(slot) || flows.isOneWay(slot);
  }

  /** True when the verdict is of the rules, on a packet of a flow in the table that may be sealed. */
  #isCandidate(evaluator: Evaluator, packet: Packet, content: InspectedContent | undefined): boolean {
    const { reason } = evaluator;
    const { slot, related, killed, flows } = this.#tracker;
    if (slot < 0 || related || killed || flows.isOpenEnded(slot)) return false;
    if (!isLasting(evaluator, packet, content)) return false;
    return reason === "rule" || reason === "default" || reason === "no-chain";
  }

  #isAllowed(verdict: Verdict): boolean {
    const { accepted, dropped } = this.settings;
    return verdict === VERDICT.ACCEPT ? accepted : verdict === VERDICT.DROP && dropped;
  }

  /** True for a whole packet of TCP or UDP, met at one hook, that does not end all at once. */
  #isPlain(packet: Packet): boolean {
    const { protocol } = packet;
    if (packet.fault !== undefined || packet.fragment !== FRAGMENT.NONE) return false;
    if (protocol === PROTOCOL.TCP) {
      if ((packet.tcpFlags & RST) !== 0) return false;
    } else if (protocol !== PROTOCOL.UDP) return false;
    return (
      this.#interfaceName(packet.inInterface) !== LOOPBACK &&
      this.#interfaceName(packet.outInterface) !== LOOPBACK
    );
  }

  #isSealed(evaluator: Evaluator, packet: Packet): boolean {
    return evaluator.verdict === VERDICT.DROP
      ? this.#isDropped(evaluator, packet)
      : this.#isForeseen(evaluator, packet, evaluator.verdict);
  }

  /** True when the flow is dropped as what it is, and when it is forgotten. */
  #isDropped(evaluator: Evaluator, packet: Packet): boolean {
    if (this.#tracker.slot >= 0 && !this.#isForeseen(evaluator, packet, VERDICT.DROP)) return false;
    return [false, true].every(
      (isTurned) => this.#foresee(evaluator, packet, isTurned, FLOW.NEW, 0) === VERDICT.DROP,
    );
  }

  /** True when both directions of a flow in the table get a verdict. */
  #isForeseen(evaluator: Evaluator, packet: Packet, verdict: Verdict): boolean {
    const { slot, flows, direction } = this.#tracker;
    const state = packet.protocol === PROTOCOL.TCP ? flows.state(slot) : 0;
    const other = direction === FLOW.ORIGINAL ? FLOW.REPLY : FLOW.ORIGINAL;
    return (
      this.#foresee(evaluator, packet, false, direction, state) === verdict &&
      this.#foresee(evaluator, packet, true, other, state) === verdict
    );
  }

  // oxlint-disable-next-line max-params -- one question in four words, asked up to four times for a flow
  #foresee(
    evaluator: Evaluator,
    packet: Packet,
    isTurned: boolean,
    flow: number,
    tcpState: number,
  ): Verdict | undefined {
    const context = this.#context;
    describe(context.packet, packet, isTurned);
    context.flow = flow;
    context.tcpState = tcpState;
    return evaluator.foresight.verdict(context);
  }
}
