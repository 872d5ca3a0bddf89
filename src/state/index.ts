export { COMMIT } from "./commit.ts";
export { COUNTER_MEANINGS, COUNTER, type CounterName, type CounterValues } from "./counter.ts";
export { DATAGRAM_STATES, type DatagramState, LEVEL, type LevelName } from "./datagram-machine.ts";
export { DIRECTION, FLOWING, PEER, ZONE } from "./direction.ts";
export { FlowReader, NO_SCALE } from "./flow-reader.ts";
export type { RemovalListener } from "./flow-table-options.ts";
export {
  checkTimeouts,
  defaultTimeouts,
  type Profile,
  PROFILES,
  profileTimeouts,
} from "./timeout.ts";
export type { TrackerOptions } from "./tracker-options.ts";
export { Tracker } from "./tracker.ts";
