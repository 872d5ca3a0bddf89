// The baseline of the literature: a fully connected network on the normalised byte histogram, four hidden
// layers with ReLU, one network for each fragment size (De Gaspari et al., "EnCoD", NSS 2020), trained with
// Adam.
import { Seeded } from "./seeded.mjs";

const WIDTHS = [256, 96, 48, 24, 12, 1];
const BATCH = 64;
const RATE = 0.001;
const BETA1 = 0.9;
const BETA2 = 0.999;

class Layer {
  constructor(inputs, outputs, random) {
    this.inputs = inputs;
    this.outputs = outputs;
    const spread = Math.sqrt(2 / inputs);
    this.weights = Float64Array.from({ length: inputs * outputs }, () => random.normal() * spread);
    this.biases = new Float64Array(outputs);
    this.weightSums = new Float64Array(inputs * outputs);
    this.biasSums = new Float64Array(outputs);
    this.moments = [0, 0, 0, 0].map((_, i) => new Float64Array(i % 2 === 0 ? inputs * outputs : outputs));
    this.result = new Float64Array(outputs);
  }

  forward(input, linear) {
    for (let out = 0; out < this.outputs; out++) {
      let sum = this.biases[out];
      const base = out * this.inputs;
      for (let i = 0; i < this.inputs; i++) sum += this.weights[base + i] * input[i];
      this.result[out] = linear || sum > 0 ? sum : 0;
    }
    return this.result;
  }

  // `error` is the slope of the loss by the outputs; returns the slope by the inputs.
  backward(input, error, wanted) {
    const slope = wanted ? new Float64Array(this.inputs) : undefined;
    for (let out = 0; out < this.outputs; out++) {
      const e = error[out];
      if (e === 0) continue;
      const base = out * this.inputs;
      this.biasSums[out] += e;
      for (let i = 0; i < this.inputs; i++) this.weightSums[base + i] += e * input[i];
      if (wanted) for (let i = 0; i < this.inputs; i++) slope[i] += e * this.weights[base + i];
    }
    return slope;
  }

  step(rate, round) {
    adam(this.weights, this.weightSums, [this.moments[0], this.moments[2]], { rate, round });
    adam(this.biases, this.biasSums, [this.moments[1], this.moments[3]], { rate, round });
  }
}

function adam(values, sums, [first, second], { rate, round }) {
  const correction = Math.sqrt(1 - BETA2 ** round) / (1 - BETA1 ** round);
  for (let i = 0; i < values.length; i++) {
    const slope = sums[i] / BATCH;
    first[i] = BETA1 * first[i] + (1 - BETA1) * slope;
    second[i] = BETA2 * second[i] + (1 - BETA2) * slope * slope;
    values[i] -= (rate * correction * first[i]) / (Math.sqrt(second[i]) + 1e-8);
    sums[i] = 0;
  }
}

/** Histogram of a fragment, in deviations from equal shares. */
export function histogramInput(fragment, target = new Float64Array(256)) {
  target.fill(0);
  for (const value of fragment) target[value]++;
  const mean = fragment.length / 256;
  for (let i = 0; i < 256; i++) target[i] = Math.max(-10, Math.min(10, (target[i] - mean) / Math.sqrt(mean)));
  return target;
}

/** The network for one fragment size. */
export class HistogramNetwork {
  #layers;

  constructor(name) {
    const random = new Seeded(`network ${name}`);
    this.#layers = WIDTHS.slice(1).map((outputs, i) => new Layer(WIDTHS[i], outputs, random));
  }

  #forward(input) {
    let values = input;
    const inputs = [];
    for (const [i, layer] of this.#layers.entries()) {
      inputs.push(values);
      values = layer.forward(values, i === this.#layers.length - 1);
    }
    return { inputs, logit: values[0] };
  }

  /** Logarithm of the odds of "encrypted". */
  logit(input) {
    return this.#forward(input).logit;
  }

  /** Trains on rows of histograms with labels (1 is encrypted). */
  train(rows, labels, epochs, name) {
    const random = new Seeded(`order ${name}`);
    const order = random.shuffle(Array.from(labels, (_, i) => i));
    const rounds = Math.floor((order.length * epochs) / BATCH);
    for (let round = 1; round <= rounds; round++) {
      for (let i = 0; i < BATCH; i++) {
        const row = order[((round - 1) * BATCH + i) % order.length];
        this.#learn(rows.subarray(row * 256, row * 256 + 256), labels[row]);
      }
      const rate = RATE * (0.5 + 0.5 * Math.cos((Math.PI * round) / rounds));
      for (const layer of this.#layers) layer.step(rate, round);
    }
  }

  #learn(input, label) {
    const { inputs, logit } = this.#forward(input);
    let error = [1 / (1 + Math.exp(-logit)) - label];
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const slope = this.#layers[i].backward(inputs[i], error, i > 0);
      if (i === 0) break;
      const outputs = this.#layers[i - 1].result;
      error = slope.map((value, j) => (outputs[j] > 0 ? value : 0));
    }
  }
}
