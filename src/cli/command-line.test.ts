import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { buildPacket, LINK_TYPE, PcapWriter } from "../wire/index.ts";

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
after(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function postern(...words: string[]): Outcome {
  return spawnSync(process.execPath, [MAIN, ...words], { encoding: "utf8", timeout: 30_000 });
}

function writePolicy(name: string, policy: unknown): string {
  const file = join(folder, name);
  writeFileSync(file, typeof policy === "string" ? policy : JSON.stringify(policy));
  return file;
}

function jsonLines(text: string): unknown[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

const NO_TELNET = writePolicy("no-telnet.json", {
  settings: { compatibility: "strict" },
  INPUT: [{ name: "PortRule", protocol: "TCP", dst_port: 23, action: "DROP" }],
  OUTPUT: [{ name: "TrueRule", action: "REJECT" }],
});

/** A capture with a packet in each direction of a host, one that crosses it, and one that is not IP. */
function writeCapture(): string {
  const tcp = (source: string, destination: string, destinationPort: number): Uint8Array =>
    buildPacket({
      source,
      destination,
      destinationPort,
      protocol: PROTOCOL.TCP,
      sourcePort: 40_000,
      flags: TCP_FLAG.SYN,
    });
  const ethernet = (type: number, payload: Uint8Array): Uint8Array => {
    const frame = new Uint8Array(14 + payload.length);
    new DataView(frame.buffer).setUint16(12, type);
    frame.set(payload, 14);
    return frame;
  };
  const frames = [
    ethernet(0x0800, tcp("192.0.2.9", "192.0.2.1", 23)),
    ethernet(0x0800, tcp("192.0.2.9", "192.0.2.1", 22)),
    ethernet(0x0800, tcp("192.0.2.1", "192.0.2.9", 80)),
    ethernet(0x0800, tcp("192.0.2.9", "198.51.100.1", 23)),
    ethernet(0x0806, new Uint8Array(28)),
  ];
  const file = join(folder, "traffic.pcap");
  const writer = new PcapWriter(LINK_TYPE.ETHERNET);
  const chunks = [
    writer.header(),
    ...frames.map((frame, at) => writer.packet({ bytes: frame, seconds: at, nanoseconds: 0 })),
  ];
  writeFileSync(file, Buffer.concat(chunks));
  return file;
}

test("replay judges every packet of a capture and says by which rule", () => {
  const { status, stdout } = postern("replay", NO_TELNET, writeCapture(), "--local", "192.0.2.1");
  assert.equal(status, 0);
  assert.deepEqual(jsonLines(stdout), [
    { packet: 1, hook: "INPUT", verdict: "DROP", chain: "INPUT", rule: 0, reason: "PortRule" },
    { packet: 2, hook: "INPUT", verdict: "ACCEPT", chain: "INPUT", rule: null, reason: "end of chain INPUT" },
    { packet: 3, hook: "OUTPUT", verdict: "REJECT", chain: "OUTPUT", rule: 0, reason: "TrueRule" },
    { packet: 4, hook: "FORWARD", verdict: "ACCEPT", chain: null, rule: null, reason: "no chain FORWARD" },
    {
      packet: 5,
      hook: null,
      verdict: "ACCEPT",
      chain: null,
      rule: null,
      reason: "no IP packet: no hook sees it",
    },
  ]);
});

test("replay of what is no capture is refused by the system, with the place", () => {
  const file = join(folder, "no-capture");
  writeFileSync(file, "hello, world");
  const { status, stderr } = postern("replay", NO_TELNET, file);
  assert.equal(status, 3);
  assert.match(stderr, /byte 0: capture-magic/);
});

test("check says all that is wrong at once, with line, column and path, and exits with 1", () => {
  const file = writePolicy(
    "bad.json",
    '{\n  "INPUT": [\n    { "name": "PortRul", "action": "DROP" },\n    { "name": "TrueRule", "action": "drop" }\n  ]\n}\n',
  );
  const { status, stdout } = postern("check", "--json", file);
  assert.equal(status, 1);
  const found = jsonLines(stdout) as { code: string; path: string; line: number; file: string }[];
  assert.deepEqual(
    found.map(({ code, path, line }) => ({ code, path, line })),
    [
      { code: "unknown-rule", path: "$.INPUT[0].name", line: 3 },
      { code: "unknown-chain", path: "$.INPUT[1].action", line: 4 },
    ],
  );
  assert.ok(found.every((problem) => problem.file === file));
});

test("check of a valid policy exits with 0", () => {
  const { status, stdout } = postern("check", NO_TELNET);
  assert.equal(status, 0);
  assert.match(stdout, /^valid: 0 errors/m);
});

test("explain walks the packet through the chains", () => {
  const { status, stdout } = postern("explain", NO_TELNET, "in tcp 192.0.2.9:40000 > 192.0.2.1:22 syn");
  assert.equal(status, 0);
  assert.match(stdout, /chain INPUT[^]*no {2}rule 0 PortRule \(line 1\)[^]*ACCEPT/);
});

test("explain names the hook, the rule and the verdict as JSON", () => {
  const { stdout } = postern("explain", "--json", NO_TELNET, "out udp 192.0.2.1:1 > 192.0.2.9:2");
  const last = jsonLines(stdout).at(-1) as {
    verdict: string;
    rejectWith: string;
    chain: string;
    rule: number;
  };
  assert.equal(last.verdict, "REJECT");
  assert.equal(last.rejectWith, "port-unreachable");
  assert.equal(last.chain, "OUTPUT");
  assert.equal(last.rule, 0);
});

test("schema prints a JSON Schema that knows the rules", () => {
  const { status, stdout } = postern("schema");
  assert.equal(status, 0);
  assert.match(stdout, /json-schema\.org\/draft\/2020-12/);
  assert.match(stdout, /PortKnocking/);
});

/** Command lines and the exit status of design's contract. */
const STATUSES: readonly { words: readonly string[]; status: number; says: RegExp }[] = [
  { words: ["--help"], status: 0, says: /Commands:/ },
  { words: ["--version"], status: 0, says: /^\d+\.\d+\.\d+$/m },
  { words: ["bogus"], status: 2, says: /unknown command/ },
  { words: ["check"], status: 2, says: /missing required argument/ },
  { words: ["replay", NO_TELNET, "x", "--local", "nowhere"], status: 2, says: /address or a network/ },
  { words: ["explain", NO_TELNET, "in tcp"], status: 2, says: /the source should stand/ },
  { words: ["check", "/nowhere.json"], status: 3, says: /cannot read the policy/ },
  { words: ["status", "--socket", "/nowhere.sock"], status: 3, says: /is a firewall running/ },
  { words: ["reload", "--socket", "/nowhere.sock"], status: 3, says: /is a firewall running/ },
  { words: ["up", NO_TELNET, "--log-level", "LOUD"], status: 2, says: /Allowed choices/ },
];

for (const { words, status, says } of STATUSES) {
  test(`postern ${words.join(" ").replaceAll(folder, "")} exits with ${status}`, () => {
    const outcome = postern(...words);
    assert.equal(outcome.status, status, outcome.stderr);
    assert.match(outcome.stdout + outcome.stderr, says);
  });
}
