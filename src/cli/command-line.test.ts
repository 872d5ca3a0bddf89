import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
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

const TWO_WORKERS = writePolicy("two-workers.json", { settings: { workers: 2 }, INPUT: [] });

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

test("replay of what is no capture is refused by the system, in words", () => {
  const file = join(folder, "no-capture");
  writeFileSync(file, "hello, world");
  const { status, stderr } = postern("replay", NO_TELNET, file);
  assert.equal(status, 3);
  assert.match(stderr, /no-capture is neither a pcap nor a pcapng/);
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

test("check of a policy whose module is missing exits with 1 and counts one error", () => {
  const file = writePolicy("no-module.json", { settings: { modules: ["./gone.mjs"] }, INPUT: [] });
  const { status, stdout } = postern("check", file);
  assert.equal(status, 1);
  assert.match(stdout, /:1:\d+: error: cannot load the rules of .*gone\.mjs.*settings\.modules\[0\]/);
  assert.match(stdout, /^invalid: 1 error, 0 warnings$/m);
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

function programs(name: string): string {
  return fileURLToPath(new URL(`../../captures/programs/${name}.pcap`, import.meta.url));
}

test("inspect says of each flow what it speaks, who and to whom", () => {
  const { status, stdout } = postern("inspect", programs("tls13"));
  assert.equal(status, 0);
  const [flow] = jsonLines(stdout) as Record<string, unknown>[];
  assert.ok(flow !== undefined);
  assert.equal(flow["flow"], 1);
  assert.equal(flow["l4"], "TCP");
  assert.equal(flow["protocol"], "TLS");
  assert.equal(flow["encrypted"], true);
  assert.equal(flow["serverName"], "www.example.org");
  assert.equal(flow["confidence"], "certain");
  assert.match(String(flow["client"]), /^[0-9.]+:\d+$/);
  assert.match(String(flow["server"]), /^[0-9.]+:\d+$/);
  assert.match(String(flow["ja3"]), /^[0-9a-f]{32}$/);
  assert.match(String(flow["ja4"]), /^t13d\w{6}_[0-9a-f]{12}_[0-9a-f]{12}$/);
});

test("inspect tells the fingerprints of both sides of SSH", () => {
  const { stdout } = postern("inspect", "--json", programs("ssh"));
  const [flow] = jsonLines(stdout) as Record<string, unknown>[];
  assert.equal(flow?.["protocol"], "SSH");
  assert.equal(flow["hasshClient"], "472b5de333ad665af5cbf10ff892c4df");
  assert.equal(flow["hasshServer"], "425d29fe50d8e4f5e37efb6e24bcf660");
});

test("inspect reports what it saw before a capture breaks off, and that it breaks off", () => {
  const whole = readFileSync(programs("tls13"));
  const file = join(folder, "cut.pcap");
  writeFileSync(file, whole.subarray(0, whole.length - 5));
  const { status, stdout, stderr } = postern("inspect", file);
  assert.equal(status, 3);
  assert.match(stdout, /"protocol":"TLS"/);
  assert.match(stderr, /cannot be read on from byte/);
});

test("inspect says so when it cannot read a capture's link type", () => {
  const capture = new PcapWriter(147);
  const file = join(folder, "link-type.pcap");
  writeFileSync(file, capture.header());
  for (let packet = 0; packet < 3; packet += 1)
    appendFileSync(file, capture.packet({ bytes: new Uint8Array(60), seconds: 0, nanoseconds: 0 }));
  const { status, stdout, stderr } = postern("inspect", file);
  assert.equal(status, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /3 packets passed over: link type 147 is not read/);
});

test("classify tells ciphertext from text and from compressed bytes, fragment by fragment", () => {
  const text = "It was a bright cold day in April, and the clocks were striking thirteen.\n".repeat(2000);
  const varied = Array.from({ length: 40_000 }, (_, at) => `${at * at} `).join("");
  const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 7), Buffer.alloc(16));
  const files = { text: Buffer.from(text), aes: cipher.update(Buffer.from(text)), gzip: gzipSync(varied) };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  const names = Object.keys(files).map((name) => join(folder, name));
  const { status, stdout } = postern("classify", ...names, "--size", "16384");
  assert.equal(status, 0);
  const lines = jsonLines(stdout) as { file: string; offset: number; bytes: number; verdict: string }[];
  for (const [name, bytes] of Object.entries(files)) {
    const own = lines.filter(({ file }) => file === join(folder, name));
    assert.equal(
      own.reduce((sum, line) => sum + line.bytes, 0),
      bytes.length,
    );
    assert.deepEqual(
      own.map(({ offset }) => offset),
      own.map((_, at) => at * 16_384),
    );
    assert.equal(own[0]?.verdict, { text: "plain", aes: "encrypted", gzip: "compressed" }[name]);
  }
  const [first] = lines;
  assert.deepEqual(Object.keys(first ?? {}), ["file", "offset", "bytes", "verdict", "confidence", "hedge"]);
});

test("classify takes HEDGE's γ: the nearer to the mean χ² must lie, the fewer pieces pass", () => {
  const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 3), Buffer.alloc(16));
  const file = join(folder, "aes-long");
  writeFileSync(file, cipher.update(Buffer.alloc(200 * 512)));
  const passed = (...words: string[]): number => {
    const { stdout } = postern("classify", file, "--size", "512", ...words);
    const lines = jsonLines(stdout) as { hedge: string }[];
    assert.equal(lines.length, 200);
    return lines.filter(({ hedge }) => hedge === "encrypted").length;
  };
  const [usual, same, narrow, narrower] = [
    passed(),
    passed("--gamma", "2.5"),
    passed("--gamma", "1"),
    passed("--gamma", "0.1"),
  ];
  assert.equal(usual, same);
  assert.ok(narrow < usual);
  assert.ok(narrower < narrow);
});

