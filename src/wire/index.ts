export type { PacketFault } from "./fault.ts";
export { FRAGMENT, NO_USER, Packet } from "./packet.ts";
