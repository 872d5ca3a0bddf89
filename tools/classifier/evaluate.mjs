// Measures the classifier, HEDGE and the histogram network on the same fragments of the test split:
// node tools/classifier/evaluate.mjs FOLDER [OUTPUT.json [SIZE,SIZE…]]
// With sizes only these are measured, and the report is added to what OUTPUT.json already holds.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { StreamClassifier } from "../../dist/classify/classifier.js";
import { hedge } from "../../dist/classify/hedge.js";
import { HEAD_BYTES, Split } from "./fragments.mjs";
import { HistogramNetwork, histogramInput } from "./network.mjs";
import { Seeded } from "./seeded.mjs";
import { FRAMINGS, FragmentSource, framedFragment, SIZES } from "./streams.mjs";
import { say } from "./say.mjs";

const PER_FORMAT = Number(process.env.PER_FORMAT ?? 300);
const NETWORK_ROWS_PER_FORMAT = Number(process.env.NETWORK_ROWS ?? 1500);
const NETWORK_EPOCHS = 5;
const FLOW_LOOKS = [1024, 4096, 8192, 16_384, 32_768, 65_536];
const FLOW_FIRST_LOOK = 512;
const FLOW_LAST_LOOK = 65_536;
const CURVE_BINS = 10;
const BUDGETS = [0.001, 0.01];
const LZMA = new Set(["xz", "7z", "lzma"]);

function trainNetwork(train, formats, size) {
  const rows = new Float64Array(2 * formats.length * NETWORK_ROWS_PER_FORMAT * 256);
  const labels = [];
  const random = new Seeded(`network rows ${size}`);
  const add = (fragment, label) => {
    histogramInput(fragment, rows.subarray(labels.length * 256, labels.length * 256 + 256));
    labels.push(label);
  };
  for (const format of formats) {
    const source = new FragmentSource(train, format, `network ${size}`);
    for (let i = 0; i < NETWORK_ROWS_PER_FORMAT; i++) {
      const fragment = source.draw(size, HEAD_BYTES);
      if (fragment !== undefined) add(fragment, 0);
      add(random.bytes(size), 1);
    }
  }
  const network = new HistogramNetwork(size);
  network.train(rows, labels, NETWORK_EPOCHS, size);
  return network;
}

const METHODS = ["classifier", "network", "hedge", "hedge2"];

// Right answers of every method on fragments of one kind, by the stream they come from.
class Tally {
  count = 0;
  right = Object.fromEntries(METHODS.map((method) => [method, 0]));
  verdicts = { encrypted: 0, compressed: 0, plain: 0, undecided: 0 };
  #streams = new Map();

  add(stream, answers, wanted, verdict) {
    this.count++;
    this.verdicts[verdict]++;
    const seen = this.#streams.get(stream) ?? {
      count: 0,
      ...Object.fromEntries(METHODS.map((method) => [method, 0])),
    };
    this.#streams.set(stream, seen);
    seen.count++;
    for (const method of METHODS) {
      if ((answers[method] === 1) !== wanted) continue;
      this.right[method]++;
      seen[method]++;
    }
  }

  share(method) {
    return this.right[method] / this.count;
  }

  // Variance of the share when streams, not fragments, are what was drawn.
  variance(method) {
    const mean = this.share(method);
    let sum = 0;
    for (const seen of this.#streams.values()) sum += (seen[method] - mean * seen.count) ** 2;
    return sum / this.count ** 2;
  }
}

function judge(fragment, network, curve, wanted) {
  const classifier = new StreamClassifier();
  classifier.push(fragment);
  const { probability } = classifier;
  curve.push([probability, wanted ? 1 : 0]);
  const answers = {
    classifier: probability >= 0.5 ? 1 : 0,
    network: network.logit(histogramInput(fragment)) > 0 ? 1 : 0,
    hedge: hedge(fragment) === "encrypted" ? 1 : 0,
    hedge2: hedge(fragment, { gamma: 2 }) === "encrypted" ? 1 : 0,
  };
  return { answers, verdict: classifier.verdict(1) };
}

function* ofFormat(test, format, size, count) {
  const content = test.content(format);
  const streams = test.streams(format);
  for (const fragment of test.fragments(format, size, count, "test")) {
    const place = fragment.byteOffset - content.byteOffset;
    const stream = streams.findLast((candidate) => candidate.at <= place);
    yield { fragment, stream: stream.name };
  }
}

