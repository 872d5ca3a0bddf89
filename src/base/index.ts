export {
  ADDRESS_WORDS,
  type Address,
  type AddressWords,
  type Family,
  familyBits,
  formatAddress,
  formatEndpoint,
  ipv4Words,
  MAPPED_WORD,
  parseAddress,
  parseIpv4,
  sameWords,
} from "./address.ts";
export {
  type ErrorDetails,
  type ErrorFacts,
  fileFailure,
  FirewallError,
  InvariantError,
  invariant,
} from "./errors.ts";
export { HOOK, HOOK_NAMES, type Hook, type HookName, hookName } from "./hook.ts";
export { defaultLimits, type Limit, type LimitName, LIMITS, type LimitValues } from "./limits.ts";
export {
  CONNTRACK_MARK,
  CONNTRACK_STATES,
  type ConntrackState,
  conntrackMark,
  conntrackStateNumber,
  conntrackStateOf,
  PINHOLE_MARK,
} from "./packet-mark.ts";
export { Prefix } from "./prefix.ts";
export { PROTOCOL, TCP_FLAG } from "./protocol.ts";
export { QUEUE_CLASSES, type QueueClass } from "./queue-class.ts";
export {
  sequenceAdd,
  sequenceAtOrBefore,
  sequenceBefore,
  sequenceDistance,
  sequenceMax,
} from "./sequence.ts";
export { TCP_STATES, type TcpState, tcpStateIndex } from "./tcp-states.ts";
export { HOUR, type Milliseconds, MINUTE, type Port, SECOND, type SequenceNumber } from "./units.ts";
export { VERDICT, type Verdict, type VerdictName, verdictName } from "./verdict.ts";
export { TIMEOUT_MEANINGS, type TimeoutName, type TimeoutValues } from "./timeouts.ts";
