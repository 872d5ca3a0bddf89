export { type AddressTuple, LOCATION, tupleAt } from "./address-tuple.ts";
export { decodeFromMiddlebox, decodeMessage, decodeRequest, type RequestFault } from "./decode.ts";
export { encodeMessage } from "./encode.ts";
export {
  decodeHeader,
  encodeHeader,
  HEADER_OCTETS,
  type Header,
  MessageReader,
  OPENING_PAYLOAD_MAX,
  PAYLOAD_MAX,
  PAYLOAD_SENT_MAX,
} from "./header.ts";
export {
  BASIC_TYPE,
  CODE,
  type FieldName,
  type FieldValues,
  LAYOUT,
  type Message,
  type MessageName,
  type MessageOf,
  type NegativeReply,
  type Request,
  REQUEST_NAMES,
  type RequestName,
} from "./message.ts";
export {
  ALL_PORTS_COUNT,
  type Capabilities,
  DIRECTION,
  type EnableParameters,
  IP_VERSION,
  NAT_MODE,
  PACKET_FILTER,
  PARITY,
  type ReserveParameters,
  RESERVED_PARITY,
  VERSION,
  type Version,
} from "./parameter-set.ts";
export { REPLY, type ReplyFacts, type ReplyName, replyName } from "./reply-code.ts";
export { type Box, capabilitiesFor, type Directory, type RuleStore } from "./server/box.ts";
export { SimcoServer, type ServerOptions } from "./server/server.ts";
export { type ServerSession, SESSION_TIMES, type SessionTimes } from "./server/session.ts";
export { ADMISSION, SESSION_TABLE, type SessionState } from "./server/session-states.ts";
export { endpointOf, REQUEST_LABEL } from "./server/translation.ts";
export type { Peer, Transport } from "./server/transport.ts";
export { claimedIdentity, type Claim, isProof, type Mac, makeToken, ROLE } from "./token.ts";
export {
  AgentSession,
  type AgentOptions,
  type AgentProof,
  type AgentState,
  type AgentTransport,
  type AnswerTo,
  type Notice,
  type RuleAsked,
  type Unnumbered,
} from "./agent/agent-session.ts";
export { refusalError, SimcoError, type SimcoErrorCode } from "./agent/simco-error.ts";
export { evenEnds, natModeFor } from "./agent/wishes.ts";
