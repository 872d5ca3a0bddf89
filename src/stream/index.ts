export {
  type Datagram,
  ENOUGH,
  type StreamConsumer,
  type StreamDirection,
  type StreamLimit,
  type StreamObserver,
} from "./consumer.ts";
export type { OverlapPolicy, StreamMemory } from "./held-bytes.ts";
export { Stream } from "./stream.ts";
export type { StreamCounters, StreamSetting } from "./stream-half.ts";
export { type FlowRecord, StreamTable, type StreamTableOptions } from "./stream-table.ts";
