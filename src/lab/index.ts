export {
  type FirewallOptions,
  POSTERN,
  posternInterpreter,
  type RunningFirewall,
  startFirewall,
} from "./firewall.ts";
export { findLeftovers, removeNamespace } from "./leftovers.ts";
export type {
  Destination,
  Heard,
  ListenOptions,
  TcpOutcome,
  TcpResult,
  TransferResult,
  UdpOutcome,
  UdpResult,
} from "./messages.ts";
export { type FinishedProgram, Namespace } from "./namespace.ts";
export { addressesOf, GATEWAY, HOST_PAIR, type LinkEnd, type TopologyPlan } from "./plan.ts";
export { type ProgramEnd, RunningProgram } from "./program.ts";
export { laboratoryObstacle, type Topology, type TopologyOptions, withTopology } from "./topology.ts";
export type { Listener, OpenConnection, Traffic } from "./traffic.ts";
