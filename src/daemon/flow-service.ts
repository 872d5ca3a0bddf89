/**
 * Which rule is behind a live flow, and who judges its packets.
 *
 * A flow in our state table was noted with the rule that let it in, also while it is sealed. Of a flow that
 * the kernel judges alone nothing is noted: the bits of a connection's mark are taken by seals, and labels
 * belong to others. But the kernel asks the policy's rules about each of its packets anew, and they read
 * little: so the lines of the plan are walked with the flow's ends (see flow-walk.ts). Where one outcome is
 * left, it is proven to be every packet's; otherwise the answer says what is possible.
 */
import { type FlowEnds, type FlowOutcome, type KernelRules, walkFlow } from "../backend/index.ts";
import {
  FirewallError,
  HOOK,
  type HookName,
  invariant,
  parseAddress,
  verdictName,
  VERDICT,
} from "../base/index.ts";
import type { FlowCause, FlowReport, FlowRule, RuleHits } from "../client/index.ts";
import { explainPacket, type Policy, type RuleMemory } from "../policy/index.ts";
import { LocalAddresses, readConntrackAccounting } from "../system/index.ts";
import { endsText, parseStateId, STATE_END, type State } from "../view/index.ts";
import { Packet } from "../wire/index.ts";
import { monotonicNow } from "./monotonic-clock.ts";
import { placeRule } from "./rule-name.ts";
import type { RuleService } from "./rule-service.ts";
import type { SealService } from "./seal-service.ts";
import type { StateService } from "./state-service.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Flows that are named when a filter chooses several. */
const NAMED_MAX = 5;

const { LOCAL, REMOTE } = STATE_END;

const NOTHING_KNOWN: FlowCause = { evidence: "unknown", rules: [] };

/** What the service asks. */
export interface FlowServiceParts {
  readonly pool: WorkerPool;
  readonly states: StateService;
  readonly rules: RuleService;
  readonly kernelRules: KernelRules;
  /** Absent where the kernel's table takes no seals. */
  readonly seals: Pick<SealService, "marks" | "generation"> | undefined;
  /** The policy in force. */
  readonly inForce: () => { readonly policy: Policy; readonly memory: RuleMemory; readonly revision: number };
}

/** A flow's answer without what is the same for all. */
type Judgement = Pick<FlowReport, "judge" | "generation" | "verdict" | "cause" | "answers">;

/** Index of the end that spoke first. */
function firstEnd({ direction }: State): 0 | 1 {
  return direction === "out" ? LOCAL : REMOTE;
}

/** One direction of a flow as our chains meet it: behind the translation of destinations. */
function flowEnds(state: State, isReply: boolean): FlowEnds {
  const first = firstEnd(state);
  const second = first === LOCAL ? REMOTE : LOCAL;
  // Out of both tables `sk` has what the end that spoke first knows, `nk` what the other knows.
  const ends = [
    { address: state.sk.addresses[first], port: state.sk.ports[first] },
    { address: state.nk.addresses[second], port: state.nk.ports[second] },
  ] as const;
  const [from, to] = isReply ? [ends[1], ends[0]] : ends;
  const [source, destination] = [parseAddress(from.address), parseAddress(to.address)];
  invariant(source !== undefined && destination !== undefined, "states have addresses");
  return {
    family: state.family,
    protocol: state.protocol,
    source: source.words,
    destination: destination.words,
    sourcePort: from.port,
    destinationPort: to.port,
  };
}

/** What surely or possibly is behind outcomes. */
function causeOf(policy: Policy, outcomes: readonly FlowOutcome[], isSure: boolean): FlowCause {
  if (outcomes.length === 0) return NOTHING_KNOWN;
  const rules = outcomes.map(({ origin }) => placeRule(policy, origin));
  return { evidence: isSure ? "proven" : "possible", rules };
}

function ambiguous(filter: string, found: readonly State[]): FirewallError {
  const named = found
    .slice(0, NAMED_MAX)
    .map((state) => `\n  ${state.id}  ${state.protocolName} ${endsText(state)}`);
  const more = found.length > NAMED_MAX ? "\n  ..." : "";
  const message = `"${filter}" chooses several flows; take the id of one, or say more:${named.join("")}${more}`;
  return new FirewallError("FLOW_AMBIGUOUS", message);
}

/** See above. */
export class FlowService {
  readonly #parts: FlowServiceParts;
  readonly #locals = new LocalAddresses();

