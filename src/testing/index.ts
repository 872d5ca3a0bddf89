export { eventually, PATIENCE_MS, SILENCE_MS } from "./patience.ts";
export { longNetnsTest, netnsTest } from "./netns-test.ts";
export type { Order, OrderAction, QueueOrders, SeenPacket } from "./programs/queue-orders.ts";
export { QueueHost, type QueueHostEnd } from "./queue-host.ts";
export { type Refusal, RefusalWitness } from "./refusal.ts";
export { ADMIN, ALICE, BOB, fakeEntropy } from "./pinholes/agents.ts";
export { ATTACKER, AUDIO, audio } from "./pinholes/specs.ts";
export { closeAtEnd } from "./test-file.ts";
export { startService } from "./pinholes/service.ts";
export { COMPLIANCE } from "./pinholes/compliance.ts";
export { type ComplianceCase, ComplianceWorld, type Harness } from "./pinholes/compliance-world.ts";
export { BORDER, PacketProbe } from "./pinholes/packet-probe.ts";
export { packets, packetsToLeases, pinholeSpecs, WORLD } from "./pinholes/arbitraries.ts";
export { type HistoryShape, type HistoryStep, HistoryWorld, histories } from "./pinholes/history.ts";
export { fullTuple, protocolTuple, simcoMessages, VECTOR_MESSAGES } from "./simco/messages.ts";
export {
  octetsOf,
  REFUSED_VECTORS,
  type RefusedVector,
  vector,
  type Vector,
  VECTORS,
} from "./simco/vectors.ts";
export { type HousePlan, openHouse, type TestHouse } from "./pinholes/house.ts";
export { CertificateAuthority, type CertificateFiles } from "./certificates.ts";
export { CLIENT_CASES, type ClientCase } from "./pinholes/client-cases.ts";
export {
  countingPolicies,
  KNOCK_PORTS,
  knockingPolicies,
  leadingPolicies,
  policies,
  similarPolicies,
} from "./rule-arbitraries.ts";
export { PlanWalk } from "./plan-walk.ts";
export { SILENT_REPORT } from "./engine-sample.ts";
