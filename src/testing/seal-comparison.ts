/**
 * Two engines on the same packets: one is shown every packet, the other only those that a kernel with seals
 * would send up. Whatever becomes of a packet must be the same.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  conntrackStateNumber,
  HOOK,
  type Hook,
  type Milliseconds,
  PROTOCOL,
  TCP_FLAG,
  tcpStateIndex,
  VERDICT,
} from "../base/index.ts";
import { COUNTER, COUNTERS, Engine, SEAL } from "../engine/index.ts";
import { allocateMemory, type Policy } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import type { Packet } from "../wire/index.ts";
import { Conversation, packetAt } from "./conversation.ts";
import { SILENT_REPORT } from "./engine-sample.ts";
import { compileValid } from "./policy-probe.ts";
import { interfaceName, policies, type RuleArguments } from "./rule-arbitraries.ts";

const { SYN, FIN, RST } = TCP_FLAG;
const OVER = [tcpStateIndex("CLOSED"), tcpStateIndex("TIME_WAIT")];

function openEngine(policy: Policy): Engine {
  const engine: Engine = new Engine({
    initial: { policy, memory: allocateMemory(policy), revision: 1 },
    tracker: new Tracker({
      strict: policy.settings.strictTcp,
      removed: (slot) => {
        engine.removed(slot);
      },
    }),
    report: SILENT_REPORT,
    interfaceName,
    counters: new Float64Array(COUNTERS.length),
  });
  return engine;
}

/** Both ends of a packet's flow, whoever speaks. */
function endsOf(packet: Packet): string {
  const ends = [
    `${packet.source.join()} ${packet.sourcePort}`,
    `${packet.destination.join()} ${packet.destinationPort}`,
  ];
  return `${packet.protocol} ${ends.sort().join(" ")}`;
}

function isAnyOf(packet: Packet, flags: number): boolean {
  return packet.isTcp && (packet.tcpFlags & flags) !== 0;
}

function sourceOf(packet: Packet): string {
  return `${packet.source.join()} ${packet.sourcePort}`;
}

/** What the kernel's tracker says of packets; both engines are told the same. */
class ConntrackStates {
  /** Who has spoken, by the ends of a flow. */
  readonly #speakers = new Map<string, Set<string>>();

  /**
   * The packet's state.
   *
   * @param fits - whether it fits its connection
   * @param reopens - whether it begins another
   */
  next(packet: Packet, fits: boolean, reopens: boolean): number {
    if (!fits) return conntrackStateNumber("invalid");
    const ends = endsOf(packet);
    if (reopens) this.#speakers.delete(ends);
    const speakers = this.#speakers.get(ends) ?? new Set();
    this.#speakers.set(ends, speakers.add(sourceOf(packet)));
    return conntrackStateNumber(speakers.size > 1 ? "established" : "new");
  }
}

/** A seal as the kernel holds it. */
interface HeldSeal {
  readonly kind: "accepted" | "dropped" | "opening" | "carried";
  /** Who brought it. */
  readonly speaker: string;
}

/** The verdict that the kernel gives by itself. */
function aloneVerdict(packet: Packet, { kind }: HeldSeal): number | undefined {
  if (kind === "opening" || isAnyOf(packet, SYN | RST)) return undefined;
  if (kind === "carried") return VERDICT.ACCEPT;
  if (isAnyOf(packet, FIN)) return undefined;
  return kind === "accepted" ? VERDICT.ACCEPT : VERDICT.DROP;
}

