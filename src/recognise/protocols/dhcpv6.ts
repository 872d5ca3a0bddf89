/** DHCP for IPv6 (RFC 8415): no mark, but options that fill the message to its end. */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Messages between client and server (RFC 8415 section 8): type, transaction id, options.
const OPTIONS = 4;
// Messages between relay and server (section 9): type, hops, two addresses, options.
const RELAY_OPTIONS = 34;
const RELAY_FORWARD = 12;
const RELAY_REPLY = 13;

const OPTION_HEADER_BYTES = 4;
/** Identifiers of client and server, and what a relay carries (RFC 8415 section 21). */
const CLIENT_ID = 1;
const SERVER_ID = 2;
const RELAY_MESSAGE = 9;
/** Options assigned so far. */
const OPTION_MAX = 150;

const MESSAGES: readonly string[] = [
  "",
  "SOLICIT",
  "ADVERTISE",
  "REQUEST",
  "CONFIRM",
  "RENEW",
  "REBIND",
  "REPLY",
  "RELEASE",
  "DECLINE",
  "RECONFIGURE",
  "INFORMATION-REQUEST",
  "RELAY-FORW",
  "RELAY-REPL",
];

/** True when known options fill [from, end) and one of them names an end or carries a message. */
function optionsFit(bytes: ByteWindow, from: number): boolean {
  let position = from;
  let named = false;
  while (position < bytes.length) {
    const code = bytes.u16(position);
    const length = bytes.u16(position + 2);
    if (code < 1 || code > OPTION_MAX || length < 0) return false;
    if (code === CLIENT_ID || code === SERVER_ID || code === RELAY_MESSAGE) named ||= length >= OPTIONS;
    position += OPTION_HEADER_BYTES + length;
  }
  return named && position === bytes.length;
}

/** See the head of this file. */
export const dhcpv6: Recogniser = {
  protocol: "DHCPv6",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: MESSAGES.map((_, type) => type).slice(1),
  judge(evidence: Evidence): Answer {
    const { bytes } = evidence;
    const type = bytes.u8(0);
    const relayed = type === RELAY_FORWARD || type === RELAY_REPLY;
    if (!optionsFit(bytes, relayed ? RELAY_OPTIONS : OPTIONS)) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).kind = MESSAGES[type] ?? "";
    return DONE;
  },
};
