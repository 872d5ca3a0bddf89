/** Numbers of the transport protocols that Postern reads (IANA "Assigned Internet Protocol Numbers"). */
export const PROTOCOL = {
  ICMP: 1,
  TCP: 6,
  UDP: 17,
  ICMPV6: 58,
  SCTP: 132,
  UDPLITE: 136,
} as const;

/** TCP control bits in the order of the header's low byte (RFC 9293 section 3.1). */
export const TCP_FLAG = {
  FIN: 0x01,
  SYN: 0x02,
  RST: 0x04,
  PSH: 0x08,
  ACK: 0x10,
  URG: 0x20,
  ECE: 0x40,
  CWR: 0x80,
} as const;
