/** `postern pinholes` against a daemon with the simulator: what it prints, and how it exits. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openHouse, type TestHouse } from "#testing";
import { type Outcome, runPinholes } from "./people.ts";

let house: TestHouse;
before(async () => {
  house = await openHouse();
});
after(() => house.close());

function pinholes(words: readonly string[], input?: string): Promise<Outcome> {
  return runPinholes(house.socket, words, input);
}

test("a pinhole is opened, shown, renewed and closed by people", async () => {
  const flow = [
    "--internal",
    "10.1.0.7:5004",
    "--external",
    "198.51.100.9:6004",
    "--group",
    "g",
    "--label",
    "a=b",
  ];
  const opened = await pinholes(["open", ...flow, "--id", "call:1", "--direction", "in", "--pps", "100"]);
  assert.equal(opened.status, 0, opened.stderr);
  assert.match(opened.stdout, /call:1 +enabled +udp 10\.1\.0\.7:5004 <- 198\.51\.100\.9:6004 +60 s +g +root/);
  assert.match((await pinholes(["show", "call:1"])).stdout, /limits +pps 100/);
  const listed = await pinholes(["list", "--label", "a=b", "--json"]);
  assert.equal((JSON.parse(listed.stdout) as Record<string, unknown>)["clientId"], "call:1");
  assert.equal((await pinholes(["list", "--label", "a=c"])).stdout, "no pinholes\n");
  assert.match((await pinholes(["renew", "--group", "g", "--lifetime", "600"])).stdout, /^ph_\w+ 600\n$/);
  assert.deepEqual(await pinholes(["close", "call:1"]), { status: 0, stdout: "1 closed\n", stderr: "" });
});

test("a file is applied as a whole or not at all, under a key only once", async () => {
  const spec = {
    protocol: 17,
    lifetime: 60,
    internal: { family: 4, address: "10.1.0.7" },
    external: { family: 4, address: "198.51.100.9" },
  };
  const file = join(house.folder, "operations.json");
  writeFileSync(
    file,
    JSON.stringify([
      { op: "open", spec, clientId: "f1" },
      { op: "open", spec, clientId: "f2" },
    ]),
  );
  const before = house.service.status.generation;
  const done = `generation ${before + 1}: 2 operations done\n`;
  assert.equal((await pinholes(["apply", file, "--idempotency-key", "k"])).stdout, done);
  assert.equal((await pinholes(["apply", file, "--idempotency-key", "k"])).stdout, done);
  const bad = JSON.stringify({
    operations: [
      { op: "close", id: "f1" },
      { op: "close", id: "nix" },
    ],
  });
  const refused = await pinholes(["apply", "-"], bad);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^postern: operation 1: There is no pinhole nix\. \[NO_SUCH_PINHOLE\]\n$/);
  assert.equal(house.service.status.generation, before + 1);
  assert.equal((await pinholes(["close", "f1", "f2"])).stdout, "2 closed\n");
});

test("the status is told in words and as JSON", async () => {
  assert.match((await pinholes(["status"])).stdout, /packet filter +simulator \(works\)\n/);
  const { stdout } = await pinholes(["status", "--json"]);
  assert.equal((JSON.parse(stdout) as { pid: number }).pid, process.pid);
});
