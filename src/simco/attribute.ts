/**
 * Attributes: type, length of the value, value, and no padding (RFC 4540 section 4.3). Here is how each field
 * of a message becomes the value of an attribute, and back.
 */
import {
  type AddressTuple,
  decodeTuple,
  encodeTuple,
  LOCATION,
  tupleOctets,
  type TupleFault,
} from "./address-tuple.ts";
import type { FieldName, FieldValues } from "./message.ts";
import {
  decodeCapabilities,
  decodeEnableParameters,
  decodeReserveParameters,
  decodeVersion,
  encodeCapabilities,
  encodeEnableParameters,
  encodeReserveParameters,
  encodeVersion,
} from "./parameter-set.ts";
import { decodeText, encodeText } from "./text.ts";

// Offsets within an attribute (RFC 4540 section 4.3).
/** Where the type of an attribute stands. */
export const ATTRIBUTE_TYPE = 0;
/** Where the length of the value stands. */
export const ATTRIBUTE_LENGTH = 2;

/** Octets before the value of an attribute. */
export const ATTRIBUTE_HEADER_OCTETS = 4;

/** Longest challenge and longest token, in octets. */
export const SECRET_OCTETS_MAX = 4096;

/** Longest name of an owner, in octets. */
export const OWNER_OCTETS_MAX = 255;

/** Types of attributes. */
const TYPE = {
  VERSION: 0x0001,
  CHALLENGE: 0x0002,
  TOKEN: 0x0003,
  CAPABILITIES: 0x0004,
  RULE: 0x0005,
  GROUP: 0x0006,
  LIFETIME: 0x0007,
  OWNER: 0x0008,
  TUPLE: 0x0009,
  RESERVE: 0x000a,
  ENABLE: 0x000b,
} as const;

const NUMBER_OCTETS = 4;
const CAPABILITIES_OCTETS = 8;

/** What a field holds: a list is as many attributes. */
type Held<Name extends FieldName> = FieldValues[Name] extends readonly (infer Item)[]
  ? Item
  : FieldValues[Name];

/** How the value of one field is read and written. */
interface ValueCodec<Value> {
  readonly type: number;
  /** Octets that a value may have: a number, or from 0 to a number. */
  readonly length: number | { readonly max: number };
  octetsOf(value: Value): number;
  decode(bytes: DataView, at: number, length: number): Value | TupleFault;
  encode(bytes: DataView, at: number, value: Value): void;
}

function number(type: number): ValueCodec<number> {
  return {
    type,
    length: NUMBER_OCTETS,
    octetsOf: () => NUMBER_OCTETS,
    decode: (bytes, at) => bytes.getUint32(at),
    encode: (bytes, at, value) => bytes.setUint32(at, value),
  };
}

function octets(bytes: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}

function secret(type: number): ValueCodec<Uint8Array> {
  return {
    type,
    length: { max: SECRET_OCTETS_MAX },
    octetsOf: (value) => value.length,
    decode: (bytes, at, length) => octets(bytes, at, length).slice(),
    encode: (bytes, at, value) => octets(bytes, at, value.length).set(value),
  };
}

/** The location is part of the value, and a wrong one is not a wrong format: whoever asks is told more. */
function tuple(): ValueCodec<AddressTuple> {
  return {
    type: TYPE.TUPLE,
    length: { max: 24 },
    octetsOf: tupleOctets,
    decode: decodeTuple,
    encode: encodeTuple,
  };
}

const OWNER: ValueCodec<string> = {
  type: TYPE.OWNER,
  length: { max: OWNER_OCTETS_MAX },
  octetsOf: (value) => encodeText(value).length,
  decode: (bytes, at, length) => decodeText(octets(bytes, at, length)),
  encode: (bytes, at, value) => {
    const text = encodeText(value);
    octets(bytes, at, text.length).set(text);
  },
};

/** Every field. */
export const VALUE_CODECS: { readonly [Name in FieldName]: ValueCodec<Held<Name>> } = {
  version: {
    type: TYPE.VERSION,
    length: NUMBER_OCTETS,
    octetsOf: () => NUMBER_OCTETS,
    decode: decodeVersion,
    encode: encodeVersion,
  },
  challenge: secret(TYPE.CHALLENGE),
  token: secret(TYPE.TOKEN),
  capabilities: {
    type: TYPE.CAPABILITIES,
    length: CAPABILITIES_OCTETS,
    octetsOf: () => CAPABILITIES_OCTETS,
    decode: decodeCapabilities,
    encode: encodeCapabilities,
  },
  rule: number(TYPE.RULE),
  rules: number(TYPE.RULE),
  group: number(TYPE.GROUP),
  lifetime: number(TYPE.LIFETIME),
  owner: OWNER,
  internal: tuple(),
  inside: tuple(),
  outside: tuple(),
  external: tuple(),
  reserve: {
    type: TYPE.RESERVE,
    length: NUMBER_OCTETS,
    octetsOf: () => NUMBER_OCTETS,
    decode: decodeReserveParameters,
    encode: encodeReserveParameters,
  },
  enable: {
    type: TYPE.ENABLE,
    length: NUMBER_OCTETS,
    octetsOf: () => NUMBER_OCTETS,
    decode: decodeEnableParameters,
    encode: encodeEnableParameters,
  },
};

/** Where the tuple of each field lies. */
export const FIELD_LOCATION: Readonly<Partial<Record<FieldName, number>>> = {
  internal: LOCATION.INTERNAL,
  inside: LOCATION.INSIDE,
  outside: LOCATION.OUTSIDE,
  external: LOCATION.EXTERNAL,
};

/** True when a value of this length can be the value of the attribute. */
export function isLengthOf(name: FieldName, length: number): boolean {
  const allowed = VALUE_CODECS[name].length;
  return typeof allowed === "number" ? length === allowed : length <= allowed.max;
}
