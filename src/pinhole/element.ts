/**
 * What a pinhole means to a packet filter: *elements*, each a box of packets in one of several sets.
 *
 * A box is a product of ranges: protocol, source network and ports, destination network and ports, for one
 * direction of travel. Five sets filter. They are asked in a fixed order, and the first that holds the packet
 * decides:
 *
 * 1. `block`: the packet is dropped, whoever permits it.
 * 2. A TCP segment that opens a connection (SYN without ACK) is passed by `setup`, then by `setup-limited`.
 * 3. Any other packet is passed by `pass`, then by `pass-limited`.
 *
 * The limited sets lead on to the limits of the pinhole that made the element. A packet that no set holds is
 * none of our business.
 *
 * Four maps translate the first packet of a connection, and its tracker all others. `dnat` comes before the
 * filter and says where the packet goes instead, `snat` behind it and says where the packet comes from
 * instead; so what filters sees neither. Their twins for whole hosts leave the port as it is.
 */
import type { Milliseconds } from "../base/index.ts";
import { Endpoint } from "./endpoint.ts";

/** Protocol number that stands for all protocols (RFC 4540 section 4.3.8). */
export const ANY_PROTOCOL = 0;

/** The sets that filter. */
export const FILTER_ROLES = ["block", "setup", "pass", "setup-limited", "pass-limited"] as const;
/** A set that filters. */
export type FilterRole = (typeof FILTER_ROLES)[number];

/**
 * The maps that translate. In those with `sent`, the destination of a box is where the packet was sent to,
 * before that was translated.
 */
export const TRANSLATION_ROLES = [
  "dnat",
  "snat",
  "snat-sent",
  "dnat-host",
  "snat-host",
  "snat-sent-host",
] as const;
/** What a map changes of packets, and by what it finds them. */
export type TranslationWay = "dnat" | "snat" | "snat-sent";
/** A map that translates. */
export type TranslationRole = (typeof TRANSLATION_ROLES)[number];

/** All sets and maps. */
export const ELEMENT_ROLES = [...FILTER_ROLES, ...TRANSLATION_ROLES] as const;

/** A set or map, by what it is for. */
export type ElementRole = (typeof ELEMENT_ROLES)[number];

/** A product of ranges, for packets that travel from `source` to `destination`. */
export interface Box {
  /** 1 to 255, or {@link ANY_PROTOCOL}. */
  readonly protocol: number;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** A box in a set. Equal elements have equal keys. */
export interface Element {
  readonly key: string;
  readonly role: ElementRole;
  readonly box: Box;
  /**
   * In maps that translate: the host, and the one port or all, that stands in place of an end of the packet.
   */
  readonly target?: Endpoint;
}

/** An element that translates. */
export interface Translation extends Element {
  readonly role: TranslationRole;
  readonly target: Endpoint;
}

/** An element that shall be in force. */
export interface StandingElement extends Element {
  /** When it ends by itself, on the caller's monotonic clock; Infinity for never. */
  readonly deadline: Milliseconds;
  /** Number of the pinhole whose limits count for it; 0 in sets without limits. */
  readonly limiter: number;
}

/**
 * Makes an element.
 *
 * @param role - its set
 * @param box - what it holds
 */
export function makeElement(role: ElementRole, box: Box): Element {
  // Joined, the key is one flat text: it is kept as long as the element stands.
  return { key: [role, box.protocol, box.source.key, box.destination.key].join(" "), role, box };
}

/**
 * Makes an element that translates.
 *
 * @param way - which end of the packet changes, and by what
 * @param target - a host; with all ports, the packet's port stays
 */
export function makeTranslation(way: TranslationWay, box: Box, target: Endpoint): Translation {
  const role = target.isAnyPort ? (`${way}-host` as const) : way;
  const { key } = makeElement(role, box);
  return { key: `${key} ${target.key}`, role, box, target };
}

/** The element with a key: a key says all that there is to say. */
export function elementWithKey(key: string): Element {
  const [role, protocol, from = "", to = "", target] = key.split(" ");
  const source = Endpoint.withKey(from);
  const box = { protocol: Number(protocol), source, destination: Endpoint.withKey(to) };
  const element = { key, role: role as ElementRole, box };
  return target === undefined ? element : { ...element, target: Endpoint.withKey(target) };
}

/** True for an element that translates. */
export function isTranslation(element: Element): element is Translation {
  return element.target !== undefined;
}
