/** Packets made by hand, sent from a namespace. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Namespace } from "#lab";

const INJECT = fileURLToPath(new URL("../../testing/programs/inject.js", import.meta.url));

function injection(packets: readonly Uint8Array[], repeat: number): string[] {
  const words = packets.map((packet) => Buffer.from(packet).toString("hex"));
  return [process.execPath, INJECT, String(repeat), ...words];
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
