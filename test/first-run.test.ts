/** The refusals of tools/first-run.cjs: one sentence and exit status 3 each, before anything is installed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const firstRun = fileURLToPath(new URL("../../tools/first-run.cjs", import.meta.url));
const run = fileURLToPath(new URL("../../tools/run", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "postern-first-run-"));

after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command of tools/run on a machine that a few lines of JavaScript change first. */
function runOn(machine: string, ...words: readonly string[]): { status: number | null; stderr: string } {
  const preload = join(folder, "machine.cjs");
  writeFileSync(preload, machine);
  const { status, stderr } = spawnSync(process.execPath, ["-r", preload, firstRun, ...words], {
    encoding: "utf8",
  });
  return { status, stderr };
}

const ROOT = "process.getuid = () => 0;";
const WITHOUT_QUEUES = `${ROOT}
  const fs = require("fs");
  const realStat = fs.statSync;
  fs.statSync = (file) => {
    if (String(file).includes("nfnetlink_queue")) throw new Error("ENOENT");
    return realStat(file);
  };
  const realRead = fs.readFileSync;
  fs.readFileSync = (file, ...rest) => {
    const name = String(file);
    if (name === "/proc/self/status") return "CapEff:\\t000001ffffffffff\\n";
    if (name === "/proc/config.gz") throw new Error("ENOENT");
    if (name.startsWith("/boot/config-")) return "# CONFIG_NETFILTER_NETLINK_QUEUE is not set\\n";
    return realRead(file, ...rest);
  };
  require("child_process").spawnSync = () => ({ status: 1 });`;

/** What is wrong with the machine, the command, and the sentence. */
const REFUSALS: readonly (readonly [title: string, machine: string, command: string, sentence: RegExp])[] = [
  [
    "a Node that is too old",
    'Object.defineProperty(process, "versions", { value: { node: "18.19.1" } });',
    "test",
    /^Postern needs Node 20\.19 or later; this is Node 18\.19\.1 .*\n$/,
  ],
  [
    "another system",
    'Object.defineProperty(process, "platform", { value: "darwin" });',
    "test",
    /^Postern is a firewall for Linux; this is darwin\.\n$/,
  ],
  [
    "no root",
    "process.getuid = () => 1000;",
    "demo",
    /^`npm run demo` .* needs root: `sudo npm run demo`\.\n$/,
  ],
  [
    "root without its capabilities",
    `${ROOT}
      const fs = require("fs");
      const realRead = fs.readFileSync;
      fs.readFileSync = (file, ...rest) =>
        file === "/proc/self/status" ? "CapEff:\\t00000000a80425fb\\n" : realRead(file, ...rest);`,
    "demo",
    /^Root lacks CAP_NET_ADMIN or CAP_SYS_ADMIN here: .*\n$/,
  ],
  ["a kernel without NFQUEUE", WITHOUT_QUEUES, "demo", /^This kernel \(.*\) has no NFQUEUE .*\n$/],
  [
    "a kernel without NFQUEUE, for root's tests",
    WITHOUT_QUEUES,
    "test",
    /^This kernel \(.*\) has no NFQUEUE .*\n$/,
  ],
];

for (const [title, machine, command, sentence] of REFUSALS) {
  test(`${title}: one sentence, exit status 3`, () => {
    const { status, stderr } = runOn(machine, command);
    assert.match(stderr, sentence);
    assert.equal(status, 3);
  });
}

test("no Node at all: one sentence, exit status 3", () => {
  const { status, stderr } = spawnSync("/bin/sh", [run, "test"], {
    encoding: "utf8",
    env: { PATH: "/nowhere" },
  });
  assert.match(stderr, /^Postern needs Node 20\.19 or later and finds no 'node': .*\n$/);
  assert.equal(status, 3);
});

test("an unknown word is wrong usage", () => {
  const { status, stderr } = runOn("", "dance");
  assert.match(stderr, /^Usage: sh tools\/run test\|demo\|/);
  assert.equal(status, 2);
});

test("the file keeps to syntax that a very old Node can read", () => {
  const source = readFileSync(firstRun, "utf8");
  for (const tooNew of [/\?\./, /\?\?/, /catch \{/, /\basync\b/, /\bimport\b/, /\.\.\.\w/, /\bclass\b/]) {
    assert.doesNotMatch(source.replaceAll(/"[^"\n]*"|\/\*[\s\S]*?\*\/|\/\/.*/g, ""), tooNew);
  }
});
