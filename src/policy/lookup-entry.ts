/**
 * From a condition to what can be looked up: values of a packet's words under masks, beside them at most one
 * range of ports, and tests that are left over.
 *
 * A condition that lists alternatives (several protocols, several ICMP messages) becomes one entry for each.
 */
import type { Condition, IcmpMessage, InterfaceTest, Test } from "./condition.ts";
import { FACT, FACT_WORDS, type InterfaceNumbers } from "./packet-facts.ts";
import type { Prefix } from "../base/index.ts";

/** Entries that one condition may become. */
const ALTERNATIVES_MAX = 32;

const HIGHEST_PORT = 65_535;
const FAMILY_MASK = 0xff00_0000 | 0;
const PROTOCOL_MASK = 0x00ff_0000;
const TYPE_MASK = 0x0000_ff00;
const CODE_MASK = 0x0000_00ff;
const HIGH_HALF = 0xffff_0000 | 0;
const LOW_HALF = 0x0000_ffff;

/** Ports from one to another, both included. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

/** What a packet must be. */
export interface LookupEntry {
  /** Values of the words of PacketFacts. */
  readonly values: Int32Array;
  /** The bits of them that count. */
  readonly masks: Int32Array;
  /** Which port must lie in `range`; the empty string when there is no range. */
  readonly ranged: "" | "destinationPort" | "sourcePort";
  readonly range: PortRange;
  /** What else must hold. */
  readonly rest: readonly Test[];
}

const ANY_PORT: PortRange = { low: 0, high: HIGHEST_PORT };

/** One or more words that must have a value. */
type Demand = readonly { readonly word: number; readonly value: number; readonly mask: number }[];

function prefixDemand(word: number, prefix: Prefix): Demand {
  const bits = prefix.family === 4 ? 96 + prefix.length : prefix.length;
  const first = prefix.family === 4 ? 3 : 0;
  const demand = [{ word: FACT.KIND as number, value: prefix.family << 24, mask: FAMILY_MASK }];
  for (let at = first; at < 4; at += 1) {
    const counted = Math.min(Math.max(bits - 32 * at, 0), 32);
    if (counted === 0) break;
    demand.push({
      word: word + at,
      value: (prefix.words[at] ?? 0) | 0,
      mask: counted === 32 ? -1 : ~(-1 >>> counted),
    });
  }
  return demand;
}

/** The empty name is that of no interface, which fits nothing. */
function interfaceDemands(test: InterfaceTest, numbers: InterfaceNumbers): Demand[] | undefined {
  if (test.isOpen) return undefined;
  const word = test.field === "inInterface" ? FACT.IN_INTERFACE : FACT.OUT_INTERFACE;
  return test.name === "" ? [] : [[{ word, value: numbers.assign(test.name), mask: -1 }]];
}

function messageDemand({ protocol, type, code }: IcmpMessage): Demand {
  return [
    { word: FACT.KIND, value: protocol << 16, mask: PROTOCOL_MASK },
    ...(type < 0 ? [] : [{ word: FACT.KIND, value: type << 8, mask: TYPE_MASK }]),
    ...(code < 0 ? [] : [{ word: FACT.KIND, value: code, mask: CODE_MASK }]),
  ];
}

/** Demands of which one must be met, for tests that are values under masks; `undefined` for others. */
function demandsOf(test: Test, numbers: InterfaceNumbers): Demand[] | undefined {
  switch (test.field) {
    case "protocol":
      return test.protocols.map((protocol) => [
        { word: FACT.KIND, value: protocol << 16, mask: PROTOCOL_MASK },
      ]);
    case "source":
      return [prefixDemand(FACT.SOURCE, test.prefix)];
    case "destination":
      return [prefixDemand(FACT.DESTINATION, test.prefix)];
    case "userId":
      return [[{ word: FACT.USER, value: test.id | 0, mask: -1 }]];
    case "groupId":
      return [[{ word: FACT.GROUP, value: test.id | 0, mask: -1 }]];
    case "icmp":
      return test.messages.map(messageDemand);
    case "inInterface":
    case "outInterface":
      return interfaceDemands(test, numbers);
    default:
      return undefined;
  }
}

