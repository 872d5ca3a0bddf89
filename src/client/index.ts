export {
  DEFAULT_SOCKET,
  type FirewallStatus,
  type ProblemDetails,
  type ProblemReport,
  type ReloadAnswer,
  type ReloadRequest,
  type WorkerStatus,
} from "./api.ts";
export { ApiError, callApi } from "./connection.ts";
export { type ConnectOptions, connect, FirewallClient } from "./firewall-client.ts";
