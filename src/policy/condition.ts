/**
 * What a rule matches, said as data.
 *
 * A rule answers questions, and only asking it tells what it would say. Where the answer follows from a
 * packet's header alone, the rule can say beforehand, and exactly, which packets meet it: its condition.
 * Then many rules can be looked up at once instead of asked one after another, and the kernel can ask in our
 * place. A condition is a list of tests, and a packet meets it when it has the parts named by the rule's
 * `needs` and passes every test.
 */
import type { ConntrackState, Prefix } from "../base/index.ts";

/** The packet's protocol is one of these, by their IANA numbers. */
export interface ProtocolTest {
  readonly field: "protocol";
  readonly protocols: readonly number[];
}

/** An address of the packet lies in a network; its family is then the network's. */
export interface AddressTest {
  readonly field: "source" | "destination";
  readonly prefix: Prefix;
}

/** A port lies between two bounds, both included. Stands only beside a test for TCP, UDP or both. */
export interface PortTest {
  readonly field: "sourcePort" | "destinationPort";
  readonly low: number;
  readonly high: number;
}

/** An interface has a name, or a name that begins so. A packet without such an interface fails. */
export interface InterfaceTest {
  readonly field: "inInterface" | "outInterface";
  readonly name: string;
  /** True when any name that begins with `name` will do. */
  readonly isOpen: boolean;
}

/** The local socket that sends the packet belongs to a user or a group. */
export interface OwnerTest {
  readonly field: "userId" | "groupId";
  readonly id: number;
}

/** All of these bits of the packet's mark are set. */
export interface MarkTest {
  readonly field: "mark";
  readonly bits: number;
}

/** The packet's state in the kernel's connection tracking is one of these, see conntrackState. */
export interface ConntrackTest {
  readonly field: "conntrack";
  readonly states: readonly ConntrackState[];
}

/** A kind of ICMP message. */
export interface IcmpMessage {
  /** PROTOCOL.ICMP or PROTOCOL.ICMPV6. */
  readonly protocol: number;
  /** -1 for any. */
  readonly type: number;
  /** -1 for any. */
  readonly code: number;
}

/** The packet is one of these messages. */
export interface IcmpTest {
  readonly field: "icmp";
  readonly messages: readonly IcmpMessage[];
}

/** One thing that must hold. */
export type Test =
  | ProtocolTest
  | AddressTest
  | PortTest
  | InterfaceTest
  | OwnerTest
  | MarkTest
  | ConntrackTest
  | IcmpTest;

/** All that must hold; an empty list holds for every packet. */
export type Condition = readonly Test[];
