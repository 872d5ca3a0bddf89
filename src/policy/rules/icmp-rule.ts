/** ICMPRule: type and code of ICMP and ICMPv6 messages, by name or by number. */
import { PROTOCOL } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { type ArgumentValues, choice, optional, reportWrongType, type ValueType } from "../argument.ts";
import type { Condition, IcmpMessage } from "../condition.ts";
import { protocolName } from "../packet-text.ts";
import { defineRule, type RuleCheck, type RuleDefinition } from "../registry.ts";
import { type Gate, makeGate, NEEDS, Rule } from "../rule.ts";
import { didYouMean } from "../suggestion.ts";
import { ICMP_CODES, ICMP_TYPES } from "./icmp-names.ts";

const HIGHEST = 255;
/** Stands for any type or code. */
const ANY = -1;

/** A number of one byte, or one of several names. */
function nameOrByte(noun: string, names: readonly string[]): ValueType<number | string> {
  const words = `the number (0 to ${HIGHEST}) or the name of an ICMP ${noun}`;
  return {
    words,
    schema: { anyOf: [{ enum: names }, { type: "integer", minimum: 0, maximum: HIGHEST }] },
    read(value, reading) {
      const { scalar } = value;
      if (typeof scalar === "number" && Number.isInteger(scalar) && scalar >= 0 && scalar <= HIGHEST)
        return scalar;
      if (typeof scalar !== "string") return reportWrongType(value, words, reading);
      if (names.includes(scalar)) return scalar;
      const hint = didYouMean(scalar, names) || ` The names are ${names.join(", ")}`;
      reading.problems.error(value, "invalid-argument", `there is no ICMP ${noun} "${scalar}".${hint}`);
      return undefined;
    },
  };
}

const ICMP_ARGUMENTS = {
  protocol: optional(choice(["ICMP", "ICMPv6"]), "Only messages of this version; both when absent."),
  type: optional(
    nameOrByte("type", Object.keys(ICMP_TYPES)),
    'Type: a name such as "echo-request", or a number, which needs `protocol`; any when absent.',
  ),
  code: optional(
    nameOrByte("code", Object.keys(ICMP_CODES)),
    'Code: a name such as "port-unreachable", which implies its type, or a number, which needs `type`.',
  ),
};

type IcmpValues = ArgumentValues<typeof ICMP_ARGUMENTS>;

/** What a message of one version must have. */
interface Wanted {
  readonly type: number;
  readonly code: number;
}

/** Index into the pairs of icmp-names.ts. */
type Version = 0 | 1;

const VERSION_NAMES = ["ICMP", "ICMPv6"] as const;

function typeNumber(type: number | string | undefined, version: Version): number | undefined {
  return typeof type === "string" ? ICMP_TYPES[type]?.[version] : (type ?? ANY);
}

function codeNumber(code: number | string | undefined, version: Version): number | undefined {
  return typeof code === "string" ? ICMP_CODES[code]?.codes[version] : (code ?? ANY);
}

/** What messages of one version must have; `undefined` when none of this version can match. */
function wantedOf(values: IcmpValues, version: Version): Wanted | undefined {
  if (values.protocol !== undefined && values.protocol !== VERSION_NAMES[version]) return undefined;
  const implied = typeof values.code === "string" ? ICMP_CODES[values.code]?.type : undefined;
  const type = typeNumber(values.type ?? implied, version);
  const code = codeNumber(values.code, version);
  if (type === undefined || code === undefined) return undefined;
  const agrees = implied === undefined || typeNumber(implied, version) === type;
  return agrees ? { type, code } : undefined;
}

/** Open when both versions can match. */
function icmpGate(icmp: Wanted | undefined, icmpV6: Wanted | undefined): Gate {
  if (icmp !== undefined && icmpV6 !== undefined) return makeGate();
  return makeGate({ protocol: icmp === undefined ? PROTOCOL.ICMPV6 : PROTOCOL.ICMP });
}

function messagesOf(protocol: number, wanted: Wanted | undefined): IcmpMessage[] {
  return wanted === undefined ? [] : [{ protocol, ...wanted }];
}

class IcmpRule extends Rule {
  override readonly needs: number;
  override readonly gate: Gate;
  override readonly condition: Condition;
  readonly #icmp: Wanted | undefined;
  readonly #icmpV6: Wanted | undefined;

  constructor(values: IcmpValues) {
    super();
    this.#icmp = wantedOf(values, 0);
    this.#icmpV6 = wantedOf(values, 1);
    const protocolOnly = values.type === undefined && values.code === undefined;
    this.needs = protocolOnly ? NEEDS.NETWORK : NEEDS.TRANSPORT;
    this.gate = icmpGate(this.#icmp, this.#icmpV6);
    const messages = [...messagesOf(PROTOCOL.ICMP, this.#icmp), ...messagesOf(PROTOCOL.ICMPV6, this.#icmpV6)];
    this.condition = [{ field: "icmp", messages }];
  }

  #wanted(packet: Packet): Wanted | undefined {
    if (packet.protocol === PROTOCOL.ICMP) return this.#icmp;
    return packet.protocol === PROTOCOL.ICMPV6 ? this.#icmpV6 : undefined;
  }

  override match(packet: Packet): boolean {
    const wanted = this.#wanted(packet);
    if (wanted === undefined) return false;
    if (wanted.type !== ANY && packet.icmpType !== wanted.type) return false;
    return wanted.code === ANY || packet.icmpCode === wanted.code;
  }

  override explain(packet: Packet): string {
    const wanted = this.#wanted(packet);
    const name = protocolName(packet.protocol);
    if (wanted === undefined) return `protocol ${name} is not the one that is meant`;
    const { icmpType, icmpCode } = packet;
    if (wanted.type !== ANY && icmpType !== wanted.type)
      return `${name} type ${icmpType} is not ${wanted.type}`;
    if (wanted.code !== ANY && icmpCode !== wanted.code)
      return `${name} code ${icmpCode} is not ${wanted.code}`;
    return `${name} type ${icmpType} code ${icmpCode}`;
  }
}

function checkNumbers(values: IcmpValues, check: RuleCheck): void {
  if (typeof values.type === "number" && values.protocol === undefined) {
    const advice = 'add "protocol": "ICMP" or "ICMPv6", or name the type';
    check.error("type", `ICMP and ICMPv6 number their types differently: ${advice}`);
  }
  if (typeof values.code === "number" && values.type === undefined) {
    check.error("code", 'a code means something only together with its type: add "type", or name the code');
  }
  if (wantedOf(values, 0) === undefined && wantedOf(values, 1) === undefined) {
    check.error(undefined, "no message has this protocol, type and code together");
  }
}

/** `ICMPRule`. */
export const icmpRule: RuleDefinition = defineRule({
  summary: "Matches ICMP and ICMPv6 messages, by type and code if given.",
  arguments: ICMP_ARGUMENTS,
  action: "required",
  notes:
    `Types: ${Object.keys(ICMP_TYPES).join(", ")}. Codes: ` +
    `${Object.keys(ICMP_CODES).join(", ")}. A name stands ` +
    "for its number in each of the two versions.",
  check: (values, check) => checkNumbers(values, check),
  create: (values) => new IcmpRule(values),
});
