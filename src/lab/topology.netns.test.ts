import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { netnsTest } from "../testing/index.ts";
import { findLeftovers, GATEWAY, HOST_PAIR, laboratoryObstacle, removeNamespace } from "./index.ts";

const skip = laboratoryObstacle() ?? false;

function pidsIn(fullName: string): string[] {
  return execFileSync("ip", ["netns", "pids", fullName], { encoding: "utf8" }).split("\n").filter(Boolean);
}

/** A program that was killed but not yet buried is not alive. */
function isAlive(pid: string): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function ownNamespaces(pid: number): string[] {
  return readdirSync("/run/netns").filter((name) => name.startsWith(`postern-${pid}-`));
}

netnsTest("two hosts reach each other over IPv4 and IPv6", HOST_PAIR, async ({ client, firewall }) => {
  const server = await firewall.traffic.listenTcp({ port: 4000 });
  for (const address of [firewall.ipv4, firewall.ipv6]) {
    const result = await client.traffic.connectTcp({ address, port: 4000, say: "hello" });
    assert.equal(result.outcome, "connected");
    assert.equal(result.heard, "hello");
  }
  assert.deepEqual(
    (await server.heard()).map((heard) => heard.text),
    ["hello", "hello"],
  );
});

netnsTest("a closed port refuses, and a filtered one is silent", HOST_PAIR, async ({ client, firewall }) => {
  const address = firewall.ipv4;
  assert.equal((await client.traffic.connectTcp({ address, port: 9 })).outcome, "refused");
  assert.equal((await client.traffic.sendUdp({ address, port: 9, say: "x" })).outcome, "refused");
  for (const rule of [
    "add table inet t",
    "add chain inet t c { type filter hook input priority 0; }",
    "add rule inet t c meta l4proto { tcp, udp } drop",
  ]) {
    await firewall.must(["nft", rule]);
  }
  assert.equal((await client.traffic.connectTcp({ address, port: 9, timeoutMs: 200 })).outcome, "timeout");
  assert.equal(
    (await client.traffic.sendUdp({ address, port: 9, say: "x", timeoutMs: 200 })).outcome,
    "silent",
  );
});

netnsTest("a gateway forwards in both families", GATEWAY, async ({ client, server }) => {
  const listener = await server.traffic.listenUdp({ port: 5000 });
  for (const address of [server.ipv4, server.ipv6]) {
    const result = await client.traffic.sendUdp({ address, port: 5000, localPort: 6000, say: "knock" });
    assert.equal(result.outcome, "answered");
    assert.equal(result.heard, "knock");
  }
  const heard = await listener.heard();
  assert.deepEqual(
    heard.map((entry) => entry.fromPort),
    [6000, 6000],
  );
  assert.ok(heard[0]?.from.endsWith(client.ipv4), heard[0]?.from);
});

netnsTest("a connection can be kept open and torn down", GATEWAY, async ({ client, server }) => {
  await server.traffic.listenTcp({ port: 7000 });
  const connection = await client.traffic.openTcp({ address: server.ipv4, port: 7000 });
  assert.equal(await connection.exchange("one"), "one");
  assert.equal(await connection.exchange("two"), "two");
  await connection.reset();
  const other = await client.traffic.openTcp({ address: server.ipv6, port: 7000 });
  await other.close();
});

netnsTest("a transfer arrives unchanged", GATEWAY, async ({ client, server }) => {
  await server.traffic.listenTcp({ port: 7001, manner: "digest" });
  const result = await client.traffic.transfer({
    address: server.ipv4,
    port: 7001,
    bytes: 20_000_001,
    timeoutMs: 20_000,
  });
  assert.equal(result.isIntact, true);
});

netnsTest(
  "programs run inside and are ended with the laboratory",
  HOST_PAIR,
  async ({ client, firewall }) => {
    const ping = await client.run(["ping", "-c", "1", "-W", "1", firewall.ipv6]);
    assert.equal(ping.status, 0, ping.output);
    const sleeper = client.start(["sh", "-c", "echo awake; sleep 1000"]);
    assert.equal(await sleeper.waitForLine(/awake/), "awake");
    assert.equal(sleeper.isRunning, true);
  },
);

test("nothing is left behind after all that", { skip }, () => {
  assert.deepEqual(ownNamespaces(process.pid), []);
});

test("an interrupted run cleans up, and a killed one is cleaned up after", { skip }, async () => {
  const lab = fileURLToPath(new URL("./index.js", import.meta.url));
  const script = `
    const { withTopology, HOST_PAIR } = await import(${JSON.stringify(lab)});
    await withTopology(HOST_PAIR, async ({ client }) => {
      await client.start(["sh", "-c", "echo up; exec sleep 1000"]).waitForLine(/up/);
      console.log("built");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const pid = child.pid ?? 0;
    const names = ownNamespaces(pid);
    assert.equal(names.length, 2);
    const sleepers = names.flatMap(pidsIn);
    assert.equal(sleepers.length, 1);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
    assert.equal(child.signalCode, signal);
    if (signal === "SIGKILL") {
      // Another laboratory that begins in this moment removes them first, by the same list.
      const listed = findLeftovers();
      assert.deepEqual(
        ownNamespaces(pid).filter((name) => !listed.includes(name)),
        [],
      );
      for (const name of names) removeNamespace(name);
    }
    assert.deepEqual(ownNamespaces(pid), []);
    assert.deepEqual(sleepers.filter(isAlive), []);
  }
});
