export { Firewall, type FirewallOptions } from "./firewall.ts";
export { KernelTable } from "./kernel-table.ts";
export { LOG_LEVELS, Log, type LogFacts, type LogLevel, type LogOptions } from "./log.ts";
export {
  compileSource,
  type LoadedPolicy,
  loadPolicy,
  loadRecognisers,
  PolicyInvalidError,
  policyChecksum,
  readPolicySource,
} from "./policy-file.ts";
export { OwnerLock } from "./owner-lock.ts";
export { filledMemory, readTables } from "./table-files.ts";
export { DiskJournal } from "./pinholes/disk-journal.ts";
export { MemoryJournal, type PinholeJournal } from "./pinholes/journal.ts";
export { PinholeService, type ServiceOptions, type ServiceStatus } from "./pinholes/service.ts";
export type { PolicySource } from "./worker-protocol.ts";
export type { SocketPlace } from "./socket-place.ts";
export { AgentDirectory } from "./pinholes/agent-directory.ts";
export { policyChain, removePolicyPinholes } from "./pinholes/policy-pinholes.ts";
export { PinholeDaemon } from "./pinholes/pinhole-daemon.ts";
export type { OpenDoor, PinholeDoor, PinholeHouse } from "./pinholes/pinhole-door.ts";
export { openTlsDoor, openUnixDoor } from "./pinholes/http/http-door.ts";
export {
  openSimcoDoor,
  openSimcoSocket,
  SIMCO_PORT,
  type SimcoBoxOptions,
  type SimcoPlace,
} from "./pinholes/simco/simco-door.ts";
