/**
 * Which nftables set an element lives in, and how it is written there.
 *
 * Five fields describe a box: both addresses, both ports, the protocol. In each of them a box says one value,
 * every value, or a range. A box without ranges goes to a hash set whose key is made of the fields that say
 * one value; the others are not asked at all. So `any host to 192.0.2.1 port 5004` is one element, found in
 * one step, and a packet pays for each combination of fields that is in use and not for each pinhole. A box
 * with a range goes to a set of intervals, of which there are two kinds: with ports, and without for boxes
 * that mean every port (ports of other protocols than TCP and its like must not be read). Sets of intervals
 * take no overlaps, so there are several, called layers; see interval-layers.ts.
 */
import { type Family, invariant, ipv4Words, Prefix, sameWords } from "../../base/index.ts";
import {
  ALL_PORTS,
  allAddresses,
  ANY_PROTOCOL,
  type Box,
  ELEMENT_ROLES,
  type ElementRole,
  Endpoint,
} from "../../pinhole/index.ts";

/** The fields, in the order in which keys are put together. */
const FIELDS = ["saddr", "sport", "daddr", "dport", "proto"] as const;
type Field = (typeof FIELDS)[number];

interface FieldText {
  /** What nftables reads from a packet. */
  readonly expression: string;
  /** Type in a set. */
  readonly type: string;
  /** Bytes in a key, padding included. */
  readonly bytes: number;
}

const PORT_BYTES = 4;
const PROTOCOL_BYTES = 4;
const PROTOCOL_MAX = 255;

const ANY_TRANSPORT: Readonly<Record<"sport" | "dport" | "proto", FieldText>> = {
  sport: { expression: "th sport", type: "inet_service", bytes: PORT_BYTES },
  dport: { expression: "th dport", type: "inet_service", bytes: PORT_BYTES },
  proto: { expression: "meta l4proto", type: "inet_proto", bytes: PROTOCOL_BYTES },
};

const FIELD_TEXT: Readonly<Record<Family, Readonly<Record<Field, FieldText>>>> = {
  4: {
    saddr: { expression: "ip saddr", type: "ipv4_addr", bytes: 4 },
    daddr: { expression: "ip daddr", type: "ipv4_addr", bytes: 4 },
    ...ANY_TRANSPORT,
  },
  6: {
    saddr: { expression: "ip6 saddr", type: "ipv6_addr", bytes: 16 },
    daddr: { expression: "ip6 daddr", type: "ipv6_addr", bytes: 16 },
    ...ANY_TRANSPORT,
  },
};

/** Fields of the two kinds of interval sets. */
const INTERVAL_FIELDS = {
  ports: FIELDS,
  hosts: ["saddr", "daddr", "proto"],
} as const satisfies Record<string, readonly Field[]>;

/** A kind of set: what distinguishes it but its layer. */
export interface SetShape {
  /**
   * Names the shape, and within a role and family nothing else: `saddr.sport.daddr.dport.proto` or `ports`.
   */
  readonly name: string;
  readonly family: Family;
  readonly fields: readonly Field[];
  /** True: a set of intervals. */
  readonly isInterval: boolean;
  /** Bytes of a key. */
  readonly keyBytes: number;
}

type Extent = "one" | "every" | "range";

function addressExtent(endpoint: Endpoint): Extent {
  if (endpoint.isHost) return "one";
  return endpoint.isAnyAddress ? "every" : "range";
}

function portExtent(endpoint: Endpoint): Extent {
  if (endpoint.isAnyPort) return "every";
  return endpoint.ports.low === endpoint.ports.high ? "one" : "range";
}

function extents(box: Box): Readonly<Record<Field, Extent>> {
  return {
    saddr: addressExtent(box.source),
    sport: portExtent(box.source),
    daddr: addressExtent(box.destination),
    dport: portExtent(box.destination),
    proto: box.protocol === ANY_PROTOCOL ? "every" : "one",
  };
}

const shapes = new Map<string, SetShape>();

function makeShape(
  family: Family,
  fields: readonly Field[],
  kind: keyof typeof INTERVAL_FIELDS | "hash",
): SetShape {
  const name = kind === "hash" ? fields.join(".") : kind;
  const id = `${family} ${name}`;
  const known = shapes.get(id);
  if (known !== undefined) return known;
  const keyBytes = fields.reduce((sum, field) => sum + FIELD_TEXT[family][field].bytes, 0);
  const shape: SetShape = { name, family, fields, isInterval: kind !== "hash", keyBytes };
  shapes.set(id, shape);
  return shape;
}

