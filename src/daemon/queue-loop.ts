/** What a queue worker does with packets: one turn takes a batch, judges it, and answers it in one send. */
import {
  CONNTRACK_MARK,
  conntrackStateOf,
  FirewallError,
  type Milliseconds,
  type TimeoutValues,
  type Verdict,
  VERDICT,
  verdictName,
} from "../base/index.ts";
import {
  COUNTER,
  Engine,
  type EnginePolicy,
  type InspectedContent,
  notedProtocol,
  SEAL,
} from "../engine/index.ts";
import { judgedPlace, REJECT_KIND, type RejectKind, RejectMarks, SealMarks } from "../netlink/index.ts";
import type { FlowRule } from "../client/index.ts";
import type { RejectWith } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import { InterfaceNames, type QueueSocket, releaseMemory } from "../system/index.ts";
import type { FlowDetails, State, StateRule } from "../view/index.ts";
import { decodePacket, decodeQuoted, isIcmpError, Packet } from "../wire/index.ts";
import { FlowDesk } from "./flow-desk.ts";
import { LineBuffer } from "./line-buffer.ts";
import { monotonicNow } from "./monotonic-clock.ts";
import { loadPolicy } from "./policy-file.ts";
import { resetBeyond, ResetSender } from "./reset-sender.ts";
import { RuleBook } from "./rule-book.ts";
import { SealKeeper } from "./seal-keeper.ts";
import { VerdictReporter } from "./verdict-reporter.ts";
import type { WorkerMessage, WorkerMethods, WorkerSettings } from "./worker-protocol.ts";
import { WorkerQueues } from "./worker-queues.ts";

/** The kernel's form of each refusal. */
const KIND_OF: { readonly [With in RejectWith]: RejectKind } = {
  "tcp-reset": REJECT_KIND.RESET,
  "port-unreachable": REJECT_KIND.PORT_UNREACHABLE,
  "host-unreachable": REJECT_KIND.HOST_UNREACHABLE,
  "admin-prohibited": REJECT_KIND.ADMIN_PROHIBITED,
};

/** The kernel's form of each seal. */
const SEAL_KIND = {
  [SEAL.ACCEPT]: REJECT_KIND.SEAL_ACCEPT,
  [SEAL.DROP]: REJECT_KIND.SEAL_DROP,
  // Of a SYN's answer the kernel knows that its connection opens.
  [SEAL.OPENING]: REJECT_KIND.SEAL_ACCEPT,
} as const;

function flowDetails(content: InspectedContent | undefined): FlowDetails | undefined {
  const serverName = content?.facts.serverName;
  const seal = content?.seal;
  if (seal === undefined) return serverName === undefined ? undefined : { serverName };
  const verdict = { verdict: verdictName(seal.verdict), cause: "rule", at: seal.at } as const;
  return serverName === undefined ? { verdict } : { serverName, verdict };
}

/**
 * How long packets come up whole once the copy of one was too short: to change that and back takes calls into
 * the kernel, and nobody shall have them made more than ten times a second.
 */
const WHOLE_COPY_MS: Milliseconds = 100;

/** Turns without a packet, a second each, after which a worker takes the time to collect its garbage. */
const TIDY_AFTER_TURNS = 10;

/** The packet path of one worker. */
export class QueueLoop {
  /** Lists, kills and events of this worker's flows. */
  readonly desk: FlowDesk;
  readonly #queues: WorkerQueues;
  readonly #judgeNext = (queue: QueueSocket): void => this.#judge(queue);
  readonly #engine: Engine;
  readonly #packet: Packet = new Packet();
  readonly #quoted: Packet = new Packet();
  readonly #lines: LineBuffer;
  readonly #marks: RejectMarks;
  readonly #seals: SealKeeper;
  /** Whether the kernel's table takes seals. */
  readonly #takesSeals: boolean;
  readonly #counters: Float64Array;
  readonly #rules = new RuleBook();
  readonly #reporter: VerdictReporter;
  readonly #send: (message: WorkerMessage) => void;
  readonly #heartbeat: Int32Array;
  readonly #nameOf: (index: number) => string;
  readonly #resetSender = new ResetSender();
  #prepared: EnginePolicy | undefined;
  /** Until when packets come up whole although no rule reads their bytes. */
  #wholeUntil: Milliseconds = 0;
  /** True while memory may lie about that only reading another policy needed. */
  #isUntidy = false;
  /** Turns without a packet, one after the other. */
  #idleTurns = 0;
  /** True while flows are sealed early. */
  #isPressed = false;
  #now: Milliseconds = 0;

