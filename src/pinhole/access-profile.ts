/**
 * Who may open what.
 *
 * A profile belongs to an identity that a door has made sure of: peer credentials of a Unix socket, or a
 * client certificate. Everything a request asks for is held against it before anything else is looked at.
 */
import { familyBits, Prefix } from "../base/index.ts";
import { ANY_PROTOCOL } from "./element.ts";
import type { Endpoint, PortRange } from "./endpoint.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { PinholeDirection, PinholeRequest } from "./specification.ts";

/** What an agent may do at all. */
export const RIGHTS = ["permit", "reserve", "block", "renew", "monitor"] as const;
/** Something that an agent may do. */
export type Right = (typeof RIGHTS)[number];

/** What may be left open. */
export interface WildcardRights {
  /** Networks in place of hosts on our side. */
  readonly internal: boolean;
  /** Networks in place of hosts on the other side. */
  readonly external: boolean;
  readonly ports: boolean;
  readonly protocol: boolean;
  /** Every address on both sides at once (RFC 5189 section 6 advises against it). */
  readonly anyToAny: boolean;
}

/** What an agent may do. */
export interface AccessProfile {
  readonly rights: readonly Right[];
  /** Sees and changes everybody's pinholes. */
  readonly isAdministrator: boolean;
  /** Sees everybody's pinholes. */
  readonly readsAll: boolean;
  /** Networks in which our side must lie; empty for all. */
  readonly internal: readonly Prefix[];
  /** Networks in which the other side must lie; empty for all. */
  readonly external: readonly Prefix[];
  /** Ranges in which our ports must lie; empty for all. */
  readonly ports: readonly PortRange[];
  /** Protocol numbers; empty for all. */
  readonly protocols: readonly number[];
  readonly directions: readonly PinholeDirection[];
  readonly wildcards: WildcardRights;
  /** Longest lease, in seconds; a longer wish is granted this much. */
  readonly lifetimeMax: number;
  /** May ask for more time than a lease has left. */
  readonly mayExtend: boolean;
  /** May ask for a lease without end: for pinholes of the local configuration. */
  readonly mayLastForever: boolean;
  /** Pinholes at a time. */
  readonly pinholesMax: number;
  /** Limits of pinholes that ask for none. */
  readonly limit?: PinholeLimits;
  /** Requests per second that a door takes. */
  readonly requestsPerSecond: number;
  /** Requests that may come at once beyond that. */
  readonly requestBurst: number;
}

const DAY_SECONDS = 86_400;

/**
 * Requests per second of an agent whose profile says nothing else: a thousand calls a second are two thousand
 * requests, one to set up and one to tear down, and a quarter is for renewals. At 0.1 to 0.2 ms of processor
 * time a request (bench/simco.mjs) an agent at its limit takes up to half of one processor, and leaves the
 * rest to others.
 */
const REQUESTS_PER_SECOND = 2500;

/** A profile that may do what a call server or an intrusion detector does, and nothing wide open. */
export const DEFAULT_PROFILE: AccessProfile = {
  rights: RIGHTS,
  isAdministrator: false,
  readsAll: false,
  internal: [],
  external: [],
  ports: [],
  protocols: [],
  directions: ["in", "out", "both"],
  wildcards: { internal: true, external: true, ports: true, protocol: true, anyToAny: false },
  lifetimeMax: DAY_SECONDS,
  mayExtend: true,
  mayLastForever: false,
  pinholesMax: 100_000,
  requestsPerSecond: REQUESTS_PER_SECOND,
  requestBurst: REQUESTS_PER_SECOND,
};

/** A profile that may do everything. */
export const ADMINISTRATOR_PROFILE: AccessProfile = {
  ...DEFAULT_PROFILE,
  isAdministrator: true,
  readsAll: true,
  wildcards: { ...DEFAULT_PROFILE.wildcards, anyToAny: true },
  mayLastForever: true,
  pinholesMax: Number.MAX_SAFE_INTEGER,
  requestsPerSecond: Number.MAX_SAFE_INTEGER,
};

/** An authenticated identity with what it may do. */
export interface Agent {
  /** Becomes the owner of what it opens. */
  readonly name: string;
  readonly profile: AccessProfile;
}

function forbidden(what: string, field: string): PinholeRefusal {
  return new PinholeRefusal("POLICY_FORBIDS", `Your profile does not allow ${what}.`, { field });
}

/**
 * Refuses what an agent may not do at all. The first check of every request (RFC 4540 section 8).
 *
 * @throws {PinholeRefusal} `TRANSACTION_FORBIDDEN`
 */
export function checkRight(agent: Agent, right: Right): void {
  if (agent.profile.rights.includes(right)) return;
  throw new PinholeRefusal("TRANSACTION_FORBIDDEN", `Your profile does not allow to ${right}.`);
}

function lies(inner: Prefix, networks: readonly Prefix[]): boolean {
  if (networks.length === 0) return true;
  return networks.some((outer) => outer.length <= inner.length && outer.contains(inner.family, inner.words));
}

