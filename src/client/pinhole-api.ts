/** What goes over the doors to the pinholes: the shapes of requests and answers of the HTTP API. */
import type {
  BackendAbilities,
  EndpointSpec,
  EnforcedLimit,
  Operation,
  PinholeKind,
  PinholeSpec,
  PinholeView,
  Traffic,
} from "../pinhole/index.ts";

/** A pinhole as it is answered. */
export interface PinholeReport extends PinholeView {
  /** What passed through it; only when it was asked for. */
  readonly traffic?: Traffic;
}

/** Which pinholes a list shall hold. */
export interface PinholeQuery {
  readonly owner?: string;
  /** Id of a group. */
  readonly group?: string;
  readonly state?: "reserved" | "enabled";
  readonly kind?: PinholeKind;
  /** A label, `name=value`. */
  readonly label?: string;
  /** Whether packets and bytes are read from the packet filter. */
  readonly traffic?: boolean;
}

/** A group as it is answered. */
export interface PinholeGroupReport {
  readonly id: string;
  /** In SIMCO. */
  readonly gid: number;
  readonly owner: string;
  /** How many pinholes it has. */
  readonly size: number;
  /** Their ids, when one group was asked for. */
  readonly members?: readonly string[];
}

/** The packet filter behind the pinholes. */
export interface PinholeBackendReport {
  readonly name: string;
  readonly abilities: BackendAbilities;
  readonly isDegraded: boolean;
  /** What it said last when it failed. */
  readonly reason: string;
  /** Elements that shall be in force. */
  readonly desired: number;
  /** Elements that are in force. */
  readonly enforced: number;
}

/** Answer of `GET /v1/status`. */
export interface PinholeStatus {
  /** Names this run of the daemon. */
  readonly bootId: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly generation: number;
  readonly pinholes: number;
  /** Id of the last event. */
  readonly lastEvent: string;
  readonly backend: PinholeBackendReport;
  readonly counters: Readonly<Record<string, number>>;
}

/** Answer of `GET /v1/capabilities`. */
export interface PinholeCapabilities {
  readonly bootId: string;
  readonly generation: number;
  readonly backend: string;
  readonly abilities: BackendAbilities;
  /** Who the daemon takes us for. */
  readonly agent: string;
  /** What we may do. */
  readonly profile: Readonly<Record<string, unknown>>;
  /** How many pinholes we have. */
  readonly pinholes: number;
  readonly limits: Readonly<Record<string, number>>;
}

/** What happened to pinholes, and what happened to the stream that tells of it. */
export interface PinholeEvent {
  /** Where the stream can go on. */
  readonly id: string;
  /**
   * `pinhole.reserved`, `pinhole.enabled`, `pinhole.renewed`, `pinhole.ended`, `group.ended`,
   * `backend.degraded`, `backend.recovered`, `backend.drift`, `limit.hit`, `commit.failed`, `session.opened`,
   * `session.closed`; `events.ready` when the stream begins; `events.gap` when events were lost and
   * everything must be read anew.
   */
  readonly type: string;
  readonly generation: number;
  /** Unix time, in milliseconds; absent for events of the stream itself. */
  readonly at?: number;
  readonly pinhole?: PinholeReport;
  readonly group?: string;
  readonly owner?: string;
  /** With `limit.hit`: packets that were refused, by the limit that they went beyond. */
  readonly refused?: Readonly<Partial<Record<EnforcedLimit, number>>>;
  /** With `commit.failed`: pinholes that the commit was about. */
  readonly ids?: readonly string[];
  /** One sentence for a person. */
  readonly text?: string;
}

/** A problem as it is answered (RFC 9457). */
export interface PinholeProblem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  /** Number of the same refusal in SIMCO. */
  readonly simco?: number;
  /** Index of the operation that is refused, from 0. */
  readonly operation?: number;
  /** Path of the field that is wrong. */
  readonly field?: string;
  /** Ids of the pinholes that stand against it. */
  readonly conflicts?: readonly string[];
  /** Seconds after which it may work. */
  readonly retryAfter?: number;
}

/** Protocols by their names. */
export const PROTOCOL_NUMBERS = {
  any: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  dccp: 33,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
} as const;

/** A protocol, by name or number. */
export type ProtocolWord = keyof typeof PROTOCOL_NUMBERS | number;

/**
 * A pinhole as a program asks for it. Endpoints may be texts: see {@link endpoint}; `*` is of the family of
 * the other side.
 */
export interface PinholeWish extends Omit<PinholeSpec, "kind" | "protocol" | "internal" | "external"> {
  readonly internal?: EndpointSpec | string;
  readonly external?: EndpointSpec | string;
  readonly protocol: ProtocolWord;
}

const PORTS = /^(\d{1,5})(?:-(\d{1,5}))?$/;
const BRACKETED = /^\[([^\]]*)\](\/[^:]*)?(?::(.*))?$/;

/** The network and the ports of an endpoint in words. */
function partsOf(text: string): readonly [network: string, ports: string | undefined] {
  const [whole, address = "", prefix = "", ports] = BRACKETED.exec(text) ?? [];
  if (whole !== undefined) return [address + prefix, ports];
  const [network = "", rest, ...more] = text.split(":");
  return more.length > 0 ? [text, undefined] : [network, rest];
}

function portRange(text: string): readonly [number, number] {
  const [, low, high] = PORTS.exec(text) ?? [];
  return [Number(low), Number(high ?? low)];
}

/**
 * One side of a pinhole in words: `ADDRESS[/PREFIX][:PORT[-PORT]]`, IPv6 in brackets when ports follow.
 *
 * What is no address or no port is left for the daemon to complain about.
 *
 * @example
 * endpoint("10.1.0.0/16:5000-5010");
 * endpoint("[2001:db8::1]:443");
 * endpoint("2001:db8::/32");
 */
export function endpoint(text: string): EndpointSpec {
  const [network, ports] = partsOf(text);
  const [address = "", prefix] = network.split("/");
  return {
    family: address.includes(":") ? 6 : 4,
    ...(address === "" || address === "*" ? {} : { address }),
    ...(prefix === undefined ? {} : { prefix: Number(prefix) }),
    ...(ports === undefined ? {} : { ports: portRange(ports) }),
  };
}

/** Turns a wish into what goes over the wire. */
export function specOf(kind: PinholeKind, wish: PinholeWish): PinholeSpec {
  const { internal, external, protocol, ...rest } = wish;
  const side = (value: EndpointSpec | string, other: EndpointSpec | string | undefined): EndpointSpec => {
    if (typeof value !== "string") return value;
    const read = endpoint(value);
    // "*" alone does not say of which family its addresses are: the other side does.
    const { family, address } = typeof other === "string" ? endpoint(other) : (other ?? read);
    return read.address === undefined && address !== undefined ? { ...read, family } : read;
  };
  return {
    kind,
    ...rest,
    protocol: typeof protocol === "number" ? protocol : PROTOCOL_NUMBERS[protocol],
    ...(internal === undefined ? {} : { internal: side(internal, external) }),
    ...(external === undefined ? {} : { external: side(external, internal) }),
  };
}

export type { EndpointSpec, Operation as PinholeOperation, PinholeSpec };
