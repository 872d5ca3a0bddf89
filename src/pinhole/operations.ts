/**
 * The four things that can be asked for, each with its checks in the order of RFC 4540 section 8 and RFC
 * 5189.
 *
 * What a request looks like, and whether the agent may ask for such things at all, was checked when it was
 * staged.
 */
import type { LimitValues } from "../base/index.ts";
import { type Agent, checkRight, grantedSeconds } from "./access-profile.ts";
import type { OperationAnswer } from "./commit.ts";
import { ANY_PROTOCOL } from "./element.ts";
import { portCount } from "./endpoint.ts";
import type { Pinhole } from "./pinhole.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { PinholeRequest } from "./specification.ts";
import type { StagedOperation } from "./transaction.ts";
import {
  type Cause,
  deadlineAfter,
  leaseFrom,
  limitsFor,
  stateOnceOpen,
  type Workbench,
} from "./workbench.ts";

type Open = Extract<StagedOperation, { op: "open" }>;
type Enable = Extract<StagedOperation, { op: "enable" }>;

/** Room that all agents share. */
export type Room = Pick<LimitValues, "pinholes" | "pinholeElements">;

/** What a transaction finds where it is carried out. */
export interface House {
  readonly room: Room;
  /** True: strangers' pinholes look as if they were not there. */
  readonly hideForeign: boolean;
  /** A pinhole that has ended a while ago and that the agent may see. */
  readonly findEnded: (id: string) => Pinhole | undefined;
}

/** One transaction on the workbench. */
export class Assignment {
  readonly #bench: Workbench;
  readonly #agent: Agent;
  readonly #cause: Cause;
  readonly #room: Room;
  readonly #hideForeign: boolean;
  readonly #findEnded: House["findEnded"];
  /** Ids that were promised for pinholes that turned out to be there already. */
  readonly #aliases: Map<string, string> = new Map();

  /**
   * @param bench - where it is decided
   * @param agent - who asks
   * @param cause - when, and for which generation
   * @param house - room for all, and whether strangers' pinholes look as if they were not there
   */
  constructor(bench: Workbench, agent: Agent, cause: Cause, house: House) {
    this.#bench = bench;
    this.#agent = agent;
    this.#cause = cause;
    this.#room = house.room;
    this.#hideForeign = house.hideForeign;
    this.#findEnded = house.findEnded;
  }

  /** @throws {PinholeRefusal} when it must not be; the workbench may be half changed then */
  carryOut(operation: StagedOperation): OperationAnswer {
    switch (operation.op) {
      case "open":
        return this.#open(operation);
      case "close":
        return this.#close(operation.id, operation.revision);
      case "renew":
        return this.#renew(operation.id, operation.seconds, operation.revision);
      case "enable":
        return this.#enable(operation);
    }
  }

