/** SSDP: HTTP-like messages in datagrams (UPnP Device Architecture 2.0, section 1). */
import { LineCursor } from "../lines.ts";
import { readMessageHeader } from "../message-header.ts";
import { CONFIDENCE, charCodes, NO_MATCH, type Recogniser } from "../recogniser.ts";

const STARTS: readonly string[] = ["M-SEARCH * HTTP/1.", "NOTIFY * HTTP/1.", "HTTP/1.1 200 OK\r\n"];

/** See the head of this file. */
export const ssdp: Recogniser = {
  protocol: "SSDP",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: charCodes("MNH"),
  judge(evidence) {
    const { bytes } = evidence;
    const start = STARTS.find((text) => bytes.has(text));
    if (start === undefined) return NO_MATCH;
    const facts = evidence.match(CONFIDENCE.CERTAIN);
    facts.kind = start.startsWith("H") ? "RESPONSE" : (start.split(" ")[0] ?? "");
    return readMessageHeader(evidence, new LineCursor());
  },
};
