/** The header of messages in the manner of HTTP: what SIP, RTSP and SSDP tell of the programs that speak. */
import type { Evidence } from "./evidence.ts";
import { headerValue, type LineCursor } from "./lines.ts";
import { type Answer, DONE } from "./recogniser.ts";

/**
 * Reads a header up to its end, and learns the programs at both ends (RFC 3261 sections 20.35 and 20.41, RFC
 * 2326 sections 12.36 and 12.41).
 *
 * @param evidence - matched already
 * @param cursor - behind the start line
 * @returns what the recogniser answers: a datagram holds all there is, of a stream more may come
 */
export function readMessageHeader(evidence: Evidence, cursor: LineCursor): Answer {
  const { bytes, facts } = evidence;
  while (cursor.next(bytes)) {
    if (cursor.to === cursor.from) return DONE;
    const agent = headerValue(bytes, cursor.from, cursor.to, "user-agent:");
    if (agent !== undefined) facts.clientSoftware = agent;
    const server = headerValue(bytes, cursor.from, cursor.to, "server:");
    if (server !== undefined) facts.serverSoftware = server;
  }
  return evidence.transport === "UDP" ? DONE : bytes.length + 1;
}
