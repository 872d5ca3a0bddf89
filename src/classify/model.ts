/**
 * The learned model as bytes, and back.
 *
 * Layout, little-endian: the letters PSTC and a version byte; filters (count as 16 bits; each: source,
 * square, scale as 32-bit float, one signed byte for each weight); two tree ensembles, "encrypted?" and
 * "plain?" (bias as 32-bit float, trees as 16 bits, nodes as 32 bits, then features as 16 bits and values as
 * 32-bit floats, in preorder); calibration (sizes: count, then bytes, base, knots, scores, logits; budgets:
 * count, then budget and shift). Right children are not stored: in preorder they follow from the order of the
 * nodes.
 */

import { FirewallError } from "../base/index.ts";
import { type BudgetShift, Calibration, type SizeCalibration } from "./calibration.ts";
import { type Filter, FilterBank } from "./filter-bank.ts";
import { LEAF, TreeEnsemble } from "./trees.ts";
import { SPECTRUM_SIZE } from "./windows.ts";

const MAGIC = [0x50, 0x53, 0x54, 0x43];
/** Version of the layout. */
export const MODEL_VERSION = 1;
const TREE_DEPTH_MAX = 64;

/** Everything that was learned. */
export interface ClassifierModel {
  /** Filters over the spectra. */
  bank: FilterBank;
  /** Score of "encrypted". */
  encrypted: TreeEnsemble;
  /** Score of "plain", among what is not encrypted. */
  plain: TreeEnsemble;
  /** From scores to probabilities and thresholds. */
  calibration: Calibration;
}

class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#view.byteLength;
  }

  #step(bytes: number): number {
    this.#at += bytes;
    return this.#at - bytes;
  }

  uint8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  int8(): number {
    return this.#view.getInt8(this.#step(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  float32(): number {
    return this.#view.getFloat32(this.#step(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#step(8), true);
  }

  list<T>(count: number, read: () => T): T[] {
    const found: T[] = [];
    for (let i = 0; i < count; i++) found.push(read());
    return found;
  }
}

function readFilter(reader: Reader): Filter {
  const source = reader.uint8();
  const square = reader.uint8() === 1;
  const scale = reader.float32();
  return {
    source,
    square,
    weights: Float64Array.from(reader.list(SPECTRUM_SIZE, () => reader.int8() * scale)),
  };
}

function readEnsemble(reader: Reader): TreeEnsemble {
  const bias = reader.float32();
  const trees = reader.uint16();
  const nodes = reader.uint32();
  const features = Uint16Array.from(reader.list(nodes, () => reader.uint16()));
  const values = Float64Array.from(reader.list(nodes, () => reader.float32()));
  const rights = new Uint32Array(nodes);
  const roots = new Uint32Array(trees);
  let next = 0;
  for (let tree = 0; tree < trees; tree++) {
    roots[tree] = next;
    next = linkTree(features, rights, next, 0);
  }
  if (next !== nodes) throw new RangeError(`${nodes} nodes, ${next} of them in ${trees} trees`);
  return new TreeEnsemble({ roots, features, values, rights }, bias);
}

// Sets the right children of the tree that begins here and returns the index just past it.
function linkTree(features: Uint16Array, rights: Uint32Array, node: number, depth: number): number {
  if (node >= features.length || depth > TREE_DEPTH_MAX) throw new RangeError("tree without end");
  if (features[node] === LEAF) return node + 1;
  const right = linkTree(features, rights, node + 1, depth + 1);
  rights[node] = right;
  return linkTree(features, rights, right, depth + 1);
}

function readCalibration(reader: Reader): Calibration {
  const sizes = reader.list(reader.uint8(), (): SizeCalibration => {
    const bytes = reader.uint32();
    const base = reader.float64();
    const knots = reader.uint8();
    const scores = Float64Array.from(reader.list(knots, () => reader.float32()));
    const logits = Float64Array.from(reader.list(knots, () => reader.float32()));
    return { bytes, base, scores, logits };
  });
  const budgets = reader.list(reader.uint8(), (): BudgetShift => {
    const budget = reader.float64();
    return { budget, shift: reader.float64() };
  });
  return new Calibration(sizes, budgets);
}

/**
 * Reads a model.
 *
 * @param bytes - as the training writes them
 * @throws {FirewallError} with code `CLASSIFIER_MODEL_INVALID` when the bytes are no model of this version
 */
export function decodeModel(bytes: Uint8Array): ClassifierModel {
  try {
    const reader = new Reader(bytes);
    for (const letter of MAGIC) if (reader.uint8() !== letter) throw new RangeError("no classifier model");
    const version = reader.uint8();
    if (version !== MODEL_VERSION) throw new RangeError(`version ${version}, wanted ${MODEL_VERSION}`);
    const bank = new FilterBank(reader.list(reader.uint16(), () => readFilter(reader)));
    const encrypted = readEnsemble(reader);
    const plain = readEnsemble(reader);
    const calibration = readCalibration(reader);
    if (!reader.atEnd) throw new RangeError("bytes behind the model");
    return { bank, encrypted, plain, calibration };
  } catch (cause) {
    throw new FirewallError("CLASSIFIER_MODEL_INVALID", "the classifier's model cannot be read", { cause });
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Decodes base64 (RFC 4648 §4); characters outside the alphabet are skipped.
 *
 * @param text - digits, with or without line breaks and padding
 */
export function decodeBase64(text: string): Uint8Array {
  const values = new Int8Array(128).fill(-1);
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let length = 0;
  let bits = 0;
  let held = 0;
  for (let i = 0; i < text.length; i++) {
    const value = values[text.charCodeAt(i)] ?? -1;
    if (value < 0) continue;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = (held >> bits) & 0xff;
  }
  return bytes.subarray(0, length);
}
