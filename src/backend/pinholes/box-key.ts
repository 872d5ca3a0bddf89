/** Boxes as keys of nftables sets, and back. */
import { type Family, familyBits, invariant, ipv4Words, Prefix, sameWords } from "../../base/index.ts";
import type { ElementFacts } from "../../netlink/index.ts";
import {
  ALL_PORTS,
  allAddresses,
  ANY_PROTOCOL,
  type Box,
  type Element,
  Endpoint,
} from "../../pinhole/index.ts";
import { type Field, FIELD_TEXT, PORT_BYTES, type SetShape } from "./set-shape.ts";

const PROTOCOL_MAX = 255;

/** Bytes of the longest key: two IPv6 addresses, two ports, a protocol. */
const KEY_MAX_BYTES = 44;

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

// oxlint-disable-next-line max-params -- an object for two of them would be made for each field of each key
function writeField(view: DataView, at: number, box: Box, field: Field, end: End): void {
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

/** Room for the longest key; what lies between fields is never written and stays zero. */
const scratch = new Uint8Array(KEY_MAX_BYTES);
const scratchView = new DataView(scratch.buffer);

function encodeEnd(shape: SetShape, box: Box, end: End): Uint8Array {
  scratch.fill(0);
  let at = 0;
  for (const field of shape.fields) {
    writeField(scratchView, at, box, field, end);
    at += FIELD_TEXT[shape.family][field].bytes;
  }
  return scratch.slice(0, shape.keyBytes);
}

/** A box as the key of an element: one value, or the first and last of an interval. */
export function encodeBox(shape: SetShape, box: Box): Pick<ElementFacts, "key" | "keyEnd"> {
  invariant(shape.family === box.destination.family, "both ends of a box are of one family");
  const key = encodeEnd(shape, box, "low");
  return { key, keyEnd: shape.isInterval ? encodeEnd(shape, box, "high") : undefined };
}

/** What a key of a map leads to: a host, and its port when that is one. */
function encodeTarget(target: Endpoint): Uint8Array {
  const addressBytes = target.family === 4 ? 4 : 16;
  const view = new DataView(new ArrayBuffer(addressBytes + (target.isAnyPort ? 0 : PORT_BYTES)));
  writeAddress(view, 0, target, "low");
  if (!target.isAnyPort) view.setUint16(addressBytes, target.ports.low);
  return new Uint8Array(view.buffer);
}

/** An element as it is told to the kernel, without its lifetime. */
export function encodeElement(
  shape: SetShape,
  { box, target }: Pick<Element, "box" | "target">,
): ElementFacts {
  const { key, keyEnd } = encodeBox(shape, box);
  return { key, keyEnd, data: target === undefined ? undefined : encodeTarget(target) };
}

function readAddress(view: DataView, at: number, family: Family): Uint32Array {
  if (family === 4) return ipv4Words(view.getUint32(at));
  return Uint32Array.from({ length: 4 }, (_, index) => view.getUint32(at + 4 * index));
}

/** The network from one address to another; `undefined` when they are not its first and last. */
function networkBetween(family: Family, low: Uint32Array, high: Uint32Array): Prefix | undefined {
  // Nearly all are hosts, and there may be very many.
  if (sameWords(low, high)) return new Prefix(family, low, familyBits(family));
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

/** Bytes of the longest key of any set (NFT_DATA_VALUE_MAXLEN). */
const ANY_KEY_MAX_BYTES = 64;

/** Room for the name of an interval. */
const naming = Buffer.alloc(2 * ANY_KEY_MAX_BYTES);

/** A key as a string, which a Map can find. */
export function nameKey(key: Uint8Array, keyEnd: Uint8Array | undefined): string {
  // To make a Buffer for each key would cost more than to copy it.
  naming.set(key);
  if (keyEnd === undefined) return naming.toString("latin1", 0, key.length);
  naming.set(keyEnd, key.length);
  return naming.toString("latin1", 0, key.length + keyEnd.length);
}
