/** LDAP over streams and datagrams (RFC 4511; connectionless: MS-ADTS section 3.1.1.3). */
import { BER, BerElement } from "../ber.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

/** Tags of the operations (RFC 4511 section 4.2 and following). */
const OPERATION = {
  BIND_REQUEST: 0x60,
  BIND_RESPONSE: 0x61,
  UNBIND_REQUEST: 0x42,
  SEARCH_REQUEST: 0x63,
  SEARCH_ENTRY: 0x64,
  SEARCH_DONE: 0x65,
  SEARCH_REFERENCE: 0x73,
  EXTENDED_REQUEST: 0x77,
  EXTENDED_RESPONSE: 0x78,
} as const;

const OTHER_OPERATIONS: readonly number[] = [
  0x66, 0x67, 0x68, 0x69, 0x4a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x50, 0x79,
];

/** "LDAPMessage messageID INTEGER (0 .. 2147483647)" (RFC 4511 section 4.1.1). */
const MESSAGE_ID_BYTES_MAX = 4;
const MESSAGE_BYTES_MAX = 16_777_216;
/** Tag and length of an element with four octets of length. */
const BER_HEAD_BYTES_MAX = 6;
const START_TLS = "1.3.6.1.4.1.1466.20037";
/** Context tag of requestName (RFC 4511 section 4.12). */
const REQUEST_NAME = 0x80;

interface LdapState {
  startTls: boolean;
}

/** True when the operation's first field is what that operation begins with. */
function operationFits(evidence: Evidence, operation: BerElement): boolean {
  const { bytes } = evidence;
  const field = new BerElement();
  switch (operation.tag) {
    case OPERATION.BIND_REQUEST:
      return (
        field.is(bytes, operation.from, BER.INTEGER) &&
        field.length === 1 &&
        [2, 3].includes(bytes.u8(field.from))
      );
    case OPERATION.SEARCH_REQUEST:
      if (!field.is(bytes, operation.from, BER.OCTET_STRING)) return false;
      return field.to > bytes.length || field.is(bytes, field.to, BER.ENUMERATED);
    case OPERATION.BIND_RESPONSE:
    case OPERATION.SEARCH_DONE:
    case OPERATION.EXTENDED_RESPONSE:
      return field.is(bytes, operation.from, BER.ENUMERATED);
    case OPERATION.SEARCH_ENTRY:
    case OPERATION.SEARCH_REFERENCE:
      return field.is(bytes, operation.from, BER.OCTET_STRING);
    case OPERATION.EXTENDED_REQUEST:
      return field.is(bytes, operation.from, REQUEST_NAME);
    case OPERATION.UNBIND_REQUEST:
      return operation.length === 0;
    default:
      return false;
  }
}

function judgeOperation(evidence: Evidence, operation: BerElement, end: number): Answer {
  const { bytes } = evidence;
  const fits = operationFits(evidence, operation);
  if (!fits && !OTHER_OPERATIONS.includes(operation.tag)) return NO_MATCH;
  const facts = evidence.match(fits ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
  facts.kind ??= `operation ${operation.tag & 0x1f}`;
  if (evidence.transport === "UDP") return fits ? DONE : 1;
  if (operation.tag === OPERATION.EXTENDED_REQUEST && bytes.find(START_TLS, operation.from, end) >= 0) {
    evidence.state<LdapState>(() => ({ startTls: true }));
    return OTHER_SIDE;
  }
  const asked = evidence.peek<LdapState>()?.startTls === true;
  if (asked && operation.tag === OPERATION.EXTENDED_RESPONSE && bytes.u8(operation.from + 2) === 0) {
    return evidence.handOver("carries", end, 0);
  }
  return DONE;
}

/** Judges the operation at `at` in the message that ends at `end`. */
function readOperation(evidence: Evidence, at: number, end: number): Answer {
  const { bytes } = evidence;
  const stream = evidence.transport === "TCP";
  const operation = new BerElement();
  const headEnd = at + BER_HEAD_BYTES_MAX;
  if (bytes.length < Math.min(headEnd, end) && stream) return headEnd;
  if (!operation.read(bytes, at) || operation.to > end) return NO_MATCH;
  const enough = Math.min(operation.from + 64, end);
  if (bytes.length < enough && stream) return enough;
  return judgeOperation(evidence, operation, end);
}

/** See the head of this file. */
export const ldap: Recogniser = {
  protocol: "LDAP",
  transports: ["TCP", "UDP"],
  encrypted: false,
  firstBytes: [BER.SEQUENCE],
  judge(evidence) {
    const { bytes } = evidence;
    const message = new BerElement();
    if (!message.is(bytes, 0, BER.SEQUENCE))
      return bytes.length < 6 && evidence.transport === "TCP" ? 6 : NO_MATCH;
    if (message.length < 5 || message.length > MESSAGE_BYTES_MAX) return NO_MATCH;
    const id = new BerElement();
    const idAt = message.from;
    if (bytes.length < idAt + 8 && evidence.transport === "TCP" && message.to > bytes.length) return idAt + 8;
    if (!id.is(bytes, idAt, BER.INTEGER) || id.length < 1 || id.length > MESSAGE_ID_BYTES_MAX)
      return NO_MATCH;
    return readOperation(evidence, id.to, message.to);
  },
};
