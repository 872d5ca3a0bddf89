/**
 * Every reason to refuse a request about pinholes, with its number in SIMCO, its status in HTTP and its
 * result in PCP.
 *
 * All three doors answer from this table, so that one refusal is one thing, whichever way the request came.
 */
import { type ErrorDetails, FirewallError } from "../base/index.ts";

/** How a refusal is told on each door. */
export interface RefusalFacts {
  /** Reply code (RFC 4540 section 4.2.2). */
  readonly simco: number;
  /** Status (RFC 9110). */
  readonly http: number;
  /** Result code (RFC 6887 section 7.4). */
  readonly pcp: number;
}

/** The table. */
export const REFUSALS = {
  /** The specification is not one: a field is missing, of the wrong type or out of range. */
  SPEC_MALFORMED: { simco: 0x034b, http: 400, pcp: 3 },
  /** The parts of the specification contradict each other. */
  SPEC_INCONSISTENT: { simco: 0x034b, http: 422, pcp: 3 },
  ADDRESS_ILLEGAL: { simco: 0x0353, http: 422, pcp: 3 },
  PORT_ILLEGAL: { simco: 0x0355, http: 422, pcp: 3 },
  PORT_COUNT_ILLEGAL: { simco: 0x0356, http: 422, pcp: 3 },
  PROTOCOL_UNSUPPORTED: { simco: 0x0354, http: 422, pcp: 9 },
  /** Both sides must be of one IP version, and of one that we serve. */
  IP_VERSION_MISMATCH: { simco: 0x034f, http: 422, pcp: 2 },
  /** The protocol is not the one that was reserved. */
  PROTOCOL_MISMATCH: { simco: 0x034d, http: 422, pcp: 2 },
  /** The ports that were reserved do not have the parity that is asked for. */
  PARITY_MISMATCH: { simco: 0x0358, http: 422, pcp: 2 },
  NAT_MODE_UNSUPPORTED: { simco: 0x034e, http: 422, pcp: 2 },
  /** The packet filter does not enforce such a limit. */
  LIMIT_UNSUPPORTED: { simco: 0x034a, http: 422, pcp: 2 },
  /** Nothing can live for zero seconds. */
  LIFETIME_ZERO: { simco: 0x034a, http: 422, pcp: 3 },
  /** This agent may not do this at all. */
  TRANSACTION_FORBIDDEN: { simco: 0x0341, http: 403, pcp: 2 },
  /** The pinhole is somebody else's. */
  PINHOLE_FORBIDDEN: { simco: 0x0345, http: 403, pcp: 2 },
  /** The agent may see the pinhole and not change it. */
  LIFETIME_FORBIDDEN: { simco: 0x0351, http: 403, pcp: 2 },
  /** The agent may end a lease sooner, and not later. */
  NOT_EXTENDABLE: { simco: 0x0352, http: 409, pcp: 2 },
  GROUP_FORBIDDEN: { simco: 0x0346, http: 403, pcp: 2 },
  /** The address is outside what the agent may open. */
  ADDRESS_FORBIDDEN: { simco: 0x0347, http: 403, pcp: 2 },
  /** The agent may not leave this open: address, port or protocol. */
  WILDCARD_FORBIDDEN: { simco: 0x034c, http: 422, pcp: 2 },
  /** The agent's profile does not allow it for another reason: direction, port, protocol, every address. */
  POLICY_FORBIDS: { simco: 0x034a, http: 403, pcp: 2 },
  NO_SUCH_PINHOLE: { simco: 0x0343, http: 404, pcp: 2 },
  NO_SUCH_GROUP: { simco: 0x0344, http: 404, pcp: 2 },
  /** What shall be enabled is not a reservation. */
  NOT_RESERVED: { simco: 0x034b, http: 409, pcp: 2 },
  /** A block stands against it, or an address translation that is there already. */
  CONFLICT: { simco: 0x0350, http: 409, pcp: 2 },
  /** The caller's own id stands for another pinhole. */
  ID_TAKEN: { simco: 0x0350, http: 409, pcp: 2 },
  /** The pinhole has changed since the caller looked at it. */
  REVISION_MISMATCH: { simco: 0x0350, http: 412, pcp: 2 },
  /** The rule set has changed since the caller looked at it. */
  GENERATION_MISMATCH: { simco: 0x0350, http: 412, pcp: 2 },
  /** The idempotency key came with other operations before. */
  KEY_REUSED: { simco: 0x034b, http: 422, pcp: 3 },
  NO_SUCH_TRANSACTION: { simco: 0x0343, http: 404, pcp: 2 },
  /** The agent has as many as it may have. */
  QUOTA_EXCEEDED: { simco: 0x0342, http: 429, pcp: 10 },
  /** There is no more room for anybody. */
  CAPACITY_EXCEEDED: { simco: 0x0342, http: 503, pcp: 8 },
  NO_ADDRESSES: { simco: 0x0348, http: 503, pcp: 8 },
  NO_PORTS: { simco: 0x0349, http: 503, pcp: 8 },
  /** The journal cannot be written, so nothing can be promised. */
  JOURNAL_UNAVAILABLE: { simco: 0x0342, http: 503, pcp: 8 },
  /** The packet filter did not take it. */
  BACKEND_REFUSED: { simco: 0x034a, http: 503, pcp: 8 },
  BACKEND_UNAVAILABLE: { simco: 0x034a, http: 503, pcp: 8 },
} as const satisfies Record<string, RefusalFacts>;

/** A reason to refuse. */
export type RefusalCode = keyof typeof REFUSALS;

/** What goes with a refusal. */
export interface RefusalContext {
  /** Index of the operation in its transaction, from 0. */
  readonly operation?: number;
  /** Ids of the pinholes that stand against it, as far as the caller may see them. */
  readonly conflicts?: readonly string[];
  /** Path of the field that is wrong, such as `external.ports`. */
  readonly field?: string;
  readonly cause?: unknown;
}

function detailsOf(context: RefusalContext): ErrorDetails {
  const { operation, conflicts, field } = context;
  return {
    ...(operation === undefined ? {} : { operation }),
    ...(conflicts === undefined ? {} : { conflicts }),
    ...(field === undefined ? {} : { field }),
  };
}

/** A request about pinholes is refused; nothing of it took effect. */
export class PinholeRefusal extends FirewallError {
  declare readonly code: RefusalCode;
  readonly context: RefusalContext;

  /**
   * @param code - the reason
   * @param message - what is wrong and what to do, one or two sentences
   * @param context - what it is about
   */
  constructor(code: RefusalCode, message: string, context: RefusalContext = {}) {
    super(code, message, { details: detailsOf(context), cause: context.cause });
    this.name = "PinholeRefusal";
    this.context = context;
  }

  /** How the doors tell it. */
  get facts(): RefusalFacts {
    return REFUSALS[this.code];
  }

  /** The same refusal, of an operation within a transaction. */
  at(operation: number): PinholeRefusal {
    return new PinholeRefusal(this.code, this.message, { ...this.context, operation });
  }
}
