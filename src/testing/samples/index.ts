export { datagramSamples } from "./datagram-samples.ts";
export type { ProtocolSample, Turn } from "./sample.ts";
export { big, bytes, counted, hex, noise } from "./sample.ts";
export { streamSamples } from "./stream-samples.ts";
export { textSamples } from "./text-samples.ts";
export { CHROME_HELLO, CHROME_JA4, clientHello, record, tlsSamples } from "./tls-samples.ts";
