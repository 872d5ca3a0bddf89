/**
 * A packet written in words, as `postern explain` takes it:
 *
 *     in tcp 192.0.2.1:40000 > 198.51.100.7:22 syn
 *     out udp [2001:db8::1]:5353 > [2001:db8::2]:53 user 1000
 *     forward icmp 192.0.2.1 > 198.51.100.7 type 8 code 0 iif eth0 oif eth1
 *
 * Hook, protocol, the two ends, then any of: TCP flags by name, `state NAME`, `type N`, `code N`, `iif NAME`,
 * `oif NAME`, `user ID`, `group ID`, `ct STATE`, `mark N`, `ttl N`, `bytes N` (payload length).
 */
import {
  type Address,
  CONNTRACK_STATES,
  type ConntrackState,
  FirewallError,
  HOOK,
  type Hook,
  PROTOCOL,
  parseAddress,
  TCP_FLAG,
  TCP_STATES,
  type TcpState,
} from "../base/index.ts";

/** What the words said. */
export interface PacketWords {
  hook: Hook;
  protocol: number;
  source: Address;
  sourcePort: number;
  destination: Address;
  destinationPort: number;
  tcpFlags: number;
  /** State of the connection before the packet; CLOSED is what a rule sees of an unknown one. */
  tcpState: TcpState;
  icmpType: number;
  icmpCode: number;
  inInterface: string;
  outInterface: string;
  userId: number | undefined;
  groupId: number | undefined;
  mark: number;
  /** State in the kernel's connection tracking; undefined when the words do not tell. */
  conntrack: ConntrackState | undefined;
  timeToLive: number;
  payloadBytes: number;
}

interface Word {
  readonly text: string;
  /** Offset in the whole text, from 0. */
  readonly at: number;
}

const HOOKS: Readonly<Record<string, Hook>> = {
  in: HOOK.INPUT,
  input: HOOK.INPUT,
  out: HOOK.OUTPUT,
  output: HOOK.OUTPUT,
  forward: HOOK.FORWARD,
};

const PROTOCOLS: Readonly<Record<string, number>> = {
  tcp: PROTOCOL.TCP,
  udp: PROTOCOL.UDP,
  udplite: PROTOCOL.UDPLITE,
  sctp: PROTOCOL.SCTP,
  icmp: PROTOCOL.ICMP,
  icmpv6: PROTOCOL.ICMPV6,
};

const HAVE_PORTS: readonly number[] = [PROTOCOL.TCP, PROTOCOL.UDP, PROTOCOL.UDPLITE, PROTOCOL.SCTP];
const NO_PORTS = "has a port, and ICMP has none: write the address alone";

/** Options that only packets of some protocols can have. */
const ONLY_OF: ReadonlyMap<string, readonly number[]> = new Map([
  ["state", [PROTOCOL.TCP]],
  ["type", [PROTOCOL.ICMP, PROTOCOL.ICMPV6]],
  ["code", [PROTOCOL.ICMP, PROTOCOL.ICMPV6]],
]);

/** Reads the words one after the other and points at the one that is wrong. */
class WordReader {
  readonly #text: string;
  readonly #words: Word[];
  #next = 0;

  constructor(text: string) {
    this.#text = text;
    this.#words = [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], at: match.index }));
  }

  get more(): boolean {
    return this.#next < this.#words.length;
  }

  take(wanted: string): Word {
    const word = this.#words[this.#next];
    if (word === undefined)
      throw this.#error(this.#text.length, `the packet ends where ${wanted} should stand`);
    this.#next += 1;
    return word;
  }

  number(name: string, max: number): number {
    const word = this.take(`the value of "${name}"`);
    const value = Number(word.text);
    if (!/^(0x)?[0-9a-f]+$/i.test(word.text) || !Number.isInteger(value) || value > max) {
      throw this.refuse(word, `"${name}" takes a number from 0 to ${max}, not "${word.text}"`);
    }
    return value;
  }

  refuse(word: Word, message: string): FirewallError {
    return this.#error(word.at, message);
  }

  #error(at: number, message: string): FirewallError {
    return new FirewallError("PACKET_WORDS", `${message}\n  ${this.#text}\n  ${" ".repeat(at)}^`, {
      details: { at },
    });
  }
}

interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

/** Splits `address`, `a.b.c.d:port` and `[v6]:port` and reads both parts. */
function readEndpoint(reader: WordReader, wanted: string, protocol: number): Endpoint {
  const word = reader.take(wanted);
  const match =
    /^\[(?<bracketed>[^\]]+)\](?::(?<port6>\d+))?$|^(?<v4>[\d.]+)(?::(?<port4>\d+))?$|^(?<bare>[0-9a-fA-F:.]+)$/.exec(
      word.text,
    );
  const groups = match?.groups ?? {};
  const address = parseAddress(groups["bracketed"] ?? groups["v4"] ?? groups["bare"] ?? "");
  const written = groups["port6"] ?? groups["port4"];
  const port = Number(written ?? 0);
  if (address === undefined || port > 65_535) {
    throw reader.refuse(word, `"${word.text}" is no address; write 192.0.2.1:80 or [2001:db8::1]:80`);
  }
  if (HAVE_PORTS.includes(protocol) !== (written !== undefined)) {
    const fault = written === undefined ? "has no port: write 192.0.2.1:80 or [2001:db8::1]:80" : NO_PORTS;
    throw reader.refuse(word, `"${word.text}" ${fault}`);
  }
  return { address, port };
}