  private constructor(
    settings: WorkerSettings,
    initial: EnginePolicy,
    send: (message: WorkerMessage) => void,
  ) {
    const { limits, markMask, connectionMarkMask } = initial.policy.settings;
    this.#seals = new SealKeeper(new SealMarks(connectionMarkMask));
    this.#takesSeals = settings.seals;
    const interfaces = new InterfaceNames();
    const interfaceName = (index: number): string => interfaces.name(index, this.#now);
    this.#nameOf = interfaceName;
    this.#send = send;
    this.#heartbeat = new Int32Array(settings.heartbeat);
    this.#now = this.#readClock();
    this.#lines = new LineBuffer(
      { pending: limits.pendingEvents, perSecond: settings.report.linesPerSecond },
      (lines) => send({ kind: "lines", lines }),
    );
    const reporter = new VerdictReporter(this.#lines, settings.report.level, () => this.#now);
    this.#reporter = reporter;
    const tracker = this.#openTracker(settings, initial);
    this.#counters = new Float64Array(settings.counters);
    this.#marks = new RejectMarks(markMask);
    this.#rules.add(initial);
    this.#engine = new Engine({
      initial,
      tracker,
      report: reporter,
      interfaceName,
      counters: this.#counters,
      recogniserFailed: (protocol, error, isOff) => reporter.recogniserError(protocol, error, isOff),
      ...(reporter.observes ? { observer: reporter } : {}),
    });
    this.desk = new FlowDesk({
      tracker,
      names: {
        interfaceName,
        rule: (chain, rule, revision) => this.#rules.names(chain, rule, revision),
        application: notedProtocol,
        details: (id) => flowDetails(this.#engine.contentOf(id)),
      },
      worker: settings.worker,
      creatorId: settings.creatorId,
      eventsMax: limits.pendingEvents,
      now: () => this.#now,
    });
    this.#queues = new WorkerQueues(settings, initial.policy);
    if (!initial.policy.readsBytes) this.#queues.copyHeaders();
    this.#aim();
  }

  /**
   * Loads the policy and takes over the queue that the main thread has bound.
   *
   * @param send - takes lines and events for the main thread
   * @throws {FirewallError} when the policy is not valid
   */
  static async open(settings: WorkerSettings, send: (message: WorkerMessage) => void): Promise<QueueLoop> {
    const { policy } = await loadPolicy(settings.policy);
    return new QueueLoop(settings, { policy, memory: settings.memory, revision: settings.revision }, send);
  }

  /** True when the last turn was ended by a request of the main thread. */
  get woken(): boolean {
    return this.#queues.woken;
  }

