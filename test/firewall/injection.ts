/** Packets made by hand, sent from a namespace. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { PROTOCOL } from "#base";
import type { Namespace } from "#lab";
import { buildPacket } from "#wire";

const INJECT = fileURLToPath(new URL("../../testing/programs/inject.js", import.meta.url));

function injection(packets: readonly Uint8Array[], repeat: number): string[] {
  const words = packets.map((packet) => Buffer.from(packet).toString("hex"));
  return [process.execPath, INJECT, String(repeat), ...words];
}

/**
 * A UDP datagram from one namespace to a port of another where nobody listens, with so many bytes of zeros.
 */
export function datagramBetween(from: Namespace, to: Namespace, bytes: number): Uint8Array {
  return buildPacket({
    source: from.ipv4,
    destination: to.ipv4,
    protocol: PROTOCOL.UDP,
    sourcePort: 1024,
    destinationPort: 5000,
    payload: new Uint8Array(bytes),
  });
}

/** Sends packets from a namespace over and over. @returns ends it */
export function flood(from: Namespace, packets: readonly Uint8Array[]): () => Promise<void> {
  const program = from.start(injection(packets, Number.MAX_SAFE_INTEGER));
  return async () => {
    await program.stop("SIGKILL");
  };
}

/**
 * Sends packets from a namespace, all of them so many times over.
 *
 * @param packets - from their IP header on
 */
export async function inject(from: Namespace, packets: readonly Uint8Array[], repeat = 1): Promise<void> {
  const end = await from.run(injection(packets, repeat));
  assert.equal(end.status, 0, end.output);
}
