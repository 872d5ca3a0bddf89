/**
 * Refusals in HTTP: problem details (RFC 9457).
 *
 * `type` is a name that stays the same across releases, `code` its last part, and `simco` the number that the
 * SIMCO door would have answered.
 */
import type { FastifyError } from "fastify";
import { FirewallError } from "../../../base/index.ts";
import type { PinholeProblem } from "../../../client/index.ts";
import { PinholeRefusal, REFUSALS, type RefusalCode } from "../../../pinhole/index.ts";

/** What every problem's type begins with. */
export const PROBLEM_TYPE = "urn:postern:pinholes:";

/** Problems of the door itself, that the model does not know. */
const DOOR_PROBLEMS = {
  /** No JSON, a wrong query, a header that cannot be read (0x0312). */
  BAD_REQUEST: { status: 400, simco: 0x0312 },
  /** Nobody named this user or certificate (0x0324). */
  NOT_AUTHORIZED: { status: 403, simco: 0x0324 },
  NOT_FOUND: { status: 404, simco: 0x0311 },
  METHOD_NOT_ALLOWED: { status: 405, simco: 0x0311 },
  BODY_TOO_LARGE: { status: 413, simco: 0x0312 },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, simco: 0x0312 },
  /** More requests than the profile allows in a second. */
  TOO_MANY_REQUESTS: { status: 429, simco: 0x0342 },
  /** The door is receiving as much as it may. */
  DOOR_BUSY: { status: 503, simco: 0x0321 },
  INTERNAL: { status: 500, simco: 0x034a },
} as const;

/** A problem of the door itself. */
export type DoorProblemCode = keyof typeof DOOR_PROBLEMS;

/** Every code with its status and number, for those who write clients. */
export const PROBLEM_CODES: Readonly<Record<string, { readonly status: number; readonly simco: number }>> = {
  ...DOOR_PROBLEMS,
  ...Object.fromEntries(
    (Object.keys(REFUSALS) as RefusalCode[]).map((code) => {
      const { http, simco } = REFUSALS[code];
      return [code, { status: http, simco }];
    }),
  ),
};

/** What can stand against any change. */
export const CHANGE_PROBLEMS = [
  "SPEC_MALFORMED",
  "SPEC_INCONSISTENT",
  "TRANSACTION_FORBIDDEN",
  "ADDRESS_FORBIDDEN",
  "POLICY_FORBIDS",
  "ADDRESS_ILLEGAL",
  "PORT_ILLEGAL",
  "PORT_COUNT_ILLEGAL",
  "PROTOCOL_MISMATCH",
  "IP_VERSION_MISMATCH",
  "WILDCARD_FORBIDDEN",
  "NAT_MODE_UNSUPPORTED",
  "PARITY_MISMATCH",
  "LIMIT_UNSUPPORTED",
  "LIFETIME_ZERO",
  "CONFLICT",
  "NO_SUCH_PINHOLE",
  "QUOTA_EXCEEDED",
  "CAPACITY_EXCEEDED",
  "NO_ADDRESSES",
  "NO_PORTS",
  "BACKEND_REFUSED",
  "BACKEND_UNAVAILABLE",
  "JOURNAL_UNAVAILABLE",
] as const;

/** What can stand against another lease, or an end, of a pinhole or a group. */
export const LEASE_PROBLEMS = [
  "SPEC_MALFORMED",
  "PINHOLE_FORBIDDEN",
  "TRANSACTION_FORBIDDEN",
  "BACKEND_REFUSED",
  "BACKEND_UNAVAILABLE",
  "JOURNAL_UNAVAILABLE",
] as const;

/** Seconds after which somebody who was refused for want of room should come back. */
const RETRY_SECONDS = 1;

/** A request that the door itself refuses. */
export class DoorError extends FirewallError {
  declare readonly code: DoorProblemCode;
  /** Seconds after which it may work. */
  readonly retryAfter: number | undefined;

  /**
   * @param code - the reason
   * @param message - what is wrong and what to do
   * @param retryAfter - seconds after which it may work
   */
  constructor(code: DoorProblemCode, message: string, retryAfter?: number) {
    super(code, message);
    this.name = "DoorError";
    this.retryAfter = retryAfter;
  }
}

/** `QUOTA_EXCEEDED` as words: "Quota exceeded". */
function titleOf(code: string): string {
  const words = code.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function problem(code: string, detail: string, extra: Partial<PinholeProblem> = {}): PinholeProblem {
  const { status, simco } = PROBLEM_CODES[code] ?? DOOR_PROBLEMS.INTERNAL;
  return { type: PROBLEM_TYPE + code, title: titleOf(code), status, detail, code, simco, ...extra };
}

function ofRefusal({ code, message, context }: PinholeRefusal): PinholeProblem {
  const { operation, field, conflicts } = context;
  const { http } = REFUSALS[code];
  return problem(code, message, {
    ...(operation === undefined ? {} : { operation }),
    ...(field === undefined ? {} : { field }),
    ...(conflicts === undefined ? {} : { conflicts }),
    ...(http === 429 || http === 503 ? { retryAfter: RETRY_SECONDS } : {}),
  });
}

/** Codes of failures that fastify finds itself. */
const FASTIFY_CODES: Readonly<Record<string, DoorProblemCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
  FST_ERR_NOT_FOUND: "NOT_FOUND",
};

type ValidationFault = NonNullable<FastifyError["validation"]>[number];

/** Where a fault lies: names of fields and numbers of entries, from the outside in. */
function pathOf({ instancePath, params }: ValidationFault): string[] {
  const missing = params["missingProperty"] ?? params["additionalProperty"];
  return [...instancePath.split("/").slice(1), ...(typeof missing === "string" ? [missing] : [])];
}

/** What the validator complains about first, in the model's own words for fields. */
function ofInvalid(validation: readonly ValidationFault[], isBody: boolean): PinholeProblem {
  const [first] = validation;
  const path = first === undefined ? [] : pathOf(first);
  const [list, number] = path;
  const isListed = list === "operations" && number !== undefined;
  const inner = isListed ? path.slice(2) : path;
  const field = (inner[0] === "spec" ? inner.slice(1) : inner).join(".");
  const message = `${field === "" ? "The request" : field} ${first?.message ?? "is wrong"}.`;
  return problem(isBody ? "SPEC_MALFORMED" : "BAD_REQUEST", message, {
    ...(isListed ? { operation: Number(number) } : {}),
    ...(field === "" ? {} : { field }),
  });
}

/**
 * Turns whatever was thrown into a problem.
 *
 * @param error - a refusal, a failure of the door or the framework, or a bug
 */
export function problemOf(error: Error | FastifyError): PinholeProblem {
  if (error instanceof PinholeRefusal) return ofRefusal(error);
  if (error instanceof DoorError) {
    const { code, message, retryAfter } = error;
    return problem(code, message, retryAfter === undefined ? {} : { retryAfter });
  }
  if ("validation" in error && error.validation !== undefined) {
    return ofInvalid(error.validation, error.validationContext === "body");
  }
  const status = "statusCode" in error ? (error.statusCode ?? 500) : 500;
  const known = "code" in error ? FASTIFY_CODES[error.code] : undefined;
  if (known === "UNSUPPORTED_MEDIA_TYPE")
    return problem(known, "Send JSON, with Content-Type: application/json.");
  if (known !== undefined) return problem(known, error.message);
  if (status < 500) return problem("BAD_REQUEST", error.message);
  return problem("INTERNAL", "The daemon failed in an unexpected way. Its log tells more.");
}
