/** The examples do what they say, against a daemon with the simulator behind it. */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectPinholes } from "#client";
import type { Moment } from "#pinhole";
import { machineMoment } from "#system";
import { closeAtEnd, eventually, openHouse } from "#testing";

/** A running example. */
class Example {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  output = "";

  constructor(name: string, socket: string, ...words: readonly string[]) {
    const file = fileURLToPath(new URL(`../../../examples/pinholes/${name}.mjs`, import.meta.url));
    this.#child = spawn(process.execPath, [file, "--socket", socket, ...words], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    closeAtEnd(() => this.kill());
  }

  say(...lines: readonly string[]): void {
    for (const line of lines) this.#child.stdin.write(`${line}\n`);
  }

  async until(holds: RegExp): Promise<void> {
    for (let attempt = 0; !holds.test(this.output); attempt += 1) {
      assert.ok(attempt < 3000, `waited in vain for ${String(holds)}; it said ${this.output}`);
      await delay(10);
    }
  }

  /** Resolves when it has ended. */
  gone(): Promise<void> {
    return new Promise((resolve) => {
      this.#child.once("close", () => resolve());
    });
  }

  async end(): Promise<void> {
    const gone = this.gone();
    this.#child.stdin.end();
    await gone;
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.#child.kill(signal);
  }
}

test("the call server opens a call's eight pinholes in one transaction, and closes them with it", async () => {
  const house = await openHouse();
  const pinholes = connectPinholes({ socket: house.socket });
  const server = new Example("call-server", house.socket);
  server.say("begin call-1 10.1.0.7 198.51.100.9 20000", "begin call-2 10.1.0.300 198.51.100.9 30000");
  server.say("begin call-3 10.1.0.8 198.51.100.9 40000");
  await server.until(/call-3 begins/);
  assert.match(server.output, /call-1 begins: 8 pinholes since generation 1\n/);
  assert.match(server.output, /call-2 failed: .*ADDRESS_ILLEGAL/);
  assert.equal((await pinholes.getStatus()).pinholes, 16);
  assert.equal((await pinholes.getGroup("call-1")).size, 8);
  server.say("end call-1");
  await server.until(/call-1 ends: 8 pinholes closed/);
  await server.end();
  assert.equal((await pinholes.getStatus()).pinholes, 0, "the end of the server ends its calls");
  pinholes.end();
  await house.close();
});

test("a call server that is killed leaves its calls in force until their leases end, and no longer", async () => {
  let aheadMs = 0;
  const moment = (): Moment => {
    const { now, wall } = machineMoment();
    return { now: now + aheadMs, wall: wall + aheadMs };
  };
  const house = await openHouse({ moment });
  const pinholes = connectPinholes({ socket: house.socket });
  const server = new Example("call-server", house.socket, "--lifetime", "3600");
  server.say("begin call-1 10.1.0.7 198.51.100.9 20000");
  await server.until(/call-1 begins/);
  const names: string[] = [];
  for await (const { id } of pinholes.list()) names.push(id);
  assert.equal(names.length, 8);
  server.kill("SIGKILL");
  await server.gone();
  const standing = async (): Promise<number> => (await pinholes.getStatus()).pinholes;
  aheadMs = 1_800_000;
  assert.equal(await standing(), 8, "its death ends nothing");
  aheadMs = 3_600_000;
  assert.equal(await eventually(standing, (count) => count === 0), 0);
  for (const name of names) {
    const { state, reason } = await pinholes.get(name);
    assert.deepEqual([state, reason], ["ended", "expired"]);
  }
  pinholes.end();
  await house.close();
});

test("the detector's block wins over what others have opened, and is prolonged", async () => {
  const house = await openHouse();
  const pinholes = connectPinholes({ socket: house.socket });
  const change = pinholes.begin();
  const id = change.open({
    external: "198.51.100.9:6004",
    internal: "10.1.0.7:5004",
    protocol: "udp",
    lifetime: 60,
  });
  await change.commit();
  const detector = new Example("intrusion-detector", house.socket, "--lifetime", "300");
  detector.say("198.51.100.9 port scan", "no address", "2001:db8::9", "198.51.100.9 again");
  await detector.until(/198\.51\.100\.9 stays blocked for 300 s/);
  assert.match(detector.output, /2001:db8::9 is blocked for 300 s/);
  await detector.end();
  const kinds: string[] = [];
  for await (const { spec } of pinholes.list()) kinds.push(spec.kind);
  assert.deepEqual(kinds, ["block", "block"], `${id} has ended`);
  pinholes.end();
  await house.close();
});

test("the keeper renews what bears its label, old and new, and nothing else", async () => {
  const house = await openHouse();
  const pinholes = connectPinholes({ socket: house.socket });
  const open = async (name: string, labels: Record<string, string>): Promise<void> => {
    const change = pinholes.begin();
    const side = { internal: "10.1.0.7", external: "198.51.100.9", protocol: "udp", lifetime: 10 } as const;
    change.open({ ...side, labels }, name);
    await change.commit();
  };
  await open("old", { keep: "yes" });
  await open("other", { keep: "no" });
  const keeper = new Example("lease-keeper", house.socket);
  await keeper.until(/old renewed for 10 s/);
  await open("new", { keep: "yes" });
  await keeper.until(/new renewed for 10 s/);
  assert.doesNotMatch(keeper.output, /other/);
  keeper.kill();
  pinholes.end();
  await house.close();
});
