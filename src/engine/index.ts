export {
  COUNTER,
  COUNTERS,
  COUNTERS_BYTES,
  type CounterName,
  type CounterValues,
  sumCounters,
} from "./counters.ts";
export type { InspectedContent } from "./flow-content.ts";
export { notedProtocol } from "./inspection.ts";
export { Engine, type EngineObserver, type EngineOptions, type EnginePolicy, NOT_TRACKED } from "./engine.ts";
export type { DirectionTraffic, FamilyTraffic, InterfaceTraffic } from "./interface-counters.ts";
export { SEAL, type SealSettings } from "./sealing.ts";
