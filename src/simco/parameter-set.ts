/**
 * Values of four octets and more that say several things at once: the version, what a middlebox can do, and
 * the parameters of a reservation and of a permit. Reserved bits are sent as 0 and not looked at.
 */
import type { Family } from "../base/index.ts";

/** Version of the protocol (RFC 4540 section 4.3.1). */
export interface Version {
  readonly major: number;
  readonly minor: number;
}

/** The version that is spoken here. */
export const VERSION: Version = { major: 3, minor: 0 };

/** What a middlebox is and can do (RFC 4540 section 4.3.3). */
export interface Capabilities {
  readonly isFilter: boolean;
  readonly translates: boolean;
  /** True: it has disable rules (PDR). */
  readonly disables: boolean;
  readonly translatesPorts: boolean;
  readonly translatesProtocols: boolean;
  readonly translatesTwice: boolean;
  readonly internalWildcards: boolean;
  readonly externalWildcards: boolean;
  readonly portWildcards: boolean;
  /** True: rules survive a restart of the machine. */
  readonly isPersistent: boolean;
  readonly internalFamilies: readonly Family[];
  readonly externalFamilies: readonly Family[];
  /** Longest lifetime of a rule, in seconds. */
  readonly lifetimeMax: number;
}

/** A packet filter that can do everything that a packet filter can. */
export const PACKET_FILTER: Capabilities = {
  isFilter: true,
  translates: false,
  disables: true,
  translatesPorts: false,
  translatesProtocols: false,
  translatesTwice: false,
  internalWildcards: true,
  externalWildcards: true,
  portWildcards: true,
  isPersistent: true,
  internalFamilies: [4, 6],
  externalFamilies: [4, 6],
  lifetimeMax: 86_400,
};

/** What a reservation asks for (RFC 4540 section 4.3.9). */
export interface ReserveParameters {
  /** 1 traditional, 2 twice. */
  readonly natMode: number;
  /** 0 any, 1 odd, 2 even. */
  readonly parity: number;
  /** 0 any, 1 IPv4, 2 IPv6. */
  readonly insideVersion: number;
  /** 0 any, 1 IPv4, 2 IPv6. */
  readonly outsideVersion: number;
  /** IANA number; 0 when only an address is wanted. */
  readonly protocol: number;
  /** How many consecutive ports; {@link ALL_PORTS_COUNT} for all. */
  readonly count: number;
}

/** What a permit asks for besides its tuples (RFC 4540 section 4.3.10). */
export interface EnableParameters {
  /** One of {@link PARITY}. */
  readonly parity: number;
  /** One of {@link DIRECTION}. */
  readonly direction: number;
}

/** Number of ports that means all ports of the protocol. */
export const ALL_PORTS_COUNT = 0xffff;

/** Ways of translating addresses. */
export const NAT_MODE = { TRADITIONAL: 1, TWICE: 2 } as const;

/** What the ports of a permit must have in common with those outside. */
export const PARITY = { ANY: 0, SAME: 3 } as const;

/** Parity of reserved ports. */
export const RESERVED_PARITY = { ANY: 0, ODD: 1, EVEN: 2 } as const;

/** Which way packets may go. */
export const DIRECTION = { IN: 1, OUT: 2, BOTH: 3 } as const;

/** IP versions as SIMCO counts them. */
export const IP_VERSION = { ANY: 0, V4: 1, V6: 2 } as const;

// Offsets within the values.
const MAJOR = 0;
const MINOR = 1;
const BOX_TYPE = 0;
const WILDCARDS_AND_VERSIONS = 1;
const LIFETIME_MAX = 4;
const MODES = 0;
const RESERVED_PROTOCOL = 1;
const PORT_COUNT = 2;
const PORT_PARITY = 0;
const WAY = 1;

const BOX_BITS = {
  isFilter: 0x80,
  translates: 0x40,
  disables: 0x10,
  translatesTwice: 0x04,
  translatesProtocols: 0x02,
  translatesPorts: 0x01,
} as const satisfies Partial<Record<keyof Capabilities, number>>;

const WILDCARD_BITS = {
  internalWildcards: 0x80,
  externalWildcards: 0x40,
  portWildcards: 0x20,
  isPersistent: 0x10,
} as const satisfies Partial<Record<keyof Capabilities, number>>;

const INTERNAL_VERSIONS_SHIFT = 2;
const TWO_BITS = 3;

