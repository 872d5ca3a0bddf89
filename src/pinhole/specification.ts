/** What somebody asks for, checked into something that can be carried out. */
import { type Family, familyBits, parseAddress, Prefix, PROTOCOL } from "../base/index.ts";
import { ANY_PROTOCOL } from "./element.ts";
import { ALL_PORTS, allAddresses, Endpoint, PORT_MAX, portCount, type PortRange } from "./endpoint.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import { PinholeRefusal } from "./refusal.ts";

/** What a pinhole does: lets packets through, keeps a place for one that will, or stops packets. */
export const KINDS = ["permit", "reserve", "block"] as const;
/** What a pinhole does, by its word. */
export type PinholeKind = (typeof KINDS)[number];

/** Which way packets may go; for TCP, who may set a connection up. */
export const DIRECTIONS = ["in", "out", "both"] as const;
/** A direction, by its word. */
export type PinholeDirection = (typeof DIRECTIONS)[number];

/** How two ranges of ports go together: first with first, second with second; or each with each. */
export const PORT_MODES = ["pairwise", "product"] as const;
/** A way to pair ports, by its word. */
export type PortMode = (typeof PORT_MODES)[number];

/** What a port of ours must have in common with another, or with a number. */
export const PARITIES = ["any", "same", "odd", "even"] as const;
/** A wish about ports, by its word. */
export type Parity = (typeof PARITIES)[number];

/** One side, in words. */
export interface EndpointSpec {
  readonly family: Family;
  /** Absent: every address of the family. */
  readonly address?: string;
  /** Bits of the address that count; absent: all of them. Other bits are ignored. */
  readonly prefix?: number;
  /** First and last port, 1 to 65535; null or absent: every port. */
  readonly ports?: readonly [number, number] | null;
}

/**
 * Ways to translate. `traditional`: inside hosts get an outside address. `twice`: outside hosts an inside one
 * too.
 */
export const NAT_MODES = ["traditional", "twice"] as const;
/** A way to translate, by its word. */
export type NatMode = (typeof NAT_MODES)[number];

/** Translation of addresses, in words. */
export interface NatSpec {
  readonly mode: NatMode;
  /** Which outside address and first port is wanted. */
  readonly outside?: { readonly address: string; readonly port?: number };
  /** Which inside address and first port is wanted, for `twice`. */
  readonly inside?: { readonly address: string; readonly port?: number };
  /** True: exactly these, or a refusal. */
  readonly exact?: boolean;
}

/** A pinhole in words: what clients send and what they read back. */
export interface PinholeSpec {
  readonly kind: PinholeKind;
  /** Our side; a reservation may leave it out. */
  readonly internal?: EndpointSpec;
  /** The other side; a reservation may leave it out. */
  readonly external?: EndpointSpec;
  /** IANA number; 0 for every protocol, and then ports do not count. */
  readonly protocol: number;
  /** Absent: both. A block has none: it stops both. */
  readonly direction?: PinholeDirection;
  /** Absent: product. */
  readonly portMode?: PortMode;
  /** Seconds; null for ever, which only profiles that say so may ask for. */
  readonly lifetime: number | null;
  /** Id of a group, or a name of one's own for it; absent: a group of its own. */
  readonly group?: string;
  readonly parity?: Parity;
  /** Of a reservation: how many consecutive ports; 0 for an address only. Absent: 1. */
  readonly portCount?: number;
  readonly limit?: PinholeLimits;
  readonly labels?: Readonly<Record<string, string>>;
  readonly nat?: NatSpec;
}

/** Ports of a pairwise range, at most; each is an element of its own. */
export const PAIRWISE_PORTS_MAX = 1024;

const LABELS_MAX = 16;
const LABEL_NAME_MAX = 64;
const LABEL_VALUE_MAX = 256;
const GROUP_NAME = /^[\x21-\x7e]{1,64}$/;
const PROTOCOL_MAX = 255;

/** Longest lifetime, in seconds: what SIMCO's 32 bits can say. */
const LIFETIME_MAX = 0xffffffff;

/** DCCP, beside those that {@link PROTOCOL} names. */
const DCCP = 33;

/** Protocols whose headers begin with two ports. */
const PORT_PROTOCOLS: ReadonlySet<number> = new Set([
  PROTOCOL.TCP,
  PROTOCOL.UDP,
  PROTOCOL.SCTP,
  PROTOCOL.UDPLITE,
  DCCP,
]);

/** True when the headers of a protocol begin with two ports. */
export function hasPorts(protocol: number): boolean {
  return PORT_PROTOCOLS.has(protocol);
}

