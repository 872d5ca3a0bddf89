export { findAccount, resolveGroup, resolveUser } from "./accounts.ts";
export { errnoName, errnoText } from "./libc.ts";
export { EventFd } from "./event-fd.ts";
export { InterfaceNames, interfaceIndex } from "./interface-names.ts";
export {
  CAPABILITY,
  type CapabilityName,
  kernelRelease,
  parseCapabilities,
  readCapabilities,
  readSysctl,
} from "./kernel-settings.ts";
export { type Answers, NETLINK_PROTOCOL, NetlinkSocket } from "./netlink-socket.ts";
export { enterNamespace, inFreshNamespace, inNamespace } from "./network-namespace.ts";
export { Nftables, type NftablesError, type NftablesRun, parseNftablesErrors } from "./nftables.ts";
export { QueueCounters, QueueSocket, type QueueSocketOptions } from "./queue-socket.ts";
export { type KernelQueueStatistics, parseQueueStatistics, readQueueStatistics } from "./queue-statistics.ts";
export { RawSocket } from "./raw-socket.ts";
export { systemError } from "./system-error.ts";