function familiesOf(bits: number): Family[] {
  const families: Family[] = [];
  if ((bits & IP_VERSION.V4) !== 0) families.push(4);
  if ((bits & IP_VERSION.V6) !== 0) families.push(6);
  return families;
}

function versionBits(families: readonly Family[]): number {
  return (families.includes(4) ? IP_VERSION.V4 : 0) | (families.includes(6) ? IP_VERSION.V6 : 0);
}

/** Reads a version. */
export function decodeVersion(bytes: DataView, at: number): Version {
  return { major: bytes.getUint8(at + MAJOR), minor: bytes.getUint8(at + MINOR) };
}

/** Writes a version. */
export function encodeVersion(bytes: DataView, at: number, { major, minor }: Version): void {
  bytes.setUint8(at + MAJOR, major);
  bytes.setUint8(at + MINOR, minor);
}

/** Reads what a middlebox can do. */
export function decodeCapabilities(bytes: DataView, at: number): Capabilities {
  const box = bytes.getUint8(at + BOX_TYPE);
  const rest = bytes.getUint8(at + WILDCARDS_AND_VERSIONS);
  return {
    isFilter: (box & BOX_BITS.isFilter) !== 0,
    translates: (box & BOX_BITS.translates) !== 0,
    disables: (box & BOX_BITS.disables) !== 0,
    translatesPorts: (box & BOX_BITS.translatesPorts) !== 0,
    translatesProtocols: (box & BOX_BITS.translatesProtocols) !== 0,
    translatesTwice: (box & BOX_BITS.translatesTwice) !== 0,
    internalWildcards: (rest & WILDCARD_BITS.internalWildcards) !== 0,
    externalWildcards: (rest & WILDCARD_BITS.externalWildcards) !== 0,
    portWildcards: (rest & WILDCARD_BITS.portWildcards) !== 0,
    isPersistent: (rest & WILDCARD_BITS.isPersistent) !== 0,
    internalFamilies: familiesOf(rest >> INTERNAL_VERSIONS_SHIFT),
    externalFamilies: familiesOf(rest),
    lifetimeMax: bytes.getUint32(at + LIFETIME_MAX),
  };
}

/** Writes what a middlebox can do. */
export function encodeCapabilities(bytes: DataView, at: number, capabilities: Capabilities): void {
  const bitsOf = (table: Readonly<Record<string, number>>): number =>
    Object.entries(table).reduce(
      (sum, [name, bit]) => sum | (capabilities[name as keyof Capabilities] === true ? bit : 0),
      0,
    );
  const { internalFamilies, externalFamilies, lifetimeMax } = capabilities;
  const versions = (versionBits(internalFamilies) << INTERNAL_VERSIONS_SHIFT) | versionBits(externalFamilies);
  bytes.setUint8(at + BOX_TYPE, bitsOf(BOX_BITS));
  bytes.setUint8(at + WILDCARDS_AND_VERSIONS, bitsOf(WILDCARD_BITS) | versions);
  bytes.setUint32(at + LIFETIME_MAX, lifetimeMax);
}

/** Reads the parameters of a reservation. */
export function decodeReserveParameters(bytes: DataView, at: number): ReserveParameters {
  const modes = bytes.getUint8(at + MODES);
  return {
    natMode: modes >> 6,
    parity: (modes >> 4) & TWO_BITS,
    insideVersion: (modes >> 2) & TWO_BITS,
    outsideVersion: modes & TWO_BITS,
    protocol: bytes.getUint8(at + RESERVED_PROTOCOL),
    count: bytes.getUint16(at + PORT_COUNT),
  };
}

/** Writes the parameters of a reservation. */
export function encodeReserveParameters(bytes: DataView, at: number, wanted: ReserveParameters): void {
  const { natMode, parity, insideVersion, outsideVersion, protocol, count } = wanted;
  bytes.setUint8(at + MODES, (natMode << 6) | (parity << 4) | (insideVersion << 2) | outsideVersion);
  bytes.setUint8(at + RESERVED_PROTOCOL, protocol);
  bytes.setUint16(at + PORT_COUNT, count);
}

/** Reads the parameters of a permit. */
export function decodeEnableParameters(bytes: DataView, at: number): EnableParameters {
  return { parity: bytes.getUint8(at + PORT_PARITY), direction: bytes.getUint8(at + WAY) };
}

/** Writes the parameters of a permit. */
export function encodeEnableParameters(bytes: DataView, at: number, wanted: EnableParameters): void {
  bytes.setUint8(at + PORT_PARITY, wanted.parity);
  bytes.setUint8(at + WAY, wanted.direction);
}
