/** A flood of forged requests against a running firewall that forwards, and what must outlive it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { connect, type FirewallClient } from "#client";
import { type Namespace, type OpenConnection, startFirewall, type Topology } from "#lab";

const FLOOD = fileURLToPath(new URL("../../testing/programs/syn-flood.js", import.meta.url));
const ECHO = 80;

/** Connections opened at a time. */
const AT_ONCE = 50;

/** How large the flood is, and what it meets. */
export interface FloodPlan {
  readonly syns: number;
  /** Connections that stand before it. */
  readonly connections: number;
  /** Most flows in the firewall's table: fewer than the flood would make. */
  readonly flows: number;
  /** How long the flood may take, in milliseconds. */
  readonly patienceMs: number;
}

/** Memory of a process, in bytes. */
function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]) * 1024;
}

async function openConnections(from: Namespace, address: string, count: number): Promise<OpenConnection[]> {
  const open: OpenConnection[] = [];
  while (open.length < count) {
    const more = Array.from({ length: Math.min(AT_ONCE, count - open.length) }, () =>
      from.traffic.openTcp({ address, port: ECHO, timeoutMs: 10_000 }),
    );
    open.push(...(await Promise.all(more)));
  }
  return open;
}

async function countStates(firewall: FirewallClient, filter: string): Promise<number> {
  let count = 0;
  for await (const _state of firewall.getStates({ filter, source: "own" })) count += 1;
  return count;
}

/**
 * Floods a firewall; its table must be bounded, its memory flat, and the connections that stood before
 * listed.
 *
 * @returns how many of these still carry data
 */
export async function surviveFlood(
  hosts: Topology<"client" | "firewall" | "server">,
  { syns, connections, flows, patienceMs }: FloodPlan,
): Promise<number> {
  const { client, firewall: host, server } = hosts;
  const settings = { compatibility: "strict", offload: "none", workers: 1, limits: { flows } };
  const firewall = await startFirewall(host, { policy: { settings } });
  const remote = connect({ socket: firewall.socket });
  await server.traffic.listenTcp({ port: ECHO });
  const open = await openConnections(client, server.ipv4, connections);
  const established = "tcp and port 80 and state ESTABLISHED and from 192.0.2.0/24";
  assert.equal(await countStates(remote, established), connections);
  // The server's answers to forged addresses pass through the firewall, too, and get lost behind it.
  await host.must(["ip", "route", "add", "10.0.0.0/8", "via", client.ipv4]);
  const { pid } = await remote.getStatus();
  const flood = async (count: number): Promise<void> => {
    const { status, output } = await client.run(
      [process.execPath, FLOOD, server.ipv4, String(ECHO), String(count)],
      patienceMs,
    );
    assert.equal(status, 0, output);
  };
  await flood(syns / 4);
  const filled = residentBytes(pid);
  await flood((syns * 3) / 4);
  const grown = residentBytes(pid) - filled;
  const { workers } = await remote.getStatus();
  assert.ok((workers[0]?.flows ?? 0) <= flows, `${workers[0]?.flows} flows`);
  assert.ok(grown < 0.25 * filled, `memory grew by ${grown} bytes over ${filled}`);
  assert.equal(await countStates(remote, established), connections, "all of them stand");
  const answers = await Promise.all(open.map((connection) => connection.exchange("still here", 10_000)));
  await firewall.stop();
  return answers.filter((answer) => answer === "still here").length;
}
