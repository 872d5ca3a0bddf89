/**
 * Between policy rules of SIMCO and pinholes.
 *
 * A pinhole cannot say everything that a request said, such as the count of ports beside a wildcard or the
 * bits behind a prefix, and a status reply must repeat them to the octet (RFC 4540 section 8.6, DEC-40). So a
 * pinhole that was asked for here carries its request along, as a label.
 */
import { familyBits, formatAddress, parseAddress } from "../../base/index.ts";
import {
  type Endpoint,
  type EndpointSpec,
  isAllPorts,
  type Pinhole,
  type PinholeDirection,
  type PinholeSpec,
  portCount,
  type PortLease,
} from "../../pinhole/index.ts";
import { type AddressTuple, LOCATION } from "../address-tuple.ts";
import { decodeMessage } from "../decode.ts";
import { encodeMessage } from "../encode.ts";
import { HEADER_OCTETS } from "../header.ts";
import type { MessageOf } from "../message.ts";
import { ALL_PORTS_COUNT, DIRECTION, IP_VERSION, PARITY, RESERVED_PARITY } from "../parameter-set.ts";
import { decodeHex, encodeHex } from "../text.ts";

/** Label under which a pinhole carries the request that it came from. */
export const REQUEST_LABEL = "simco.request";

/** A request that names both ends. */
export type EndsRequest = MessageOf<"PER"> | MessageOf<"PEA"> | MessageOf<"PDR">;

/** What a status reply repeats of a request. */
export type Remembered = Pick<MessageOf<"PER">, "enable" | "internal" | "external">;

const WORDS: Readonly<Record<number, PinholeDirection>> = {
  [DIRECTION.IN]: "in",
  [DIRECTION.OUT]: "out",
  [DIRECTION.BOTH]: "both",
};
const NUMBERS = { in: DIRECTION.IN, out: DIRECTION.OUT, both: DIRECTION.BOTH } as const;
const PARITY_WORDS: Readonly<Record<number, "odd" | "even">> = {
  [RESERVED_PARITY.ODD]: "odd",
  [RESERVED_PARITY.EVEN]: "even",
};

/** One side of a pinhole for one end of a policy rule. */
export function endpointOf({ family, address, prefix, port, count, protocol }: AddressTuple): EndpointSpec {
  const ports = port === 0 || protocol === 0 ? null : ([port, port + count - 1] as const);
  if (address === undefined) return { family };
  return { family, address: formatAddress(family, address), prefix, ports };
}

/** One end of a policy rule for one side of a pinhole that was not asked for here. */
function tupleOf(endpoint: Endpoint, protocol: number, location: number): AddressTuple {
  const { prefix, ports, family } = endpoint;
  const isAny = isAllPorts(ports);
  return {
    family,
    prefix: prefix.length,
    protocol,
    location,
    port: isAny ? 0 : ports.low,
    count: isAny ? 1 : Math.min(portCount(ports), ALL_PORTS_COUNT),
    address: prefix.words,
  };
}

/** The address and ports that are kept for a rule, as a tuple. */
export function leaseTuple({ side, address, protocol, port, count }: PortLease): AddressTuple {
  const parsed = parseAddress(address);
  const family = parsed?.family ?? 4;
  return {
    family,
    prefix: familyBits(family),
    protocol,
    location: side === "outside" ? LOCATION.OUTSIDE : LOCATION.INSIDE,
    port,
    // A whole address has no ports, and a tuple counts at least one.
    count: Math.max(1, count),
    address: parsed?.words ?? new Uint32Array(4),
  };
}

/** A whole request as text, without what changes from one to the next. */
function remember(request: EndsRequest): string {
  return encodeHex(encodeMessage({ ...request, tid: 0 }));
}

/**
 * The pinhole that a request asks for.
 *
 * @param group - id of the group that it joins; undefined for one of its own
 */
export function specOf(request: EndsRequest, group: string | undefined): PinholeSpec {
  const spec = {
    internal: endpointOf(request.internal),
    external: endpointOf(request.external),
    protocol: request.internal.protocol,
    portMode: "pairwise",
    lifetime: request.lifetime,
    labels: { [REQUEST_LABEL]: remember(request) },
  } as const;
  if (request.name === "PDR") return { ...spec, kind: "block" };
  const { parity, direction } = request.enable;
  return {
    ...spec,
    kind: "permit",
    direction: WORDS[direction] ?? "both",
    ...(parity === PARITY.SAME ? { parity: "same" as const } : {}),
    ...(group === undefined ? {} : { group }),
  };
}

/**
 * The IP version outside that a reservation means (DEC-16).
 *
 * @param served - versions that are served outside
 */
export function outsideFamily({ reserve }: MessageOf<"PRR">, served: readonly (4 | 6)[]): 4 | 6 {
  const wanted = reserve.outsideVersion === IP_VERSION.ANY ? reserve.insideVersion : reserve.outsideVersion;
  if (wanted !== IP_VERSION.ANY) return wanted === IP_VERSION.V4 ? 4 : 6;
  return served.includes(4) ? 4 : 6;
}

/** The reservation that a request asks for. */
export function reservationOf(
  request: MessageOf<"PRR">,
  family: 4 | 6,
  group: string | undefined,
): PinholeSpec {
  const { parity, insideVersion, protocol, count } = request.reserve;
  const inside = insideVersion === IP_VERSION.ANY ? family : insideVersion === IP_VERSION.V4 ? 4 : 6;
  return {
    kind: "reserve",
    internal: { family: inside },
    external: { family },
    protocol,
    lifetime: request.lifetime,
    parity: PARITY_WORDS[parity] ?? "any",
    portCount: protocol === 0 ? 0 : count,
    ...(group === undefined ? {} : { group }),
  };
}

function sameEndpoint(tuple: AddressTuple, spec: EndpointSpec | undefined): boolean {
  return JSON.stringify(endpointOf(tuple)) === JSON.stringify(spec);
}

/**
 * The request that a pinhole carries along, as far as it says what the pinhole does: anybody may write
 * labels.
 */
function carriedBy({ request }: Pinhole): EndsRequest | undefined {
  const { spec } = request;
  const octets = decodeHex(spec.labels?.[REQUEST_LABEL] ?? "");
  if (octets === undefined || octets.length < HEADER_OCTETS) return undefined;
  const message = decodeMessage(new DataView(octets.buffer));
  if (typeof message === "string") return undefined;
  if (message.name !== "PER" && message.name !== "PEA" && message.name !== "PDR") return undefined;
  const { internal, external } = message;
  const isTrue = sameEndpoint(internal, spec.internal) && sameEndpoint(external, spec.external);
  return isTrue ? message : undefined;
}

/** What a status reply says of a pinhole's request. */
export function rememberedOf(pinhole: Pinhole): Remembered {
  const { spec, internal, external, protocol, direction } = pinhole.request;
  const enable = {
    parity: spec.parity === "same" ? PARITY.SAME : PARITY.ANY,
    direction: NUMBERS[direction],
  };
  const carried = carriedBy(pinhole);
  if (carried !== undefined) {
    return {
      enable: carried.name === "PDR" ? enable : carried.enable,
      internal: carried.internal,
      external: carried.external,
    };
  }
  return {
    enable,
    internal: tupleOf(internal, protocol, LOCATION.INTERNAL),
    external: tupleOf(external, protocol, LOCATION.EXTERNAL),
  };
}