/** A checked specification. Only {@link PinholeRequest.check} makes one. */
export class PinholeRequest {
  /** As it was asked for. */
  readonly spec: PinholeSpec;
  readonly kind: PinholeKind;
  readonly internal: Endpoint;
  readonly external: Endpoint;
  readonly protocol: number;
  readonly direction: PinholeDirection;
  readonly portMode: PortMode;

  private constructor(spec: PinholeSpec, internal: Endpoint, external: Endpoint) {
    this.spec = spec;
    this.kind = spec.kind;
    this.internal = internal;
    this.external = external;
    this.protocol = spec.protocol;
    this.direction = spec.kind === "block" ? "both" : (spec.direction ?? "both");
    this.portMode = spec.portMode ?? "product";
  }

  /**
   * Checks a specification.
   *
   * @throws {PinholeRefusal} `SPEC_MALFORMED`, `SPEC_INCONSISTENT`, `ADDRESS_ILLEGAL`, `PORT_ILLEGAL`,
   *   `PORT_COUNT_ILLEGAL`, `IP_VERSION_MISMATCH`, `LIFETIME_ZERO`
   */
  static check(spec: PinholeSpec): PinholeRequest {
    checkWords(spec);
    checkExtras(spec);
    const isReserve = spec.kind === "reserve";
    const internal = readEndpoint(spec.internal ?? (isReserve ? { family: 4 } : undefined), "internal", spec);
    const external = readEndpoint(
      spec.external ?? (isReserve ? { family: internal.family } : undefined),
      "external",
      spec,
    );
    if (internal.family !== external.family && !isReserve) {
      throw new PinholeRefusal("IP_VERSION_MISMATCH", "Both sides must be of one IP version.");
    }
    const request = new PinholeRequest(spec, internal, external);
    checkPairs(request);
    if (spec.nat !== undefined) checkNat(request, spec.nat);
    return request;
  }

  /** Names everything but the lifetime; equal for requests that ask for the same. */
  get identity(): string {
    return identityOf(this);
  }

  /** True when the protocol has ports. */
  get hasPorts(): boolean {
    return hasPorts(this.protocol);
  }

  /** True when both sides name ranges that go together first with first. */
  get isPairwise(): boolean {
    return this.portMode === "pairwise" && !this.internal.isAnyPort && !this.external.isAnyPort;
  }
}

function identityOf(request: PinholeRequest): string {
  const { kind, protocol, internal, external, direction, portMode } = request;
  const { group, parity, portCount = 1, limit, labels, nat } = request.spec;
  const plain = `${kind} ${protocol} ${internal.key} ${external.key} ${direction} ${portMode}`;
  const rare = [group, parity, limit, labels, nat];
  // Most ask for nothing of this; then there is no need to write it down.
  if (portCount === 1 && rare.every((one) => one === undefined)) return plain;
  return `${plain} ${JSON.stringify([portCount, ...rare])}`;
}

function malformed(field: string, words: string): PinholeRefusal {
  return new PinholeRefusal("SPEC_MALFORMED", `${field} ${words}.`, { field });
}

function checkWord(field: string, value: string | undefined, words: readonly string[]): void {
  if (value !== undefined && !words.includes(value)) {
    throw malformed(field, `must be one of ${words.join(", ")}`);
  }
}

function isWhole(value: unknown, low: number, high: number): value is number {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
}

function checkWords(spec: PinholeSpec): void {
  if (!KINDS.includes(spec.kind)) throw malformed("kind", `must be one of ${KINDS.join(", ")}`);
  checkWord("direction", spec.direction, DIRECTIONS);
  checkWord("portMode", spec.portMode, PORT_MODES);
  checkWord("parity", spec.parity, PARITIES);
  if (!isWhole(spec.protocol, 0, PROTOCOL_MAX)) throw malformed("protocol", "must be a number from 0 to 255");
  checkLifetime(spec.lifetime);
  if (spec.group !== undefined && !GROUP_NAME.test(spec.group)) {
    throw malformed("group", "must be 1 to 64 printable characters without spaces");
  }
}

/**
 * Checks a lifetime.
 *
 * @param seconds - whole seconds; null for ever
 * @throws {PinholeRefusal} `SPEC_MALFORMED`, `LIFETIME_ZERO`
 */
