/** DHCP (RFC 2131, RFC 2132) and its ancestor BOOTP with the magic cookie (RFC 1497). */
import type { ByteWindow } from "../byte-window.ts";
import { CONFIDENCE, DONE, type Facts, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Header (RFC 2131 section 2).
const HARDWARE_LENGTH = 2;
const HOPS = 3;
const COOKIE = 236;
const OPTIONS = 240;

const BOOT_REQUEST = 1;
const BOOT_REPLY = 2;
const MAGIC_COOKIE = 0x63825363;
const HARDWARE_BYTES_MAX = 16;
const HOPS_MAX = 16;

/** Option codes (RFC 2132). */
const PAD = 0;
const END = 255;
const HOST_NAME = 12;
const MESSAGE_TYPE = 53;
const VENDOR_CLASS = 60;

const MESSAGES: readonly string[] = [
  "",
  "DISCOVER",
  "OFFER",
  "REQUEST",
  "DECLINE",
  "ACK",
  "NAK",
  "RELEASE",
  "INFORM",
];

function learnOptions(facts: Facts, bytes: ByteWindow): void {
  let position = OPTIONS;
  for (;;) {
    const code = bytes.u8(position);
    if (code === PAD) {
      position += 1;
      continue;
    }
    const length = bytes.u8(position + 1);
    if (code < 0 || code === END || length < 0) return;
    const from = position + 2;
    if (code === HOST_NAME) facts.serverName ??= bytes.name(from, from + length);
    if (code === VENDOR_CLASS) facts.clientSoftware ??= bytes.text(from, from + length);
    if (code === MESSAGE_TYPE) facts.kind = MESSAGES[bytes.u8(from)] ?? "other";
    position = from + length;
  }
}

/** See the head of this file. */
export const dhcp: Recogniser = {
  protocol: "DHCP",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: [BOOT_REQUEST, BOOT_REPLY],
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.u32(COOKIE) !== MAGIC_COOKIE) return NO_MATCH;
    if (bytes.u8(HARDWARE_LENGTH) > HARDWARE_BYTES_MAX || bytes.u8(HOPS) > HOPS_MAX) return NO_MATCH;
    learnOptions(evidence.match(CONFIDENCE.CERTAIN), bytes);
    return DONE;
  },
};
