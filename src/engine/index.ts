export {
  COUNTER,
  COUNTERS,
  COUNTERS_BYTES,
  type CounterName,
  type CounterValues,
  sumCounters,
} from "./counters.ts";
export { Engine, type EngineObserver, type EngineOptions, type EnginePolicy, NOT_TRACKED } from "./engine.ts";
