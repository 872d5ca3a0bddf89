/** The model that ships, decoded when first asked for. */

import { type ClassifierModel, decodeBase64, decodeModel } from "./model.ts";
import { MODEL_BASE64 } from "./model-data.ts";

let model: ClassifierModel | undefined;

/** The bytes of the model that ships, as the training wrote them. */
export function defaultModelBytes(): Uint8Array {
  return decodeBase64(MODEL_BASE64);
}

/** The model that ships: trained and calibrated on the dataset of tools/classifier. */
export function defaultModel(): ClassifierModel {
  model ??= decodeModel(defaultModelBytes());
  return model;
}
