export { netnsTest } from "./netns-test.ts";
export type { Order, OrderAction, QueueOrders, SeenPacket } from "./programs/queue-orders.ts";
export { QueueHost, type QueueHostEnd } from "./queue-host.ts";
export { type Refusal, RefusalWitness } from "./refusal.ts";
export { ADMIN, ALICE, BOB, fakeEntropy } from "./pinholes/agents.ts";
export { BORDER, PacketProbe } from "./pinholes/packet-probe.ts";
export { packets, pinholeSpecs, WORLD } from "./pinholes/arbitraries.ts";
export { type HistoryShape, type HistoryStep, HistoryWorld, histories } from "./pinholes/history.ts";
