/**
 * Where an element lives under iptables: in hash sets of ipset where these can express it, else as a rule.
 *
 * ipset has no set of five values, as the workshop of 2007 had noted. Two of its three-value sets together
 * know all of them: source, source port, destination in one, destination, destination port, source in the
 * other. That is exact as long as a pair of hosts has one pair of ports in them; for the next pair of ports
 * of the same hosts there is another pair of sets, called a colour. Packets ask every colour, so there are
 * few, and what finds none becomes a rule.
 */
import { type Family, FirewallError, formatAddress } from "../../base/index.ts";
import {
  ANY_PROTOCOL,
  type Box,
  type Element,
  FILTER_ROLES,
  type FilterRole,
  type Endpoint,
} from "../../pinhole/index.ts";

/**
 * Pairs of sets for each role and family: a call has two flows each way between two hosts, each with two
 * ports.
 */
export const COLOURS = 8;

/** Protocols whose ports ipset reads, by its names for them. */
const IPSET_PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
  [136, "udplite"],
]);

/** A set of ipset. */
export interface IpSet {
  /** Behind the prefix of our chain: at most ten characters. */
  readonly suffix: string;
  readonly role: FilterRole;
  readonly family: Family;
  readonly type: "hash:ip,port,ip" | "hash:ip,port" | "hash:net";
  /** What a rule compares: `src,src,dst` and the like. */
  readonly fields: string;
}

/** An entry of a set. */
export interface IpSetEntry {
  readonly set: IpSet;
  readonly entry: string;
}

/** Letters of the roles in names of sets. */
const ROLE_LETTERS: Readonly<Record<FilterRole, string>> = {
  block: "b",
  setup: "s",
  pass: "p",
  "setup-limited": "t",
  "pass-limited": "q",
};

function addressOf(endpoint: Endpoint): string {
  return formatAddress(endpoint.family, endpoint.prefix.words);
}

function isOnePort(endpoint: Endpoint): boolean {
  return endpoint.ports.low === endpoint.ports.high;
}

function isEvery(endpoint: Endpoint): boolean {
  return endpoint.isAnyAddress && endpoint.isAnyPort;
}

/**
 * The role of an element that filters.
 *
 * @throws {FirewallError} `BACKEND_REFUSED` for one that translates
 */
export function filterRole({ role }: Element): FilterRole {
  const filtering = FILTER_ROLES.find((one) => one === role);
  if (filtering !== undefined) return filtering;
  throw new FirewallError("BACKEND_REFUSED", "iptables does not translate addresses here. Use nftables.");
}

function makeSet(element: Element, kind: string, facts: Pick<IpSet, "type" | "fields">): IpSet {
  const { box } = element;
  const role = filterRole(element);
  const family = box.source.family;
  return { suffix: `${ROLE_LETTERS[role]}${family}${kind}`, role, family, ...facts };
}

/**
 * The name of the hosts and the protocol that may have one pair of ports in each colour; undefined for no
 * tuple.
 */
export function tupleName({ protocol, source, destination }: Box): string | undefined {
  const isTuple =
    IPSET_PROTOCOLS.has(protocol) &&
    source.isHost &&
    destination.isHost &&
    isOnePort(source) &&
    isOnePort(destination);
  return isTuple ? `${protocol} ${addressOf(source)} ${addressOf(destination)}` : undefined;
}

/**
 * The two entries of a tuple.
 *
 * @param colour - 0 to COLOURS - 1
 */
export function tupleEntries(element: Element, colour: number): [IpSetEntry, IpSetEntry] {
  const { protocol, source, destination } = element.box;
  const [from, to] = [addressOf(source), addressOf(destination)];
  const name = IPSET_PROTOCOLS.get(protocol) ?? "";
  const type = "hash:ip,port,ip";
  return [
    {
      set: makeSet(element, `t${colour}s`, { type, fields: "src,src,dst" }),
      entry: `${from},${name}:${source.ports.low},${to}`,
    },
    {
      set: makeSet(element, `t${colour}d`, { type, fields: "dst,dst,src" }),
      entry: `${to},${name}:${destination.ports.low},${from}`,
    },
  ];
}

/** The entry of a box that leaves one side open; undefined when no set can hold it. */
export function halfOpenEntry(element: Element): IpSetEntry | undefined {
  const { protocol, source, destination } = element.box;
  if (isEvery(source)) return sideEntry(element, destination, { kind: "d", direction: "dst", protocol });
  if (isEvery(destination)) return sideEntry(element, source, { kind: "s", direction: "src", protocol });
  return undefined;
}

function sideEntry(
  element: Element,
  side: Endpoint,
  facts: { readonly kind: string; readonly direction: string; readonly protocol: number },
): IpSetEntry | undefined {
  const { kind, direction, protocol } = facts;
  const name = IPSET_PROTOCOLS.get(protocol);
  if (name !== undefined && side.isHost && isOnePort(side)) {
    const set = makeSet(element, `e${kind}`, { type: "hash:ip,port", fields: `${direction},${direction}` });
    return { set, entry: `${addressOf(side)},${name}:${side.ports.low}` };
  }
  // A network of length 0 is beyond ipset.
  if (protocol !== ANY_PROTOCOL || !side.isAnyPort || side.prefix.length === 0) return undefined;
  const set = makeSet(element, `n${kind}`, { type: "hash:net", fields: direction });
  return { set, entry: side.isHost ? addressOf(side) : side.prefix.toString() };
}

const SUFFIX = /^([bsptq])([46])(t(\d)([sd])|e([sd])|n([sd]))$/;

/** The set with this name behind the prefix of our chain; undefined when it is none of ours. */
export function parseIpSet(suffix: string): IpSet | undefined {
  const [, letter, version, kind = "", , tupleSide, endSide, netSide] = SUFFIX.exec(suffix) ?? [];
  const role = FILTER_ROLES.find((one) => ROLE_LETTERS[one] === letter);
  if (role === undefined || kind === "") return undefined;
  const family = version === "4" ? 4 : 6;
  const word = (side: string | undefined): string => (side === "s" ? "src" : "dst");
  if (tupleSide !== undefined) {
    const fields = tupleSide === "s" ? "src,src,dst" : "dst,dst,src";
    return { suffix, role, family, type: "hash:ip,port,ip", fields };
  }
  if (endSide !== undefined) {
    return { suffix, role, family, type: "hash:ip,port", fields: `${word(endSide)},${word(endSide)}` };
  }
  return { suffix, role, family, type: "hash:net", fields: word(netSide) };
}
