/** Waits for programs that say nothing when they listen. */
import { FirewallError } from "#base";
import type { Namespace } from "#lab";

const PATIENCE_MS = 30_000;
const POLL_MS = 50;

/**
 * Waits until some program of a host listens at a TCP port.
 *
 * @throws {FirewallError} `NOBODY_LISTENS` after half a minute
 */
export async function untilListening(host: Namespace, port: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while ((await host.must(["ss", "-Hltn", `sport = :${port}`])).trim() === "") {
    if (performance.now() > deadline) throw new FirewallError("NOBODY_LISTENS", `nobody listens at ${port}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
