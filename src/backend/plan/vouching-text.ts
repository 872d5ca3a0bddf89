/**
 * Chains that *vouch* for packets: that userspace could read them.
 *
 * Userspace judges a packet that it cannot read by `outcomes.malformed`, before any rule. The kernel has no
 * such step, so what it cannot vouch for goes up: fragments; packets of IPv6 with extension headers; TCP,
 * SCTP and ICMP whose header is not all there (its last byte is read: an expression that reads beyond the
 * packet does not hold); UDP unless connection tracking, which compares the length in the header with that of
 * the packet, takes the packet for valid; UDP-Lite. TCP and UDP over IPv4 that connection tracking follows
 * need no other look: it has put fragments together, and the header is whole. What arrives has passed the
 * kernel's own checks of the IP header; of what leaves, a raw socket may have written the header, so its form
 * is looked at too. Not looked at is the payload length of IPv6 on packets that a program of this host writes
 * itself, header included.
 *
 * *Coming back.* Of IPv4 all that goes up so and can be read is UDP that connection tracking does not follow
 * (one with a wrong checksum above all) and UDP-Lite. Where rules count in the kernel, such a datagram may
 * meet them too, and must not be counted elsewhere. So userspace is only asked whether it can be read: the
 * datagram bears the mark VOUCHED, which otherwise only segments bear, and if it can, it comes back to the
 * hook with that mark (NF_REPEAT) and is judged by the rules.
 */
import { PROTOCOL } from "../../base/index.ts";

/** Smallest and largest data offset of a TCP header, in 32-bit words (RFC 9293 section 3.1). */
const TCP_WORDS_MIN = 5;
const TCP_WORDS_MAX = 15;

/** Types of IPv6 extension headers that userspace walks through, and "no next header". */
const EXTENSION_TYPES = "0, 43, 44, 51, 59, 60, 135, 139, 140";

/** Matches packets that connection tracking has found whole and put together from their fragments. */
const FOLLOWED = "ct state new,established,related";

/** The chain where the way of a packet that is to be vouched for begins. */
export const VOUCHING_CHAIN = "vouch";

/** What the chains are made from. */
export interface VouchingForm {
  /** Whole name of a chain. */
  readonly name: (rest: string) => string;
  /** Whether the kernel tracks connections. */
  readonly tracksConnections: boolean;
  /** Sends a packet up to be judged there. */
  readonly up: string;
  /** Sends a datagram of IPv4 up that may come back; absent where none has to. */
  readonly ask?: string;
}

/** Rules of each chain. */
export function vouchingRules({ name, tracksConnections, up, ask }: VouchingForm): [string, string[]][] {
  const words: number[] = [];
  for (let count = TCP_WORDS_MIN; count <= TCP_WORDS_MAX; count += 1) words.push(count);
  // Reads the last byte of a header of so many bytes.
  const whole = (bytes: number): string[] => [`@th,${(bytes - 1) * 8},8 0-255 return`, up];
  const lengths = words.map((count) => `${count} : goto ${name(`whole-${count * 4}`)}`).join(", ");
  const tracked = tracksConnections ? [`${FOLLOWED} return`] : [];
  const { ICMP, TCP, UDP, ICMPV6, SCTP, UDPLITE } = PROTOCOL;
  return [
    ...[8, 12, ...words.map((count) => count * 4)]
      .filter((bytes, at, all) => all.indexOf(bytes) === at)
      .map((bytes): [string, string[]] => [`whole-${bytes}`, whole(bytes)]),
    ["vouch-tcp", [`tcp doff vmap { ${lengths} }`, up]],
    ["vouch-datagram", [...(ask === undefined ? [] : [`meta nfproto ipv4 ${ask}`]), up]],
    ["vouch-udp", [...tracked, `goto ${name("vouch-datagram")}`]],
    [
      VOUCHING_CHAIN,
      [
        ...tracked.map((rule) => `meta nfproto ipv4 meta l4proto { tcp, udp } ${rule}`),
        `ip frag-off & 0x3fff != 0 ${up}`,
        `ip6 nexthdr { ${EXTENSION_TYPES} } ${up}`,
        `meta l4proto vmap { ${TCP} : goto ${name("vouch-tcp")}, ${UDP} : goto ${name("vouch-udp")}, ` +
          `${ICMP} : goto ${name("whole-8")}, ${ICMPV6} : goto ${name("whole-8")}, ` +
          `${SCTP} : goto ${name("whole-12")}, ${UDPLITE} : goto ${name("vouch-datagram")} }`,
      ],
    ],
  ];
}
