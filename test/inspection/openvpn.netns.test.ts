/**
 * OpenVPN through the example that blocks unknown encrypted traffic: it passes in every mode, on any port.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { untilListening } from "./listening.ts";

const EXAMPLE = fileURLToPath(
  new URL("../../../examples/block-unknown-encrypted/policy.json", import.meta.url),
);
const PORT = 5566;
const INNER_PORT = 7000;
const SERVER_INSIDE = "10.8.0.1";
/** What `seq 1 60000` writes, in bytes: it fills many times what the firewall looks at. */
const TEXT_BYTES = 348_894;
const PATIENCE_MS = 40_000;

/** Runs a program that has to succeed. */
function must(folder: string, program: string, ...words: string[]): void {
  const { status, stderr, error } = spawnSync(program, words, { cwd: folder, encoding: "utf8" });
  assert.equal(status, 0, `${program} ${words.join(" ")}: ${error?.message ?? stderr}`);
}

/** A certificate of the authority `ca`, or that of the authority itself. */
function makeCertificate(folder: string, name: string, use: string): void {
  const key = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    `${name}.key`,
  ];
  const signer =
    name === "ca" ? [] : ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", `extendedKeyUsage=${use}`];
  const subject = ["-subj", `/CN=${name}.example.org`, "-days", "2", "-out", `${name}.crt`];
  must(folder, "openssl", "req", "-x509", ...key, ...signer, ...subject);
}

const MODES = ["plain", "tls-auth", "tls-crypt"] as const;

/** Options that both ends of a mode share. */
function modeWords(mode: (typeof MODES)[number], end: 0 | 1): string[] {
  if (mode === "plain") return [];
  return mode === "tls-auth" ? ["--tls-auth", "static.key", String(end)] : ["--tls-crypt", "static.key"];
}

function openvpn(folder: string, name: string, ...words: string[]): string[] {
  const files = ["--cd", folder, "--ca", "ca.crt", "--cert", `${name}.crt`, "--key", `${name}.key`];
  return ["openvpn", "--dev", "tun", "--verb", "3", "--ping", "1", ...files, ...words];
}

/** Sends a text through the tunnel; how many bytes arrived. */
async function sendInside(client: Namespace, host: Namespace): Promise<number> {
  const sink = host.start(["sh", "-c", `nc -l ${SERVER_INSIDE} ${INNER_PORT} | wc -c`]);
  await untilListening(host, INNER_PORT);
  await client.run(["sh", "-c", `seq 1 60000 | nc -N -w 10 ${SERVER_INSIDE} ${INNER_PORT}`], PATIENCE_MS);
  await sink.waitForLine(/^\d+$/, PATIENCE_MS);
  return Number(sink.lines.find((line) => /^\d+$/.test(line)));
}

for (const protocol of ["udp", "tcp"] as const) {
  for (const mode of MODES) {
    netnsTest(
      `OpenVPN over ${protocol.toUpperCase()} (${mode}) passes on any port, and the state names it`,
      HOST_PAIR,
      async ({ client, firewall: host }) => {
        const folder = mkdtempSync(join(tmpdir(), "postern-openvpn-"));
        try {
          for (const [name, use] of [
            ["ca", ""],
            ["server", "serverAuth"],
            ["client", "clientAuth"],
          ] as const)
            makeCertificate(folder, name, use);
          must(folder, "openvpn", "--genkey", "secret", "static.key");
          const firewall = await startFirewall(host, { policy: EXAMPLE });
          const network = ["--server", "10.8.0.0", "255.255.255.0", "--topology", "subnet"];
          const listens = ["--proto", protocol === "tcp" ? "tcp-server" : "udp", "--lport", String(PORT)];
          const serverWords = [...listens, ...network, "--dh", "none", ...modeWords(mode, 0)];
          const server = host.start(openvpn(folder, "server", ...serverWords));
          await server.waitForLine(/Initialization Sequence Completed/, PATIENCE_MS);
          const speaks = ["--proto", protocol === "tcp" ? "tcp-client" : "udp", "--nobind"];
          const remote = ["--client", "--remote", host.ipv4, String(PORT), ...modeWords(mode, 1)];
          const caller = client.start(openvpn(folder, "client", ...speaks, ...remote));
          await caller.waitForLine(/Initialization Sequence Completed/, PATIENCE_MS);
          assert.equal(await sendInside(client, host), TEXT_BYTES);
          const filter = `${protocol} to any port ${PORT}`;
          const list = [
            process.execPath,
            POSTERN,
            "states",
            "list",
            filter,
            "--json",
            "--socket",
            firewall.socket,
          ];
          assert.match(await host.must(list), /"application":"OpenVPN"/);
          assert.doesNotMatch(firewall.program.output, /\[INFO\] (REJECT|DROP)/);
          await caller.stop();
          await server.stop();
          await firewall.stop();
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
      ["openvpn", "openssl", "nc"],
    );
  }
}
