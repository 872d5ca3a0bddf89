export { netnsTest } from "./netns-test.ts";
export type { Order, OrderAction, QueueOrders, SeenPacket } from "./programs/queue-orders.ts";
export { QueueHost, type QueueHostEnd } from "./queue-host.ts";
export { type Refusal, RefusalWitness } from "./refusal.ts";
export { ADMIN, ALICE, BOB, fakeEntropy } from "./pinholes/agents.ts";
export { packets, pinholeSpecs, WORLD } from "./pinholes/arbitraries.ts";
