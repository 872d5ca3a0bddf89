// Writes the model as src/classify/model.ts reads it.
const VERSION = 1;
const WEIGHT_MAX = 127;

class Writer {
  #parts = [];

  #put(bytes, write) {
    const part = Buffer.alloc(bytes);
    write(part);
    this.#parts.push(part);
  }

  uint8(value) {
    this.#put(1, (part) => part.writeUInt8(value));
  }

  int8(value) {
    this.#put(1, (part) => part.writeInt8(value));
  }

  uint16(value) {
    this.#put(2, (part) => part.writeUInt16LE(value));
  }

  uint32(value) {
    this.#put(4, (part) => part.writeUInt32LE(value));
  }

  float32(value) {
    this.#put(4, (part) => part.writeFloatLE(value));
  }

  float64(value) {
    this.#put(8, (part) => part.writeDoubleLE(value));
  }

  bytes() {
    return Buffer.concat(this.#parts);
  }
}

const scaleOf = (weights) =>
  Math.fround(weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) / WEIGHT_MAX);

/** The weights as they come back from the file. */
export function quantised(weights) {
  const scale = scaleOf(weights) || 1;
  return weights.map((weight) => Math.round(weight / scale) * scale);
}

function writeEnsemble(writer, ensemble) {
  writer.float32(ensemble.bias);
  writer.uint16(ensemble.roots.length);
  writer.uint32(ensemble.features.length);
  for (const feature of ensemble.features) writer.uint16(feature);
  for (const value of ensemble.values) writer.float32(value);
}

/** The bytes of a model: filters, two ensembles of trees, calibration. */
export function encodeModel({ filters, encrypted, plain, calibration }) {
  const writer = new Writer();
  for (const letter of "PSTC") writer.uint8(letter.charCodeAt(0));
  writer.uint8(VERSION);
  writer.uint16(filters.length);
  for (const { source, square, weights } of filters) {
    const scale = scaleOf(weights);
    writer.uint8(source);
    writer.uint8(square ? 1 : 0);
    writer.float32(scale);
    for (const weight of weights) writer.int8(Math.round(weight / (scale || 1)));
  }
  writeEnsemble(writer, encrypted);
  writeEnsemble(writer, plain);
  writer.uint8(calibration.sizes.length);
  for (const { bytes, base, scores, logits } of calibration.sizes) {
    writer.uint32(bytes);
    writer.float64(base);
    writer.uint8(scores.length);
    for (const score of scores) writer.float32(score);
    for (const logit of logits) writer.float32(logit);
  }
  writer.uint8(calibration.budgets.length);
  for (const { budget, shift } of calibration.budgets) {
    writer.float64(budget);
    writer.float64(shift);
  }
  return writer.bytes();
}
