// Trains the classifier: node tools/classifier/train.mjs FOLDER
//
// FOLDER is what build.mjs made. Half of the training streams give the matched filters, the other half the
// rows for the trees, so that no filter is judged by what it was made from. The calibration split gives the
// curves from scores to probabilities and the thresholds of the false-positive budgets. Writes
// src/classify/model-data.ts.
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FEATURE_NAMES, fillFeatures, spectraOf, StreamStatistics } from "../../dist/classify/features.js";
import { FilterBank } from "../../dist/classify/filter-bank.js";
import { SPECTRUM_SIZE } from "../../dist/classify/windows.js";
import { decodeModel } from "../../dist/classify/model.js";
import { binFeatures, boost } from "./boost.mjs";
import { calibrate } from "./calibrate.mjs";
import { principalDirections } from "./directions.mjs";
import { HEAD_BYTES, Split } from "./fragments.mjs";
import { encodeModel, quantised } from "./model-file.mjs";
import { fractionOf, Seeded, sha256 } from "./seeded.mjs";
import { drawSize, encryptedFragment, FAMILIES, FILTERS, FragmentSource, PLAIN_FORMATS } from "./streams.mjs";
import { say } from "./say.mjs";

const FILTER_FRAGMENTS = 3000;
const FILTER_FRAGMENT_BYTES = 3072;
const DIRECTIONS = 6;
const COEFFICIENT_MAX = 5;
const ROWS_PER_FORMAT = Number(process.env.ROWS_PER_FORMAT ?? 10_000);
const SHARES = { lambda: 5, minHessian: 12, featureShare: 0.5, rowShare: 0.5 };
const ENCRYPTED_BOOST = { trees: 280, leaves: 40, rate: 0.11, ...SHARES };
const PLAIN_BOOST = { trees: 40, leaves: 16, rate: 0.2, ...SHARES };

// The bodies of these formats are random to every test known here; as rows they would only be wrong labels.
// They count where a chunk header is seen, and in the calibration.
const LOOKS_RANDOM = new Set(["xz", "7z", "lzma"]);
const CHUNK_HEADERS = [FEATURE_NAMES.indexOf("xzHeaders"), FEATURE_NAMES.indexOf("sevenZipHeaders")];

const forFilters = (stream) => fractionOf(`filter ${stream.name}`) < 0.4;
const forTrees = (stream) => !forFilters(stream);

function statisticsOf(fragment) {
  const statistics = new StreamStatistics();
  statistics.push(fragment);
  return statistics;
}

/** Sums over fragments of one family: coefficients, their squares, and products of coefficients. */
class Moments {
  count = 0;
  values = [0, 1, 2].map(() => new Float64Array(SPECTRUM_SIZE));
  squares = [0, 1, 2].map(() => new Float64Array(SPECTRUM_SIZE));
  products = [0, 1].map(() => new Float64Array(SPECTRUM_SIZE * SPECTRUM_SIZE));

  add(spectra) {
    this.count++;
    for (const [source, spectrum] of spectra.entries()) {
      const clipped = spectrum.values.map((value) =>
        Math.max(-COEFFICIENT_MAX, Math.min(COEFFICIENT_MAX, value)),
      );
      for (let i = 0; i < SPECTRUM_SIZE; i++) {
        this.values[source][i] += clipped[i];
        this.squares[source][i] += spectrum.squares[i];
      }
      if (source < 2) addProducts(this.products[source], clipped);
    }
  }
}

function addProducts(products, values) {
  for (let i = 0; i < SPECTRUM_SIZE; i++) {
    const base = i * SPECTRUM_SIZE;
    for (let j = 0; j <= i; j++) products[base + j] += values[i] * values[j];
  }
}

function familyMoments(split, formats) {
  const moments = new Moments();
  for (const format of formats) {
    const source = new FragmentSource(split, format, "filters", forFilters);
    for (let i = 0; i < FILTER_FRAGMENTS / formats.length; i++) {
      const fragment = source.draw(FILTER_FRAGMENT_BYTES, HEAD_BYTES);
      if (fragment !== undefined) moments.add(spectraOf(statisticsOf(fragment)));
    }
  }
  return moments;
}

// Means nearer to 0 than chance allows are pulled to 0 (James and Stein's shrinkage, for each one).
function matched(sums, count, variance) {
  const noise = variance / count;
  const weights = sums.map((sum) => {
    const mean = sum / count;
    return mean * Math.max(0, 1 - (2 * noise) / (mean * mean + 1e-12));
  });
  const length = weights.reduce((sum, weight) => sum + weight * weight, 0);
  return weights.map((weight) => (length > 0 ? weight / Math.sqrt(length * variance) : 0));
}

function addShare(sums, products, count) {
  for (let i = 0; i < sums.length; i++) sums[i] += products[i] / Math.max(1, count);
}

function trainFilters(split) {
  const families = {};
  const pooled = [0, 1].map(() => new Float64Array(SPECTRUM_SIZE * SPECTRUM_SIZE));
  for (const [name, formats] of Object.entries(FAMILIES)) {
    families[name] = familyMoments(split, formats);
    for (const source of [0, 1])
      addShare(pooled[source], families[name].products[source], families[name].count);
  }
  const filters = FILTERS.map(([name, source, square]) => {
    const { values, squares, count } = families[name];
    return {
      source,
      square,
      weights: matched((square ? squares : values)[source], Math.max(1, count), square ? 2 : 1),
    };
  });
  for (const source of [0, 1]) {
    for (const weights of principalDirections(pooled[source], SPECTRUM_SIZE, DIRECTIONS)) {
      filters.push({ source, square: false, weights });
    }
  }
  return filters.map((filter) => ({ ...filter, weights: quantised(filter.weights) }));
}