/** Values under masks that grow demand by demand. */
class Words {
  readonly values: Int32Array;
  readonly masks: Int32Array;

  constructor(values = new Int32Array(FACT_WORDS), masks = new Int32Array(FACT_WORDS)) {
    this.values = values;
    this.masks = masks;
  }

  /** These and a demand more; `undefined` when no packet can meet both. */
  with(demand: Demand): Words | undefined {
    const grown = new Words(this.values.slice(), this.masks.slice());
    for (const { word, value, mask } of demand) {
      const both = (grown.masks[word] ?? 0) & mask;
      if ((((grown.values[word] ?? 0) ^ value) & both) !== 0) return undefined;
      grown.values[word] = (grown.values[word] ?? 0) | (value & mask);
      grown.masks[word] = (grown.masks[word] ?? 0) | mask;
    }
    return grown;
  }
}

/** The ports that all tests of a field allow; `undefined` when there are none. */
function allowedPorts(condition: Condition, field: "sourcePort" | "destinationPort"): PortRange | undefined {
  let { low, high } = ANY_PORT;
  for (const test of condition) {
    if (test.field !== field) continue;
    low = Math.max(low, test.low);
    high = Math.min(high, test.high);
  }
  // Bounds that are no numbers allow nothing.
  return low <= high ? { low, high } : undefined;
}

function isAny({ low, high }: PortRange): boolean {
  return low === 0 && high === HIGHEST_PORT;
}

function portDemands(source: PortRange, destination: PortRange): Demand {
  return [
    ...(source.low === source.high
      ? [{ word: FACT.PORTS as number, value: source.low << 16, mask: HIGH_HALF }]
      : []),
    ...(destination.low === destination.high
      ? [{ word: FACT.PORTS as number, value: destination.low, mask: LOW_HALF }]
      : []),
  ];
}

/** Every way in which a packet can meet the tests that are values under masks. */
function alternatives(condition: Condition, first: Demand, numbers: InterfaceNumbers): Words[] | undefined {
  let found = [new Words().with(first)].filter((words) => words !== undefined);
  for (const test of condition) {
    const demands = demandsOf(test, numbers);
    if (demands === undefined) continue;
    found = found.flatMap((words) =>
      demands.map((demand) => words.with(demand)).filter((grown) => grown !== undefined),
    );
    if (found.length > ALTERNATIVES_MAX) return undefined;
  }
  return found;
}

/**
 * The entries that a condition stands for: a packet meets the condition when it meets one of them.
 *
 * @param numbers - gives numbers to the interfaces that are named
 * @returns none when no packet can meet it; `undefined` when there would be too many
 */
export function lookupEntries(condition: Condition, numbers: InterfaceNumbers): LookupEntry[] | undefined {
  const source = allowedPorts(condition, "sourcePort");
  const destination = allowedPorts(condition, "destinationPort");
  if (source === undefined || destination === undefined) return [];
  const found = alternatives(condition, portDemands(source, destination), numbers);
  const isWide = (ports: PortRange): boolean => ports.low < ports.high && !isAny(ports);
  const ranged = isWide(destination) ? "destinationPort" : isWide(source) ? "sourcePort" : "";
  const rest = condition.filter(
    (test) => test.field === "mark" || test.field === "conntrack" || ("isOpen" in test && test.isOpen),
  );
  if (isWide(destination) && isWide(source)) rest.push({ field: "sourcePort", ...source });
  const range = ranged === "" ? ANY_PORT : ranged === "destinationPort" ? destination : source;
  return found?.map(({ values, masks }) => ({ values, masks, ranged, range, rest }));
}
