// From scores to probabilities and thresholds: what the calibration split says.
import { weighSignature } from "../../dist/classify/classifier.js";
import { FEATURE_NAMES, fillFeatures, StreamStatistics } from "../../dist/classify/features.js";
import { findSignature } from "../../dist/classify/signatures.js";
import { Seeded } from "./seeded.mjs";
import { encryptedFragment } from "./streams.mjs";

const CALIBRATION_SIZES = [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];
const FRAGMENTS_PER_FORMAT = 160;
const KNOTS = 24;
const LOGIT_MAX = 7;
const BASE_QUANTILE = 0.99;
const BUDGETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
// Looks while a flow grows, in bytes.
const LOOKS = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

/** A function that gives the model's score of a stream's statistics. */
function scorer(model) {
  const row = new Float64Array(FEATURE_NAMES.length + model.bank.outputs);
  return (statistics) => {
    fillFeatures(statistics, model.bank, row);
    return model.encrypted.score(row);
  };
}

// Pool adjacent violators: the ascending curve nearest to the weighted labels.
function ascending(points) {
  const blocks = [];
  for (const { score, label, weight } of points) {
    blocks.push({ score: score * weight, label: label * weight, weight });
    while (blocks.length > 1) {
      const [low, high] = blocks.slice(-2);
      if (low.label / low.weight < high.label / high.weight) break;
      blocks.splice(-2, 2, {
        score: low.score + high.score,
        label: low.label + high.label,
        weight: low.weight + high.weight,
      });
    }
  }
  return blocks;
}

// Merges neighbours into at most KNOTS blocks of about equal weight, then gives one point for each block.
function curve(points) {
  const blocks = ascending(points.sort((a, b) => a.score - b.score));
  const total = blocks.reduce((sum, block) => sum + block.weight, 0);
  const merged = [];
  let filled = 0;
  for (const block of blocks) {
    const slot = Math.floor((filled / total) * KNOTS);
    filled += block.weight;
    const last = merged.at(-1);
    if (last?.slot !== slot) merged.push({ slot, ...block });
    else for (const key of ["score", "label", "weight"]) last[key] += block[key];
  }
  const scores = merged.map((block) => block.score / block.weight);
  const logits = merged.map((block) => {
    // Half a fragment of doubt on either side.
    const share = (block.label + 0.5 / points.length) / (block.weight + 1 / points.length);
    return Math.max(-LOGIT_MAX, Math.min(LOGIT_MAX, Math.log(share / (1 - share))));
  });
  return { scores, logits };
}

function curveAt(split, score, size) {
  const random = new Seeded(`calibrate ${size}`);
  const formats = split.formats.filter((format) => format !== "encrypted");
  const points = [];
  const add = (fragment, label, weight) => {
    const statistics = new StreamStatistics();
    statistics.push(fragment);
    points.push({ score: score(statistics), label, weight });
  };
  const used = formats.map((format) => [...split.fragments(format, size, FRAGMENTS_PER_FORMAT, "calibrate")]);
  const present = used.filter((fragments) => fragments.length > 0);
  for (const fragments of present) {
    for (const fragment of fragments) add(fragment, 0, 0.5 / present.length / fragments.length);
  }
  const count = present.length * FRAGMENTS_PER_FORMAT;
  for (let i = 0; i < count; i++) add(encryptedFragment(size, random), 1, 0.5 / count);
  return curve(points);
}

// Every format has the same share of the flows, except brotli: it has no signature and no files of its own,
// and travels inside HTTP, whose header tells what it is.
const FLOW_SHARES = { brotli: 0.1 };

/** Scores of flows that are not encrypted, looked at while they grow, each flow with its share as weight. */
function flowScores(split, score, accepts) {
  const flows = [];
  for (const format of split.formats) {
    if (format === "encrypted") continue;
    const streams = split.streams(format).filter(accepts);
    for (const stream of streams) {
      const bytes = split.content(format).subarray(stream.at, stream.at + stream.bytes);
      const weight = (FLOW_SHARES[format] ?? 1) / streams.length;
      flows.push({ format, name: stream.name, scores: growingScores(bytes, score), weight });
    }
    split.release(format);
  }
  return flows;
}

function growingScores(bytes, score) {
  const signature = findSignature(bytes);
  const statistics = new StreamStatistics();
  const scores = [];
  for (const look of LOOKS) {
    if (look > bytes.length) break;
    statistics.push(bytes, statistics.bytes, look);
    scores.push(weighSignature(score(statistics), look, signature));
  }
  return scores;
}

// The value that at most `share` of the weight exceeds; one flow more than seen is counted as exceeding it.
function exceededBy(values, share) {
  const sorted = [...values].sort((a, b) => b.value - a.value);
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  let above = total / sorted.length;
  for (const { value, weight } of sorted) {
    above += weight;
    if (above > share * total) return value;
  }
  return sorted.at(-1).value;
}

function bases(flows) {
  return LOOKS.map((_, look) => {
    const seen = flows.filter((flow) => flow.scores.length > look);
    return exceededBy(
      seen.map((flow) => ({ value: flow.scores[look], weight: flow.weight })),
      1 - BASE_QUANTILE,
    );
  });
}

/**
 * Curves and thresholds of a model.
 *
 * @param split - the calibration split, for curves and flows
 * @param more - another split, and which of its streams no tree has seen: more flows
 */
export function calibrate(split, more, model, note) {
  const score = scorer(model);
  const curves = CALIBRATION_SIZES.map((size) => curveAt(split, score, size));
  note("curves");
  const flows = [...flowScores(split, score, () => true), ...flowScores(more.split, score, more.accepts)];
  note(`${flows.length} flows`);
  const base = bases(flows);
  const excess = flows.map((flow) => ({
    value: Math.max(...flow.scores.map((value, look) => value - base[look])),
    weight: flow.weight,
  }));
  const budgets = BUDGETS.map((budget) => ({ budget, shift: exceededBy(excess, budget) + 1e-6 }));
  const sizes = CALIBRATION_SIZES.map((bytes, i) => ({
    bytes,
    base: base[Math.max(0, LOOKS.indexOf(bytes))],
    ...curves[i],
  }));
  for (const size of sizes)
    note(`${size.bytes} bytes: base ${size.base.toFixed(2)}, highest logit ${size.logits.at(-1).toFixed(2)}`);
  for (const { budget, shift } of budgets) note(`budget ${budget}: ${shift.toFixed(3)}`);
  return { sizes, budgets };
}
