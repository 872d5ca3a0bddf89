/**
 * What the kernel does by a plan with the packets of one flow, of which only the ends and the protocol are
 * known.
 *
 * Lines that ask for nothing else hold for all packets of a direction or for none. A line that asks for more
 * (interfaces, owners, marks, kinds of ICMP messages, limits, knocks) may hold for some of them, so both ways
 * are followed. Where one outcome is left, it is proven: every packet of the direction meets that line. What
 * is walked are whole packets; fragments and what else the kernel does not vouch for go up in any case.
 */
import type { AddressWords, Family, HookName } from "../../base/index.ts";
import type { KernelPlan, LineAction, Origin, PlanChain, PlanLine, RegionName } from "./kernel-plan.ts";
import type { KernelTest, Match } from "./kernel-test.ts";
import { asksMore } from "./meter.ts";

/** One direction of a flow as our chains meet it. */
export interface FlowEnds {
  readonly family: Family;
  readonly protocol: number;
  readonly source: AddressWords;
  readonly destination: AddressWords;
  /** 0 for protocols without ports. */
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** One thing that may become of a packet. */
export interface FlowOutcome {
  readonly action: "accept" | "drop" | "reject" | "userspace";
  readonly origin: Origin;
  /** Why it goes up. */
  readonly reason?: string;
}

/** Why a packet may go up at a limit for each source, or where sources knock. */
const NO_ROOM = "a source for which there is no room is judged in userspace";

const NO_CHAIN: Origin = { chain: -1, rule: -1 };

/** Whether the packets of a flow meet a test; `undefined` where some may and others not. */
function answerOf(test: KernelTest, ends: FlowEnds): boolean | undefined {
  switch (test.field) {
    case "table":
      return test.family === ends.family ? undefined : false;
    case "family":
      return test.family === ends.family;
    case "protocol":
      return test.protocols.includes(ends.protocol) !== test.negated;
    case "source":
    case "destination": {
      if (test.prefix.family !== ends.family) return false;
      return test.prefix.contains(ends.family, ends[test.field]) !== test.negated;
    }
    case "sourcePort":
    case "destinationPort": {
      const port = ends[test.field];
      return (port >= test.low && port <= test.high) !== test.negated;
    }
    default:
      return undefined;
  }
}

function fits(match: Match, ends: FlowEnds): boolean | undefined {
  let all: boolean | undefined = true;
  for (const test of match) {
    const answer = answerOf(test, ends);
    if (answer === false) return false;
    if (answer === undefined) all = undefined;
  }
  return all;
}

class FlowWalk {
  readonly #plan: KernelPlan;
  readonly #chains: readonly PlanChain[];
  readonly #ends: FlowEnds;
  /** Whether a packet may come back out of a chain, for chains that were walked. */
  readonly #returns = new Map<number, boolean>();
  readonly #found = new Map<string, FlowOutcome>();

  constructor(plan: KernelPlan, chains: readonly PlanChain[], ends: FlowEnds) {
    this.#plan = plan;
    this.#chains = chains;
    this.#ends = ends;
  }

  outcomes(): FlowOutcome[] {
    const [start] = this.#chains;
    if (start === undefined) {
      this.#end({ match: [], action: { kind: "accept" }, origin: NO_CHAIN, except: "tracked" });
    } else if (this.#walk(start.chain)) this.#step(start.end);
    return [...this.#found.values()];
  }

  /** @returns whether a packet may come back out of the chain */
  #walk(index: number): boolean {
    const known = this.#returns.get(index);
    if (known !== undefined) return known;
    const lines = this.#chains.find(({ chain }) => chain === index)?.lines ?? [];
    let returns = false;
    let goesOn = true;
    for (const line of lines) {
      const answer = fits(line.match, this.#ends);
      if (answer === false) continue;
      const after = this.#step(line);
      if (after.returns) returns = true;
      if (answer === true && !asksMore(line) && !after.goesOn) {
        goesOn = false;
        break;
      }
    }
    const mayReturn = returns || goesOn;
    this.#returns.set(index, mayReturn);
    return mayReturn;
  }

  /** Follows a line that packets meet. */
  #step(line: PlanLine): { goesOn: boolean; returns: boolean } {
    const { action } = line;
    switch (action.kind) {
      case "jump":
        return { goesOn: this.#walk(action.chain), returns: false };
      case "goto":
        return { goesOn: false, returns: this.#walk(action.chain) };
      case "return":
        return { goesOn: false, returns: true };
      default:
        this.#end(line);
        return { goesOn: false, returns: false };
    }
  }

  #end({ action, origin, except, meter, knock, reason }: PlanLine): void {
    const why = reason === undefined ? {} : { reason };
    if (meter?.by === "source" || knock !== undefined)
      this.#note({ action: "userspace", origin, reason: NO_ROOM });
    if (except !== undefined && this.#isIn(except)) this.#note({ action: "userspace", origin, ...why });
    else this.#note({ action: ending(action), origin, ...(action.kind === "userspace" ? why : {}) });
  }

  /** Regions are told by the ends and the protocol alone. */
  #isIn(region: RegionName): boolean {
    return this.#plan.regions[region].parts.some((part) => fits(part, this.#ends) !== false);
  }

  #note(outcome: FlowOutcome): void {
    const { action, origin } = outcome;
    this.#found.set(`${action} ${origin.chain} ${origin.rule}`, outcome);
  }
}

function ending({ kind }: LineAction): FlowOutcome["action"] {
  return kind === "accept" || kind === "drop" || kind === "reject" ? kind : "userspace";
}

/**
 * What may become of the packets of one direction of a flow at a hook.
 *
 * @returns one outcome when it is proven, several when it depends on more than the ends
 */
export function walkFlow(plan: KernelPlan, hook: HookName, ends: FlowEnds): FlowOutcome[] {
  const chains = plan.hooks.find((each) => each.hook === hook)?.chains ?? [];
  return new FlowWalk(plan, chains, ends).outcomes();
}
