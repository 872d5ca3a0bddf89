/**
 * Every way in which a run of bytes can fail to be the packet it claims to be, in the order of the layers.
 * Counters and policies name faults by these words.
 */
export const PACKET_FAULTS = [
  "ip-truncated",
  "ip-version-unknown",
  "ipv4-header-length",
  "ipv4-total-length",
  "ipv6-payload-length",
  "ipv6-extension-truncated",
  "ipv6-extension-too-many",
  "tcp-truncated",
  "tcp-data-offset",
  "udp-truncated",
  "udp-length",
  "sctp-truncated",
  "icmp-truncated",
] as const;

/** Why a run of bytes is not the packet it claims to be. The first fault found is the one that is named. */
export type PacketFault = (typeof PACKET_FAULTS)[number];
