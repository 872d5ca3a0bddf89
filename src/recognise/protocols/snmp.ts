/** SNMP versions 1, 2c and 3 (RFC 1157, RFC 1901, RFC 3412). */
import { BER, BerElement } from "../ber.ts";
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

/** Values of the version field. */
const VERSION_3 = 3;
const VERSIONS: readonly string[] = ["1", "2c", "2", "3"];

/** Tags of the PDUs: GetRequest to Report (RFC 3416 section 3). */
const PDU_FIRST = 0xa0;
const PDU_LAST = 0xa8;
const COMMUNITY_BYTES_MAX = 255;

/** See the head of this file. */
export const snmp: Recogniser = {
  protocol: "SNMP",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: [BER.SEQUENCE],
  judge(evidence) {
    const { bytes } = evidence;
    const message = new BerElement();
    const field = new BerElement();
    if (!message.is(bytes, 0, BER.SEQUENCE) || message.to > evidence.wireLength) return NO_MATCH;
    if (!field.is(bytes, message.from, BER.INTEGER) || field.length !== 1) return NO_MATCH;
    const version = bytes.u8(field.from);
    const name = VERSIONS[version];
    if (name === undefined || !field.read(bytes, field.to)) return NO_MATCH;
    if (version === VERSION_3) {
      // HeaderData: msgID, msgMaxSize, msgFlags, msgSecurityModel (RFC 3412 section 6).
      const header = new BerElement();
      if (field.tag !== BER.SEQUENCE || !header.is(bytes, field.from, BER.INTEGER)) return NO_MATCH;
    } else {
      if (field.tag !== BER.OCTET_STRING || field.length > COMMUNITY_BYTES_MAX) return NO_MATCH;
      const tag = bytes.u8(field.to);
      if (tag < PDU_FIRST || tag > PDU_LAST) return NO_MATCH;
    }
    evidence.match(CONFIDENCE.CERTAIN).version = name;
    return DONE;
  },
};
