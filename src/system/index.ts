export { findAccount, resolveGroup, resolveUser } from "./accounts.ts";
export { errnoName, errnoText } from "./libc.ts";
export { runCommand } from "./command.ts";
export { Conntrack, type ConntrackDeletion } from "./conntrack.ts";
export { ConntrackEvents, type ConntrackListener, type ConntrackRead } from "./conntrack-events.ts";
export { ConntrackList } from "./conntrack-list.ts";
export {
  type ConntrackAccounting,
  enableConntrackAccounting,
  readConntrackAccounting,
} from "./conntrack-settings.ts";
export { BatchBuffer } from "./batch-buffer.ts";
export { type ConntrackObserver, ConntrackWatch, type ConntrackWatchOptions } from "./conntrack-watch.ts";
export { DatagramPair } from "./datagram-pair.ts";
export { DurableLog } from "./durable-log.ts";
export { type DurableChange, type DurableKey, DurableStore } from "./durable-store.ts";
export { EventFd } from "./event-fd.ts";
export { InterfaceNames, interfaceIndex } from "./interface-names.ts";
export {
  CAPABILITY,
  type CapabilityName,
  kernelRelease,
  parseCapabilities,
  readCapabilities,
  readOpenFilesMax,
  readSysctl,
} from "./kernel-settings.ts";
export { LocalAddresses } from "./local-addresses.ts";
export { machineBootId, machineMoment } from "./machine-clock.ts";
export {
  type Answers,
  type ListEnd,
  type ListVisitor,
  NETLINK_PROTOCOL,
  NetlinkSocket,
} from "./netlink-socket.ts";
export { type PeerCredentials, readPeerCredentials } from "./peer-credentials.ts";
export { FolderLock } from "./folder-lock.ts";
export { enterNamespace, inFreshNamespace, inNamespace } from "./network-namespace.ts";
export { Nftables, type NftablesError, type NftablesRun, parseNftablesErrors } from "./nftables.ts";
export { releaseMemory, keepMemorySmall } from "./process-memory.ts";
export { QueueSet } from "./queue-set.ts";
export { QueueCounters, QueueSocket, type QueueSocketOptions } from "./queue-socket.ts";
export { type KernelQueueStatistics, parseQueueStatistics, readQueueStatistics } from "./queue-statistics.ts";
export { RawSocket } from "./raw-socket.ts";
export { RuleEvents, type RuleListener } from "./rule-events.ts";
export { systemError } from "./system-error.ts";
