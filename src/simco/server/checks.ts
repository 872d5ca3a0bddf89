/**
 * What is looked at in a request about policy rules before it is tried, in the order of RFC 4540 section 8.
 *
 * The order is part of the protocol: of several things that are wrong, the first is told. Each check is a row
 * of a list, and a list is what a request goes through.
 */
import { familyBits } from "../../base/index.ts";
import { hasPorts, PinholeRefusal, PinholeRequest, PORT_MAX } from "../../pinhole/index.ts";
import { type AddressTuple, LOCATION } from "../address-tuple.ts";
import type { EnableParameters, ReserveParameters } from "../parameter-set.ts";
import { ALL_PORTS_COUNT, type Capabilities, DIRECTION, IP_VERSION, PARITY } from "../parameter-set.ts";
import type { ReplyName } from "../reply-code.ts";
import { type EndsRequest, endpointOf } from "./translation.ts";

/** What checks look at besides the request. */
export interface CheckFacts {
  readonly capabilities: Capabilities;
  /** Transport protocols that are handled; empty for all. */
  readonly protocols: readonly number[];
}

/** A check: the refusal, or undefined when all is well. */
type Check<Subject> = (subject: Subject, facts: CheckFacts) => ReplyName | undefined;

/** The first refusal of a list of checks. */
function first<Subject>(
  checks: readonly Check<Subject>[],
  subject: Subject,
  facts: CheckFacts,
): ReplyName | undefined {
  for (const check of checks) {
    const refusal = check(subject, facts);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function endsOf({ internal, external }: EndsRequest): readonly AddressTuple[] {
  return [internal, external];
}

function isAnyPort({ address, port, protocol }: AddressTuple): boolean {
  return protocol === 0 || address === undefined || port === 0;
}

function isAnyAddress({ address, prefix, family }: AddressTuple): boolean {
  return address === undefined || prefix < familyBits(family);
}

/** True when the port is a wildcard that needs the capability for it. */
function isPortWildcard(tuple: AddressTuple): boolean {
  return hasPorts(tuple.protocol) && isAnyPort(tuple);
}

function sameRanges({ internal, external }: EndsRequest): boolean {
  const ends = [internal, external];
  // "Irrelevant" beside a wildcard, and 0xFFFF is exempt (DEC-22, DEC-23).
  if (ends.some((end) => isAnyPort(end) || end.count === ALL_PORTS_COUNT)) return true;
  return internal.count === external.count;
}

/** True when a host can have this address, or a network this prefix. */
function isLegal(tuple: AddressTuple): boolean {
  if (tuple.address === undefined) return true;
  const spec = { ...endpointOf(tuple), ports: null };
  const other = { family: tuple.family };
  try {
    PinholeRequest.check({ kind: "block", internal: spec, external: other, protocol: 0, lifetime: 1 });
    return true;
  } catch (error) {
    if (error instanceof PinholeRefusal) return false;
    throw error;
  }
}

function isCountLegal(tuple: AddressTuple): boolean {
  if (isAnyPort(tuple)) return true;
  return tuple.count > 0 && tuple.port + tuple.count - 1 <= PORT_MAX;
}

function handles(protocol: number, { protocols }: CheckFacts): boolean {
  return protocol === 0 || protocols.length === 0 || protocols.includes(protocol);
}

function serves({ internal, external }: EndsRequest, { capabilities }: CheckFacts): boolean {
  const { internalFamilies, externalFamilies, translatesProtocols } = capabilities;
  const areSame = internal.family === external.family || translatesProtocols;
  return areSame && internalFamilies.includes(internal.family) && externalFamilies.includes(external.family);
}

function enableOf(request: EndsRequest): EnableParameters | undefined {
  return request.name === "PDR" ? undefined : request.enable;
}

const DIRECTIONS: readonly number[] = Object.values(DIRECTION);
const PARITIES: readonly number[] = Object.values(PARITY);

function isCoded(request: EndsRequest): boolean {
  const enable = enableOf(request);
  return enable === undefined || (DIRECTIONS.includes(enable.direction) && PARITIES.includes(enable.parity));
}

/** What is checked in the tuples themselves (RFC 4540 section 8.3.1, DEC-27). */
const TUPLE_CHECKS: readonly Check<EndsRequest>[] = [
  ({ internal, external }) =>
    internal.location === LOCATION.INTERNAL && external.location === LOCATION.EXTERNAL
      ? undefined
      : "INCONSISTENT",
  ({ internal, external }) => (internal.protocol === external.protocol ? undefined : "INCONSISTENT"),
  (request) => (sameRanges(request) ? undefined : "INCONSISTENT"),
  (request) => (endsOf(request).every(isLegal) ? undefined : "ILLEGAL_ADDRESS"),
  ({ internal }, facts) => (handles(internal.protocol, facts) ? undefined : "PROTOCOL_UNSUPPORTED"),
  (request) =>
    endsOf(request).every((end) => isAnyPort(end) || hasPorts(end.protocol)) ? undefined : "ILLEGAL_PORT",
  (request) => (endsOf(request).every(isCountLegal) ? undefined : "ILLEGAL_PORT_COUNT"),
  (request, facts) => (serves(request, facts) ? undefined : "IP_VERSION_MISMATCH"),
  (request) => (isCoded(request) ? undefined : "INCONSISTENT"),
];

/** What may be left open. */
const WILDCARD_CHECKS: readonly Check<EndsRequest>[] = [
  // What is translated is a host; what is stopped may be a network.
  ({ internal, name }, { capabilities: { internalWildcards, translates } }) =>
    isAnyAddress(internal) && (!internalWildcards || (translates && name !== "PDR"))
      ? "WILDCARD_UNSUPPORTED"
      : undefined,
  ({ external }, { capabilities }) =>
    isAnyAddress(external) && !capabilities.externalWildcards ? "WILDCARD_UNSUPPORTED" : undefined,
  (request, { capabilities }) =>
    endsOf(request).some(isPortWildcard) && !capabilities.portWildcards ? "WILDCARD_UNSUPPORTED" : undefined,
];

/** Location, protocol, ports, addresses and codes of a request. */
export function checkTuples(request: EndsRequest, facts: CheckFacts): ReplyName | undefined {
  return first(TUPLE_CHECKS, request, facts);
}

/** Wildcards that are not announced. */
export function checkWildcards(request: EndsRequest, facts: CheckFacts): ReplyName | undefined {
  return first(WILDCARD_CHECKS, request, facts);
}

/** In both directions, only the transport protocol may be left open. */
export function checkBothWays(request: EndsRequest): ReplyName | undefined {
  if (enableOf(request)?.direction !== DIRECTION.BOTH) return undefined;
  return endsOf(request).some((end) => isAnyAddress(end) || isPortWildcard(end)) ? "INCONSISTENT" : undefined;
}

const UNKNOWN_CODE = 3;

function isServed(version: number, families: readonly (4 | 6)[]): boolean {
  if (version === IP_VERSION.ANY) return true;
  return families.includes(version === IP_VERSION.V4 ? 4 : 6);
}

function servesReservation(wanted: ReserveParameters, { capabilities }: CheckFacts): boolean {
  const { insideVersion, outsideVersion } = wanted;
  const isAny = insideVersion === IP_VERSION.ANY || outsideVersion === IP_VERSION.ANY;
  const areSame = isAny || insideVersion === outsideVersion || capabilities.translatesProtocols;
  return (
    areSame &&
    isServed(insideVersion, capabilities.internalFamilies) &&
    isServed(outsideVersion, capabilities.externalFamilies)
  );
}

/** What is checked in the parameters of a reservation (RFC 4540 section 8.2.1, DEC-37). */
const RESERVE_CHECKS: readonly Check<ReserveParameters>[] = [
  ({ parity, insideVersion, outsideVersion }) =>
    [parity, insideVersion, outsideVersion].includes(UNKNOWN_CODE) ? "INCONSISTENT" : undefined,
  (wanted, facts) => (servesReservation(wanted, facts) ? undefined : "IP_VERSION_MISMATCH"),
  ({ protocol }, facts) => (handles(protocol, facts) ? undefined : "PROTOCOL_UNSUPPORTED"),
  ({ protocol, count }) => (protocol !== 0 && count === 0 ? "ILLEGAL_PORT_COUNT" : undefined),
];

/** The parameters of a reservation. */
export function checkReservation(wanted: ReserveParameters, facts: CheckFacts): ReplyName | undefined {
  return first(RESERVE_CHECKS, wanted, facts);
}