/** The kernel's half: what our table in it does with packets, and what its tracker tells. */
class SealingKernel {
  readonly #engine: Engine;
  readonly #seals = new Map<string, HeldSeal>();
  /** Packets that did not come up. */
  spared = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.allowSeals({ accepted: true, dropped: true });
  }

  /**
   * The verdict on a packet.
   *
   * @param fits - whether the kernel's tracker finds that it fits its connection
   * @param reopens - whether it takes the packet for the beginning of another
   */
  judge(packet: Packet, now: Milliseconds, fits: boolean, reopens: boolean): number {
    const ends = endsOf(packet);
    if (reopens) this.#seals.delete(ends);
    const seal = fits ? this.#seals.get(ends) : undefined;
    const alone = seal === undefined ? undefined : aloneVerdict(packet, seal);
    if (alone !== undefined) {
      this.spared += 1;
      return alone;
    }
    packet.vouched = packet.isTcp && fits && !reopens;
    if (seal !== undefined) this.#meet(packet, ends, seal);
    const verdict = this.#engine.judge(packet, now);
    if (this.#engine.seal !== SEAL.NONE) this.#hold(packet, ends, this.#engine.seal);
    else if (packet.carried || (packet.vouched && verdict === VERDICT.ACCEPT)) this.#seals.delete(ends);
    packet.vouched = false;
    packet.carried = false;
    return verdict;
  }

  /** What becomes of the seal of a packet that goes up. */
  #meet(packet: Packet, ends: string, { kind, speaker }: HeldSeal): void {
    const turns = isAnyOf(packet, SYN | FIN | RST);
    if (kind === "dropped" && isAnyOf(packet, SYN)) this.#seals.delete(ends);
    if (kind !== "opening") return;
    if (turns) this.#seals.delete(ends);
    packet.carried = !turns && speaker !== sourceOf(packet);
    if (packet.carried) this.#seals.set(ends, { kind: "carried", speaker: sourceOf(packet) });
  }

  /** Notes a seal that is wished for; what is carried stays so. */
  #hold(packet: Packet, ends: string, wish: number): void {
    if (wish === SEAL.ACCEPT && this.#seals.get(ends)?.kind === "carried") return;
    const passing = wish === SEAL.OPENING ? "opening" : "accepted";
    this.#seals.set(ends, { kind: wish === SEAL.DROP ? "dropped" : passing, speaker: sourceOf(packet) });
  }
}

/** A step of a conversation: who sends what, and whether it is forged. */
const step = fc.record({
  flow: fc.nat(3),
  isSent: fc.boolean(),
  kind: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom("A", "PA") },
    { weight: 3, arbitrary: fc.constantFrom("FA", "R", "S") },
  ),
  forged: fc.constantFrom(false, false, false, true),
  text: fc.nat(3),
  inInterface: fc.nat(4),
  outInterface: fc.nat(4),
  userId: fc.constantFrom(-1, 0, 1000),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const TEXTS = [
  "SSH-2.0-OpenSSH_9.2\r\n",
  "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
  "\u0016\u0003\u0001",
  "x".repeat(900),
];
const FAR = 0x4000_0000;

/** One flow: its ends and where it is met. */
const flow = fc.record({
  isUdp: fc.boolean(),
  /** Of UDP: nobody answers at first. */
  isOneWay: fc.boolean(),
  remote: fc.constantFrom("192.0.2.1", "198.51.100.7", "10.0.0.1"),
  local: fc.constantFrom("192.0.2.130", "192.0.3.7"),
  port: fc.constantFrom(22, 53, 443),
  forwarded: fc.boolean(),
});

type Flow = typeof flow extends fc.Arbitrary<infer T> ? T : never;

/** Speaks a flow's packets. */
class Speaker {
  readonly #flow: Flow;
  readonly #remotePort: number;
  readonly #conversation: Conversation;

  constructor(flow: Flow, index: number) {
    const { remote, local, port, forwarded } = flow;
    this.#flow = flow;
    this.#remotePort = 49_001 + index;
    const remotePort = this.#remotePort;
    this.#conversation = new Conversation({ remote, local, remotePort, localPort: port, forwarded });
  }

