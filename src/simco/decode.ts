/**
 * Messages from bytes.
 *
 * Two readers: a strict one for what agents send, and for everything that is sent here (attributes in the
 * order of the figures, nothing more and nothing less), and a lenient one for replies of other middleboxes,
 * which finds attributes by their types and tuples by where they lie (DEC-06, DEC-13, DEC-14).
 */
import type { AddressTuple } from "./address-tuple.ts";
import {
  ATTRIBUTE_HEADER_OCTETS,
  ATTRIBUTE_LENGTH,
  ATTRIBUTE_TYPE,
  FIELD_LOCATION,
  isLengthOf,
  VALUE_CODECS,
} from "./attribute.ts";
import { decodeHeader, HEADER_OCTETS } from "./header.ts";
import {
  BASIC_TYPE,
  type Field,
  type FieldName,
  FIELDS,
  type Message,
  messageName,
  type NamedMessage,
  type NegativeReply,
  type Request,
  REQUEST_NAMES,
  VERSION_FIELDS,
} from "./message.ts";
import type { Version } from "./parameter-set.ts";
import { REPLY } from "./reply-code.ts";

/** Why a request cannot be read. The first two have replies of their own, all others share one. */
export type RequestFault =
  | "basic-type"
  | "sub-type"
  /** An attribute runs past the end of the message, or the message ends within one. */
  | "attribute-truncated"
  /** Its value has a length that it cannot have. */
  | "attribute-length"
  /** Another attribute belongs there. */
  | "attribute-order"
  | "attribute-missing"
  /** There is more than belongs there. */
  | "attribute-extra"
  /** Form, IP version and length of an address tuple do not go together. */
  | "tuple-form";

type Values = Partial<Record<FieldName, unknown>>;

/** One attribute where it lies. */
interface Attribute {
  readonly type: number;
  readonly at: number;
  readonly length: number;
}

function attributesOf(message: DataView): Attribute[] | "attribute-truncated" {
  const attributes: Attribute[] = [];
  let at = HEADER_OCTETS;
  while (at < message.byteLength) {
    if (at + ATTRIBUTE_HEADER_OCTETS > message.byteLength) return "attribute-truncated";
    const type = message.getUint16(at + ATTRIBUTE_TYPE);
    const length = message.getUint16(at + ATTRIBUTE_LENGTH);
    const value = at + ATTRIBUTE_HEADER_OCTETS;
    if (value + length > message.byteLength) return "attribute-truncated";
    attributes.push({ type, at: value, length });
    at = value + length;
  }
  return attributes;
}

/** Reads one value into its field; a word says why it cannot be. */
function readInto(
  values: Values,
  name: FieldName,
  message: DataView,
  { at, length }: Attribute,
): RequestFault | undefined {
  if (!isLengthOf(name, length)) return "attribute-length";
  const value = VALUE_CODECS[name].decode(message, at, length);
  if (FIELD_LOCATION[name] !== undefined && typeof value === "string") return "tuple-form";
  values[name] = value;
  return undefined;
}

/** Reads the attributes in the order of the layout, and nothing else. */
function readInOrder(
  message: DataView,
  attributes: readonly Attribute[],
  fields: readonly Field[],
): Values | RequestFault {
  const values: Values = {};
  let next = 0;
  for (const field of fields) {
    const { name, isOptional } = field;
    if (name === "rules") {
      const rules = readAll(message, attributes);
      return typeof rules === "string" ? rules : { rules };
    }
    const attribute = attributes[next];
    if (isOptional && !isPresent(attribute, field, fields, attributes.length - next)) continue;
    if (attribute === undefined) return "attribute-missing";
    if (attribute.type !== VALUE_CODECS[name].type) return "attribute-order";
    const fault = readInto(values, name, message, attribute);
    if (fault !== undefined) return fault;
    next += 1;
  }
  return next < attributes.length ? "attribute-extra" : values;
}

/** An optional tuple among others is there when there are attributes enough for it and for what follows. */
function isPresent(
  attribute: Attribute | undefined,
  field: Field,
  fields: readonly Field[],
  left: number,
): boolean {
  const { name } = field;
  if (attribute?.type !== VALUE_CODECS[name].type) return false;
  const behind = fields.slice(fields.indexOf(field) + 1).filter((one) => !one.isOptional).length;
  return FIELD_LOCATION[name] === undefined || left > behind;
}

function readAll(message: DataView, attributes: readonly Attribute[]): number[] | RequestFault {
  const rules: number[] = [];
  for (const attribute of attributes) {
    if (attribute.type !== VALUE_CODECS.rule.type) return "attribute-order";
    if (!isLengthOf("rule", attribute.length)) return "attribute-length";
    rules.push(message.getUint32(attribute.at));
  }
  return rules;
}

