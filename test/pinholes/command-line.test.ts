/** `postern pinholes` against a daemon with the simulator: what it prints, and how it exits. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openHouse, type TestHouse } from "#testing";
import { type Outcome, runPinholes } from "./people.ts";

let house: TestHouse;
before(async () => {
  const outside = { addresses: ["198.51.100.1"], ports: [40_000, 40_099] } as const;
  const inside = { addresses: ["10.1.255.1"], ports: [50_000, 50_099] } as const;
  house = await openHouse({ translation: { outside, inside } });
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

test("a lease without end is asked for in a word", async () => {
  const flow = ["--internal", "*", "--external", "2001:db8::9", "--lifetime", "for-ever", "--id", "stay"];
  assert.match((await pinholes(["open", ...flow])).stdout, /stay +enabled +udp \* <-> 2001:db8::9 +for ever/);
  assert.match((await pinholes(["renew", "stay", "--lifetime", "60"])).stdout, /^ph_\w+ 60\n$/);
  assert.match((await pinholes(["renew", "stay", "--lifetime", "for-ever"])).stdout, /^ph_\w+ for ever\n$/);
  await pinholes(["close", "stay"]);
});

test("what has ended can be shown by one's own id, with when and why, until the id is taken again", async () => {
  const flow = ["--internal", "10.1.0.8:5004", "--external", "198.51.100.9:6004", "--id", "call:9"];
  await pinholes(["open", ...flow]);
  await pinholes(["close", "call:9"]);
  const shown = await pinholes(["show", "call:9"]);
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /own id +call:9\n/);
  assert.match(shown.stdout, /state +ended \(deleted\)\n/);
  assert.match(shown.stdout, /ended +\d{4}-\d\d-\d\dT[\d:.]+Z, it was closed\n/);
  const again = await pinholes(["close", "call:9"]);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /operation 0: call:9 has ended: deleted\. \[NO_SUCH_PINHOLE\]/);
  const never = await pinholes(["show", "call:10"]);
  assert.equal(never.status, 1);
  assert.match(never.stderr, /There is no pinhole call:10, and none of yours has ended in the last five/);
  await pinholes(["open", ...flow]);
  assert.match((await pinholes(["show", "call:9"])).stdout, /state +enabled\n/);
  await pinholes(["close", "call:9"]);
});

test("a pinhole is opened with translation, and shows what was leased", async () => {
  const flow = ["--internal", "10.1.0.9:5004-5005", "--external", "198.51.100.9:6004-6005"];
  const wish = ["--port-mode", "pairwise", "--nat", "traditional", "--parity", "same", "--id", "n1"];
  const opened = await pinholes(["open", ...flow, ...wish, "--outside", "198.51.100.1:40010", "--exact"]);
  assert.equal(opened.status, 0, opened.stderr);
  assert.match(opened.stdout, /198\.51\.100\.9:6004-6005 as 198\.51\.100\.1:40010-40011 /);
  assert.match((await pinholes(["show", "n1"])).stdout, /outside +198\.51\.100\.1:40010-40011\n/);
  const twice = ["--internal", "10.1.0.9:5014", "--external", "198.51.100.9:6014", "--nat", "twice"];
  await pinholes(["open", ...twice, "--inside", "10.1.255.1:50020", "--id", "n2"]);
  assert.match((await pinholes(["show", "n2"])).stdout, /inside +10\.1\.255\.1:50020\n/);
  await pinholes(["close", "n1", "n2"]);
  /** Words that make no sense, and what is said about them. */
  const wrong: readonly (readonly [words: readonly string[], complaint: RegExp])[] = [
    [["--outside", "198.51.100.1"], /--outside, --inside and --exact need --nat/],
    [["--nat", "traditional", "--inside", "10.1.255.1"], /--inside needs --nat twice/],
    [["--nat", "twice", "--outside", "198.51.100.1:1-2"], /It takes an address, or an address and a port/],
    [["--nat", "thrice"], /Allowed choices are traditional, twice/],
  ];
  for (const [words, complaint] of wrong) {
    const refused = await pinholes(["open", ...flow, ...words]);
    assert.equal(refused.status, 2, words.join(" "));
    assert.match(refused.stderr, complaint);
  }
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
