/** Every rule that Postern knows by itself, and the names PyWall once used. */
import { RuleRegistry } from "../registry.ts";
import { destinationIpRule, sourceIpRule } from "./address-rule.ts";
import { conntrackRule } from "./conntrack-rule.ts";
import { encryptedRule, entropyRule } from "./encryption-rules.ts";
import { flowRule } from "./flow-rule.ts";
import { icmpRule } from "./icmp-rule.ts";
import { interfaceRule } from "./interface-rule.ts";
import { pinholeRule } from "./pinhole-rule.ts";
import { portKnocking } from "./knock-rule.ts";
import { limitRule, logRule } from "./limit-rule.ts";
import { ipPortRule, portRangeRule } from "./port-range-rule.ts";
import { portRule } from "./port-rule.ts";
import { printRule } from "./print-rule.ts";
import { tcpRule, trueRule, udpRule } from "./protocol-rule.ts";
import { fingerprintRule, protocolRule, serverNameRule } from "./recognition-rules.ts";
import { rejectRule, returnRule } from "./reject-rule.ts";
import { tableRule } from "./table-rule.ts";
import { tcpStateRule } from "./tcp-state-rule.ts";
import { userRule } from "./user-rule.ts";

const RULES = {
  SourceIPRule: sourceIpRule,
  DestinationIPRule: destinationIpRule,
  PortRule: portRule,
  PortRangeRule: portRangeRule,
  IPPortRule: ipPortRule,
  TCPRule: tcpRule,
  TCPStateRule: tcpStateRule,
  PortKnocking: portKnocking,
  PrintRule: printRule,
  TrueRule: trueRule,
  UDPRule: udpRule,
  ICMPRule: icmpRule,
  FlowRule: flowRule,
  ConntrackRule: conntrackRule,
  TableRule: tableRule,
  PinholeRule: pinholeRule,
  InterfaceRule: interfaceRule,
  UserRule: userRule,
  RejectRule: rejectRule,
  LogRule: logRule,
  LimitRule: limitRule,
  ReturnRule: returnRule,
  ProtocolRule: protocolRule,
  ServerNameRule: serverNameRule,
  FingerprintRule: fingerprintRule,
  EntropyRule: entropyRule,
  EncryptedRule: encryptedRule,
};

/** PyWall's names before 2015-04-27. */
const OLD_NAMES = {
  PortFilter: "PortRule",
  PortRangeFilter: "PortRangeRule",
  AddressPortRule: "IPPortRule",
} as const satisfies Record<string, keyof typeof RULES>;

/** A registry with all rules of Postern's own. */
export function createRegistry(): RuleRegistry {
  const registry = new RuleRegistry();
  for (const [name, definition] of Object.entries(RULES)) registry.register(name, definition);
  for (const [oldName, name] of Object.entries(OLD_NAMES)) registry.alias(oldName, name);
  return registry;
}