  constructor(parts: FlowServiceParts) {
    this.#parts = parts;
  }

  /**
   * Explains one live flow.
   *
   * @param words - id of its state, or a filter of states that chooses it alone
   * @throws {FirewallError} `FLOW_UNKNOWN`, `FLOW_AMBIGUOUS`, `STATE_GONE` or `FILTER_INVALID`
   */
  async explain(words: string): Promise<FlowReport> {
    const state = parseStateId(words) === undefined ? await this.#only(words) : await this.#byId(words);
    const judgement = await this.#judgement(state);
    // Of a sealed flow our own count is of the packets that came up.
    const isCounted = judgement.judge !== "sealed" || readConntrackAccounting().counters;
    const told = isCounted ? state : { ...state, packets: null, bytes: null };
    return { ...judgement, hits: await this.#hits(judgement.cause), state: told };
  }

  /** The one flow that a filter chooses. */
  async #only(filter: string): Promise<State> {
    const found: State[] = [];
    for await (const state of this.#parts.states.list({ filter })) {
      found.push(state);
      if (found.length > NAMED_MAX) break;
    }
    const [state] = found;
    if (state === undefined) {
      const message = `no live flow is "${filter}"; postern states list shows those there are, and of packets that are dropped postern explain POLICY PACKET tells why`;
      throw new FirewallError("FLOW_UNKNOWN", message);
    }
    if (found.length > 1) throw ambiguous(filter, found);
    return state;
  }

