export {
  DEFAULT_PINHOLE_SOCKET,
  DEFAULT_SOCKET,
  type FirewallStatus,
  type KillAnswer,
  type KillRequest,
  type ProblemDetails,
  type ProblemReport,
  type ReloadAnswer,
  type ReloadRequest,
  type StateQuery,
  type TableSource,
  type WatchEvent,
  type WorkerStatus,
} from "./api.ts";
export { ApiError, callApi, streamApi } from "./connection.ts";
export { type ConnectOptions, connect, FirewallClient } from "./firewall-client.ts";
export type { State, StateKey, StatePeer } from "../view/index.ts";
export type {
  LimitReport,
  TableChangeReport,
  TableChangeRequest,
  TableCreation,
  TableEntryReport,
  TableOutcome,
  TableReport,
  TableTestReport,
} from "./table-api.ts";
