/** `postern simco` against a real door. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { POSTERN } from "#lab";
import { begin, lifetime, permit } from "./requests.ts";
import { KEY, SimcoRig } from "./rig.ts";

interface Outcome {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

let rig: SimcoRig;
const folder = mkdtempSync(join(tmpdir(), "postern-simco-"));
const secret = join(folder, "secret");

before(async () => {
  writeFileSync(secret, `${Buffer.from(KEY).toString("hex")}\n`);
  rig = await SimcoRig.open({ place: { localAgent: "agent-1" } });
});
after(async () => {
  await rig.close();
  rmSync(folder, { recursive: true });
});

/** Runs `postern simco`; `look` sees what it has written so far, and may end it. */
function simco(
  words: readonly string[],
  look: (output: string, end: () => void) => void = () => undefined,
): Promise<Outcome> {
  const [command = "", ...rest] = words;
  const place = ["--connect", `127.0.0.1:${rig.port}`];
  const child = spawn(process.execPath, [POSTERN, "simco", command, ...place, ...rest]);
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    look(output, () => void child.kill("SIGINT"));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  return new Promise((resolve) => {
    child.on("close", (status) => resolve({ status, output, errors }));
  });
}

async function json(...words: readonly string[]): Promise<Record<string, unknown>> {
  const { status, output, errors } = await simco([...words, "--json"]);
  assert.equal(status, 0, errors);
  return JSON.parse(output) as Record<string, unknown>;
}

const ENDS = ["--internal", "10.1.8.3:5004-5005", "--external", "192.0.2.100:6004-6005"];

describe("postern simco", () => {
  it("reserves, enables, shows, changes and ends a rule", async () => {
    const reserved = await json("reserve", "--ports", "2", "--lifetime", "300");
    assert.equal(reserved["state"], "reserved");
    const rule = String(reserved["rule"]);
    const enabled = await json("enable", rule, ...ENDS, "--direction", "in", "--lifetime", "300");
    assert.deepEqual(
      [enabled["rule"], enabled["state"], enabled["lifetime"]],
      [Number(rule), "enabled", 300],
    );
    assert.ok(rig.passes("192.0.2.100:6004 > 10.1.8.3:5004"));
    const { owner, direction, internal, external, protocol } = await json("status", rule);
    assert.deepEqual(
      { owner, direction, internal, external, protocol },
      {
        owner: "agent-1",
        direction: "in",
        internal: "10.1.8.3:5004-5005",
        external: "192.0.2.100:6004-6005",
        protocol: "udp",
      },
    );
    assert.deepEqual(await json("lifetime", rule, "900"), { rule: Number(rule), lifetime: 900 });
    assert.deepEqual(await json("list"), { rule: Number(rule) });
    assert.match((await simco(["list", "--long"])).output, /enabled {2}udp 10\.1\.8\.3:5004-5005 <- 192/);
    assert.deepEqual(await json("lifetime", rule, "0"), { rule: Number(rule), lifetime: 0 });
    assert.equal((await simco(["list"])).output, "no rules\n");
  });

  it("prohibits, for anybody of ours too", async () => {
    const { rule, state } = await json("prohibit", "--internal", "*", "--external", "192.0.2.100");
    assert.equal(state, "disabled");
    assert.equal(rig.verdict("192.0.2.100:1 > 10.1.8.3:2"), "drop");
    await json("lifetime", String(rule), "0");
  });

  it("shows what the middlebox can do, and lets it prove who it is", async () => {
    const proof = ["--identity", "admin", "--secret", secret, "--prove"];
    assert.equal((await json("session", ...proof))["disables"], true);
    assert.match((await simco(["session"])).output, /packet filter, disable rules/);
  });

  it("tells of changes as they come, until it is interrupted", async () => {
    const agent = await rig.connect();
    await agent.must("SE_REPLY", begin());
    let rule = 0;
    const act = async (): Promise<void> => {
      ({ rule } = await agent.must("PER_REPLY", permit()));
      await agent.must("PRD_REPLY", lifetime(rule, 0));
    };
    const told = await simco(["watch"], (output, end) => {
      if (output === "listening\n") void act();
      if (output.includes("ended")) end();
    });
    assert.equal(told.status, 0, told.errors);
    assert.equal(told.output, `listening\nrule ${rule}  300 s\nrule ${rule}  ended\n`);
  });

  it("exits with 1 when the middlebox refuses, 2 for wrong words, 3 when nobody is there", async () => {
    const refused = await simco(["status", "57005"]);
    assert.equal(refused.status, 1);
    assert.match(refused.errors, /0x0343 NO_SUCH_RULE/);
    assert.equal((await simco(["enable", "--internal", "nobody", "--external", "*"])).status, 2);
    assert.equal((await simco(["session", "--prove"])).status, 2);
    const absent = await simco(["session", "--connect", "127.0.0.1:1"]);
    assert.equal(absent.status, 3);
    assert.match(absent.errors, /cannot connect/);
    const clear = await simco(["session", "--ca", "/dev/null", "--connect", `127.0.0.1:${rig.port}`]);
    assert.deepEqual(clear, {
      status: 3,
      output: "",
      errors: `postern: cannot connect to the middlebox at 127.0.0.1 port ${rig.port}: it does not speak TLS there\n`,
    });
  });
});
