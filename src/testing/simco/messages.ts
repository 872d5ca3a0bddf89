/** Messages of SIMCO by chance, and those of the vectors in words. */
import fc from "fast-check";
import { ipv4Words, parseAddress } from "../../base/index.ts";
import {
  type AddressTuple,
  type Capabilities,
  type FieldName,
  LAYOUT,
  LOCATION,
  type Message,
  type MessageName,
  REPLY,
} from "../../simco/index.ts";
import { octetsOf } from "./vectors.ts";

/** A record as it is written in code, with the prototype of objects. */
function plain<Model>(model: { [Key in keyof Model]: fc.Arbitrary<Model[Key]> }): fc.Arbitrary<Model> {
  return fc.record(model, { noNullPrototype: true });
}

const octet = fc.nat(255);
const port = fc.nat(0xffff);
const number = fc.nat(0xffffffff);
const twoBits = fc.nat(3);
const families = fc.constantFrom<Capabilities["internalFamilies"]>([], [4], [6], [4, 6]);
const bytes = fc.uint8Array({ maxLength: 40 });

function tuples(location: number): fc.Arbitrary<AddressTuple> {
  const ends = { prefix: octet, protocol: octet, location: fc.constant(location) };
  const ports = { port, count: port };
  return fc.oneof(
    plain({
      ...ends,
      family: fc.constantFrom<4 | 6>(4, 6),
      port: fc.constant(0),
      count: fc.constant(0),
      address: fc.constant(undefined),
    }),
    plain({ ...ends, ...ports, family: fc.constant<4>(4), address: number.map(ipv4Words) }),
    plain({
      ...ends,
      ...ports,
      family: fc.constant<6>(6),
      address: fc.tuple(number, number, number, number).map((words) => Uint32Array.from(words)),
    }),
  );
}

const FIELDS: Readonly<Record<FieldName, fc.Arbitrary<unknown>>> = {
  version: plain({ major: octet, minor: octet }),
  challenge: bytes,
  token: bytes,
  capabilities: plain({
    isFilter: fc.boolean(),
    translates: fc.boolean(),
    disables: fc.boolean(),
    translatesPorts: fc.boolean(),
    translatesProtocols: fc.boolean(),
    translatesTwice: fc.boolean(),
    internalWildcards: fc.boolean(),
    externalWildcards: fc.boolean(),
    portWildcards: fc.boolean(),
    isPersistent: fc.boolean(),
    internalFamilies: families,
    externalFamilies: families,
    lifetimeMax: number,
  }),
  rule: number,
  rules: fc.array(number, { maxLength: 20 }),
  group: number,
  lifetime: number,
  owner: fc.string({ unit: "grapheme", maxLength: 12 }),
  internal: tuples(LOCATION.INTERNAL),
  inside: tuples(LOCATION.INSIDE),
  outside: tuples(LOCATION.OUTSIDE),
  external: tuples(LOCATION.EXTERNAL),
  reserve: plain({
    natMode: twoBits,
    parity: twoBits,
    insideVersion: twoBits,
    outsideVersion: twoBits,
    protocol: octet,
    count: port,
  }),
  enable: plain({ parity: octet, direction: octet }),
};

function messagesOf(name: MessageName): fc.Arbitrary<Message> {
  const required: Record<string, fc.Arbitrary<unknown>> = { name: fc.constant(name), tid: number };
  const optional: Record<string, fc.Arbitrary<unknown>> = {};
  for (const mark of LAYOUT[name]) {
    const field = mark.replace("?", "") as FieldName;
    (mark.endsWith("?") ? optional : required)[field] = FIELDS[field];
  }
  // One of challenge and token must be there.
  if (name === "SA_REPLY") required["token"] = FIELDS.token;
  const keys = Object.keys(required);
  const model = { ...optional, ...required };
  const records = fc.record(model, { requiredKeys: keys, noNullPrototype: true });
  return records as unknown as fc.Arbitrary<Message>;
}

const negatives: fc.Arbitrary<Message> = plain({
  name: fc.constant("NEGATIVE" as const),
  tid: number,
  code: fc
    .constantFrom(...Object.values(REPLY).map(({ code }) => code))
    .filter((code) => code !== REPLY.VERSION_MISMATCH.code),
});

/** Any message. */
export const simcoMessages: fc.Arbitrary<Message> = fc.oneof(
  ...(Object.keys(LAYOUT) as MessageName[]).map(messagesOf),
  negatives,
);

interface FullEnd {
  readonly at: number;
  readonly address: string;
  readonly prefix?: number;
  readonly protocol: number;
  readonly port: number;
  readonly count?: number;
}

/** A tuple with an address; host prefix and one port unless it says otherwise. */
export function fullTuple({ at, address, prefix, protocol, port: first, count = 1 }: FullEnd): AddressTuple {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new Error(`${address} is no address`);
  const { family, words } = parsed;
  const bits = prefix ?? (family === 4 ? 32 : 128);
  return { family, prefix: bits, protocol, location: at, port: first, count, address: words };
}

/** A tuple that names a protocol alone. */
export function protocolTuple(at: number, protocol: number, family: 4 | 6 = 4): AddressTuple {
  return { family, prefix: 0, protocol, location: at, port: 0, count: 0, address: undefined };
}

