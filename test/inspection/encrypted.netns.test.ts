/** The example that blocks unknown encrypted traffic, against real programs. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { untilListening } from "./listening.ts";

const EXAMPLE = fileURLToPath(
  new URL("../../../examples/block-unknown-encrypted/policy.json", import.meta.url),
);
const FORK = fileURLToPath(new URL("../../../examples/pywall/entropy_rule.json", import.meta.url));

const BYTES = 200_000;

/**
 * A server that says how many bytes a client sent, at the end or once it is silent: who is cut off hears of
 * none.
 */
const SINK = `
  require("net").createServer((socket) => {
    let bytes = 0;
    socket.on("data", (data) => (bytes += data.length));
    socket.on("error", () => {});
    socket.on("close", () => console.log("got " + bytes));
    socket.setTimeout(4000, () => socket.destroy());
  }).listen(Number(process.argv[1]), () => console.log("listening"));`;

/** A client that sends text in one form, in pieces. */
const SOURCE = `
  const { gzipSync } = require("zlib");
  const { createCipheriv } = require("crypto");
  const [address, port, form] = process.argv.slice(1);
  const words = Array.from({ length: 60000 }, (_, at) => (at * 7919) % 10007 + " is the " + at + "th. ").join("");
  const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 9), Buffer.alloc(16));
  const all = form === "gzip" ? gzipSync(words) : form === "aes" ? cipher.update(words) : Buffer.from(words);
  const bytes = all.subarray(0, ${BYTES});
  const socket = require("net").connect(Number(port), address);
  socket.on("error", () => {});
  let at = 0;
  const next = () => {
    if (at >= bytes.length) return socket.end();
    socket.write(bytes.subarray(at, at + 1200));
    at += 1200;
    setTimeout(next, 1);
  };
  socket.on("connect", next);
  console.log("sends " + bytes.length);`;

/** Sends one form of a text to the host; how many bytes arrived of how many. */
async function send(
  client: Namespace,
  host: Namespace,
  port: number,
  form: string,
): Promise<[number, number]> {
  const sink = host.start([process.execPath, "-e", SINK, String(port)]);
  await sink.waitForLine(/listening/);
  const source = client.start([process.execPath, "-e", SOURCE, host.ipv4, String(port), form]);
  await sink.waitForLine(/got \d+/, 30_000);
  source.kill("SIGKILL");
  const sent = Number(/sends (\d+)/.exec(source.output)?.[1]);
  const got = Number(/got (\d+)/.exec(sink.output)?.[1]);
  sink.kill("SIGKILL");
  return [got, sent];
}

netnsTest(
  "gzip over raw TCP passes, AES over raw TCP is cut within its first 16 KB",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: EXAMPLE });
    for (const form of ["text", "gzip"]) {
      const [got, sent] = await send(client, host, 9001, form);
      assert.equal(got, sent, form);
    }
    const [got] = await send(client, host, 9002, "aes");
    assert.ok(got <= 16_384, `${got} bytes of ciphertext got through`);
    await firewall.stop();
  },
);

netnsTest(
  "the fork's entropy_rule.json works unchanged: AES is dropped, gzip passes",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: FORK });
    const [passed, sent] = await send(client, host, 9001, "gzip");
    assert.equal(passed, sent);
    const [got] = await send(client, host, 9002, "aes");
    assert.ok(got <= 16_384, `${got} bytes of ciphertext got through`);
    await firewall.stop();
  },
);

