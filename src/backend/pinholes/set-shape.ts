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
import type { Family } from "../../base/index.ts";
import {
  ANY_PROTOCOL,
  type Box,
  ELEMENT_ROLES,
  type ElementRole,
  type Endpoint,
} from "../../pinhole/index.ts";

/** The fields, in the order in which keys are put together. */
const FIELDS = ["saddr", "sport", "daddr", "dport", "proto"] as const;
/** A field, by its word. */
export type Field = (typeof FIELDS)[number];

/** How a field is written. */
export interface FieldText {
  /** What nftables reads from a packet. */
  readonly expression: string;
  /** Type in a set. */
  readonly type: string;
  /** Bytes in the key of a concatenation, padding included. */
  readonly bytes: number;
  /** Bytes in a key that is nothing else. */
  readonly bareBytes: number;
}

/** Bytes of a port within a concatenation. */
export const PORT_BYTES = 4;
const PROTOCOL_BYTES = 4;

const ANY_TRANSPORT: Readonly<Record<"sport" | "dport" | "proto", FieldText>> = {
  sport: { expression: "th sport", type: "inet_service", bytes: PORT_BYTES, bareBytes: 2 },
  dport: { expression: "th dport", type: "inet_service", bytes: PORT_BYTES, bareBytes: 2 },
  proto: { expression: "meta l4proto", type: "inet_proto", bytes: PROTOCOL_BYTES, bareBytes: 1 },
};

/** The fields in nftables' language, by family. */
export const FIELD_TEXT: Readonly<Record<Family, Readonly<Record<Field, FieldText>>>> = {
  4: {
    saddr: { expression: "ip saddr", type: "ipv4_addr", bytes: 4, bareBytes: 4 },
    daddr: { expression: "ip daddr", type: "ipv4_addr", bytes: 4, bareBytes: 4 },
    ...ANY_TRANSPORT,
  },
  6: {
    saddr: { expression: "ip6 saddr", type: "ipv6_addr", bytes: 16, bareBytes: 16 },
    daddr: { expression: "ip6 daddr", type: "ipv6_addr", bytes: 16, bareBytes: 16 },
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
  const texts = fields.map((field) => FIELD_TEXT[family][field]);
  const [only] = texts.length === 1 ? texts : [];
  const keyBytes = only?.bareBytes ?? texts.reduce((sum, { bytes }) => sum + bytes, 0);
  const shape: SetShape = { name, family, fields, isInterval: kind !== "hash", keyBytes };
  shapes.set(id, shape);
  return shape;
}

/** The shape with a single value in every field. */
export function exactShape(family: Family): SetShape {
  return makeShape(family, FIELDS, "hash");
}

const EXTENTS: Readonly<Record<Extent, number>> = { one: 0, every: 1, range: 2 };

/** Shapes of boxes by family and extents: there are few combinations, and very many boxes. */
const known: (SetShape | undefined)[] = [];

/** The kind of set that holds a box. */
export function shapeOf(box: Box): SetShape {
  const { source, destination } = box;
  let name = source.family === 4 ? 0 : 1;
  for (const endpoint of [source, destination]) {
    name = 9 * name + 3 * EXTENTS[addressExtent(endpoint)] + EXTENTS[portExtent(endpoint)];
  }
  name = 2 * name + (box.protocol === ANY_PROTOCOL ? 1 : 0);
  return (known[name] ??= findShape(box));
}

function findShape(box: Box): SetShape {
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