/** The kind of set that holds a box. */
export function shapeOf(box: Box): SetShape {
  const family = box.source.family;
  const extent = extents(box);
  const exact = FIELDS.filter((field) => extent[field] === "one");
  const hasRange = FIELDS.some((field) => extent[field] === "range");
  if (!hasRange && exact.length > 0) return makeShape(family, exact, "hash");
  const kind = extent.sport === "every" && extent.dport === "every" ? "hosts" : "ports";
  return makeShape(family, INTERVAL_FIELDS[kind], kind);
}

/** The shape with this name, for reading back; `undefined` when there is no such shape. */
function shapeByName(family: Family, name: string): SetShape | undefined {
  if (name === "ports" || name === "hosts") return makeShape(family, INTERVAL_FIELDS[name], name);
  const fields = name.split(".");
  const known = FIELDS.filter((field) => fields.includes(field));
  return known.length > 0 && known.join(".") === name ? makeShape(family, known, "hash") : undefined;
}

/** The set's type in nftables' language. */
export function shapeType(shape: SetShape): string {
  return shape.fields.map((field) => FIELD_TEXT[shape.family][field].type).join(" . ");
}

/** What a rule looks up, in nftables' language. */
export function shapeExpression(shape: SetShape): string {
  return shape.fields.map((field) => FIELD_TEXT[shape.family][field].expression).join(" . ");
}

/** Which end of an interval. */
type End = "low" | "high";

function writeAddress(view: DataView, at: number, endpoint: Endpoint, end: End): void {
  const { words, length, family } = endpoint.prefix;
  const first = family === 4 ? 3 : 0;
  const hostBits = (family === 4 ? 32 : 128) - length;
  for (let index = first; index < 4; index += 1) {
    const below = hostBits - 32 * (3 - index);
    const open = below <= 0 ? 0 : below >= 32 ? 0xffffffff : 2 ** below - 1;
    const word = words[index] ?? 0;
    view.setUint32(at + 4 * (index - first), end === "low" ? word : (word | open) >>> 0);
  }
}

function writeField(
  view: DataView,
  at: number,
  box: Box,
  part: { readonly field: Field; readonly end: End },
): void {
  const { field, end } = part;
  switch (field) {
    case "saddr":
      return writeAddress(view, at, box.source, end);
    case "daddr":
      return writeAddress(view, at, box.destination, end);
    case "sport":
      return view.setUint16(at, box.source.ports[end]);
    case "dport":
      return view.setUint16(at, box.destination.ports[end]);
    case "proto":
      if (box.protocol !== ANY_PROTOCOL) return view.setUint8(at, box.protocol);
      return view.setUint8(at, end === "low" ? 0 : PROTOCOL_MAX);
  }
}

function encodeEnd(shape: SetShape, box: Box, end: End): Uint8Array {
  const view = new DataView(new ArrayBuffer(shape.keyBytes));
  let at = 0;
  for (const field of shape.fields) {
    writeField(view, at, box, { field, end });
    at += FIELD_TEXT[shape.family][field].bytes;
  }
  return new Uint8Array(view.buffer);
}

/** A box as the key of an element: one value, or the first and last of an interval. */
export function encodeBox(
  shape: SetShape,
  box: Box,
): { readonly key: Uint8Array; readonly keyEnd?: Uint8Array } {
  invariant(shape.family === box.destination.family, "both ends of a box are of one family");
  const key = encodeEnd(shape, box, "low");
  return shape.isInterval ? { key, keyEnd: encodeEnd(shape, box, "high") } : { key };
}

function readAddress(view: DataView, at: number, family: Family): Uint32Array {
  if (family === 4) return ipv4Words(view.getUint32(at));
  return Uint32Array.from({ length: 4 }, (_, index) => view.getUint32(at + 4 * index));
}

