export { datagramSamples } from "./datagram-samples.ts";
export type { ProtocolSample } from "./sample.ts";
export { big, bytes, hex } from "./sample.ts";
export { streamSamples } from "./stream-samples.ts";
export { textSamples } from "./text-samples.ts";
export { CHROME_HELLO, CHROME_JA4, clientHello, tlsSamples } from "./tls-samples.ts";
