/**
 * PyWall's meaning of a policy, written down a second time as plainly as possible: no compilation, no shared
 * memory, one object per question. Tests compare it with the real thing; it takes only what both would load.
 *
 * It knows PyWall's ten rules, UDPRule, FlowRule, `not`, and the targets REJECT and RETURN.
 */

/** A packet by its facts. */
export interface PlainPacket {
  readonly source: string;
  readonly destination: string;
  /** "TCP", "UDP", "ICMP"... */
  readonly protocol: string;
  /** Absent where the packet has no readable transport header. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** True for a later fragment. */
  readonly later?: boolean;
  /** State of the connection before the packet. */
  readonly state: string;
  /** Whether its flow is known, and which way it goes. */
  readonly flow: "new" | "original" | "reply";
}

/** A rule as JSON gives it. */
export type PlainRule = { readonly [argument: string]: unknown; readonly name: string };

/** A policy as JSON gives it. */
export interface PlainPolicy {
  readonly default_chain?: string;
  readonly settings?: { readonly compatibility: string };
  readonly [chain: string]: unknown;
}

/** What became of a packet. */
export interface PlainVerdict {
  readonly verdict: string;
  /** Absent where the hook is not filtered. */
  readonly chain: string | undefined;
  readonly rule: number | null;
  /** What was printed on the way. */
  readonly lines: readonly string[];
}

type Place = Omit<PlainVerdict, "lines">;

interface Caller {
  readonly chain: string;
  readonly next: number;
}

interface Moment {
  readonly packet: PlainPacket;
  readonly seconds: number;
}

const VERDICTS: readonly string[] = ["ACCEPT", "DROP", "REJECT"];

interface Knocks {
  door: number;
  last: number;
}

/** Bits of an address, written as a string of 0 and 1 behind the family. */
function addressBits(address: string): string {
  if (!address.includes(":")) {
    return `4:${address
      .split(".")
      .map((octet) => Number(octet).toString(2).padStart(8, "0"))
      .join("")}`;
  }
  const [head = "", tail = ""] = address.split("::");
  const groups = (side: string): string[] => (side === "" ? [] : side.split(":"));
  const gap = 8 - groups(head).length - groups(tail).length;
  const all = [
    ...groups(head),
    ...new Array<string>(address.includes("::") ? gap : 0).fill("0"),
    ...groups(tail),
  ];
  return `6:${all.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0")).join("")}`;
}

/** `a.b.c.d/n`, `a::b/n`, or an address alone. */
function inNetwork(address: string, network: string): boolean {
  const [base = "", length] = network.split("/");
  const bits = addressBits(base);
  const counted = length === undefined ? bits.length : 2 + Number(length);
  return addressBits(address).slice(0, counted) === bits.slice(0, counted);
}

/** Rules that ask for one fact of a packet. */
const FACTS: Readonly<Record<string, (packet: PlainPacket, rule: PlainRule) => boolean>> = {
  TrueRule: () => true,
  TCPRule: ({ protocol }) => protocol === "TCP",
  UDPRule: ({ protocol }) => protocol === "UDP",
  FlowRule: ({ flow }, { is }) => is === flow || (is === "known" && flow !== "new"),
  SourceIPRule: ({ source }, { cidr_range }) => inNetwork(source, cidr_range as string),
  DestinationIPRule: ({ destination }, { cidr_range }) => inNetwork(destination, cidr_range as string),
};

/** Interprets one policy; remembers knocks from packet to packet. */
export class PlainInterpreter {
  readonly #policy: PlainPolicy;
  readonly #pywall: boolean;
  readonly #knocks = new Map<PlainRule, Map<string, Knocks>>();
  #lines: string[] = [];

  constructor(policy: PlainPolicy) {
    this.#policy = policy;
    this.#pywall = policy.settings?.compatibility === "pywall";
  }

  /** Judges a packet that arrives at a hook at `seconds`. */
  judge(packet: PlainPacket, seconds: number, hook = "INPUT"): PlainVerdict {
    this.#lines = [];
    if (this.#policy[hook] === undefined) {
      return { verdict: "ACCEPT", chain: undefined, rule: null, lines: this.#lines };
    }
    const result = this.#runChain(hook, 0, [], { packet, seconds });
    return { ...result, lines: this.#lines };
  }

  #runChain(chain: string, from: number, callers: readonly Caller[], now: Moment): Place {
    const rules = (this.#policy[chain] ?? []) as readonly PlainRule[];
    for (let index = from; index < rules.length; index += 1) {
      const target = this.#ask(rules[index] as PlainRule, now.packet, now.seconds);
      if (target === null) continue;
      if (VERDICTS.includes(target)) return { verdict: target, chain, rule: index };
      if (target === "RETURN") return this.#returnFrom(chain, callers, now);
      return this.#runChain(target, 0, [...callers, { chain, next: index + 1 }], now);
    }
    return this.#runDefault(chain, now);
  }

  #returnFrom(chain: string, callers: readonly Caller[], now: Moment): Place {
    const caller = callers.at(-1);
    if (caller === undefined) return this.#runDefault(chain, now);
    return this.#runChain(caller.chain, caller.next, callers.slice(0, -1), now);
  }

  #runDefault(chain: string, now: Moment): Place {
    const last = this.#policy.default_chain ?? "ACCEPT";
    if (VERDICTS.includes(last)) return { verdict: last, chain, rule: null };
    return this.#runChain(last, 0, [], now);
  }

