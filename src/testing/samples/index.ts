export { protocolSamples, sampleNamed } from "./protocol-samples.ts";
export type { ProtocolSample } from "./sample.ts";
export { big, bytes, hex } from "./sample.ts";
export { CHROME_HELLO, CHROME_JA4, clientHello } from "./tls-samples.ts";