function checkAddresses({ internal, external, kind }: PinholeRequest, profile: AccessProfile): void {
  if (kind === "reserve") return;
  const sides = [
    { field: "internal.address", prefix: internal.prefix, networks: profile.internal },
    { field: "external.address", prefix: external.prefix, networks: profile.external },
  ];
  for (const { field, prefix, networks } of sides) {
    if (lies(prefix, networks)) continue;
    const message = `${prefix.toString()} is not within the networks of your profile.`;
    throw new PinholeRefusal("ADDRESS_FORBIDDEN", message, { field });
  }
}

function isNetwork(endpoint: Endpoint): boolean {
  return endpoint.prefix.length < familyBits(endpoint.family);
}

/** The first wildcard that a profile does not allow. */
function wildcardTooMany(request: PinholeRequest, rights: WildcardRights): string | undefined {
  const { internal, external, protocol } = request;
  if (isNetwork(internal) && !rights.internal) return "internal.prefix";
  if (isNetwork(external) && !rights.external) return "external.prefix";
  if (protocol === ANY_PROTOCOL && !rights.protocol) return "protocol";
  if (!request.hasPorts || rights.ports) return undefined;
  if (internal.isAnyPort) return "internal.ports";
  return external.isAnyPort ? "external.ports" : undefined;
}

function checkWildcards(request: PinholeRequest, profile: AccessProfile): void {
  if (request.kind === "reserve") return;
  const field = wildcardTooMany(request, profile.wildcards);
  if (field !== undefined) {
    throw new PinholeRefusal("WILDCARD_FORBIDDEN", `${field} must be a single value here.`, { field });
  }
  if (request.internal.isAnyAddress && request.external.isAnyAddress && !profile.wildcards.anyToAny) {
    throw forbidden("every address on both sides", "internal.address");
  }
}

/**
 * Holds a request against the profile of its agent.
 *
 * @throws {PinholeRefusal} `TRANSACTION_FORBIDDEN`, `ADDRESS_FORBIDDEN`, `WILDCARD_FORBIDDEN`,
 *   `POLICY_FORBIDS`
 */
export function checkRequest(request: PinholeRequest, agent: Agent): void {
  const { profile } = agent;
  checkRight(agent, request.kind);
  if (profile.protocols.length > 0 && !profile.protocols.includes(request.protocol)) {
    throw forbidden(`protocol ${request.protocol}`, "protocol");
  }
  if (!profile.directions.includes(request.direction)) {
    throw forbidden(`direction "${request.direction}"`, "direction");
  }
  checkAddresses(request, profile);
  checkWildcards(request, profile);
  const { low, high } = request.internal.ports;
  const isWithin = profile.ports.some((range) => range.low <= low && high <= range.high);
  if (request.hasPorts && profile.ports.length > 0 && !isWithin && request.kind !== "reserve") {
    throw forbidden(`the ports ${low}-${high}`, "internal.ports");
  }
  if (request.spec.lifetime === null && !profile.mayLastForever) {
    throw forbidden("a lease without end", "lifetime");
  }
}

/**
 * The lease that a wish is granted.
 *
 * @param seconds - the wish; null for ever
 * @param profile - of the agent
 * @returns seconds; null for ever
 */
export function grantedSeconds(seconds: number | null, profile: AccessProfile): number | null {
  if (seconds === null) return profile.mayLastForever ? null : profile.lifetimeMax;
  return Math.min(seconds, profile.lifetimeMax);
}

/**
 * A profile as it stands in a configuration file. Absent fields have the values of {@link DEFAULT_PROFILE}.
 */
export interface ProfileSpec {
  readonly rights?: readonly Right[];
  readonly administrator?: boolean;
  readonly readsAll?: boolean;
  readonly internal?: readonly string[];
  readonly external?: readonly string[];
  readonly ports?: readonly (readonly [number, number])[];
  readonly protocols?: readonly number[];
  readonly directions?: readonly PinholeDirection[];
  readonly wildcards?: Partial<WildcardRights>;
  readonly lifetimeMax?: number;
  readonly mayExtend?: boolean;
  readonly mayLastForever?: boolean;
  readonly pinholesMax?: number;
  readonly limit?: PinholeLimits;
  readonly requestsPerSecond?: number;
  readonly requestBurst?: number;
}

function parsePrefixes(texts: readonly string[] | undefined, field: string): Prefix[] {
  return (texts ?? []).map((text) => {
    const prefix = Prefix.parse(text);
    if (prefix !== undefined) return prefix;
    throw new PinholeRefusal("ADDRESS_ILLEGAL", `"${text}" in ${field} is no network.`, { field });
  });
}

/**
 * Reads a profile.
 *
 * @throws {PinholeRefusal} `ADDRESS_ILLEGAL` for a network that is none
 */
export function parseProfile(spec: ProfileSpec): AccessProfile {
  const base = spec.administrator === true ? ADMINISTRATOR_PROFILE : DEFAULT_PROFILE;
  const { administrator, internal, external, ports, wildcards, ...rest } = spec;
  return {
    ...base,
    ...rest,
    requestBurst: spec.requestBurst ?? spec.requestsPerSecond ?? base.requestBurst,
    isAdministrator: administrator ?? base.isAdministrator,
    internal: parsePrefixes(internal, "internal"),
    external: parsePrefixes(external, "external"),
    ports: (ports ?? []).map(([low, high]) => ({ low, high })),
    wildcards: { ...base.wildcards, ...wildcards },
  };
}