/** Rows of features with labels. Each packed format weighs the same; both classes weigh the same. */
function makeRows(split, bank) {
  const features = FEATURE_NAMES.length + bank.outputs;
  const formats = split.formats.filter((format) => format !== "encrypted");
  const counts = formats.map((format) =>
    PLAIN_FORMATS.includes(format) ? ROWS_PER_FORMAT / 4 : ROWS_PER_FORMAT,
  );
  const rows = new Float32Array(2 * counts.reduce((a, b) => a + b, 0) * features);
  const kinds = [];
  const row = new Float64Array(features);
  const random = new Seeded("rows");
  const add = (fragment, kind) => {
    fillFeatures(statisticsOf(fragment), bank, row);
    if (LOOKS_RANDOM.has(kind) && CHUNK_HEADERS.every((place) => row[place] === 0)) return;
    rows.set(row, kinds.length * features);
    kinds.push(kind);
  };
  for (const [i, format] of formats.entries()) {
    const source = new FragmentSource(split, format, "rows", forTrees);
    for (let n = 0; n < counts[i]; n++) {
      const size = drawSize(random);
      const fragment = source.draw(size, HEAD_BYTES);
      if (fragment !== undefined) add(fragment, format);
      add(encryptedFragment(size, random), "encrypted");
    }
    split.release(format);
  }
  return { rows: rows.subarray(0, kinds.length * features), kinds, features };
}

function trainEnsemble(set, isPositive, options, note) {
  const labels = Uint8Array.from(set.kinds, (kind) => (isPositive(kind) ? 1 : 0));
  const positive = labels.reduce((a, b) => a + b, 0);
  const share = positive / labels.length;
  const weights = Float64Array.from(labels, (label) => (label === 1 ? 0.5 / share : 0.5 / (1 - share)));
  return boost(binFeatures(set.rows, set.features), { labels, weights }, options, (trees, scores) => {
    let loss = 0;
    for (const [i, score] of scores.entries())
      loss += weights[i] * Math.log1p(Math.exp(labels[i] === 1 ? -score : score));
    note(`${trees} trees, loss ${(loss / scores.length).toFixed(5)}`);
  });
}

function onlyPacked(set) {
  const kept = set.kinds.map((kind, i) => i).filter((i) => set.kinds[i] !== "encrypted");
  const rows = new Float32Array(kept.length * set.features);
  for (const [to, from] of kept.entries()) {
    rows.set(set.rows.subarray(from * set.features, (from + 1) * set.features), to * set.features);
  }
  return { rows, kinds: kept.map((i) => set.kinds[i]), features: set.features };
}

const LINE = 100;

function writeModule(bytes) {
  const digits = bytes.toString("base64");
  const lines = [];
  for (let at = 0; at < digits.length; at += LINE) lines.push(digits.slice(at, at + LINE));
  const path = join(dirname(fileURLToPath(import.meta.url)), "../../src/classify/model-data.ts");
  const hash = sha256(bytes);
  const text = [
    "/* oxlint-disable max-lines -- data */",
    "/**",
    " * The learned model as base64, written by tools/classifier/train.mjs: do not edit.",
    " */",
    "",
    "/** SHA-256 of the model's bytes, in hexadecimal digits. */",
    `export const MODEL_SHA256 = "${hash}";`,
    "",
    "/** The model's bytes. */",
    "export const MODEL_BASE64 = `",
    ...lines,
    "`;",
    "",
  ];
  writeFileSync(path, text.join("\n"));
  return hash;
}

function main(folder) {
  const started = Date.now();
  const note = (text) => say(`${((Date.now() - started) / 1000).toFixed(0).padStart(5)} s  ${text}`);
  const train = new Split(folder, "train");
  const filters = trainFilters(train);
  note(`${filters.length} filters`);
  const set = makeRows(train, new FilterBank(filters));
  note(`${set.kinds.length} rows of ${set.features} features`);
  const encrypted = trainEnsemble(set, (kind) => kind === "encrypted", ENCRYPTED_BOOST, note);
  const packed = onlyPacked(set);
  const plain = trainEnsemble(packed, (kind) => PLAIN_FORMATS.includes(kind), PLAIN_BOOST, note);
  const parts = {
    filters,
    encrypted,
    plain,
    calibration: { sizes: [NO_CALIBRATION], budgets: [{ budget: 1, shift: 0 }] },
  };
  const model = decodeModel(encodeModel(parts));
  parts.calibration = calibrate(
    new Split(folder, "calibrate"),
    { split: train, accepts: forFilters },
    model,
    note,
  );
  const bytes = encodeModel(parts);
  decodeModel(bytes);
  note(`model of ${bytes.length} bytes, SHA-256 ${writeModule(bytes)}`);
}

const NO_CALIBRATION = { bytes: 1, base: 0, scores: [0, 1], logits: [0, 1] };

main(process.argv[2]);