/** Command lines and the exit status of design's contract. */
const STATUSES: readonly { words: readonly string[]; status: number; says: RegExp }[] = [
  { words: ["--help"], status: 0, says: /Commands:/ },
  { words: ["--version"], status: 0, says: /^\d+\.\d+\.\d+$/m },
  { words: ["bogus"], status: 2, says: /unknown command/ },
  { words: ["check"], status: 2, says: /missing required argument/ },
  { words: ["replay", NO_TELNET, "x", "--local", "nowhere"], status: 2, says: /address or a network/ },
  { words: ["explain", NO_TELNET, "in tcp"], status: 2, says: /the source should stand/ },
  { words: ["inspect"], status: 2, says: /missing required argument/ },
  {
    words: ["inspect", "/nowhere.pcap"],
    status: 3,
    says: /cannot read the capture \/nowhere\.pcap: there is no such file/,
  },
  { words: ["check", "--bogus", NO_TELNET], status: 2, says: /\(postern check --help says what there is\)/ },
  { words: ["states", "kill"], status: 2, says: /\(postern states kill --help says what there is\)/ },
  {
    words: ["tables", "set", "t", "--file", "/nowhere"],
    status: 3,
    says: /the addresses \/nowhere: there is no/,
  },
  { words: ["pinholes", "apply", "/nowhere"], status: 3, says: /the operations \/nowhere: there is no/ },
  { words: ["classify"], status: 2, says: /missing required argument/ },
  { words: ["classify", MAIN, "--size", "65537"], status: 2, says: /at most 65536 bytes/ },
  { words: ["classify", MAIN, "--gamma", "none"], status: 2, says: /It takes a number/ },
  { words: ["classify", "/nowhere.bin"], status: 3, says: /cannot read the file .*there is no such file/ },
  { words: ["classify", "/"], status: 3, says: /it is a folder, not a file/ },
  { words: ["check", "/nowhere.json"], status: 3, says: /cannot read the policy .*there is no such file/ },
  { words: ["status", "--socket", "/nowhere.sock"], status: 3, says: /is a firewall running/ },
  { words: ["states", "show", "zz"], status: 2, says: /"zz" is no id of a state: 16 hexadecimal digits/ },
  { words: ["states", "list", "tcp", "frm"], status: 2, says: /\n {2}tcp frm\n {6}\^\^\^/ },
  { words: ["states", "kill", "--source", "both"], status: 2, says: /missing required argument/ },
  { words: ["timeouts", "tcp.closed=soon"], status: 2, says: /tcp\.closed=soon: a timeout is set as name=/ },
  { words: ["timeouts", "tcp.bogus=1"], status: 2, says: /No timeout "tcp\.bogus"/ },
  { words: ["reload", "--socket", "/nowhere.sock"], status: 3, says: /is a firewall running/ },
  { words: ["up", TWO_WORKERS, "--first-queue", "65535"], status: 2, says: /2 workers: at most 65530/ },
  { words: ["up", NO_TELNET, "--table", "a b"], status: 2, says: /takes a letter/ },
  { words: ["down", "--table", "a b"], status: 2, says: /takes a letter/ },
  { words: ["up", "--help"], status: 0, says: /runs as root/ },
  { words: ["explain", NO_TELNET, "in udp 1.2.3.4:1 > 1.2.3.5:2 syn"], status: 2, says: /only TCP/ },
  { words: ["up", NO_TELNET, "--log-level", "LOUD"], status: 2, says: /Allowed choices/ },
];

/**
 * Runs all of them in one process; the start of a program for each would take most of the time. None does
 * more than help or complain.
 */
function runRows(): readonly Outcome[] {
  const script = `
    const { runCommandLine } = await import(${JSON.stringify(new URL("./program.js", import.meta.url).href)});
    const outcomes = [];
    const streams = ["stdout", "stderr"];
    const written = Object.fromEntries(streams.map((name) => [name, process[name].write]));
    for (const words of JSON.parse(process.argv[1])) {
      const outcome = { stdout: "", stderr: "" };
      for (const name of streams) process[name].write = (text) => { outcome[name] += text; return true; };
      process.exitCode = undefined;
      outcome.status = await runCommandLine(["node", "postern", ...words]);
      outcomes.push(outcome);
    }
    for (const name of streams) process[name].write = written[name];
    process.exitCode = 0;
    process.stdout.write(JSON.stringify(outcomes));`;
  const rows = JSON.stringify(STATUSES.map(({ words }) => words));
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script, rows], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(child.status, 0, child.stderr);
  return JSON.parse(child.stdout) as Outcome[];
}

let outcomes: readonly Outcome[] | undefined;

for (const [row, { words, status, says }] of STATUSES.entries()) {
  test(`postern ${words.join(" ").replaceAll(folder, "")} exits with ${status}`, () => {
    outcomes ??= runRows();
    const outcome = outcomes[row];
    assert.ok(outcome !== undefined);
    assert.equal(outcome.status, status, outcome.stderr);
    assert.match(outcome.stdout + outcome.stderr, says);
  });
}

test("the program exits with the status of its command line", () => {
  assert.equal(postern("bogus").status, 2);
});
