/**
 * The hand of an intrusion detector: blocks whom it is told of, for a while.
 *
 * Reads lines that begin with an address, as a detector prints them. An address that is named again is
 * blocked for longer; a block wins over every pinhole, whoever opened it, and ends the address's connections.
 *
 * Usage: node intrusion-detector.mjs [--socket PATH] [--lifetime SECONDS]
 */
import { isIP } from "node:net";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { connectPinholes } from "postern/client";

const { values } = parseArgs({
  options: { socket: { type: "string" }, lifetime: { type: "string", default: "600" } },
});
const pinholes = connectPinholes(values.socket === undefined ? {} : { socket: values.socket });

for await (const line of createInterface({ input: process.stdin })) {
  const [address] = line.trim().split(/\s+/);
  const family = isIP(address);
  if (family === 0) continue;
  const change = pinholes.begin();
  const wish = {
    internal: { family },
    external: { family, address },
    protocol: "any",
    lifetime: Number(values.lifetime),
  };
  change.block(wish, `blocked:${address}`);
  try {
    const [{ isNew }] = (await change.commit()).results;
    process.stdout.write(`${address} ${isNew ? "is blocked" : "stays blocked"} for ${values.lifetime} s\n`);
  } catch (error) {
    process.stdout.write(`${address} is not blocked: ${error.message} [${error.code}]\n`);
  }
}
pinholes.end();