  /** The flow with an id, as both tables know it. */
  async #byId(id: string): Promise<State> {
    const alone = await this.#parts.states.get(id);
    const first = firstEnd(alone);
    const filter = `from ${alone.sk.addresses[first]} to ${alone.nk.addresses[1 - first]}`;
    for await (const state of this.#parts.states.list({ filter })) {
      const isSame = alone.kernel === null ? state.id === alone.id : state.kernel?.id === alone.kernel.id;
      if (isSame) return state;
    }
    return alone;
  }

  async #judgement(state: State): Promise<Judgement> {
    const sealed = await this.#sealed(state);
    if (sealed !== undefined) return sealed;
    const inKernel = this.#inKernel(state);
    if (inKernel !== undefined) return inKernel;
    const judge = { judge: "userspace", generation: null, answers: null } as const;
    const killed = state.source === "kernel" ? await this.#killed(state) : undefined;
    if (killed !== undefined) return { ...judge, verdict: "DROP", ...(await this.#refusal(killed)) };
    // The kernel's connections that our table does not know are older than the firewall, or idle.
    const verdict = state.source === "kernel" ? null : "ACCEPT";
    return { ...judge, verdict, cause: await this.#admission(state) };
  }

  /** A flow whose connection bears a seal that is in force. */
  async #sealed(state: State): Promise<Judgement | undefined> {
    const { seals } = this.#parts;
    const generation = seals?.generation ?? 0;
    if (seals === undefined || state.source === "own") return undefined;
    if (seals.marks.generationOf(state.mark) !== generation) return undefined;
    const judge = { judge: "sealed", generation, answers: null } as const;
    if (!seals.marks.isDropped(state.mark))
      return { ...judge, verdict: "ACCEPT", cause: await this.#admission(state) };
    const killed = await this.#killed(state);
    const cause = killed === undefined ? this.#asUnknown(state) : (await this.#refusal(killed)).cause;
    return { ...judge, verdict: "DROP", cause };
  }

  /** A flow that no packet of comes up by the plan in force. */
  #inKernel(state: State): Judgement | undefined {
    if (!this.#parts.kernelRules.hasPlan) return undefined;
    const hook = this.#hookOf(state);
    const outcomes = this.#walk(state, hook, false);
    const alone = outcomes.filter(({ action }) => action !== "userspace");
    // What userspace accepts is in our table; so a flow that is not there was accepted without it.
    const isIn =
      state.source === "kernel"
        ? alone.some(({ action }) => action === "accept")
        : alone.length === outcomes.length;
    if (!isIn) return undefined;
    const back = hook === "FORWARD" ? hook : hook === "INPUT" ? "OUTPUT" : "INPUT";
    const answers = this.#walk(state, back, true);
    const { policy } = this.#parts.inForce();
    const isAccepted = alone.some(({ action }) => action === "accept");
    const likely = isAccepted ? alone.filter(({ action }) => action === "accept") : alone;
    return {
      judge: "kernel",
      generation: null,
      verdict: isAccepted ? "ACCEPT" : alone[0]?.action === "reject" ? "REJECT" : "DROP",
      cause: causeOf(policy, likely, outcomes.length === 1),
      answers: causeOf(policy, answers, answers.length === 1),
    };
  }

  #walk(state: State, hook: HookName, isReply: boolean): FlowOutcome[] {
    return walkFlow(this.#parts.rules.plan, hook, flowEnds(state, isReply));
  }

  #hookOf(state: State): HookName {
    if (state.direction === "out") return "OUTPUT";
    this.#locals.refresh(performance.now());
    const { family, destination } = flowEnds(state, false);
    return this.#locals.contains(family, destination) ? "INPUT" : "FORWARD";
  }

  /** What is left in our table of a connection that was ended for good. */
  async #killed(state: State): Promise<State | undefined> {
    const first = firstEnd(state);
    const [from, to] = [state.sk, state.nk].map((key, at) => {
      const end = at === 0 ? first : 1 - first;
      return `${key.addresses[end]} port ${key.ports[end]}`;
    });
    const filter = `${state.protocolName} from ${from} to ${to}`;
    for await (const killed of this.#parts.pool.visitKilled(filter)) return killed;
    return undefined;
  }

  /** Why a connection was ended: by a rule, or because somebody asked for it. */
  async #refusal(killed: State): Promise<Pick<Judgement, "cause">> {
    const isByRule = killed.verdict !== null && killed.verdict.verdict !== "ACCEPT";
    return { cause: isByRule ? await this.#noted(killed) : NOTHING_KNOWN };
  }

  /** The rule that was noted with a flow. */
  async #noted({ rule }: State): Promise<FlowCause> {
    if (rule === null) return NOTHING_KNOWN;
    const answers = await this.#parts.pool.callAll("placeRule", rule);
    const found = answers.find((place) => place !== null);
    return found === undefined || found === null ? NOTHING_KNOWN : { evidence: "noted", rules: [found] };
  }

  /** The rule that was noted with a flow that passes. */
  async #admission(state: State): Promise<FlowCause> {
    const cause = await this.#noted(state);
    const [rule] = cause.rules;
    if (rule === undefined || !this.#isWaiting(rule, state.rule?.revision)) return cause;
    return { ...cause, evidence: "waiting" };
  }

  /** True for a rule about bytes that lets nothing pass by itself: a flow that it is noted with passed it. */
  #isWaiting({ chain, rule }: FlowRule, revision: number | undefined): boolean {
    const { policy, revision: newest } = this.#parts.inForce();
    const row = policy.chains.find(({ name }) => name === chain)?.rules[rule ?? -1];
    return revision === newest && row?.definition.readsBytes === true && row.action !== "ACCEPT";
  }

  /** A flow is sealed to be dropped only where an unknown one with its ends is dropped too. */
  #asUnknown(state: State): FlowCause {
    const { policy, memory } = this.#parts.inForce();
    const packet = Object.assign(new Packet(), {
      hook: HOOK[this.#hookOf(state)],
      ...flowEnds(state, false),
    });
    const nothing = (): void => undefined;
    const report = { printing: false, print: nothing, log: nothing, ruleError: nothing };
    const context = { packet, now: monotonicNow(), tcpState: 0, interfaceName: () => "", report };
    const end = explainPacket(policy, memory, context).at(-1);
    if (end?.kind !== "verdict" || end.verdict !== verdictName(VERDICT.DROP)) return NOTHING_KNOWN;
    const chain = policy.chains.findIndex(({ name }) => name === end.chain);
    return { evidence: "possible", rules: [placeRule(policy, { chain, rule: end.rule ?? -1 })] };
  }

  /** What the one rule behind a flow has judged, while its policy is in force. */
  async #hits({ rules: [rule, ...others] }: FlowCause): Promise<RuleHits | null> {
    if (rule === undefined || others.length > 0 || rule.rule === null) return null;
    const isSame = (each: Omit<FlowRule, "file">): boolean =>
      each.chain === rule.chain && each.rule === rule.rule && each.line === rule.line;
    const { rules } = await this.#parts.rules.report();
    const found = this.#parts.inForce().policy.file === rule.file ? rules.find(isSame) : undefined;
    return found === undefined ? null : { kernel: found.kernel, userspacePackets: found.userspacePackets };
  }
}
