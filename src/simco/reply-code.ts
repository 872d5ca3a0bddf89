/**
 * Negative replies: the number, the name, what it means and whether the connection ends with it (RFC 4540
 * section 4.2.2; the uses that the text leaves open are DEC-27 of docs/SIMCO.md).
 */

/** What a negative reply says. */
export interface ReplyFacts {
  readonly code: number;
  /** For a person: one clause. */
  readonly meaning: string;
}

/** The table. */
export const REPLY = {
  WRONG_BASIC_TYPE: { code: 0x0310, meaning: "the message is no request" },
  WRONG_SUBTYPE: { code: 0x0311, meaning: "there is no such request, or not before a session is open" },
  BAD_REQUEST: { code: 0x0312, meaning: "the attributes are not those of the request" },
  REPLY_TOO_BIG: { code: 0x0313, meaning: "the reply would be longer than a message can be" },
  NOT_APPLICABLE: { code: 0x0320, meaning: "the session is open, or being opened" },
  SESSION_RESOURCES: { code: 0x0321, meaning: "there is no room for a session now" },
  VERSION_MISMATCH: { code: 0x0322, meaning: "the protocol version is another" },
  AUTH_FAILED: { code: 0x0323, meaning: "the token is missing or wrong" },
  NO_AUTHORIZATION: { code: 0x0324, meaning: "the agent may not control this middlebox" },
  TRANSPORT_PROBLEM: { code: 0x0325, meaning: "the connection comes from where none may come from" },
  SECURITY_INSUFFICIENT: { code: 0x0326, meaning: "TLS is required here" },
  NOT_SUPPORTED: { code: 0x0340, meaning: "the middlebox has no such transaction" },
  TRANSACTION_FORBIDDEN: { code: 0x0341, meaning: "the agent may not use this transaction" },
  NO_RESOURCES: { code: 0x0342, meaning: "there is no room, or the agent's share is used up" },
  NO_SUCH_RULE: { code: 0x0343, meaning: "there is no such policy rule" },
  NO_SUCH_GROUP: { code: 0x0344, meaning: "there is no such group" },
  RULE_FORBIDDEN: { code: 0x0345, meaning: "the policy rule is somebody else's" },
  GROUP_FORBIDDEN: { code: 0x0346, meaning: "the group is somebody else's" },
  SPACE_UNAVAILABLE: { code: 0x0347, meaning: "the addresses are outside what the agent may open" },
  NO_ADDRESSES: { code: 0x0348, meaning: "no address is free" },
  NO_PORTS: { code: 0x0349, meaning: "no such run of ports is free" },
  CONFIG_FAILED: { code: 0x034a, meaning: "the filter or its policy refuses, or the lifetime is 0" },
  INCONSISTENT: { code: 0x034b, meaning: "the parameters contradict each other or the rule's state" },
  WILDCARD_UNSUPPORTED: { code: 0x034c, meaning: "that wildcard is not supported" },
  PROTOCOL_MISMATCH: { code: 0x034d, meaning: "another transport protocol was reserved" },
  NAT_MODE_UNSUPPORTED: { code: 0x034e, meaning: "the middlebox does not translate in that mode" },
  IP_VERSION_MISMATCH: { code: 0x034f, meaning: "that IP version is not served, or the versions differ" },
  RULE_CONFLICT: { code: 0x0350, meaning: "a disable rule or a binding stands against it" },
  LIFETIME_FORBIDDEN: { code: 0x0351, meaning: "the agent may see the rule and not change it" },
  NOT_EXTENDABLE: { code: 0x0352, meaning: "the lifetime may not be extended" },
  ILLEGAL_ADDRESS: { code: 0x0353, meaning: "an address or a prefix is not one that a rule can have" },
  PROTOCOL_UNSUPPORTED: { code: 0x0354, meaning: "the transport protocol is not supported" },
  ILLEGAL_PORT: { code: 0x0355, meaning: "the protocol has no ports, or the port is forbidden" },
  ILLEGAL_PORT_COUNT: { code: 0x0356, meaning: "a range of ports is empty or ends beyond 65535" },
  ALREADY_ENABLED: { code: 0x0357, meaning: "the policy rule is enabled already" },
  PARITY_MISMATCH: { code: 0x0358, meaning: "the reserved ports have another parity" },
} as const satisfies Record<string, ReplyFacts>;

/** A negative reply by its name. */
export type ReplyName = keyof typeof REPLY;

const NAMES: ReadonlyMap<number, ReplyName> = new Map(
  (Object.keys(REPLY) as ReplyName[]).map((name) => [REPLY[name].code, name]),
);

/** The name of a negative reply; undefined for a number that RFC 4540 does not know. */
export function replyName(code: number): ReplyName | undefined {
  return NAMES.get(code);
}
