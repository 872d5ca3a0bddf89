export type {
  BackendAbilities,
  Connection,
  Cut,
  DesiredState,
  Drift,
  PinholeBackend,
  PreparedPlan,
  Restoration,
  Traffic,
} from "./backend.ts";
export { BoxIndex, endpointsMeet, type Pair, pairsMeet } from "./box-index.ts";
export {
  ANY_PROTOCOL,
  type Box,
  type Element,
  ELEMENT_ROLES,
  type ElementRole,
  makeElement,
  type StandingElement,
} from "./element.ts";
export {
  ALL_PORTS,
  allAddresses,
  Endpoint,
  isAllPorts,
  PORT_MAX,
  portCount,
  type PortRange,
} from "./endpoint.ts";
export type { KernelPlan, PinholeLimits, StandingLimits } from "./kernel-plan.ts";
