/** What a firewall drops is told by its counter: nothing may have been heard of it because it is late. */
import assert from "node:assert/strict";
import { connect } from "#client";
import type { OpenConnection, RunningFirewall } from "#lab";
import { eventually, SILENCE_MS } from "#testing";

/** Says something on a connection that is answered by an echo, and asserts that the firewall drops it. */
export async function expectDropped(
  { socket }: Pick<RunningFirewall, "socket">,
  connection: OpenConnection,
  words: string,
): Promise<void> {
  const api = connect({ socket });
  const dropped = async (): Promise<number> => (await api.getStatus()).counters["dropped"] ?? 0;
  const before = await dropped();
  assert.equal(await connection.exchange(words, SILENCE_MS), "");
  const after = await eventually(dropped, (count) => count > before);
  assert.ok(after > before, `${JSON.stringify(words)} was not dropped`);
}
