/**
 * Connections that were ended on request, in nftables' language. Of a connection that the kernel judged alone
 * nobody knows the sequence numbers, so no reset could be made that its ends believe; and once its entry is
 * deleted, the kernel takes the next segment for a connection that is older than itself. Therefore each
 * segment of such a connection is stopped for a while, before tracking and translation, by the addresses that
 * its sender knows:
 *
 * - *Refused* ones are answered with a reset by nftables' own `reject`. It takes the number from the segment,
 *   so the sender believes it. An end that sends nothing is asked with segments whose number is outside of
 *   any window: "If an incoming segment is not acceptable, an acknowledgment should be sent in reply" (RFC
 *   9293 section 3.10.7.4), and this acknowledgment is refused. They say a byte, since an end may be slow to
 *   acknowledge what says nothing (RFC 5961 section 7). There are two such numbers, half of all numbers
 *   apart, so that one of them is surely outside.
 * - *Silenced* ones are dropped.
 *
 * A SYN begins another connection, so whatever both ends send passes again; resets pass always. The chains
 * are there only while connections are being ended, so no other packet ever pays for them.
 */

/** How long segments of an ended connection are stopped, in seconds: pf's timeout of closed connections. */
export const ENDED_SECONDS = 90;

/** Most ends of connections in one set. */
export const ENDS_MAX = 65_536;

/** Sequence numbers of segments that ask an end for an acknowledgment; half of all numbers apart. */
export const QUESTION_NUMBERS = [0x504f_5354, 0xd04f_5354] as const;

/** A TCP reset that shall pass. */
export interface ExpectedReset {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** What becomes of segments of an ended connection. */
export type EndedFate = "refused" | "silenced";

const FAMILIES = [
  { set: "v4", ip: "ip", type: "ipv4_addr" },
  { set: "v6", ip: "ip6", type: "ipv6_addr" },
] as const;

const FATES = ["refused", "silenced"] as const;

/** Base chains first: so nothing leads to a chain that is taken away. */
const CHAINS = ["ended-prerouting", "ended-output", "ended", "ended-anew", "ended-refused"];

const SETS = FATES.flatMap((fate) => FAMILIES.map(({ set }) => `${fate}-${set}`));

/** Keys of a set for a packet: its own, and that of what answers it. */
interface Keys {
  readonly sent: string;
  readonly answered: string;
}

function eachSet(write: (set: string, keys: Keys, fate: EndedFate) => string): string {
  const keysOf = (ip: string): Keys => ({
    sent: `${ip} saddr . tcp sport . ${ip} daddr . tcp dport`,
    answered: `${ip} daddr . tcp dport . ${ip} saddr . tcp sport`,
  });
  return FATES.flatMap((fate) =>
    FAMILIES.map(({ set, ip }) => write(`@${fate}-${set}`, keysOf(ip), fate)),
  ).join("\n");
}

/** The commands that put chains and sets for ended connections into our table. */
export function endedText(table: string): string {
  const sets = FATES.flatMap((fate) =>
    FAMILIES.map(
      ({ set, type }) => `	set ${fate}-${set} {
		type ${type} . inet_service . ${type} . inet_service
		size ${ENDS_MAX}
		flags dynamic,timeout
		timeout ${ENDED_SECONDS}s
	}`,
    ),
  );
  return `table inet ${table} {
${sets.join("\n")}
	chain ended-refused {
		jump expect-reset
		reject with tcp reset
	}
	chain ended-anew {
${eachSet((set, { sent, answered }) => `		delete ${set} { ${sent} }\n		delete ${set} { ${answered} }`)}
	}
	chain ended {
		tcp flags & (syn | rst) == syn goto ended-anew
		tcp flags & rst != 0 return
${eachSet((set, { sent }, fate) => `		${sent} ${set} ${fate === "refused" ? "goto ended-refused" : "drop"}`)}
	}
	chain ended-prerouting {
		type filter hook prerouting priority raw; policy accept;
		jump ended
	}
	chain ended-output {
		type filter hook output priority raw; policy accept;
		tcp flags == ack tcp sequence { ${QUESTION_NUMBERS.join(", ")} } notrack accept
		jump ended
	}
}
`;
}

/**
 * The commands that stop what ends of connections send.
 *
 * @param ends - each as a reset would be addressed to it
 */
export function endedElementsText(table: string, ends: readonly ExpectedReset[], fate: EndedFate): string {
  return FAMILIES.map(({ set, ip }) => {
    const elements = ends
      .filter(({ source }) => source.includes(":") === (ip === "ip6"))
      .map((end) => `${end.destination} . ${end.destinationPort} . ${end.source} . ${end.sourcePort}`);
    return elements.length === 0
      ? ""
      : `add element inet ${table} ${fate}-${set} { ${elements.join(", ")} }\n`;
  }).join("");
}

/** The commands that take all of it away. */
export function endedRemovalText(table: string): string {
  const commands = [
    ...CHAINS.map((name) => `flush chain inet ${table} ${name}`),
    ...CHAINS.map((name) => `delete chain inet ${table} ${name}`),
    ...SETS.map((name) => `delete set inet ${table} ${name}`),
  ];
  return `${commands.join("\n")}\n`;
}
