/**
 * A rule of one's own: matches DNS queries for a domain and everything below it.
 *
 * A module exports one function; Postern calls it with the registry before it reads the policy. A rule is a class
 * with a `match` that says yes or no, and a definition that says how it is written in a policy. What the definition
 * declares is checked when the file is read, with line and column, and shows up in `postern schema`.
 */
import { listOf, makeGate, NEEDS, Rule, required, text } from "postern/rules";

// A DNS message over UDP (RFC 1035 section 4): a header, then the name that is asked for, as labels that each begin
// with their length; a label of length 0 ends the name.
const UDP = 17;
const DNS_PORT = 53;
const HEADER_BYTES = 12;
const LONGEST_LABEL = 63;
const CASE_BIT = 0x20;

/** A domain as it stands in a message: `example.org` is 7 e x a m p l e 3 o r g 0. */
function encodeDomain(domain) {
  const labels = domain.toLowerCase().split(".");
  if (labels.some((label) => label === "" || label.length > LONGEST_LABEL)) {
    throw new Error(`"${domain}" is no domain name`);
  }
  return Uint8Array.from(
    labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]).concat(0),
  );
}

/** True when the message has these bytes at `at`; letters are compared without their case. */
function hasBytes(packet, at, wanted) {
  if (at + wanted.length > packet.end) return false;
  for (let index = 0; index < wanted.length; index += 1) {
    const byte = packet.bytes.getUint8(at + index);
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    if ((isUpper ? byte | CASE_BIT : byte) !== wanted[index]) return false;
  }
  return true;
}

class DnsNameRule extends Rule {
  // The rule reads ports and payload: later fragments have neither, and never get here.
  needs = NEEDS.TRANSPORT;
  // Whatever is no UDP to port 53 is not even asked about.
  gate = makeGate({ protocol: UDP, destinationLow: DNS_PORT, destinationHigh: DNS_PORT });
  #domains;

  constructor(domains) {
    super();
    this.#domains = domains.map(encodeDomain);
  }

  // Called for every packet: no new objects, no strings, and never a read past packet.end.
  match(packet) {
    if (packet.protocol !== UDP || packet.destinationPort !== DNS_PORT) return false;
    let at = packet.payloadAt + HEADER_BYTES;
    while (at < packet.end) {
      for (const domain of this.#domains) if (hasBytes(packet, at, domain)) return true;
      const length = packet.bytes.getUint8(at);
      if (length === 0 || length > LONGEST_LABEL) return false;
      at += 1 + length;
    }
    return false;
  }

  // For `postern explain`.
  explain(packet, context) {
    return this.match(packet, context) ? "asks for one of the domains" : "asks for none of the domains";
  }
}

export default function register(registry) {
  registry.register("DnsNameRule", {
    summary: "Matches DNS queries over UDP for a domain and everything below it.",
    arguments: { domains: required(listOf(text(253), { min: 1, max: 100 }), "The domains.") },
    action: "required",
    create: ({ domains }) => new DnsNameRule(domains),
  });
}