  /** The chain that a rule sends the packet to, null for the next rule. */
  #ask(rule: PlainRule, packet: PlainPacket, seconds: number): string | null {
    const needsTransport = [
      "PortRule",
      "PortRangeRule",
      "IPPortRule",
      "TCPStateRule",
      "FlowRule",
      "PortKnocking",
    ];
    if (packet.later === true && needsTransport.includes(rule.name)) return null;
    if (rule.name === "PortKnocking") return this.#knock(rule, packet, seconds);
    if (rule.name === "PrintRule") {
      this.#print(packet);
      return null;
    }
    const action = (rule["action"] as string | null | undefined) ?? this.#defaultAction(rule);
    const matched = this.#matches(rule, packet, action);
    return matched !== (rule["not"] === true) ? action : null;
  }

  #defaultAction(rule: PlainRule): string | null {
    if (rule["action"] === null) return null;
    return rule.name === "PortRule" || rule.name === "PortRangeRule" ? "DROP" : null;
  }

  #matches(rule: PlainRule, packet: PlainPacket, action: string | null): boolean {
    const asks = FACTS[rule.name];
    if (asks !== undefined) return asks(packet, rule);
    switch (rule.name) {
      case "PortRule":
        return this.#announce(this.#portsMatch(rule, packet), `PortRule: ${action ?? "None"}`);
      case "PortRangeRule":
        return this.#announce(this.#rangesMatch(rule, packet), `PortRangeRule: ${action ?? "None"}`);
      case "IPPortRule":
        return this.#addressPortMatches(rule, packet, action);
      case "TCPStateRule":
        return this.#stateMatches(rule, packet);
      default:
        throw new Error(`the plain interpreter does not know ${rule.name}`);
    }
  }

  #announce(matched: boolean, line: string): boolean {
    if (matched && this.#pywall) this.#lines.push(line);
    return matched;
  }

  #portsMatch(rule: PlainRule, packet: PlainPacket): boolean {
    if (packet.protocol !== "TCP" && packet.protocol !== "UDP") return false;
    if (!this.#pywall && packet.protocol !== rule["protocol"]) return false;
    const source = rule["src_port"] ?? null;
    const destination = rule["dst_port"] ?? null;
    return (
      (source === null || packet.sourcePort === source) &&
      (destination === null || packet.destinationPort === destination)
    );
  }

  #rangesMatch(rule: PlainRule, packet: PlainPacket): boolean {
    const within = (port: number | undefined, low: unknown, high: unknown): boolean => {
      if (low === undefined || low === null) return true;
      if (typeof low !== "number" || typeof high !== "number" || port === undefined) return false;
      return low <= port && port <= high;
    };
    return (
      packet.protocol === rule["protocol"] &&
      within(packet.sourcePort, rule["src_lo"], rule["src_hi"]) &&
      within(packet.destinationPort, rule["dst_lo"], rule["dst_hi"])
    );
  }

  #addressPortMatches(rule: PlainRule, packet: PlainPacket, action: string | null): boolean {
    if (!this.#announce(this.#rangesMatch(rule, packet), `PortRangeRule: ${action ?? "DROP"}`)) return false;
    const source = rule["src_ip"] as string | undefined;
    const destination = rule["dst_ip"] as string | undefined;
    if (source !== undefined && !inNetwork(packet.source, source)) return false;
    return destination === undefined || inNetwork(packet.destination, destination);
  }

  #stateMatches(rule: PlainRule, packet: PlainPacket): boolean {
    if (packet.protocol !== "TCP") return false;
    const matchIf = (rule["match_if"] ?? []) as readonly string[];
    const matchIfNot = (rule["match_if_not"] ?? []) as readonly string[];
    return matchIf.length > 0 ? matchIf.includes(packet.state) : !matchIfNot.includes(packet.state);
  }

  #print(packet: PlainPacket): void {
    this.#lines.push(`IP Packet ${packet.source} => ${packet.destination}, proto=${packet.protocol}`);
    const hasPorts = packet.later !== true && (packet.protocol === "TCP" || packet.protocol === "UDP");
    this.#lines.push(
      hasPorts ? `${packet.protocol} from ${packet.sourcePort} to ${packet.destinationPort}` : "None",
    );
  }

  /** The four steps of section 1.4, in their order. */
  #knock(rule: PlainRule, packet: PlainPacket, seconds: number): string | null {
    const sources = this.#knocks.get(rule) ?? new Map<string, Knocks>();
    this.#knocks.set(rule, sources);
    const doors = rule["doors"] as readonly (readonly [string, number])[];
    let known = sources.get(packet.source);
    if (known !== undefined && known.last + ((rule["timeout"] as number | undefined) ?? 60) < seconds) {
      this.#say(`timeout -- fall through: ${packet.source}`);
      sources.delete(packet.source);
      known = undefined;
    }
    const index = known?.door ?? 0;
    if (index >= doors.length) return this.#passOpen(rule, packet);
    const [protocol, port] = doors[index] as readonly [string, number];
    const atDoor = packet.protocol === protocol && packet.destinationPort === port;
    if (atDoor && packet.sourcePort === rule["src_port"]) {
      sources.set(packet.source, { door: index + 1, last: seconds });
      this.#say(`advance to ${index + 1}`);
      return "DROP";
    }
    this.#say("unrecognized -- fall-through");
    return null;
  }

  #passOpen(rule: PlainRule, packet: PlainPacket): string | null {
    if (packet.protocol === rule["protocol"] && packet.destinationPort === rule["port"]) {
      this.#say(`accepting from ${packet.source}`);
      return "ACCEPT";
    }
    this.#say(`fall through from recognized ip: ${packet.source}`);
    return null;
  }

  #say(words: string): void {
    this.#lines.push(`PortKnocking: ${words}`);
  }
}
