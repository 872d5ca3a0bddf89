/**
 * One policy in the language of each contender.
 *
 * So many sources and ports are blocked, four kinds in turn, none of which the traffic of the benchmark
 * meets: every packet passes them all. Behind them: what is under way passes, a web server, iperf3 and two
 * UDP ports are open, all else is dropped. Only what comes in is judged.
 */

/** Ports of the benchmark's own servers. */
export const PORTS = { web: 80, stream: 5201, flood: 9000, echo: 9001 };

const TCP_OPEN = [PORTS.web, PORTS.stream];
const UDP_OPEN = [PORTS.flood, PORTS.echo];

/** The nth blocked thing. Sources lie in 100.64.0.0/10 (RFC 6598), in which no host of the benchmark is. */
function blocked(at) {
  const network = `100.${64 + ((at >> 8) % 64)}.${at % 256}`;
  const low = 10_000 + 10 * (at % 4000);
  if (at % 4 === 0) return { kind: "network", source: `${network}.0/25` };
  if (at % 4 === 1) return { kind: "host", source: `${network}.${129 + (at % 100)}` };
  if (at % 4 === 2) return { kind: "tcp", source: `${network}.0/24`, low, high: low };
  return { kind: "udp", source: `${network}.0/24`, low, high: low + 9 };
}

function blockedRules(count) {
  return Array.from({ length: count }, (_, at) => blocked(at));
}

function posternRule({ kind, source, low, high }) {
  if (low === undefined) return { name: "SourceIPRule", cidr_range: source, action: "DROP" };
  const protocol = kind.toUpperCase();
  return { name: "IPPortRule", protocol, src_ip: source, dst_lo: low, dst_hi: high, action: "DROP" };
}

function openPort(protocol) {
  return (port) => ({ name: "PortRule", protocol, dst_port: port, action: "ACCEPT" });
}

/**
 * Postern's policy.
 *
 * @param count - blocked things
 * @param form - `inspects`: SSH is dropped by its bytes on any port, so that all TCP flows are recognised;
 *   `asksConntrack`: what is under way is what the kernel's connection tracking says, not our own table
 */
export function posternPolicy(count, { inspects, asksConntrack }) {
  const inspected = { name: "ProtocolRule", protocols: ["SSH"], action: "DROP" };
  return {
    default_chain: "ACCEPT",
    settings: { compatibility: "strict", failMode: "open", queueBypass: true },
    INPUT: [
      ...blockedRules(count).map(posternRule),
      ...(inspects ? [inspected] : []),
      asksConntrack
        ? { name: "ConntrackRule", states: ["established", "related"], action: "ACCEPT" }
        : { name: "FlowRule", is: "known", action: "ACCEPT" },
      ...TCP_OPEN.map(openPort("TCP")),
      ...UDP_OPEN.map(openPort("UDP")),
      { name: "ICMPRule", action: "ACCEPT" },
      { name: "TrueRule", action: "DROP" },
    ],
  };
}

/** PyWall's policy, for the reference in Python: it has no state to ask, so open ports come first. */
export function pywallPolicy(count) {
  return { blocked: blockedRules(count), tcp: TCP_OPEN, udp: UDP_OPEN };
}

function nftSet(name, type, elements) {
  return `set ${name} { type ${type}; flags interval; auto-merge; elements = { ${elements.join(", ")} } }`;
}

/** What somebody who knows nftables well would write: sets, and one rule for each. */
export function nftablesText(count) {
  const rules = blockedRules(count);
  const sources = rules.filter(({ low }) => low === undefined).map(({ source }) => source);
  const pairs = (kind) =>
    rules
      .filter((rule) => rule.kind === kind)
      .map(({ source, low, high }) => `${source} . ${low === high ? low : `${low}-${high}`}`);
  const pairSet = (kind) =>
    nftSet(`${kind}-blocked`, "ipv4_addr . inet_service", [...new Set(pairs(kind))]).replace(
      "auto-merge; ",
      "",
    );
  return `table inet peer {
	${nftSet("blocked", "ipv4_addr", sources)}
	${pairSet("tcp")}
	${pairSet("udp")}
	chain input {
		type filter hook input priority 0; policy drop;
		ip saddr @blocked drop
		ip saddr . tcp dport @tcp-blocked drop
		ip saddr . udp dport @udp-blocked drop
		ct state established,related accept
		tcp dport { ${TCP_OPEN.join(", ")} } accept
		udp dport { ${UDP_OPEN.join(", ")} } accept
		meta l4proto { icmp, icmpv6 } accept
	}
}
`;
}

function iptablesRule({ kind, source, low, high }) {
  if (low === undefined) return `-A INPUT -s ${source} -j DROP`;
  return `-A INPUT -s ${source} -p ${kind} -m ${kind} --dport ${low}:${high} -j DROP`;
}

/** For iptables-restore: a rule for each blocked thing, one after the other, as iptables has it. */
export function iptablesText(count) {
  const open = (protocol) => (port) => `-A INPUT -p ${protocol} -m ${protocol} --dport ${port} -j ACCEPT`;
  return `*filter
:INPUT DROP [0:0]
${blockedRules(count).map(iptablesRule).join("\n")}
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
${[...TCP_OPEN.map(open("tcp")), ...UDP_OPEN.map(open("udp"))].join("\n")}
-A INPUT -p icmp -j ACCEPT
COMMIT
`;
}
