/** Messages to bytes. Every message can be written; reserved bits are 0. */
import { ATTRIBUTE_HEADER_OCTETS, ATTRIBUTE_LENGTH, ATTRIBUTE_TYPE, VALUE_CODECS } from "./attribute.ts";
import { encodeHeader, HEADER_OCTETS } from "./header.ts";
import { CODE, type FieldMark, type FieldName, LAYOUT, type Message } from "./message.ts";

/** One attribute that shall be written. */
interface Written {
  readonly codec: {
    readonly type: number;
    octetsOf(value: unknown): number;
    encode(bytes: DataView, at: number, value: unknown): void;
  };
  readonly value: unknown;
}

function write(name: FieldName, value: unknown): Written {
  return { codec: VALUE_CODECS[name], value };
}

function attributesOf(message: Message): Written[] {
  if (message.name === "NEGATIVE") {
    return message.version === undefined ? [] : [write("version", message.version)];
  }
  const marks: readonly FieldMark[] = LAYOUT[message.name];
  const values = message as unknown as Readonly<Partial<Record<FieldName, unknown>>>;
  return marks.flatMap((mark) => {
    const name = mark.replace("?", "") as FieldName;
    const value = values[name];
    if (value === undefined) return [];
    return Array.isArray(value) ? value.map((one: unknown) => write(name, one)) : [write(name, value)];
  });
}

/** Writes a message, header and all. */
export function encodeMessage(message: Message): Uint8Array {
  const attributes = attributesOf(message);
  const payload = attributes.reduce(
    (sum, { codec, value }) => sum + ATTRIBUTE_HEADER_OCTETS + codec.octetsOf(value),
    0,
  );
  const octets = new Uint8Array(HEADER_OCTETS + payload);
  const bytes = new DataView(octets.buffer);
  const code = message.name === "NEGATIVE" ? message.code : CODE[message.name];
  encodeHeader(bytes, { code, length: payload, tid: message.tid });
  let at = HEADER_OCTETS;
  for (const { codec, value } of attributes) {
    const length = codec.octetsOf(value);
    bytes.setUint16(at + ATTRIBUTE_TYPE, codec.type);
    bytes.setUint16(at + ATTRIBUTE_LENGTH, length);
    codec.encode(bytes, at + ATTRIBUTE_HEADER_OCTETS, value);
    at += ATTRIBUTE_HEADER_OCTETS + length;
  }
  return octets;
}
