/** Requests of agents, in the shape in which most tests need them. */
import type { AddressTuple, MessageOf } from "#simco";
import { fullTuple } from "#testing";

/** IANA numbers. */
export const TCP = 6;
/** IANA numbers. */
export const UDP = 17;
/** IANA numbers. */
export const ICMP = 1;

/** RFC 5189's words for a direction, as numbers. */
export const IN = 1;
/** RFC 5189's words for a direction, as numbers. */
export const OUT = 2;
/** RFC 5189's words for a direction, as numbers. */
export const BOTH = 3;

const PROTOCOL_VERSION = { major: 3, minor: 0 };

let serial = 1000;

/** An identifier that no other request of this file has. */
export function tid(): number {
  serial += 1;
  return serial;
}

/** A0 of the vectors: 10.1.8.3, two ports from 5004. */
export function ours(changes: Partial<Parameters<typeof fullTuple>[0]> = {}): AddressTuple {
  return fullTuple({ at: 0, address: "10.1.8.3", protocol: UDP, port: 5004, count: 2, ...changes });
}

/** A3 of the vectors: 192.0.2.100, two ports from 6004. */
export function theirs(changes: Partial<Parameters<typeof fullTuple>[0]> = {}): AddressTuple {
  return fullTuple({ at: 3, address: "192.0.2.100", protocol: UDP, port: 6004, count: 2, ...changes });
}

/** SE. */
export function begin(changes: Partial<MessageOf<"SE">> = {}): MessageOf<"SE"> {
  return { name: "SE", tid: tid(), version: PROTOCOL_VERSION, ...changes };
}

/** The inbound UDP permit of the vectors. */
export function permit(changes: Partial<MessageOf<"PER">> = {}): MessageOf<"PER"> {
  return {
    name: "PER",
    tid: tid(),
    enable: { parity: 3, direction: IN },
    internal: ours(),
    external: theirs(),
    lifetime: 300,
    ...changes,
  };
}

/** A permit of TCP or UDP for one port of ours and one of theirs. */
export function flow(protocol: number, direction: number): MessageOf<"PER"> {
  const ends = { protocol, count: 1 };
  return permit({ enable: { parity: 0, direction }, internal: ours(ends), external: theirs(ends) });
}

/** The same, of a reservation. */
export function enable(rule: number, changes: Partial<MessageOf<"PEA">> = {}): MessageOf<"PEA"> {
  const { enable: wanted, internal, external, lifetime } = permit();
  return { name: "PEA", tid: tid(), enable: wanted, internal, external, lifetime, rule, ...changes };
}

/** The reservation of the vectors: UDP, two ports, the lower one even. */
export function reserve(
  changes: Partial<MessageOf<"PRR">["reserve"]> = {},
  rest: Partial<MessageOf<"PRR">> = {},
): MessageOf<"PRR"> {
  const wanted = { natMode: 1, parity: 2, insideVersion: 1, outsideVersion: 1, protocol: UDP, count: 2 };
  return { name: "PRR", tid: tid(), reserve: { ...wanted, ...changes }, lifetime: 300, ...rest };
}

/** Everything between anybody of ours and 192.0.2.100, over UDP. */
export function block(changes: Partial<MessageOf<"PDR">> = {}): MessageOf<"PDR"> {
  return {
    name: "PDR",
    tid: tid(),
    internal: { ...ours(), prefix: 0, port: 0, count: 0, address: undefined },
    external: theirs({ port: 0, count: 1 }),
    lifetime: 1800,
    ...changes,
  };
}

/** PLC. */
export function lifetime(rule: number, seconds: number): MessageOf<"PLC"> {
  return { name: "PLC", tid: tid(), rule, lifetime: seconds };
}

/** PRS. */
export function status(rule: number): MessageOf<"PRS"> {
  return { name: "PRS", tid: tid(), rule };
}

/** PRL. */
export function list(): MessageOf<"PRL"> {
  return { name: "PRL", tid: tid() };
}