/** The network from one address to another; `undefined` when they are not its first and last. */
function networkBetween(family: Family, low: Uint32Array, high: Uint32Array): Prefix | undefined {
  let length = 0;
  const first = family === 4 ? 3 : 0;
  for (let index = first; index < 4; index += 1) {
    const difference = ((low[index] ?? 0) ^ (high[index] ?? 0)) >>> 0;
    length += Math.clz32(difference);
    if (difference !== 0) break;
  }
  const prefix = new Prefix(family, low, length);
  const bounds = [new DataView(new ArrayBuffer(16)), new DataView(new ArrayBuffer(16))] as const;
  const endpoint = new Endpoint(prefix, ALL_PORTS);
  writeAddress(bounds[0], 0, endpoint, "low");
  writeAddress(bounds[1], 0, endpoint, "high");
  const isWhole =
    sameWords(readAddress(bounds[0], 0, family), low) && sameWords(readAddress(bounds[1], 0, family), high);
  return isWhole ? prefix : undefined;
}

interface Bounds {
  readonly low: DataView;
  readonly high: DataView;
}

/** Where a field begins in the keys of a shape; -1 when they do not have it. */
function offsetOf(shape: SetShape, field: Field): number {
  let at = 0;
  for (const candidate of shape.fields) {
    if (candidate === field) return at;
    at += FIELD_TEXT[shape.family][candidate].bytes;
  }
  return -1;
}

function decodeEndpoint(
  shape: SetShape,
  bounds: Bounds,
  fields: { readonly address: Field; readonly port: Field },
): Endpoint | undefined {
  const { family } = shape;
  const addressAt = offsetOf(shape, fields.address);
  const portAt = offsetOf(shape, fields.port);
  const prefix =
    addressAt < 0
      ? allAddresses(family)
      : networkBetween(
          family,
          readAddress(bounds.low, addressAt, family),
          readAddress(bounds.high, addressAt, family),
        );
  if (prefix === undefined) return undefined;
  const ports =
    portAt < 0 ? ALL_PORTS : { low: bounds.low.getUint16(portAt), high: bounds.high.getUint16(portAt) };
  return new Endpoint(prefix, ports);
}

function decodeProtocol(shape: SetShape, bounds: Bounds): number | undefined {
  const at = offsetOf(shape, "proto");
  if (at < 0) return ANY_PROTOCOL;
  const low = bounds.low.getUint8(at);
  const high = bounds.high.getUint8(at);
  if (low === high) return low;
  return low === 0 && high === PROTOCOL_MAX ? ANY_PROTOCOL : undefined;
}

/**
 * The box that a key stands for.
 *
 * @param keyEnd - last value of an interval; empty for single values
 * @returns the box, or `undefined` when it is none of ours: a range of addresses that is no network, for
 *   example
 */
export function decodeBox(shape: SetShape, key: Uint8Array, keyEnd: Uint8Array): Box | undefined {
  if (key.length !== shape.keyBytes) return undefined;
  const last = keyEnd.length === key.length ? keyEnd : key;
  const bounds = {
    low: new DataView(key.buffer, key.byteOffset, key.length),
    high: new DataView(last.buffer, last.byteOffset, last.length),
  };
  const protocol = decodeProtocol(shape, bounds);
  const source = decodeEndpoint(shape, bounds, { address: "saddr", port: "sport" });
  const destination = decodeEndpoint(shape, bounds, { address: "daddr", port: "dport" });
  if (protocol === undefined || source === undefined || destination === undefined) return undefined;
  return { protocol, source, destination };
}

/** A set by what it is for. */
export interface SetIdentity {
  readonly role: ElementRole;
  readonly shape: SetShape;
  /** Which of the interval sets of this kind, from 1; 0 for hash sets. */
  readonly layer: number;
}

/** The set's name behind the prefix of our chain. */
export function setSuffix(set: SetIdentity): string {
  const layer = set.layer === 0 ? "" : `-${set.layer}`;
  return `${set.role}-v${set.shape.family}-${set.shape.name}${layer}`;
}

const SUFFIX = new RegExp(`^(${ELEMENT_ROLES.join("|")})-v([46])-([a-z.]+)(?:-(\\d+))?$`);

/** The set with this name behind the prefix of our chain; `undefined` when it is none of ours. */
export function parseSetSuffix(suffix: string): SetIdentity | undefined {
  const [, roleName, version, shapeName, layerText] = SUFFIX.exec(suffix) ?? [];
  const role = ELEMENT_ROLES.find((candidate) => candidate === roleName);
  if (role === undefined || shapeName === undefined) return undefined;
  const shape = shapeByName(version === "4" ? 4 : 6, shapeName);
  const layer = Number(layerText ?? 0);
  if (shape === undefined || shape.isInterval !== layer > 0) return undefined;
  return { role, shape, layer };
}
