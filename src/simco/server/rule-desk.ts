/**
 * Carries out requests about policy rules.
 *
 * One request is one transaction. It goes through its checks on what is in force, then to the store, which
 * checks again what may have changed meanwhile; the reply is sent when the packet filter has confirmed it.
 */
import {
  type Agent,
  maySee,
  type Operation,
  type OperationAnswer,
  type Pinhole,
  PinholeRefusal,
  type PinholeSpec,
  type PinholeStore,
  remainingSeconds,
  type Right,
} from "../../pinhole/index.ts";
import { LOCATION, tupleAt } from "../address-tuple.ts";
import type { Message, MessageOf, Request } from "../message.ts";
import { NAT_MODE } from "../parameter-set.ts";
import { REPLY, type ReplyName } from "../reply-code.ts";
import { type Box, capabilitiesFor, type RuleStore } from "./box.ts";
import { checkBothWays, type CheckFacts, checkReservation, checkTuples, checkWildcards } from "./checks.ts";
import {
  type EndsRequest,
  leaseTuple,
  outsideFamily,
  rememberedOf,
  reservationOf,
  specOf,
} from "./translation.ts";

/** A request about policy rules. */
export type RuleRequest = Exclude<Request, { name: "SE" | "SA" | "ST" }>;

/** Policy rules in one reply, at most: more would not fit into a message. */
export const RULES_MAX = 8191;

/** A lifetime without end, in seconds: as long as 32 bits can say. */
const FOREVER = 0xffffffff;

/** What an agent must be allowed for each request: the first thing that is checked. */
const RIGHTS = {
  PRR: "reserve",
  PER: "permit",
  PEA: "permit",
  PDR: "block",
  PLC: "renew",
  PRS: "monitor",
  PRL: "monitor",
} as const satisfies Record<RuleRequest["name"], Right>;

/** How what is permitted without a reservation is translated, where there is translation. */
const TRADITIONAL: Pick<PinholeSpec, "nat"> = { nat: { mode: "traditional" } };

/** What is to be done, or why not. */
type Decision = ReplyName | Operation;

function secondsOf(granted: number | null): number {
  return Math.min(granted ?? FOREVER, FOREVER);
}

/** The lifetime that a notification tells: 0 when the rule has ended. */
export function noticedSeconds({ state, granted }: Pinhole): number {
  return state === "ended" ? 0 : secondsOf(granted);
}

/** A negative reply. */
export function negative(tid: number, name: ReplyName): Message {
  return { name: "NEGATIVE", tid, code: REPLY[name].code };
}

/** Serves agents. */
export class RuleDesk {
  readonly #box: Box;
  readonly #store: RuleStore;

  /**
   * @param box - the middlebox
   * @param store - where its rules are
   */
  constructor(box: Box, store: RuleStore) {
    this.#box = box;
    this.#store = store;
  }

