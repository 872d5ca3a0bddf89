/**
 * What a pinhole means to a packet filter: *elements*, each a box of packets in one of five sets.
 *
 * A box is a product of ranges: protocol, source network and ports, destination network and ports, for one
 * direction of travel. The five sets are asked in a fixed order, and the first that holds the packet decides:
 *
 * 1. `block`: the packet is dropped, whoever permits it.
 * 2. A TCP segment that opens a connection (SYN without ACK) is passed by `setup`, then by `setup-limited`.
 * 3. Any other packet is passed by `pass`, then by `pass-limited`.
 *
 * The limited sets lead on to the limits of the pinhole that made the element. A packet that no set holds is
 * none of our business.
 */
import type { Milliseconds } from "../base/index.ts";
import type { Endpoint } from "./endpoint.ts";

/** Protocol number that stands for all protocols (RFC 4540 section 4.3.8). */
export const ANY_PROTOCOL = 0;

/** The five sets. */
export const ELEMENT_ROLES = ["block", "setup", "pass", "setup-limited", "pass-limited"] as const;

/** One of the five sets. */
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
  return { key: `${role} ${box.protocol} ${box.source.key} ${box.destination.key}`, role, box };
}