const UDP = 17;
const A0 = { at: 0, address: "10.1.8.3", protocol: UDP, port: 5004, count: 2 };
const A3 = { at: 3, address: "192.0.2.100", protocol: UDP, port: 6004, count: 2 };
const INBOUND = { parity: 3, direction: 1 };
const V3 = { major: 3, minor: 0 };
const FILTER: Capabilities = {
  isFilter: true,
  translates: false,
  disables: true,
  translatesPorts: false,
  translatesProtocols: false,
  translatesTwice: false,
  internalWildcards: true,
  externalWildcards: true,
  portWildcards: true,
  isPersistent: false,
  internalFamilies: [4, 6],
  externalFamilies: [4, 6],
  lifetimeMax: 3600,
};
const RESERVED = { rule: 0x1001, group: 0x51 };
const OUTSIDE = fullTuple({ at: 2, address: "203.0.113.7", protocol: UDP, port: 40_000, count: 2 });
const INSIDE = fullTuple({ at: 1, address: "10.255.0.9", protocol: UDP, port: 50_000, count: 2 });

/** What the vectors say. */
export const VECTOR_MESSAGES: Readonly<Record<string, Message>> = {
  V01: { name: "SE", tid: 1, version: V3 },
  V02: { name: "SE_REPLY", tid: 1, capabilities: FILTER },
  V03: {
    name: "SE_REPLY",
    tid: 1,
    capabilities: {
      ...FILTER,
      translates: true,
      translatesPorts: true,
      internalWildcards: false,
      isPersistent: true,
      internalFamilies: [4],
      externalFamilies: [4],
      lifetimeMax: 86_400,
    },
  },
  V04: { name: "SE", tid: 2, version: V3, challenge: octetsOf("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf") },
  V05: {
    name: "SA_REPLY",
    tid: 2,
    challenge: octetsOf("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    token: octetsOf("0103667731", "ec1ed19af59c68e3693274e5fdd8bbab3b6ab19b827634f68d3e55ca64064f6a"),
  },
  V06: {
    name: "SA",
    tid: 3,
    token: octetsOf("01076167656e742d31", "e7b14a9a1b250f6b0eababbc9ca6401b88717b22f53e938714498aa257b25e1a"),
  },
  V07: { name: "SA_REPLY", tid: 2, challenge: octetsOf("0102030405"), token: octetsOf("") },
  V08: { name: "NEGATIVE", tid: 1, code: 0x0322, version: V3 },
  V09: {
    name: "PRR",
    tid: 0x10,
    reserve: { natMode: 1, parity: 2, insideVersion: 1, outsideVersion: 1, protocol: UDP, count: 2 },
    lifetime: 300,
  },
  V10: { name: "PRR_REPLY", tid: 0x10, ...RESERVED, lifetime: 300, outside: protocolTuple(2, UDP) },
  V11: { name: "PRR_REPLY", tid: 0x10, ...RESERVED, lifetime: 300, outside: OUTSIDE },
  V12: { name: "PRR_REPLY", tid: 0x10, ...RESERVED, lifetime: 300, outside: OUTSIDE, inside: INSIDE },
  V14: {
    name: "PER_REPLY",
    tid: 0x11,
    rule: 0x1002,
    group: 0x51,
    lifetime: 300,
    outside: fullTuple({ ...A0, at: 2 }),
    inside: fullTuple({ ...A3, at: 1 }),
  },
  V15: {
    name: "PER",
    tid: 0x12,
    enable: { parity: 0, direction: 2 },
    internal: fullTuple({ at: 0, address: "2001:db8:1::10", protocol: 6, port: 0 }),
    external: fullTuple({ at: 3, address: "2001:db8:2::", prefix: 64, protocol: 6, port: 443 }),
    lifetime: 600,
  },
  V17: {
    name: "PEA",
    tid: 0x14,
    enable: INBOUND,
    internal: fullTuple(A0),
    external: fullTuple(A3),
    lifetime: 300,
    rule: 0x1001,
  },
  V18: { name: "PLC", tid: 0x15, rule: 0x1002, lifetime: 900 },
  V20: { name: "PLC", tid: 0x16, rule: 0x1002, lifetime: 0 },
  V21: { name: "PRD_REPLY", tid: 0x16 },
  V23: {
    name: "PRS_REPLY",
    tid: 0x17,
    ...RESERVED,
    lifetime: 287,
    outside: protocolTuple(2, UDP),
    owner: "agent-1",
  },
  V24: {
    name: "PES_REPLY",
    tid: 0x18,
    rule: 0x1002,
    group: 0x51,
    enable: INBOUND,
    internal: fullTuple(A0),
    inside: fullTuple({ ...A3, at: 1 }),
    outside: fullTuple({ ...A0, at: 2 }),
    external: fullTuple(A3),
    lifetime: 250,
    owner: "agent-1",
  },
  V26: { name: "PDR_REPLY", tid: 0x19, rule: 0x1003, lifetime: 1800 },
  V27: {
    name: "PDS_REPLY",
    tid: 0x1a,
    rule: 0x1003,
    internal: protocolTuple(0, UDP),
    external: fullTuple({ at: 3, address: "192.0.2.100", protocol: UDP, port: 0 }),
    lifetime: 1795,
    owner: "ids",
  },
  V29: { name: "PRL_REPLY", tid: 0x1b, rules: [0x1001, 0x1002, 0x1003] },
  V30: { name: "ARE", tid: 0x80000001, rule: 0x1002, lifetime: 0 },
  V32: { name: "AST", tid: 0x80000003 },
  V33: { name: "BFM", tid: 0x80000004 },
  V35: { name: "ST_REPLY", tid: 0x1c },
  V36: { name: "NEGATIVE", tid: 0x11, code: 0x0350 },
};