  /**
   * Takes a batch from each queue that has packets, judges and answers it, and lets flows expire.
   *
   * @param waitMs - longest wait for a packet, in milliseconds
   * @returns number of packets taken
   */
  turn(waitMs: number): number {
    const queues = this.#queues;
    queues.wait(waitMs);
    this.#now = this.#readClock();
    Atomics.add(this.#heartbeat, 0, 1);
    queues.probe(this.#now);
    const taken = queues.serve(this.#judgeNext);
    this.#copyLess();
    this.#idleTurns = taken === 0 ? this.#idleTurns + 1 : 0;
    if (queues.pressure.isPressed !== this.#isPressed) this.#press(!this.#isPressed);
    this.#sendResets();
    this.#engine.expire(this.#now);
    this.#seals.turn(this.#engine.tracker, this.#now);
    this.#counters[COUNTER.truncated] = queues.count("shortCopies");
    this.#counters[COUNTER.lateVerdicts] = queues.count("gone");
    this.#counters[COUNTER.unanswered] = queues.count("unanswered");
    this.#counters[COUNTER.refusedVerdicts] = queues.count("refused");
    this.#counters[COUNTER.overruns] = queues.count("overruns");
    this.#counters[COUNTER.lostLines] = this.#lines.lost;
    this.#lines.flush();
    const events = this.desk.takeEvents();
    if (events !== undefined) this.#send({ kind: "events", ...events });
    return taken;
  }

  /** Notes that there is memory to be given back. */
  leaveUntidy(): void {
    this.#isUntidy = true;
    this.#idleTurns = 0;
  }

  /**
   * Gives memory back that only reading a policy needed, when no packet has come for a while: it takes a
   * while.
   */
  tidy(): void {
    if (!this.#isUntidy || this.#idleTurns < TIDY_AFTER_TURNS) return;
    this.#isUntidy = false;
    releaseMemory();
  }

  /**
   * Loads a policy beside the one in force. Packets wait in the kernel while modules are read. Where it reads
   * bytes that have not come up so far, no packet without them is left when this has ended.
   */
  async prepare(request: WorkerMethods["prepare"]["params"]): Promise<void> {
    const { policy } = await loadPolicy(request.policy);
    this.#prepared = { policy, memory: request.memory, revision: request.revision };
    if (!policy.readsBytes || this.#engine.evaluator.policy.readsBytes) return;
    this.#queues.copyWhole();
    this.#now = this.#readClock();
    this.#queues.drain(this.#judgeNext);
  }

  /** Forgets the prepared policy: it does not come into force. */
  rollback(): void {
    this.#prepared = undefined;
    this.#copyLess();
  }

  /** Puts the prepared policy in force. */
  swap(revision: number): void {
    const prepared = this.#prepared;
    if (prepared?.revision !== revision) {
      throw new FirewallError("POLICY_NOT_PREPARED", `policy revision ${revision} was not prepared`);
    }
    this.#rules.add(prepared);
    this.#engine.swap(prepared);
    this.#prepared = undefined;
    this.#copyLess();
    this.#isUntidy = true;
    this.#aim();
  }

  /** Packets that met each rule of the policy in force. */
  ruleCounts(): WorkerMethods["ruleCounts"]["result"] {
    const { evaluator } = this.#engine;
    return evaluator.policy.chains.map(({ index, rules }) =>
      rules.map((_, rule) => evaluator.matchCount(index, rule)),
    );
  }

  /** Where a rule stands that a state names; `null` when its policy is forgotten. */
  placeRule(rule: StateRule): FlowRule | null {
    return this.#rules.place(rule) ?? null;
  }

  status(): WorkerMethods["status"]["result"] {
    const { tracker, interfaces } = this.#engine;
    const { size, halfOpen, offloaded, capacity, counters } = tracker;
    return {
      flows: size,
      halfOpen,
      offloaded,
      capacity,
      isPressed: this.#isPressed,
      counters,
      interfaces: interfaces.read().map(({ index, ...traffic }) => ({
        name: this.#interfaceName(index),
        ...traffic,
      })),
    };
  }

  /** Name of an interface that was counted; one that is gone keeps its number. */
  #interfaceName(index: number): string {
    if (index === 0) return "others";
    const name = this.#nameOf(index);
    return name === "" ? `interface ${index}` : name;
  }

  /**
   * Changes timeouts for the flows that are there as well.
   *
   * @param values - those to change, in milliseconds
   * @returns all of them
   * @throws {FirewallError} `TIMEOUT_INVALID`; nothing is changed then
   */
  setTimeouts(values: Partial<TimeoutValues>): TimeoutValues {
    const { tracker } = this.#engine;
    tracker.setTimeouts(values);
    return tracker.timeouts;
  }

  /** Notes an error that escaped from a rule's own promise; it has judged nothing. */
  reportStrayError(error: unknown): void {
    this.#reporter.strayError(error);
  }

  /** Removes the flows that a filter chooses, and takes their seals away before it is said to be done. */
  killFlows(request: WorkerMethods["killFlows"]["params"]): WorkerMethods["killFlows"]["result"] {
    const slice = this.desk.kill(request);
    this.#seals.drain();
    return slice;
  }

  /** Removes the flow with an id, and its seal. @returns it as it was, `null` when it is gone */
  killFlow(id: string): State | null {
    const state = this.desk.killOne(id);
    this.#seals.drain();
    return state;
  }

  /** Seals no flow from now on. */
  holdSeals(): void {
    this.#engine.allowSeals({ accepted: false, dropped: false });
  }

  /** Takes all flows back: no seal is in force any more. */
  takeBack(): void {
    this.#engine.takeBack();
  }

  /** Seals again where policy and log allow it. @param generation - of seals that is in force */
  resumeSeals(generation: number): void {
    this.#seals.generation = generation;
    const accepted = this.#maySeal();
    this.#engine.allowSeals({ accepted, dropped: accepted && this.#reporter.level !== "INFO" });
  }

  /** Whether accepted flows may be sealed: a line for each packet needs each one. */
  #maySeal(): boolean {
    const { offload } = this.#engine.evaluator.policy.settings;
    const isWanted = this.#takesSeals && (offload === "full" || offload === "flows");
    return isWanted && this.#reporter.level !== "DEBUG";
  }

  /** Takes the objective of the policy in force: of packets that no seal can spare there is none. */
  #aim(): void {
    const { queueWaitObjectiveMs } = this.#engine.evaluator.policy.settings;
    this.#queues.pressure.aim(this.#maySeal() ? queueWaitObjectiveMs : undefined);
  }

  /** Begins to seal flows early, or ends that. */
  #press(isPressed: boolean): void {
    this.#isPressed = isPressed;
    this.#engine.press(isPressed);
    const words = isPressed
      ? `packets wait longer than ${this.#queues.pressure.objectiveMs} ms: flows that no byte can change are sealed early`
      : "packets wait no longer than they should: flows are sealed when rules have their bytes";
    if (this.#lines.admits(this.#now)) this.#lines.add("WARNING", words);
  }

  /** Sends the last lines. The queue is the main thread's to give back. */
  close(): void {
    this.#seals.close();
    this.#lines.flush();
    this.#resetSender.close();
  }

  /**
   * Time since the firewall began, the same on all threads, whole: a number with a fraction would be put into
   * a box of 16 bytes for each packet.
   */
  #readClock(): Milliseconds {
    return Math.floor(monotonicNow());
  }

  #openTracker(settings: WorkerSettings, { policy }: EnginePolicy): Tracker {
    const { limits, timeouts, strictTcp } = policy.settings;
    return new Tracker({
      capacity: limits.flows,
      timeouts,
      strict: strictTcp,
      seed: settings.hashSeed,
      idle: (slot) => this.#seals.idle(this.#engine.tracker, slot),
      sealLost: (slot) => this.#seals.lost(this.#engine.tracker, slot),
      isOver: (slot) => this.#seals.isOver(this.#engine.tracker, slot),
      hasSeenFin: (slot) => this.#seals.hasSeenFin(this.#engine.tracker, slot),
      removed: (slot) => {
        this.desk.removed(slot);
        this.#engine.removed(slot);
      },
    });
  }

  #judge(queue: QueueSocket): void {
    const packet = this.#packet;
    const queued = queue.packet;
    queued.describe(packet);
    decodePacket(packet, queue.bytes, queued.payloadAt, queued.payloadEnd, queued.wireBytes);
    if (this.#marks.isJudged(packet.mark)) {
      this.#adopt(queue, packet);
      return;
    }
    if (this.#sendBack(queue, packet)) return;
    packet.vouched = this.#marks.isVouched(packet.mark);
    packet.carried = this.#marks.isCarried(packet.mark);
    if (packet.vouched) packet.mark = this.#marks.without(packet.mark);
    packet.conntrackState = 0;
    if (this.#engine.evaluator.policy.asksConntrack) {
      packet.conntrackState = conntrackStateOf(packet.mark);
      packet.mark &= ~CONNTRACK_MARK;
    }
    const verdict = this.#engine.judge(packet, this.#now);
    this.#answer(queue, verdict);
    if (this.#engine.ended && verdict === VERDICT.REJECT) this.#noteReset(packet);
    if (this.#engine.ended) this.desk.ended(this.#engine.tracker.slot);
    if (this.desk.isWatched) this.desk.committed(this.#engine.transition);
  }

  /** Sends a packet back to its hook where that is better than to judge it. @returns false where it is not */
  #sendBack(queue: QueueSocket, packet: Packet): boolean {
    const { mark, protocol, fault } = packet;
    if (queue.isCut && this.#needsMore(packet) && this.#copiesWhole())
      queue.repeat(this.#marks.without(mark));
    else if (fault === undefined && this.#marks.asksIfReadable(mark, protocol)) queue.repeat(mark);
    else return false;
    return true;
  }

  /** Carries out what the kernel has judged; the mark says how a packet is refused. */
  #adopt(queue: QueueSocket, packet: Packet): void {
    const place = judgedPlace(queue.packet.priority, this.#engine.revision);
    const verdict = place.isRefused ? VERDICT.REJECT : VERDICT.DROP;
    this.#engine.adopt(packet, this.#now, verdict, { ...place, policy: this.#rules.policy(place.revision) });
    if (place.isRefused) queue.acceptMarked(packet.mark);
    else queue.drop();
  }

  /** Tells the kernel what shall become of the packet, and of those behind it. */
  #answer(queue: QueueSocket, verdict: Verdict): void {
    const packet = this.#packet;
    const { seal, evaluator } = this.#engine;
    const asks = (kind: RejectKind): void => queue.acceptMarked(this.#marks.apply(packet.mark, kind));
    if (seal !== SEAL.NONE) asks(SEAL_KIND[seal as 1 | 2 | 3]);
    else if (verdict === VERDICT.ACCEPT && packet.carried) asks(REJECT_KIND.VOUCHED);
    else if (verdict === VERDICT.ACCEPT) queue.accept();
    else if (verdict === VERDICT.DROP) queue.drop();
    else asks(KIND_OF[evaluator.rejectWith]);
    if (verdict !== VERDICT.ACCEPT && packet.carried) this.#seals.refused(packet);
  }

  /**
   * True when the copy of a packet may be too short to say what it is: with IPv6 extension headers that are
   * longer than any in use.
   */
  #needsMore(packet: Packet): boolean {
    if (packet.family === 4) return false;
    if (packet.fault !== undefined) return true;
    return isIcmpError(packet.protocol, packet.icmpType) && !decodeQuoted(packet, this.#quoted);
  }

  /**
   * True once packets come up whole for a while; where the kernel refuses that, a packet is judged by what
   * there is of it.
   */
  #copiesWhole(): boolean {
    try {
      this.#queues.copyWhole();
      this.#wholeUntil = this.#now + WHOLE_COPY_MS;
      return true;
    } catch (error) {
      if (error instanceof FirewallError) return false;
      throw error;
    }
  }

  /** Has only headers come up where nothing needs more; what the kernel refuses is tried again. */
  #copyLess(): void {
    const isRead = this.#engine.evaluator.policy.readsBytes || this.#prepared?.policy.readsBytes === true;
    if (isRead || this.#now < this.#wholeUntil) return;
    try {
      this.#queues.copyHeaders();
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
    }
  }

  /** The sender of a refused packet hears of the kernel; the other end may be one that only listens. */
  #noteReset(packet: Packet): void {
    const { tracker, evaluator } = this.#engine;
    if (evaluator.rejectWith !== "tcp-reset") return;
    const reset = resetBeyond(packet, tracker);
    if (reset !== undefined) this.#resetSender.hold(reset);
  }

  #sendResets(): void {
    const reason = this.#resetSender.release();
    if (reason === undefined || !this.#lines.admits(this.#now)) return;
    this.#lines.add("ERROR", `the far end of a refused connection cannot be told: ${reason}`);
  }
}
