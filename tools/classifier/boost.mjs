// Gradient boosting of decision trees for two classes, with histograms of binned features and best-first
// growth (Friedman 2001; Ke et al., "LightGBM", NIPS 2017). Deterministic: sums run in one fixed order.
import { Seeded } from "./seeded.mjs";

const BINS = 128;
const LEAF = 0xffff;

/** Borders between bins: quantiles of a sample of each feature. */
function findBorders(rows, features, count) {
  const step = Math.max(1, Math.floor(count / 20_000));
  const borders = [];
  for (let feature = 0; feature < features; feature++) {
    const sample = [];
    for (let row = 0; row < count; row += step) sample.push(rows[row * features + feature]);
    sample.sort((a, b) => a - b);
    const found = [];
    for (let bin = 1; bin < BINS; bin++) {
      const value = sample[Math.floor((bin * sample.length) / BINS)];
      if (found.length === 0 || value > found.at(-1)) found.push(value);
    }
    borders.push(Float32Array.from(found));
  }
  return borders;
}

// The number of borders below the value: values up to border i fall into bins 0 to i.
function binOf(borders, value) {
  let low = 0;
  let high = borders.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= borders[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Binned features, ready for {@link boost}. */
export function binFeatures(rows, features) {
  const count = rows.length / features;
  const borders = findBorders(rows, features, count);
  const bins = new Uint8Array(rows.length);
  for (let row = 0; row < count; row++) {
    for (let feature = 0; feature < features; feature++) {
      bins[row * features + feature] = binOf(borders[feature], rows[row * features + feature]);
    }
  }
  return { bins, borders, features, count };
}

class TreeGrower {
  constructor(data, options) {
    this.data = data;
    this.options = options;
    this.gradients = new Float64Array(data.count);
    this.hessians = new Float64Array(data.count);
    this.order = new Int32Array(data.count);
    this.spare = new Int32Array(data.count);
  }

  histogram(node, columns) {
    const { bins, features } = this.data;
    const { gradients, hessians, order } = this;
    const sums = new Float64Array(columns.length * BINS * 2);
    const width = columns.length;
    for (let i = node.from; i < node.to; i++) {
      const row = order[i];
      const gradient = gradients[row];
      const hessian = hessians[row];
      const base = row * features;
      for (let c = 0; c < width; c++) {
        const place = (c * BINS + bins[base + columns[c]]) * 2;
        sums[place] += gradient;
        sums[place + 1] += hessian;
      }
    }
    return sums;
  }

  findSplit(node, columns) {
    const { lambda, minHessian } = this.options;
    let best = { gain: 1e-6 };
    const parent = (node.gradient * node.gradient) / (node.hessian + lambda);
    for (let c = 0; c < columns.length; c++) {
      const last = this.data.borders[columns[c]].length;
      let gradient = 0;
      let hessian = 0;
      for (let bin = 0; bin < last; bin++) {
        const place = (c * BINS + bin) * 2;
        gradient += node.sums[place];
        hessian += node.sums[place + 1];
        const rest = node.hessian - hessian;
        if (hessian < minHessian || rest < minHessian) continue;
        const other = node.gradient - gradient;
        const gain = (gradient * gradient) / (hessian + lambda) + (other * other) / (rest + lambda) - parent;
        if (gain > best.gain) best = { gain, column: c, feature: columns[c], bin, gradient, hessian };
      }
    }
    node.split = best.feature === undefined ? undefined : best;
  }

  partition(node) {
    const { bins, features } = this.data;
    const { order, spare } = this;
    const { feature, bin } = node.split;
    let left = node.from;
    let kept = 0;
    for (let i = node.from; i < node.to; i++) {
      const row = order[i];
      if (bins[row * features + feature] <= bin) order[left++] = row;
      else spare[kept++] = row;
    }
    for (let i = 0; i < kept; i++) order[left + i] = spare[i];
    return left;
  }

  makeChildren(node, columns) {
    const middle = this.partition(node);
    const { gradient, hessian } = node.split;
    const left = { from: node.from, to: middle, gradient, hessian };
    const right = {
      from: middle,
      to: node.to,
      gradient: node.gradient - gradient,
      hessian: node.hessian - hessian,
    };
    const [small, large] = left.to - left.from < right.to - right.from ? [left, right] : [right, left];
    small.sums = this.histogram(small, columns);
    large.sums = node.sums;
    for (let i = 0; i < large.sums.length; i++) large.sums[i] -= small.sums[i];
    node.sums = undefined;
    node.left = left;
    node.right = right;
    for (const child of [left, right]) this.findSplit(child, columns);
    return [left, right];
  }

  grow(used, columns) {
    let gradient = 0;
    let hessian = 0;
    for (let i = 0; i < used; i++) {
      gradient += this.gradients[this.order[i]];
      hessian += this.hessians[this.order[i]];
    }
    const root = { from: 0, to: used, gradient, hessian };
    root.sums = this.histogram(root, columns);
    this.findSplit(root, columns);
    const leaves = [root];
    while (leaves.length < this.options.leaves) {
      let best = -1;
      for (let i = 0; i < leaves.length; i++) {
        if (leaves[i].split && (best < 0 || leaves[i].split.gain > leaves[best].split.gain)) best = i;
      }
      if (best < 0) break;
      const [node] = leaves.splice(best, 1);
      leaves.push(...this.makeChildren(node, columns));
    }
    for (const leaf of leaves)
      leaf.value = (-leaf.gradient / (leaf.hessian + this.options.lambda)) * this.options.rate;
    return root;
  }
}

function flatten(node, borders, tree) {
  const at = tree.features.length;
  if (node.left === undefined) {
    tree.features.push(LEAF);
    tree.values.push(Math.fround(node.value));
    tree.rights.push(0);
    return;
  }
  tree.features.push(node.split.feature);
  tree.values.push(borders[node.split.feature][node.split.bin]);
  tree.rights.push(0);
  flatten(node.left, borders, tree);
  tree.rights[at] = tree.features.length;
  flatten(node.right, borders, tree);
}

function addScores(node, data, scores) {
  const { bins, features, count } = data;
  for (let row = 0; row < count; row++) {
    let at = node;
    while (at.left !== undefined)
      at = bins[row * features + at.split.feature] <= at.split.bin ? at.left : at.right;
    scores[row] += Math.fround(at.value);
  }
}

/**
 * Trains an ensemble for P(label = 1).
 *
 * @param data - from {@link binFeatures}
 * @param target - labels, 0 or 1 for each row, and weights
 * @param options - trees, leaves, rate, lambda, minHessian, featureShare, rowShare
 * @param report - called now and then with the number of trees and the scores of all rows
 */
export function boost(data, { labels, weights }, options, report = () => {}) {
  const random = new Seeded("boost");
  const grower = new TreeGrower(data, options);
  const scores = new Float64Array(data.count);
  const ensemble = { bias: 0, roots: [], features: [], values: [], rights: [] };
  for (let tree = 0; tree < options.trees; tree++) {
    for (let row = 0; row < data.count; row++) {
      const probability = 1 / (1 + Math.exp(-scores[row]));
      grower.gradients[row] = weights[row] * (probability - labels[row]);
      grower.hessians[row] = weights[row] * probability * (1 - probability);
    }
    let used = 0;
    for (let row = 0; row < data.count; row++)
      if (random.unit() < options.rowShare) grower.order[used++] = row;
    const columns = [];
    for (let feature = 0; feature < data.features; feature++) {
      if (random.unit() < options.featureShare) columns.push(feature);
    }
    const root = grower.grow(used, columns);
    ensemble.roots.push(ensemble.features.length);
    flatten(root, data.borders, ensemble);
    addScores(root, data, scores);
    if (tree % 25 === 24) report(tree + 1, scores);
  }
  return ensemble;
}
