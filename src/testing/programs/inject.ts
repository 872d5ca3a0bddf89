/**
 * Sends raw IP packets, given as hexadecimal words, in the network namespace that it is started in.
 *
 * Usage: node inject.js REPEAT HEX...
 */
import { RawSocket } from "../../system/index.ts";

const [repeat = "1", ...words] = process.argv.slice(2);
const packets = words.map((word) => new Uint8Array(Buffer.from(word, "hex")));
const sockets = { 4: RawSocket.open(4), 6: RawSocket.open(6) };
for (let round = 0; round < Number(repeat); round += 1) {
  for (const packet of packets) sockets[(packet[0] ?? 0) >> 4 === 6 ? 6 : 4].send(packet);
}