export function checkLifetime(seconds: number | null): void {
  if (seconds === null) return;
  if (!isWhole(seconds, 0, LIFETIME_MAX)) throw malformed("lifetime", "must be whole seconds, or null");
  // "the granted lifetime would be 0": RFC 4540 section 8.3.1, DEC-17.
  if (seconds === 0) {
    throw new PinholeRefusal("LIFETIME_ZERO", "A pinhole must live for a second or more.", {
      field: "lifetime",
    });
  }
}

function checkExtras(spec: PinholeSpec): void {
  if (spec.portCount !== undefined && !isWhole(spec.portCount, 0, PORT_MAX)) {
    const message = "A reservation has 0 to 65535 ports.";
    throw new PinholeRefusal("PORT_COUNT_ILLEGAL", message, { field: "portCount" });
  }
  if (spec.labels !== undefined) checkLabels(Object.entries(spec.labels));
  if (spec.limit !== undefined) checkLimit(spec.kind, spec.limit);
}

function checkLimit(kind: PinholeKind, limit: PinholeLimits): void {
  for (const [name, value] of Object.entries(limit)) {
    if (!isWhole(value, 1, Number.MAX_SAFE_INTEGER)) {
      throw malformed(`limit.${name}`, "must be a whole number above 0");
    }
  }
  if (kind === "permit") return;
  const message = "Only what permits packets can limit them.";
  throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "limit" });
}

function checkLabels(labels: readonly (readonly [string, unknown])[]): void {
  if (labels.length > LABELS_MAX) throw malformed("labels", `has more than ${LABELS_MAX} entries`);
  for (const [name, value] of labels) {
    const isShort =
      name.length <= LABEL_NAME_MAX && typeof value === "string" && value.length <= LABEL_VALUE_MAX;
    if (isShort) continue;
    throw malformed("labels", `takes names to ${LABEL_NAME_MAX} and texts to ${LABEL_VALUE_MAX} characters`);
  }
}

function readEndpoint(endpoint: EndpointSpec | undefined, field: string, spec: PinholeSpec): Endpoint {
  if (endpoint === undefined || endpoint === null) throw malformed(field, "is missing");
  const { family } = endpoint;
  if (family !== 4 && family !== 6) throw malformed(`${field}.family`, "must be 4 or 6");
  return readNetwork(endpoint, field).withPorts(readPorts(endpoint, field, spec.protocol));
}

/** Hosts that were read lately, by their addresses: those of a call are asked for eight times. */
const hosts = new Map<string, Endpoint>();

/** Other networks that were read lately. */
const networks = new Map<string, Endpoint>();

const NETWORKS_MAX = 16_384;

function readNetwork(endpoint: EndpointSpec, field: string): Endpoint {
  const { family, address, prefix } = endpoint;
  const isHost = address !== undefined && prefix === undefined;
  const read = isHost ? hosts : networks;
  const name = isHost ? address : `${family} ${address ?? ""}/${prefix ?? ""}`;
  const known = read.get(name);
  if (known?.family === family) return known;
  const network = new Endpoint(readPrefix(endpoint, field), ALL_PORTS);
  if (read.size >= NETWORKS_MAX) read.clear();
  read.set(name, network);
  return network;
}

function illegalAddress(field: string, words: string): PinholeRefusal {
  return new PinholeRefusal("ADDRESS_ILLEGAL", `${field} ${words}.`, { field });
}

function readPrefix(endpoint: EndpointSpec, side: string): Prefix {
  const { family, prefix: length } = endpoint;
  const bits = familyBits(family);
  if (length !== undefined && !isWhole(length, 0, bits)) {
    throw illegalAddress(`${side}.prefix`, `must be a number from 0 to ${bits}`);
  }
  if (endpoint.address === undefined) {
    if (length !== undefined && length !== 0) throw malformed(`${side}.address`, "is missing");
    return allAddresses(family);
  }
  const address = parseAddress(endpoint.address);
  if (address === undefined || address.family !== family) {
    throw illegalAddress(`${side}.address`, `"${endpoint.address}" is no IPv${family} address`);
  }
  const prefix = new Prefix(family, address.words, length ?? bits);
  if (prefix.length === bits) checkHost(prefix, `${side}.address`);
  return prefix;
}

const NOBODY = [
  { network: Prefix.parse("0.0.0.0/32"), what: "stands for no host" },
  { network: Prefix.parse("::/128"), what: "stands for no host" },
  { network: Prefix.parse("224.0.0.0/4"), what: "is a multicast address" },
  { network: Prefix.parse("ff00::/8"), what: "is a multicast address" },
];

function checkHost(host: Prefix, field: string): void {
  const found = NOBODY.find(({ network }) => network?.contains(host.family, host.words));
  if (found !== undefined) throw illegalAddress(field, found.what);
}

