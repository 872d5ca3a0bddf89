/** Messages to bytes. Every message can be written; reserved bits are 0. */
import { ATTRIBUTE_HEADER_OCTETS, ATTRIBUTE_LENGTH, ATTRIBUTE_TYPE, VALUE_CODECS } from "./attribute.ts";
import { encodeHeader, HEADER_OCTETS } from "./header.ts";
import { CODE, type FieldName, FIELDS, type Message, VERSION_FIELDS } from "./message.ts";

/** Reads and writes any value; which one goes with which field is VALUE_CODECS's business. */
interface AnyCodec {
  readonly type: number;
  octetsOf(value: unknown): number;
  encode(bytes: DataView, at: number, value: unknown): void;
}

/** Codecs of the attributes that shall be written, and their values, in the order of the wire. */
interface Written {
  readonly codecs: AnyCodec[];
  readonly values: unknown[];
}

function attributesOf(message: Message): Written {
  const written: Written = { codecs: [], values: [] };
  const fields = message.name === "NEGATIVE" ? VERSION_FIELDS : FIELDS[message.name];
  const held = message as unknown as Readonly<Partial<Record<FieldName, unknown>>>;
  for (const { name } of fields) {
    const value = held[name];
    if (value === undefined) continue;
    const codec: AnyCodec = VALUE_CODECS[name];
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      written.codecs.push(codec);
      written.values.push(one);
    }
  }
  return written;
}

/** Writes a message, header and all. */
export function encodeMessage(message: Message): Uint8Array {
  const { codecs, values } = attributesOf(message);
  const lengths = codecs.map((codec, index) => codec.octetsOf(values[index]));
  const payload = lengths.reduce((sum, length) => sum + ATTRIBUTE_HEADER_OCTETS + length, 0);
  const octets = new Uint8Array(HEADER_OCTETS + payload);
  const bytes = new DataView(octets.buffer);
  const code = message.name === "NEGATIVE" ? message.code : CODE[message.name];
  encodeHeader(bytes, { code, length: payload, tid: message.tid });
  let at = HEADER_OCTETS;
  for (const [index, codec] of codecs.entries()) {
    const length = lengths[index] ?? 0;
    bytes.setUint16(at + ATTRIBUTE_TYPE, codec.type);
    bytes.setUint16(at + ATTRIBUTE_LENGTH, length);
    codec.encode(bytes, at + ATTRIBUTE_HEADER_OCTETS, values[index]);
    at += ATTRIBUTE_HEADER_OCTETS + length;
  }
  return octets;
}
