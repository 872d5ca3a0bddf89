/** All exchanges that recognisers are tested and fuzzed with. */
import { datagramSamples } from "./datagram-samples.ts";
import type { ProtocolSample } from "./sample.ts";
import { streamSamples } from "./stream-samples.ts";
import { textSamples } from "./text-samples.ts";
import { tlsSamples } from "./tls-samples.ts";
import { variantSamples } from "./variant-samples.ts";

/** See the head of this file. */
export const protocolSamples: readonly ProtocolSample[] = [
  ...tlsSamples,
  ...textSamples,
  ...streamSamples,
  ...datagramSamples,
  ...variantSamples,
];

/** The sample with this name. */
export function sampleNamed(name: string): ProtocolSample {
  const found = protocolSamples.find((sample) => sample.name === name);
  if (found === undefined) throw new Error(`no sample is called ${name}`);
  return found;
}
