/**
 * Address tuples: one end of what a policy rule is about (RFC 4540 section 4.3.8).
 *
 * A tuple says where it lies as seen from the middlebox: A0 internal, A1 inside, A2 outside, A3 external. It
 * names an address with a prefix and a run of ports, or a transport protocol alone.
 */
import { ADDRESS_WORDS, type AddressWords, type Family, ipv4Words, type Port } from "../base/index.ts";

// Offsets within the value (RFC 4540 figure 15).
const FORM_AND_VERSION = 0;
const PREFIX_LENGTH = 1;
const PROTOCOL = 2;
const LOCATION_OCTET = 3;
const PORT = 4;
const PORT_RANGE = 6;
const ADDRESS = 8;

/** Octets of a tuple that names a protocol alone. */
const PROTOCOL_TUPLE_OCTETS = 4;
const IPV4_TUPLE_OCTETS = 12;
const IPV6_TUPLE_OCTETS = 24;

const FULL_FORM = 0x00;
const PROTOCOL_FORM = 0x10;
/** "1" and "2", not the version numbers of the IP header. */
const IPV4_CODE = 1;
const IPV6_CODE = 2;
const WORD_OCTETS = 4;

/** Where a tuple lies as seen from the middlebox. */
export const LOCATION = { INTERNAL: 0, INSIDE: 1, OUTSIDE: 2, EXTERNAL: 3 } as const;

/** One end. */
export interface AddressTuple {
  readonly family: Family;
  /** Bits of the address that count; may be more than the family has, which is for others to refuse. */
  readonly prefix: number;
  /** IANA number; 0 for every protocol. */
  readonly protocol: number;
  /** One of {@link LOCATION} in a request that makes sense. */
  readonly location: number;
  /** First port; 0 for every port. */
  readonly port: Port;
  /** How many consecutive ports. */
  readonly count: number;
  /** Undefined in a tuple that names a protocol alone. */
  readonly address: AddressWords | undefined;
}

/** Why a value is not an address tuple. */
export type TupleFault = "tuple-form";

function formOf(tuple: AddressTuple): number {
  const form = tuple.address === undefined ? PROTOCOL_FORM : FULL_FORM;
  return form | (tuple.family === 4 ? IPV4_CODE : IPV6_CODE);
}

/** Octets of the value. */
export function tupleOctets({ family, address }: AddressTuple): number {
  if (address === undefined) return PROTOCOL_TUPLE_OCTETS;
  return family === 4 ? IPV4_TUPLE_OCTETS : IPV6_TUPLE_OCTETS;
}

/** Octets of the value that begins with this one; undefined when no tuple begins so. */
function octetsOfForm(form: number): number | undefined {
  switch (form) {
    case PROTOCOL_FORM | IPV4_CODE:
    case PROTOCOL_FORM | IPV6_CODE:
      return PROTOCOL_TUPLE_OCTETS;
    case FULL_FORM | IPV4_CODE:
      return IPV4_TUPLE_OCTETS;
    case FULL_FORM | IPV6_CODE:
      return IPV6_TUPLE_OCTETS;
    default:
      return undefined;
  }
}

function readAddress(bytes: DataView, at: number, family: Family): AddressWords {
  if (family === 4) return ipv4Words(bytes.getUint32(at));
  const words = new Uint32Array(ADDRESS_WORDS);
  for (let index = 0; index < ADDRESS_WORDS; index += 1) {
    words[index] = bytes.getUint32(at + index * WORD_OCTETS);
  }
  return words;
}

/**
 * Reads the value of an address tuple.
 *
 * @param at - where the value begins
 * @param length - octets of the value, all of them within the buffer
 */
export function decodeTuple(bytes: DataView, at: number, length: number): AddressTuple | TupleFault {
  const form = length === 0 ? 0 : bytes.getUint8(at + FORM_AND_VERSION);
  if (octetsOfForm(form) !== length) return "tuple-form";
  const family = (form & 0x0f) === IPV4_CODE ? 4 : 6;
  const isFull = (form & 0xf0) === FULL_FORM;
  return {
    family,
    prefix: bytes.getUint8(at + PREFIX_LENGTH),
    protocol: bytes.getUint8(at + PROTOCOL),
    location: bytes.getUint8(at + LOCATION_OCTET),
    port: isFull ? bytes.getUint16(at + PORT) : 0,
    count: isFull ? bytes.getUint16(at + PORT_RANGE) : 0,
    address: isFull ? readAddress(bytes, at + ADDRESS, family) : undefined,
  };
}

/** Writes the value of an address tuple; {@link tupleOctets} says how long it is. */
export function encodeTuple(bytes: DataView, at: number, tuple: AddressTuple): void {
  const { family, prefix, protocol, location, port, count, address } = tuple;
  bytes.setUint8(at + FORM_AND_VERSION, formOf(tuple));
  bytes.setUint8(at + PREFIX_LENGTH, prefix);
  bytes.setUint8(at + PROTOCOL, protocol);
  bytes.setUint8(at + LOCATION_OCTET, location);
  if (address === undefined) return;
  bytes.setUint16(at + PORT, port);
  bytes.setUint16(at + PORT_RANGE, count);
  const words = family === 4 ? address.subarray(ADDRESS_WORDS - 1) : address;
  for (const [index, word] of words.entries()) bytes.setUint32(at + ADDRESS + index * WORD_OCTETS, word);
}

/** The same tuple at another place. */
export function tupleAt(tuple: AddressTuple, location: number): AddressTuple {
  return { ...tuple, location };
}