function readNegative(
  message: DataView,
  header: { code: number; tid: number },
): NegativeReply | RequestFault {
  const { code, tid } = header;
  const attributes = attributesOf(message);
  if (typeof attributes === "string") return attributes;
  if (code !== REPLY.VERSION_MISMATCH.code) {
    return attributes.length === 0 ? { name: "NEGATIVE", tid, code } : "attribute-extra";
  }
  const values = readInOrder(message, attributes, VERSION_FIELDS);
  if (typeof values === "string") return values;
  return { name: "NEGATIVE", tid, code, version: values.version as Version };
}

/**
 * Reads any message, strictly.
 *
 * @param message - header and payload, nothing more
 */
export function decodeMessage(message: DataView): Message | RequestFault {
  const { code, tid } = decodeHeader(message);
  if (code >> 8 === BASIC_TYPE.NEGATIVE) return readNegative(message, { code, tid });
  const name = messageName(code);
  if (name === undefined) return "sub-type";
  const attributes = attributesOf(message);
  if (typeof attributes === "string") return attributes;
  const values = readInOrder(message, attributes, FIELDS[name]);
  if (typeof values === "string") return values;
  // One of the two must be there (RFC 4540 section 5.2.3).
  const isEmpty = values.challenge === undefined && values.token === undefined;
  if (name === "SA_REPLY" && isEmpty) return "attribute-missing";
  return { name, tid, ...values } as NamedMessage;
}

/**
 * Reads what an agent sent, with the checks in the order of RFC 4540 section 6.
 *
 * @param message - header and payload, nothing more
 */
export function decodeRequest(message: DataView): Request | RequestFault {
  const { code } = decodeHeader(message);
  if (code >> 8 !== BASIC_TYPE.REQUEST) return "basic-type";
  const name = messageName(code);
  if (!REQUEST_NAMES.some((known) => known === name)) return "sub-type";
  return decodeMessage(message) as Request | RequestFault;
}

/** Gives each tuple its field: by where it says that it lies, or else by its turn. */
function placeTuples(tuples: readonly AddressTuple[], fields: readonly FieldName[]): Values {
  const byLocation = fields.map((field) => tuples.filter((one) => one.location === FIELD_LOCATION[field]));
  const isPlaced =
    byLocation.every((found) => found.length <= 1) && byLocation.flat().length === tuples.length;
  const turn = fields.length > tuples.length ? fields.filter((field) => field !== "inside") : fields;
  const placed = isPlaced
    ? fields.map((field, index) => [field, byLocation[index]?.[0]] as const)
    : turn.map((field, index) => [field, tuples[index]] as const);
  return Object.fromEntries(placed.filter(([, tuple]) => tuple !== undefined)) as Values;
}

/** Finds fields by the types of attributes; what is unknown is passed over. */
function readByType(
  message: DataView,
  attributes: readonly Attribute[],
  fields: readonly Field[],
): Values | RequestFault {
  const values: Values = {};
  const tuples: AddressTuple[] = [];
  const names = fields.map(({ name }) => name);
  const ends = names.filter((name) => FIELD_LOCATION[name] !== undefined);
  for (const attribute of attributes) {
    const name = names.find((one) => VALUE_CODECS[one].type === attribute.type);
    if (name === undefined) continue;
    const fault = readInto(values, name, message, attribute);
    if (fault !== undefined) return fault;
    if (ends.includes(name)) tuples.push(values[name] as AddressTuple);
  }
  for (const name of ends) delete values[name];
  Object.assign(values, placeTuples(tuples, ends));
  const isMissing = fields.some(({ name, isOptional }) => !isOptional && values[name] === undefined);
  return isMissing ? "attribute-missing" : values;
}

/**
 * Reads what a middlebox sent, of any make.
 *
 * @param message - header and payload, nothing more
 */
export function decodeFromMiddlebox(message: DataView): Message | RequestFault {
  const { code, tid } = decodeHeader(message);
  const basic = code >> 8;
  if (basic === BASIC_TYPE.REQUEST) return "basic-type";
  const name = messageName(code);
  if (basic === BASIC_TYPE.NEGATIVE || name === undefined || name === "PRL_REPLY")
    return decodeMessage(message);
  const attributes = attributesOf(message);
  if (typeof attributes === "string") return attributes;
  const values = readByType(message, attributes, FIELDS[name]);
  return typeof values === "string" ? values : ({ name, tid, ...values } as NamedMessage);
}
