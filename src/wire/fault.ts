/** Why a run of bytes is not the packet it claims to be. The first fault found is the one that is named. */
export type PacketFault =
  | "ip-truncated"
  | "ip-version-unknown"
  | "ipv4-header-length"
  | "ipv4-total-length"
  | "ipv6-payload-length"
  | "ipv6-extension-truncated"
  | "ipv6-extension-too-many"
  | "tcp-truncated"
  | "tcp-data-offset"
  | "udp-truncated"
  | "udp-length"
  | "sctp-truncated"
  | "icmp-truncated";