function evaluateSize(train, test, formats, size) {
  const network = trainNetwork(train, formats, size);
  const tallies = {};
  const curve = [];
  const run = (kind, pieces, wanted) => {
    const tally = new Tally();
    for (const { fragment, stream } of pieces) {
      const { answers, verdict } = judge(fragment, network, curve, wanted);
      tally.add(stream, answers, wanted, verdict);
    }
    if (tally.count > 0) tallies[kind] = tally;
  };
  for (const format of formats) run(format, ofFormat(test, format, size, PER_FORMAT), false);
  run("encrypted", ofFormat(test, "encrypted", size, PER_FORMAT * 6), true);
  const fromCurve = curve.length;
  for (const framing of FRAMINGS) {
    const random = new Seeded(`framed ${framing} ${size}`);
    const pieces = Array.from({ length: PER_FORMAT }, (_, i) => ({
      fragment: framedFragment(framing, size, random),
      stream: i,
    }));
    run(framing, pieces, true);
  }
  return { tallies, curve: curve.slice(0, fromCurve) };
}

function accuracy(tallies, formats, method) {
  const present = formats.filter((format) => tallies[format] !== undefined);
  const mean = (of) => present.reduce((sum, format) => sum + of(tallies[format]), 0) / present.length;
  const packed = mean((tally) => tally.share(method));
  const variance = mean((tally) => tally.variance(method)) / present.length;
  const { encrypted } = tallies;
  return {
    accuracy: (packed + encrypted.share(method)) / 2,
    error: 1.96 * 0.5 * Math.sqrt(variance + encrypted.variance(method)),
  };
}

function reliability(curve) {
  const bins = Array.from({ length: CURVE_BINS }, () => ({ weight: 0, said: 0, was: 0 }));
  const ones = curve.filter(([, label]) => label === 1).length;
  for (const [probability, label] of curve) {
    const bin = bins[Math.min(CURVE_BINS - 1, Math.floor(probability * CURVE_BINS))];
    const weight = label === 1 ? 0.5 / ones : 0.5 / (curve.length - ones);
    bin.weight += weight;
    bin.said += weight * probability;
    bin.was += weight * label;
  }
  return bins.map(({ weight, said, was }) => ({ share: weight, said: said / weight, was: was / weight }));
}

// What the budget does to one flow seen from its beginning: at which look it is first called encrypted.
function firstAlarm(bytes, budget) {
  const classifier = new StreamClassifier({ fromStart: true });
  for (let look = FLOW_FIRST_LOOK; look <= Math.min(FLOW_LAST_LOOK, bytes.length); look *= 2) {
    classifier.push(bytes, classifier.bytes, look);
    if (classifier.verdict(budget) === "encrypted") return look;
  }
  return Number.POSITIVE_INFINITY;
}

function evaluateFlows(test, budget) {
  const result = {};
  for (const format of test.formats) {
    const flows = test.streams(format).map((stream) => {
      const bytes = test.content(format).subarray(stream.at, stream.at + stream.bytes);
      return { bytes: bytes.length, alarm: firstAlarm(bytes, budget) };
    });
    const looks = {};
    for (const look of FLOW_LOOKS) {
      const seen = flows.filter((flow) => flow.bytes >= look);
      looks[look] = { flows: seen.length, encrypted: seen.filter((flow) => flow.alarm <= look).length };
    }
    const ever = flows.filter((flow) => Number.isFinite(flow.alarm)).length;
    result[format] = { flows: flows.length, ever, looks };
    test.release(format);
  }
  return result;
}

function measureSize(train, test, formats, size) {
  const { tallies, curve } = evaluateSize(train, test, formats, size);
  const overall = {};
  const visible = {};
  const seen = formats.filter((format) => !LZMA.has(format));
  for (const method of METHODS) {
    overall[method] = accuracy(tallies, formats, method);
    visible[method] = accuracy(tallies, seen, method);
  }
  const kinds = {};
  for (const [kind, tally] of Object.entries(tallies)) {
    kinds[kind] = { count: tally.count, verdicts: tally.verdicts };
    for (const method of METHODS) kinds[kind][method] = tally.share(method);
  }
  return { overall, visible, kinds, curve: reliability(curve) };
}

function main(folder, output, only) {
  const train = new Split(folder, "train");
  const test = new Split(folder, "test");
  const formats = train.formats.filter((format) => format !== "encrypted");
  const report = { perFormat: PER_FORMAT, sizes: {}, flows: {} };
  if (only !== undefined && existsSync(output))
    Object.assign(report, JSON.parse(readFileSync(output, "utf8")));
  const sizes = only === undefined ? SIZES : only.split(",").map(Number);
  for (const size of sizes) {
    const measured = measureSize(train, test, formats, size);
    report.sizes[size] = measured;
    const show = (table) =>
      METHODS.map((method) => `${method} ${(100 * table[method].accuracy).toFixed(2)}`).join("  ");
    say(String(size).padStart(6), show(measured.overall), "| without LZMA:", show(measured.visible));
    if (output !== undefined) writeFileSync(output, `${JSON.stringify(report)}\n`);
  }
  for (const budget of BUDGETS) report.flows[budget] = evaluateFlows(test, budget);
  if (output !== undefined) writeFileSync(output, `${JSON.stringify(report)}\n`);
}

main(...process.argv.slice(2));