  /**
   * Carries out one request.
   *
   * @param origin - goes into the events that follow
   * @returns the reply
   */
  async serve(agent: Agent, request: RuleRequest, origin: string): Promise<Message> {
    if (request.name === "PDR" && !this.#box.capabilities.disables) {
      return negative(request.tid, "NOT_SUPPORTED");
    }
    if (!agent.profile.rights.includes(RIGHTS[request.name])) {
      return negative(request.tid, "TRANSACTION_FORBIDDEN");
    }
    if (request.name === "PRS" || request.name === "PRL") return this.#look(agent, request);
    try {
      // What is decided goes on in the same breath, or it would wait for one more change of the packet
      // filter.
      const answer = await this.#store.read((store) => {
        const decision = this.#decide(store, agent, request);
        return typeof decision === "string" ? decision : this.#store.apply(agent, [decision], { origin });
      });
      if (typeof answer === "string") return negative(request.tid, answer);
      const [result] = answer.results;
      return result === undefined
        ? negative(request.tid, "CONFIG_FAILED")
        : this.#reply(agent, request, result);
    } catch (error) {
      if (!(error instanceof PinholeRefusal)) throw error;
      return { name: "NEGATIVE", tid: request.tid, code: error.facts.simco };
    }
  }

  #look(agent: Agent, request: MessageOf<"PRS"> | MessageOf<"PRL">): Promise<Message> {
    return this.#store.read((store) =>
      request.name === "PRS" ? this.#status(store, agent, request) : list(store, agent, request),
    );
  }

  #facts({ profile }: Agent): CheckFacts {
    return { capabilities: capabilitiesFor(this.#box, profile), protocols: this.#box.protocols };
  }

  #decide(
    store: PinholeStore,
    agent: Agent,
    request: Exclude<RuleRequest, { name: "PRS" | "PRL" }>,
  ): Decision {
    switch (request.name) {
      case "PRR":
        return this.#decideReservation(store, agent, request);
      case "PER":
        return this.#decidePermit(store, agent, request);
      case "PEA":
        return this.#decideEnabling(store, agent, request);
      case "PDR":
        return this.#decideBlock(agent, request);
      case "PLC":
        return decideLifetime(store, agent, {
          ...request,
          lifetime: this.#granted(agent, request.lifetime),
        });
    }
  }

  #decideReservation(store: PinholeStore, agent: Agent, request: MessageOf<"PRR">): Decision {
    const group = findGroup(store, agent, request.group);
    if (typeof group === "string") return group;
    const facts = this.#facts(agent);
    const refusal = checkReservation(request.reserve, facts);
    if (refusal !== undefined) return refusal;
    const { lifetime, reserve } = request;
    if (lifetime === 0) return "CONFIG_FAILED";
    const nat = this.#translation(reserve.natMode);
    if (nat === "unsupported") return "NAT_MODE_UNSUPPORTED";
    const family = outsideFamily(request, facts.capabilities.externalFamilies);
    const spec = { ...reservationOf(request, family, group.id), ...nat };
    return { op: "open", spec: { ...spec, lifetime: this.#granted(agent, lifetime) } };
  }

  /** A pure filter does not look at the mode (RFC 5189 section 2.3.8, DEC-41). */
  #translation(mode: number): Pick<PinholeSpec, "nat"> | "unsupported" {
    const { translates, translatesTwice } = this.#box.capabilities;
    if (!translates) return {};
    if (mode === NAT_MODE.TRADITIONAL) return TRADITIONAL;
    return mode === NAT_MODE.TWICE && translatesTwice ? { nat: { mode: "twice" } } : "unsupported";
  }

  #granted({ profile }: Agent, wanted: number): number {
    return Math.min(wanted, capabilitiesFor(this.#box, profile).lifetimeMax);
  }

  #decidePermit(store: PinholeStore, agent: Agent, request: MessageOf<"PER">): Decision {
    const group = findGroup(store, agent, request.group);
    if (typeof group === "string") return group;
    const facts = this.#facts(agent);
    const refusal =
      checkTuples(request, facts) ??
      checkWildcards(request, facts) ??
      checkBothWays(request) ??
      this.#checkConflictAndLifetime(store, request);
    const nat = this.#box.capabilities.translates ? TRADITIONAL : {};
    return refusal ?? { op: "open", spec: { ...this.#spec(agent, request, group.id), ...nat } };
  }

  #decideEnabling(store: PinholeStore, agent: Agent, request: MessageOf<"PEA">): Decision {
    const reserved = findRule(store, agent, request.rule);
    if (reserved === undefined) return "NO_SUCH_RULE";
    if (reserved.state !== "reserved") return "INCONSISTENT";
    if (!mayChangeRule(agent, reserved)) return "RULE_FORBIDDEN";
    const facts = this.#facts(agent);
    const refusal =
      checkTuples(request, facts) ??
      checkReserved(reserved, request) ??
      checkWildcards(request, facts) ??
      (this.#box.isStrictAboutEnabling ? checkBothWays(request) : undefined) ??
      this.#checkConflictAndLifetime(store, request);
    return refusal ?? { op: "enable", id: reserved.id, spec: this.#spec(agent, request, undefined) };
  }

  #decideBlock(agent: Agent, request: MessageOf<"PDR">): Decision {
    const facts = this.#facts(agent);
    const refusal = checkTuples(request, facts) ?? checkWildcards(request, facts);
    if (refusal !== undefined) return refusal;
    if (request.lifetime === 0) return "CONFIG_FAILED";
    return { op: "open", spec: this.#spec(agent, request, undefined) };
  }

  #spec(agent: Agent, request: EndsRequest, group: string | undefined): PinholeSpec {
    return { ...specOf(request, group), lifetime: this.#granted(agent, request.lifetime) };
  }

  #checkConflictAndLifetime(store: PinholeStore, request: EndsRequest): ReplyName | undefined {
    if (store.isBlocked({ ...specOf(request, undefined), lifetime: 1 })) return "RULE_CONFLICT";
    return request.lifetime === 0 ? "CONFIG_FAILED" : undefined;
  }

  #reply(agent: Agent, request: RuleRequest, result: OperationAnswer): Message {
    const { tid } = request;
    const { pid: rule, gid: group } = result;
    const lifetime = secondsOf(result.granted);
    switch (request.name) {
      case "PRR": {
        const family = outsideFamily(request, this.#facts(agent).capabilities.externalFamilies);
        const { protocol } = request.reserve;
        const ends = reservedEnds(result, family, protocol);
        return { name: "PRR_REPLY", tid, rule, group, lifetime, ...ends };
      }
      case "PER":
      case "PEA":
        return { name: "PER_REPLY", tid, rule, group, lifetime, ...enabledEnds(result, request) };
      case "PDR":
        return { name: "PDR_REPLY", tid, rule, lifetime };
      default:
        return result.state === "ended" ? { name: "PRD_REPLY", tid } : { name: "PLC_REPLY", tid, lifetime };
    }
  }

  #status(store: PinholeStore, agent: Agent, { tid, rule }: MessageOf<"PRS">): Message {
    const pinhole = findRule(store, agent, rule);
    if (pinhole === undefined) return negative(tid, "NO_SUCH_RULE");
    if (!maySee(agent, pinhole.owner)) return negative(tid, "RULE_FORBIDDEN");
    const { owner, request, groupNumber: group } = pinhole;
    const lifetime = secondsOf(remainingSeconds(pinhole, this.#store.moment.now));
    const leases = leasesOf(pinhole);
    if (request.kind === "reserve") {
      const ends = reservedEnds(leases, request.external.family, request.protocol);
      return { name: "PRS_REPLY", tid, rule, group, lifetime, ...ends, owner };
    }
    const { enable, internal, external } = rememberedOf(pinhole);
    if (request.kind === "block")
      return { name: "PDS_REPLY", tid, rule, internal, external, lifetime, owner };
    const ends = enabledEnds(leases, { internal, external });
    return { name: "PES_REPLY", tid, rule, group, enable, internal, ...ends, external, lifetime, owner };
  }
}

type Leases = Pick<OperationAnswer, "outside" | "inside">;

function leasesOf({ leases }: Pinhole): Leases {
  const outside = leases.find(({ side }) => side === "outside");
  const inside = leases.find(({ side }) => side === "inside");
  return { ...(outside === undefined ? {} : { outside }), ...(inside === undefined ? {} : { inside }) };
}

/** What a reservation keeps: a filter keeps nothing, and says so with a protocol alone. */
function reservedEnds(
  { outside, inside }: Leases,
  family: 4 | 6,
  protocol: number,
): Pick<MessageOf<"PRR_REPLY">, "outside" | "inside"> {
  if (outside === undefined) {
    const location = LOCATION.OUTSIDE;
    return { outside: { family, prefix: 0, protocol, location, port: 0, count: 0, address: undefined } };
  }
  const kept = { outside: leaseTuple(outside) };
  return inside === undefined ? kept : { ...kept, inside: leaseTuple(inside) };
}

/** Without translation, each end is seen as it is (DEC-13, DEC-14). */
function enabledEnds(
  { outside, inside }: Leases,
  { internal, external }: Pick<EndsRequest, "internal" | "external">,
): Pick<MessageOf<"PES_REPLY">, "outside"> & { readonly inside: EndsRequest["internal"] } {
  return {
    outside: outside === undefined ? tupleAt(internal, LOCATION.OUTSIDE) : leaseTuple(outside),
    inside: inside === undefined ? tupleAt(external, LOCATION.INSIDE) : leaseTuple(inside),
  };
}

/** A rule by its number; what must not be seen is not there. */
function findRule(store: PinholeStore, agent: Agent, rule: number): Pinhole | undefined {
  const found = store.byNumber(rule);
  const isHidden = found !== undefined && store.hidesForeign && !maySee(agent, found.owner);
  return isHidden ? undefined : found;
}

function mayChangeRule(agent: Agent, { owner }: Pinhole): boolean {
  return owner === agent.name || agent.profile.isAdministrator;
}

/** The group that a new rule joins; only its owner may add to it (DEC-28). */
function findGroup(
  store: PinholeStore,
  agent: Agent,
  number: number | undefined,
): { readonly id: string | undefined } | ReplyName {
  if (number === undefined) return { id: undefined };
  const group = store.groupByNumber(number);
  if (group === undefined) return "NO_SUCH_GROUP";
  if (group.owner === agent.name) return { id: group.id };
  return store.hidesForeign && !maySee(agent, group.owner) ? "NO_SUCH_GROUP" : "GROUP_FORBIDDEN";
}

/** What is enabled must fit what was reserved (RFC 4540 section 8.4.1). */
function checkReserved({ request }: Pinhole, { internal }: MessageOf<"PEA">): ReplyName | undefined {
  if (request.protocol !== 0 && request.protocol !== internal.protocol) return "PROTOCOL_MISMATCH";
  const count = request.spec.portCount ?? 1;
  const isAny = count === 0 || internal.port === 0 || internal.address === undefined;
  return isAny || internal.count === count ? undefined : "INCONSISTENT";
}

function decideLifetime(store: PinholeStore, agent: Agent, { rule, lifetime }: MessageOf<"PLC">): Decision {
  const found = findRule(store, agent, rule);
  if (found === undefined) return "NO_SUCH_RULE";
  if (!mayChangeRule(agent, found)) {
    return maySee(agent, found.owner) ? "LIFETIME_FORBIDDEN" : "RULE_FORBIDDEN";
  }
  return lifetime === 0 ? { op: "close", id: found.id } : { op: "renew", id: found.id, lifetime };
}

function list(store: PinholeStore, agent: Agent, { tid }: MessageOf<"PRL">): Message {
  const { pinholes, cursor } = store.list(agent, {}, "", { count: RULES_MAX });
  if (cursor !== undefined) return negative(tid, "REPLY_TOO_BIG");
  return { name: "PRL_REPLY", tid, rules: pinholes.map(({ number }) => number) };
}