function readKnown<Value>(reader: WordReader, wanted: string, known: Readonly<Record<string, Value>>): Value {
  const word = reader.take(wanted);
  const name = word.text.toLowerCase();
  const value = Object.hasOwn(known, name) ? known[name] : undefined;
  if (value === undefined) {
    throw reader.refuse(word, `"${word.text}" is not ${wanted}; known are ${Object.keys(known).join(", ")}`);
  }
  return value;
}

function readState(reader: WordReader): TcpState {
  const word = reader.take("a TCP state");
  const state = TCP_STATES.find((name) => name === word.text.toUpperCase());
  if (state === undefined) {
    throw reader.refuse(word, `"${word.text}" is no TCP state; known are ${TCP_STATES.join(", ")}`);
  }
  return state;
}

/** What each option word does to the packet. */
const OPTIONS: Readonly<Record<string, (words: PacketWords, reader: WordReader) => void>> = {
  state: (words, reader) => {
    words.tcpState = readState(reader);
  },
  type: (words, reader) => {
    words.icmpType = reader.number("type", 255);
  },
  code: (words, reader) => {
    words.icmpCode = reader.number("code", 255);
  },
  iif: (words, reader) => {
    words.inInterface = reader.take("an interface name").text;
  },
  oif: (words, reader) => {
    words.outInterface = reader.take("an interface name").text;
  },
  user: (words, reader) => {
    words.userId = reader.number("user", 0xffff_fffe);
  },
  group: (words, reader) => {
    words.groupId = reader.number("group", 0xffff_fffe);
  },
  ct: (words, reader) => {
    const states = CONNTRACK_STATES.map((state) => [state, state] as const);
    words.conntrack = readKnown(reader, "a state of connection tracking", Object.fromEntries(states));
  },
  mark: (words, reader) => {
    words.mark = reader.number("mark", 0xffff_ffff);
  },
  ttl: (words, reader) => {
    words.timeToLive = reader.number("ttl", 255);
  },
  bytes: (words, reader) => {
    words.payloadBytes = reader.number("bytes", 60_000);
  },
};

function readOption(words: PacketWords, reader: WordReader): void {
  const word = reader.take("an option");
  const name = word.text.toLowerCase();
  const flag = Object.entries(TCP_FLAG).find(([known]) => known === name.toUpperCase())?.[1];
  const only = flag === undefined ? ONLY_OF.get(name) : [PROTOCOL.TCP];
  if (only?.includes(words.protocol) === false) {
    const owner = only.includes(PROTOCOL.TCP) ? "TCP" : "ICMP";
    throw reader.refuse(word, `only ${owner} packets have "${word.text}"`);
  }
  if (flag !== undefined) {
    words.tcpFlags |= flag;
    return;
  }
  const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (option === undefined) {
    const known = [...Object.keys(TCP_FLAG).map((text) => text.toLowerCase()), ...Object.keys(OPTIONS)];
    throw reader.refuse(word, `"${word.text}" is unknown; known are ${known.join(", ")}`);
  }
  option(words, reader);
}

/**
 * Reads a packet written in words.
 *
 * @throws {FirewallError} `PACKET_WORDS`, with a caret below the word that is wrong
 */
export function parsePacketWords(text: string): PacketWords {
  const reader = new WordReader(text);
  const hook = readKnown(reader, "a hook", HOOKS);
  const protocol = readKnown(reader, "a protocol", PROTOCOLS);
  const source = readEndpoint(reader, "the source", protocol);
  const arrow = reader.take('">"');
  if (arrow.text !== ">") throw reader.refuse(arrow, `">" should stand here, not "${arrow.text}"`);
  const destination = readEndpoint(reader, "the destination", protocol);
  if (source.address.family !== destination.address.family) {
    throw reader.refuse({ text: "", at: 0 }, "source and destination are of different families");
  }
  const words: PacketWords = {
    hook,
    protocol,
    source: source.address,
    sourcePort: source.port,
    destination: destination.address,
    destinationPort: destination.port,
    tcpFlags: 0,
    tcpState: "CLOSED",
    icmpType: protocol === PROTOCOL.ICMPV6 ? 128 : 8,
    icmpCode: 0,
    inInterface: "",
    outInterface: "",
    userId: undefined,
    groupId: undefined,
    mark: 0,
    conntrack: undefined,
    timeToLive: 64,
    payloadBytes: 0,
  };
  while (reader.more) readOption(words, reader);
  return words;
}
