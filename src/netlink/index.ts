export {
  JUDGED_CHAIN_MAX,
  JUDGED_RULE_MAX,
  type JudgedPlace,
  judgedPlace,
  judgedPriority,
} from "./judged-priority.ts";
export { HOST_ORDER } from "./byte-order.ts";
export {
  CONNTRACK_GROUP,
  CONNTRACK_MESSAGE,
  CONNTRACK_STATUS,
  CONNTRACK_TCP_FLAG,
  CONNTRACK_TCP_STATES,
  type ConntrackTcpState,
} from "./conntrack-attributes.ts";
export { CONNTRACK_FIELD, ConntrackEntry, ConntrackTuple } from "./conntrack-entry.ts";
export { type ConntrackEvent, conntrackEvent } from "./conntrack-event.ts";
export { ConntrackReader } from "./conntrack-reader.ts";
export {
  type ConntrackChange,
  type ConntrackFilter,
  type ConntrackKey,
  encodeConntrackDelete,
  encodeConntrackDump,
  encodeConntrackFlush,
  encodeConntrackGet,
  encodeConntrackUpdate,
  keyOf,
  type MaskedValue,
  type TupleFacts,
  type TupleFilter,
} from "./conntrack-request.ts";
export {
  type ConntrackStatistics,
  decodeConntrackSize,
  decodeConntrackStatistics,
  encodeConntrackSize,
  encodeConntrackStatistics,
} from "./conntrack-statistics.ts";
export { decodeKernelAnswer, errorNumber, type KernelAnswer } from "./error-message.ts";
export {
  AttributeCursor,
  CONTROL,
  MESSAGE_FLAG,
  MESSAGE_HEADER_BYTES,
  MESSAGE_TYPE_MIN,
  MessageCursor,
  type NetlinkFault,
} from "./message.ts";
export { MessageWriter, type NetfilterHeader } from "./message-writer.ts";
export {
  NftablesBatch,
  type QueueExpression,
  type QueueRange,
} from "./nftables-batch.ts";
export {
  decodeGenerationNumber,
  decodeRuleAuthor,
  decodeRuleNews,
  encodeGenerationGet,
  isTransactionEnd,
  NFTABLES_GROUP,
  type RuleAuthor,
  type RuleNews,
} from "./nftables-event.ts";
export { type ElementFacts, type ObjectFacts, SetBatch, type SetName } from "./nftables-set-batch.ts";
export {
  decodeName,
  ElementReader,
  encodeElementGet,
  encodeElementsDump,
  encodeObjectsDump,
  encodeSetsDump,
  type HeldElement,
  isInterrupted,
} from "./nftables-set-reader.ts";
export { NFTABLES_MESSAGE, TABLE_FAMILY, type TableName } from "./nftables-transaction.ts";
export {
  COPY_RANGE_MAX_BYTES,
  encodeQueueBind,
  encodeQueueCopyRange,
  encodeQueueUnbind,
  QUEUE_FLAG,
  QUEUE_PACKET,
  type QueueConfig,
} from "./queue-config.ts";
export {
  encodeQueuePacket,
  QUEUE_METADATA_MAX_BYTES,
  type QueueMetadata,
  QueuePacketView,
} from "./queue-packet.ts";
export { DEFAULT_MARK_MASK, REJECT_KIND, type RejectKind, RejectMarks } from "./reject-mark.ts";
export { SEAL_GENERATIONS, SEAL_KIND, type SealKind, SealMarks } from "./seal-mark.ts";
export { NETFILTER_VERDICT, VERDICT_MAX_BYTES, VerdictWriter } from "./verdict-writer.ts";