function readPorts(endpoint: EndpointSpec, side: string, protocol: number): PortRange {
  const { ports } = endpoint;
  // With protocol 0 ports are "irrelevant" (RFC 4540 section 4.3.8).
  if (ports === undefined || ports === null || protocol === ANY_PROTOCOL) return ALL_PORTS;
  const field = `${side}.ports`;
  if (!Array.isArray(ports) || ports.length !== 2) throw malformed(field, "must be a pair of numbers");
  const [low, high] = ports as readonly [number, number];
  if (!isWhole(low, 1, PORT_MAX) || !isWhole(high, 1, PORT_MAX)) {
    throw new PinholeRefusal(
      "PORT_ILLEGAL",
      `${field} must be numbers from 1 to 65535, and is ${low} to ${high}.`,
      { field },
    );
  }
  if (low > high) {
    throw new PinholeRefusal(
      "PORT_COUNT_ILLEGAL",
      `${field} must not end before it begins, and is ${low} to ${high}.`,
      { field },
    );
  }
  if (!hasPorts(protocol)) {
    throw new PinholeRefusal("PORT_ILLEGAL", `Protocol ${protocol} has no ports.`, { field });
  }
  return low === 1 && high === PORT_MAX ? ALL_PORTS : { low, high };
}

function checkPairs(request: PinholeRequest): void {
  if (!request.isPairwise) return;
  const [ours, theirs] = [portCount(request.internal.ports), portCount(request.external.ports)];
  if (ours !== theirs) {
    const message = `Pairwise ranges must be of equal width, and these have ${ours} and ${theirs} ports.`;
    throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "portMode" });
  }
  if (ours > PAIRWISE_PORTS_MAX) {
    const message = `A pairwise range has at most ${PAIRWISE_PORTS_MAX} ports, and this has ${ours}.`;
    throw new PinholeRefusal("PORT_COUNT_ILLEGAL", message, { field: "internal.ports" });
  }
}

function inconsistent(field: string, message: string): PinholeRefusal {
  return new PinholeRefusal("SPEC_INCONSISTENT", message, { field });
}

function checkNat(request: PinholeRequest, nat: NatSpec): void {
  checkWord("nat.mode", nat.mode ?? "", NAT_MODES);
  if (request.kind === "block") throw inconsistent("nat", "A block translates nothing.");
  if (nat.mode === "traditional" && nat.inside !== undefined) {
    throw inconsistent("nat.inside", "Only translation twice has an inside address.");
  }
  const { family } = request.internal;
  if (family !== request.external.family) {
    throw new PinholeRefusal("IP_VERSION_MISMATCH", "Translation does not change the IP version.");
  }
  checkPlace("nat.outside", nat.outside, family);
  checkPlace("nat.inside", nat.inside, family);
  if (request.kind === "permit") checkTranslation(request, nat.mode);
}

function checkPlace(field: string, place: NatSpec["outside"], family: Family): void {
  if (place === undefined) return;
  if (parseAddress(place.address ?? "")?.family !== family) {
    throw illegalAddress(`${field}.address`, `"${place.address}" is no IPv${family} address`);
  }
  if (place.port !== undefined && !isWhole(place.port, 1, PORT_MAX)) {
    const message = `${field}.port must be a number from 1 to 65535, and is ${String(place.port)}.`;
    throw new PinholeRefusal("PORT_ILLEGAL", message, { field: `${field}.port` });
  }
}

/**
 * Refuses ends that cannot be translated.
 *
 * @param request - of a permit
 * @throws {PinholeRefusal} `SPEC_INCONSISTENT`, `PORT_COUNT_ILLEGAL`
 */
export function checkTranslation(request: PinholeRequest, mode: NatMode): void {
  const { internal, external, isPairwise } = request;
  if (!internal.isHost) throw inconsistent("internal.address", "What is translated is one host.");
  if (mode === "twice" && !external.isHost) {
    throw inconsistent("external.address", "What is translated twice is between one host and another.");
  }
  const inner = internal.isAnyPort ? 1 : portCount(internal.ports);
  const outer = mode === "traditional" || external.isAnyPort ? 1 : portCount(external.ports);
  const count = isPairwise ? inner : inner * outer;
  if (count <= PAIRWISE_PORTS_MAX) return;
  const message = `At most ${PAIRWISE_PORTS_MAX} ports are translated, and this has ${count}.`;
  throw new PinholeRefusal("PORT_COUNT_ILLEGAL", message, { field: "internal.ports" });
}