netnsTest(
  "TLS passes on any port, and the state names its server",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-tls-"));
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    const subject = ["-subj", "/CN=www.example.org", "-keyout", key, "-out", certificate];
    spawnSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject]);
    const firewall = await startFirewall(host, { policy: EXAMPLE });
    const server = host.start([
      "openssl",
      "s_server",
      "-accept",
      "2222",
      "-key",
      key,
      "-cert",
      certificate,
      "-rev",
    ]);
    await server.waitForLine(/ACCEPT/);
    const script = `(head -c ${BYTES} /dev/urandom | base64 -w 70; sleep 60) | openssl s_client -quiet -connect ${host.ipv4}:2222 -servername www.example.org`;
    const talk = client.start(["sh", "-c", script]);
    for (let look = 0; look < 6000 && talk.output.length <= BYTES; look += 1) await sleep(10);
    assert.ok(talk.output.length > BYTES, talk.output.slice(-200));
    const list = [process.execPath, POSTERN, "states", "list", "--json", "--socket", firewall.socket];
    const { output: states } = await host.run(list);
    assert.match(states, /"www\.example\.org"/);
    assert.match(states, /"TLS"/);
    rmSync(folder, { recursive: true });
    await firewall.stop();
  },
  ["openssl"],
);

netnsTest(
  "SSH passes on any port",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-ssh-"));
    for (const name of ["host", "user"]) {
      spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
    }
    spawnSync("mkdir", ["-p", "/run/sshd"]);
    const firewall = await startFirewall(host, { policy: EXAMPLE });
    const options = ["StrictModes=no", "PidFile=none", `AuthorizedKeysFile=${join(folder, "user.pub")}`];
    const words = options.flatMap((option) => ["-o", option]);
    host.start(["/usr/sbin/sshd", "-D", "-p", "9443", "-h", join(folder, "host"), ...words]);
    await untilListening(host, 9443);
    const trust = [
      "-o",
      "StrictHostKeyChecking=no",
      "-o",
      "UserKnownHostsFile=/dev/null",
      "-o",
      "BatchMode=yes",
    ];
    const command = `head -c ${BYTES} /dev/urandom | wc -c`;
    const login = ["ssh", "-p", "9443", "-i", join(folder, "user"), ...trust, `root@${host.ipv4}`, command];
    const { output } = await client.run(login);
    assert.match(output, new RegExp(`^${BYTES}$`, "m"));
    rmSync(folder, { recursive: true });
    await firewall.stop();
  },
  ["sshd", "ssh"],
);

/** Bytes of a pipe's end that another host receives; who is cut counts what came before. */
async function pipe(client: Namespace, host: Namespace, port: number, source: string): Promise<number> {
  const sink = host.start(["sh", "-c", `nc -l ${port} | wc -c`]);
  await untilListening(host, port);
  await client.run(["sh", "-c", `${source} | nc -N -w 10 ${host.ipv4} ${port}`], 60_000);
  await sink.waitForLine(/^\d+$/, 60_000);
  return Number(sink.lines.find((line) => /^\d+$/.test(line)));
}

/** Numbers that hardly repeat, in lines: also xz makes something of some size out of them. */
const TEXT = "awk 'BEGIN { for (n = 1; n <= 40000; n += 1) print (n * 48271) % 99999989 }'";

netnsTest(
  "nc with gzip, bzip2 or xz passes, nc with what openssl enc made is cut within its first 16 KB",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: EXAMPLE });
    let port = 9100;
    for (const packer of ["cat", "gzip", "bzip2", "xz"]) {
      const { output } = await client.run(["sh", "-c", `${TEXT} | ${packer} | wc -c`]);
      const packed = Number(output);
      assert.ok(packed > 16_384, `${packer}: ${output}`);
      assert.equal(await pipe(client, host, (port += 1), `${TEXT} | ${packer}`), packed, packer);
    }
    const key = `-K ${"09".repeat(32)} -iv ${"01".repeat(16)}`;
    for (const cipher of [
      `-aes-256-ctr ${key}`,
      `-aes-128-cbc -K ${"07".repeat(16)} -iv ${"02".repeat(16)}`,
      "-aes-256-cbc -pbkdf2 -pass pass:secret",
      `-chacha20 ${key}`,
    ]) {
      const got = await pipe(client, host, (port += 1), `${TEXT} | openssl enc ${cipher}`);
      assert.ok(got <= 16_384, `${got} bytes of ${cipher} got through`);
    }
    await firewall.stop();
  },
  ["nc", "awk", "gzip", "bzip2", "xz", "openssl"],
);