  /** The handshake; of UDP two datagrams each way, or many one way. */
  opening(): Packet[] {
    const { isUdp, isOneWay } = this.#flow;
    const ways = isOneWay ? new Array<boolean>(10).fill(false) : [false, true, false, true];
    if (isUdp) return ways.map((isSent) => this.#datagram(isSent, 0));
    const conversation = this.#conversation;
    return [conversation.received("S"), conversation.sent("SA"), conversation.received("A")];
  }

  /** True for a step that somebody else takes in the name of an end; this host does not forge its own. */
  isForged({ isSent, forged }: Step): boolean {
    return forged && (this.#flow.forwarded || !isSent);
  }

  speak(step: Step): Packet {
    const { isSent, kind, text } = step;
    if (this.#flow.isUdp) return this.#datagram(isSent, text);
    const payload = kind === "PA" ? new TextEncoder().encode(TEXTS[text]) : new Uint8Array(0);
    const conversation = this.#conversation;
    const numbers = this.isForged(step) ? { sequence: FAR, acknowledgement: FAR } : {};
    const fields = { payload, bytes: payload.length, ...numbers };
    return isSent ? conversation.sent(kind, fields) : conversation.received(kind, fields);
  }

  /** Nobody acknowledges the packet, and its sender goes on with the same number. */
  takeBack(step: Step, { isTcp, sequence }: Packet): void {
    const { local, remote } = this.#conversation;
    if (isTcp && !this.isForged(step)) (step.isSent ? local : remote).next = sequence;
  }

  #datagram(isSent: boolean, text: number): Packet {
    const { remote, local, port, forwarded } = this.#flow;
    const hook: Hook = forwarded ? HOOK.FORWARD : isSent ? HOOK.OUTPUT : HOOK.INPUT;
    const ends = isSent
      ? { source: local, destination: remote, sourcePort: port, destinationPort: this.#remotePort }
      : { source: remote, destination: local, sourcePort: this.#remotePort, destinationPort: port };
    const payload = new TextEncoder().encode(TEXTS[text]);
    return packetAt(hook, { ...ends, protocol: PROTOCOL.UDP, payload });
  }
}

/** What tests are told of a run. */
export interface SealRun {
  /** Packets that the second engine was not shown. */
  readonly spared: number;
  /** Flows that were sealed early. */
  readonly early: number;
}

// oxlint-disable-next-line max-params -- a policy, and what is judged by it in which circumstances
function run(
  source: RuleArguments,
  flows: readonly Flow[],
  steps: readonly Step[],
  isPressed: boolean,
): SealRun {
  const policy = compileValid(source);
  const whole = openEngine(policy);
  const engine = openEngine(policy);
  engine.press(isPressed);
  const kernel = new SealingKernel(engine);
  const states = new ConntrackStates();
  let now = 1000;
  /**
   * @returns whether its sender goes on behind the packet: it was not lost, and is no SYN that changes
   *   nothing
   */
  const compare = (packet: Packet, fits: boolean): boolean => {
    now += 1;
    packet.vouched = false;
    const isRequest = packet.isTcp && (packet.tcpFlags & (SYN | FIN | RST | TCP_FLAG.ACK)) === SYN;
    whole.tracker.lookup(packet, now);
    const reopens = isRequest && OVER.includes(whole.tracker.tcpState);
    packet.conntrackState = states.next(packet, fits, reopens);
    const expected = whole.judge(packet, now);
    assert.equal(kernel.judge(packet, now, fits, reopens), expected);
    return expected === VERDICT.ACCEPT && (reopens || !isAnyOf(packet, SYN));
  };
  const speakers = flows.map((each, index) => new Speaker(each, index));
  for (const speaker of speakers) for (const packet of speaker.opening()) compare(packet, true);
  for (const each of steps) {
    const speaker = speakers[each.flow % speakers.length] as Speaker;
    const packet = speaker.speak(each);
    packet.inInterface = each.inInterface;
    packet.outInterface = each.outInterface;
    packet.userId = each.userId;
    // The kernel's tracker does not judge the numbers of a SYN on a connection that stands.
    const goesOn = compare(packet, !speaker.isForged(each) || each.kind === "S");
    if (!goesOn) speaker.takeBack(each, packet);
  }
  return { spared: kernel.spared, early: engine.counters[COUNTER.sealedEarly] ?? 0 };
}

/** How much is compared. */
export interface SealPlan {
  readonly policies: number;
  /** Most rules of a chain. */
  readonly rules: number;
  readonly packets: number;
  /** Whether the second engine is under pressure. */
  readonly isPressed?: boolean;
}

/** Compares on random policies and random flows. @returns the sums of all runs */
export function compareSeals({ isPressed = false, ...plan }: SealPlan): SealRun {
  let spared = 0;
  let early = 0;
  const packets = fc.array(step, { minLength: plan.packets, maxLength: plan.packets });
  const flows = fc.array(flow, { minLength: 1, maxLength: 3 });
  const strict = fc.tuple(policies(plan.rules), fc.boolean()).map(([policy, strictTcp]) => ({
    ...policy,
    settings: { ...(policy["settings"] as object), strictTcp },
  }));
  const property = fc.property(strict, flows, packets, (policy, chosen, steps) => {
    const found = run(policy, chosen, steps, isPressed);
    spared += found.spared;
    early += found.early;
  });
  fc.assert(property, { numRuns: plan.policies });
  return { spared, early };
}