  #open(operation: Open): OperationAnswer {
    const { request, clientId, id, number } = operation;
    const owner = this.#agent.name;
    const found = clientId === undefined ? undefined : this.#bench.population.byClientId(owner, clientId);
    if (found !== undefined) {
      this.#aliases.set(id, found.id);
      return this.#reopen(found, request);
    }
    this.#checkRoom();
    const group = request.kind === "block" ? undefined : this.#bench.groups.choose(owner, request.spec.group);
    this.#settleConflicts(request);
    const leases = this.#bench.lease(request, this.#cause.moment.now);
    const granted = grantedSeconds(request.spec.lifetime, this.#agent.profile);
    const { deadline, deadlineAt } = leaseFrom(granted, this.#cause.moment);
    const pinhole: Pinhole = {
      id,
      number,
      clientId,
      owner,
      request,
      group: group?.id ?? "",
      groupNumber: group?.number ?? 0,
      state: stateOnceOpen(request),
      revision: 1,
      generation: this.#cause.generation,
      granted,
      deadline,
      deadlineAt,
      createdAt: this.#cause.moment.wall,
      limit: limitsFor(request, this.#agent.profile),
      leases,
      end: undefined,
    };
    this.#bench.admit(pinhole, this.#cause);
    this.#checkElements();
    return this.#answer("open", pinhole, true);
  }

  /**
   * What has the caller's own name already: the same again is a renewal, so that a lost answer can be asked
   * for.
   */
  #reopen(found: Pinhole, request: PinholeRequest): OperationAnswer {
    if (found.request.identity !== request.identity) {
      const message = `Your id ${found.clientId} stands for another pinhole. Close that first.`;
      throw new PinholeRefusal("ID_TAKEN", message, { conflicts: [found.id] });
    }
    const granted = grantedSeconds(request.spec.lifetime, this.#agent.profile);
    this.#checkExtension(found, granted);
    return this.#answer("open", this.#bench.renew(found, granted, this.#cause), false);
  }

  #close(id: string, revision: number | undefined): OperationAnswer {
    const pinhole = this.#mine(id, revision);
    checkRight(this.#agent, "renew");
    const ending = pinhole.owner === this.#agent.name ? "close" : "revoke";
    return this.#answer("close", this.#bench.end(pinhole, ending, this.#cause), false);
  }

  #renew(id: string, seconds: number | null, revision: number | undefined): OperationAnswer {
    const pinhole = this.#mine(id, revision);
    const granted = grantedSeconds(seconds, this.#agent.profile);
    this.#checkExtension(pinhole, granted);
    return this.#answer("renew", this.#bench.renew(pinhole, granted, this.#cause), false);
  }

  #enable({ id, request, revision }: Enable): OperationAnswer {
    const reservation = this.#find(id);
    if (reservation.state !== "reserved") {
      throw new PinholeRefusal("NOT_RESERVED", `${id} is no reservation.`, { conflicts: [reservation.id] });
    }
    this.#checkMine(reservation);
    checkRevision(reservation, revision);
    checkMatch(reservation.request, request);
    this.#settleConflicts(request);
    const granted = grantedSeconds(request.spec.lifetime, this.#agent.profile);
    const limit = limitsFor(request, this.#agent.profile);
    const enabled = this.#bench.enable(reservation, { request, granted, limit }, this.#cause);
    this.#checkElements();
    return this.#answer("enable", enabled, false);
  }

  #find(id: string): Pinhole {
    const { population } = this.#bench;
    const known = this.#aliases.get(id) ?? id;
    const pinhole = population.get(known) ?? population.byClientId(this.#agent.name, known);
    const isHidden = pinhole !== undefined && this.#hideForeign && !maySee(this.#agent, pinhole.owner);
    if (pinhole !== undefined && !isHidden) return pinhole;
    const reason = this.#findEnded(known)?.end?.reason;
    const message = reason === undefined ? `There is no pinhole ${id}.` : `${id} has ended: ${reason}.`;
    throw new PinholeRefusal("NO_SUCH_PINHOLE", message);
  }

  #mine(id: string, revision: number | undefined): Pinhole {
    const pinhole = this.#find(id);
    this.#checkMine(pinhole);
    checkRevision(pinhole, revision);
    return pinhole;
  }

  #checkMine(pinhole: Pinhole): void {
    if (mayChange(this.#agent, pinhole.owner)) return;
    if (maySee(this.#agent, pinhole.owner)) {
      throw new PinholeRefusal("LIFETIME_FORBIDDEN", `You may see ${pinhole.id} and not change it.`);
    }
    throw new PinholeRefusal("PINHOLE_FORBIDDEN", `The pinhole ${pinhole.id} is somebody else's.`);
  }

  #checkExtension({ deadline, id }: Pinhole, granted: number | null): void {
    if (this.#agent.profile.mayExtend) return;
    if (deadlineAfter(granted, this.#cause.moment.now) <= deadline) return;
    throw new PinholeRefusal("NOT_EXTENDABLE", `Your profile does not allow to extend ${id}.`);
  }

  #checkRoom(): void {
    const { name, profile } = this.#agent;
    const { population } = this.#bench;
    if (population.countOf(name) >= profile.pinholesMax) {
      const message = `You have ${profile.pinholesMax} pinholes, and may not have more. Close some.`;
      throw new PinholeRefusal("QUOTA_EXCEEDED", message);
    }
    if (population.size >= this.#room.pinholes) {
      throw new PinholeRefusal(
        "CAPACITY_EXCEEDED",
        `There are ${population.size} pinholes, and no room for more.`,
      );
    }
  }

  #checkElements(): void {
    const { size } = this.#bench.elements;
    if (size <= this.#room.pinholeElements) return;
    const message = `The packet filter would hold ${size} elements, and there is no room for so many.`;
    throw new PinholeRefusal("CAPACITY_EXCEEDED", message);
  }

  /** Blocks win: they end what permits, and nothing is permitted against them (RFC 4540 section 8.8.1). */
  #settleConflicts(request: PinholeRequest): void {
    const { population } = this.#bench;
    const pair = { protocol: request.protocol, near: request.internal, far: request.external };
    if (request.kind === "block") {
      for (const permit of population.meeting("permit", pair)) {
        this.#bench.end(permit, "conflict", this.#cause);
      }
    }
    if (request.kind !== "permit") return;
    const blocks = population.meeting("block", pair);
    if (blocks.length === 0) return;
    const conflicts = blocks.filter((block) => maySee(this.#agent, block.owner)).map((block) => block.id);
    throw new PinholeRefusal("CONFLICT", "A block stands against it.", { conflicts });
  }

  #answer(op: OperationAnswer["op"], pinhole: Pinhole, isNew: boolean): OperationAnswer {
    const outside = pinhole.leases.find((lease) => lease.side === "outside");
    const inside = pinhole.leases.find((lease) => lease.side === "inside");
    return {
      op,
      id: pinhole.id,
      pid: pinhole.number,
      gid: pinhole.groupNumber,
      group: pinhole.group,
      state: pinhole.state,
      revision: pinhole.revision,
      granted: pinhole.state === "ended" ? 0 : pinhole.granted,
      isNew,
      ...(outside === undefined ? {} : { outside }),
      ...(inside === undefined ? {} : { inside }),
    };
  }
}

/** True when an agent may change what an owner has. */
export function mayChange(agent: Agent, owner: string): boolean {
  return agent.name === owner || agent.profile.isAdministrator;
}

/** True when an agent may see what an owner has. */
export function maySee(agent: Agent, owner: string): boolean {
  return mayChange(agent, owner) || agent.profile.readsAll;
}

function checkRevision(pinhole: Pinhole, revision: number | undefined): void {
  if (revision === undefined || revision === pinhole.revision) return;
  const message = `${pinhole.id} is at revision ${pinhole.revision}, not ${revision}. Look at it again.`;
  throw new PinholeRefusal("REVISION_MISMATCH", message, { conflicts: [pinhole.id] });
}

/** What is enabled must fit what was reserved (RFC 4540 section 8.4.1). */
function checkMatch(reserved: PinholeRequest, request: PinholeRequest): void {
  if (reserved.protocol !== ANY_PROTOCOL && reserved.protocol !== request.protocol) {
    const message = `Protocol ${reserved.protocol} was reserved, not ${request.protocol}.`;
    throw new PinholeRefusal("PROTOCOL_MISMATCH", message, { field: "protocol" });
  }
  const count = reserved.spec.portCount ?? 1;
  const { internal } = request;
  if (count === 0 || internal.isAnyPort || portCount(internal.ports) === count) return;
  const message = `${count} ports were reserved, not ${portCount(internal.ports)}.`;
  throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "internal.ports" });
}
