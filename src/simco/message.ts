/**
 * What can be said: every message with its attributes in their order (RFC 4540 section 5).
 *
 * The table is the truth. The types of messages, the decoder and the encoder are all made of it.
 */
import type { AddressTuple } from "./address-tuple.ts";
import type { Capabilities, EnableParameters, ReserveParameters, Version } from "./parameter-set.ts";

/** Basic types: the upper octet of a code. */
export const BASIC_TYPE = { REQUEST: 1, POSITIVE: 2, NEGATIVE: 3, NOTIFICATION: 4 } as const;

/** Basic type and sub-type of every message but the negative replies, which reply-code.ts lists. */
export const CODE = {
  SE: 0x0101,
  SA: 0x0102,
  ST: 0x0103,
  PRR: 0x0111,
  PER: 0x0112,
  PEA: 0x0113,
  PDR: 0x0114,
  PLC: 0x0115,
  PRS: 0x0121,
  PRL: 0x0122,
  SE_REPLY: 0x0201,
  SA_REPLY: 0x0202,
  ST_REPLY: 0x0203,
  PRR_REPLY: 0x0211,
  PER_REPLY: 0x0212,
  PDR_REPLY: 0x0214,
  PLC_REPLY: 0x0215,
  PRD_REPLY: 0x0216,
  PRS_REPLY: 0x0221,
  PRL_REPLY: 0x0222,
  PES_REPLY: 0x0223,
  PDS_REPLY: 0x0224,
  BFM: 0x0401,
  AST: 0x0402,
  ARE: 0x0403,
} as const;

/** A message by its name. */
export type MessageName = keyof typeof CODE;

/** What an attribute means in a message. */
export interface FieldValues {
  readonly version: Version;
  readonly challenge: Uint8Array;
  readonly token: Uint8Array;
  readonly capabilities: Capabilities;
  /** Policy rule identifier (PID). */
  readonly rule: number;
  /** Policy rule identifiers, any number. */
  readonly rules: readonly number[];
  /** Group identifier (GID). */
  readonly group: number;
  /** Seconds. */
  readonly lifetime: number;
  /** Name of the agent that made the rule. */
  readonly owner: string;
  /** A0. */
  readonly internal: AddressTuple;
  /** A1. */
  readonly inside: AddressTuple;
  /** A2. */
  readonly outside: AddressTuple;
  /** A3. */
  readonly external: AddressTuple;
  readonly reserve: ReserveParameters;
  readonly enable: EnableParameters;
}

/** The meaning of an attribute, by its name. */
export type FieldName = keyof FieldValues;

/** A field of a layout; a question mark says that it may be absent. */
export type FieldMark = FieldName | `${FieldName}?`;

/** The attributes of every message, in the order of the wire. */
export const LAYOUT = {
  SE: ["version", "challenge?"],
  SA: ["token?"],
  ST: [],
  PRR: ["reserve", "lifetime", "group?"],
  PER: ["enable", "internal", "external", "lifetime", "group?"],
  PEA: ["enable", "internal", "external", "lifetime", "rule"],
  PDR: ["internal", "external", "lifetime"],
  PLC: ["rule", "lifetime"],
  PRS: ["rule"],
  PRL: [],
  SE_REPLY: ["capabilities"],
  SA_REPLY: ["challenge?", "token?"],
  ST_REPLY: [],
  PRR_REPLY: ["rule", "group", "lifetime", "outside", "inside?"],
  PER_REPLY: ["rule", "group", "lifetime", "outside", "inside?"],
  PDR_REPLY: ["rule", "lifetime"],
  PLC_REPLY: ["lifetime"],
  PRD_REPLY: [],
  PRS_REPLY: ["rule", "group", "lifetime", "outside", "inside?", "owner"],
  PRL_REPLY: ["rules"],
  PES_REPLY: ["rule", "group", "enable", "internal", "inside?", "outside", "external", "lifetime", "owner"],
  PDS_REPLY: ["rule", "internal", "external", "lifetime", "owner"],
  BFM: [],
  AST: [],
  ARE: ["rule", "lifetime"],
} as const satisfies Record<MessageName, readonly FieldMark[]>;

/** A field of a message. */
export interface Field {
  readonly name: FieldName;
  readonly isOptional: boolean;
}

function fieldsOf(marks: readonly FieldMark[]): Field[] {
  return marks.map((mark) => {
    const isOptional = mark.endsWith("?");
    return { name: (isOptional ? mark.slice(0, -1) : mark) as FieldName, isOptional };
  });
}

/** The layouts as the decoder and the encoder walk them. */
export const FIELDS: Readonly<Record<MessageName, readonly Field[]>> = Object.fromEntries(
  Object.entries(LAYOUT).map(([name, marks]) => [name, fieldsOf(marks)]),
) as Record<MessageName, Field[]>;

/** What a refusal for the version carries. */
export const VERSION_FIELDS: readonly Field[] = fieldsOf(["version"]);

type Fields<Marks extends readonly FieldMark[]> = {
  readonly [Mark in Marks[number] as Mark extends FieldName ? Mark : never]: FieldValues[Mark & FieldName];
} & {
  readonly [Mark in Marks[number] as Mark extends `${infer Name}?`
    ? Name
    : never]?: Mark extends `${infer Name extends FieldName}?` ? FieldValues[Name] : never;
};

/** A message of one kind. */
export type MessageOf<Name extends MessageName> = {
  readonly name: Name;
  /** Transaction identifier, 32 bits. */
  readonly tid: number;
} & Fields<(typeof LAYOUT)[Name]>;

/** Any message but a negative reply. */
export type NamedMessage = { [Name in MessageName]: MessageOf<Name> }[MessageName];

/** A request was refused. */
export interface NegativeReply {
  readonly name: "NEGATIVE";
  readonly tid: number;
  /** One of the codes of reply-code.ts, or one that is not known here. */
  readonly code: number;
  /** The version that the other side speaks; with `VERSION_MISMATCH` only. */
  readonly version?: Version;
}

/** Any message. */
export type Message = NamedMessage | NegativeReply;

/** Requests: what an agent may send. */
export const REQUEST_NAMES = [
  "SE",
  "SA",
  "ST",
  "PRR",
  "PER",
  "PEA",
  "PDR",
  "PLC",
  "PRS",
  "PRL",
] as const satisfies readonly MessageName[];

/** A request by its name. */
export type RequestName = (typeof REQUEST_NAMES)[number];

/** A request. */
export type Request = { [Name in RequestName]: MessageOf<Name> }[RequestName];

const NAMES: ReadonlyMap<number, MessageName> = new Map(
  (Object.keys(CODE) as MessageName[]).map((name) => [CODE[name], name]),
);

/** The name of a code; undefined when there is no such message, and for negative replies. */
export function messageName(code: number): MessageName | undefined {
  return NAMES.get(code);
}
