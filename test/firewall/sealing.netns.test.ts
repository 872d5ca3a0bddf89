/** Flows whose fate is sealed: what still comes up, what does not, and how seals end. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { connect, type FirewallStatus } from "#client";
import { HOST_PAIR, type Namespace, type RunningFirewall, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const folder = mkdtempSync(join(tmpdir(), "postern-sealing-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Everything is inspected, nothing that these tests speak is unwelcome. */
const INSPECTING = {
  settings: { workers: 1, offload: "flows" },
  default_chain: "DROP",
  INPUT: [
    { name: "ProtocolRule", protocols: ["BitTorrent"], action: "DROP" },
    { name: "TCPRule", action: "ACCEPT" },
    { name: "UDPRule", action: "ACCEPT" },
  ],
  OUTPUT: [
    { name: "ProtocolRule", protocols: ["BitTorrent"], action: "DROP" },
    { name: "TCPRule", action: "ACCEPT" },
    { name: "UDPRule", action: "ACCEPT" },
  ],
};

const MEGABYTES = 32;

function status({ socket }: RunningFirewall): Promise<FirewallStatus> {
  return connect({ socket }).getStatus();
}

async function packetsSeen(firewall: RunningFirewall): Promise<number> {
  return (await status(firewall)).counters["packets"] ?? 0;
}

/** A TLS server that sends some megabytes to whoever connects, and a client that counts them. */
async function transferTls(server: Namespace, client: Namespace): Promise<number> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const make = `openssl req -x509 -newkey rsa:2048 -nodes -keyout ${key} -out ${cert} -days 2 -subj /CN=a.example`;
  await server.must(["sh", "-c", `${make} 2>/dev/null`]);
  const serve = `
    const { readFileSync } = require("node:fs");
    const options = { key: readFileSync("${key}"), cert: readFileSync("${cert}") };
    require("node:tls").createServer(options, (socket) => {
      socket.on("error", () => undefined);
      socket.end(Buffer.alloc(${MEGABYTES} * 1048576, 7));
    }).listen(443, "::", () => console.log("listening"));`;
  const program = server.start([process.execPath, "-e", serve]);
  await program.waitForLine(/listening/);
  const fetch = `
    let bytes = 0;
    const socket = require("node:tls").connect({ host: "${server.ipv4}", port: 443, rejectUnauthorized: false });
    socket.on("data", (data) => { bytes += data.length; });
    socket.on("end", () => console.log(bytes));`;
  const { output } = await client.run([process.execPath, "-e", fetch]);
  await program.stop();
  return Number(output.trim());
}

netnsTest("of a long TLS flow at most eight packets reach userspace", HOST_PAIR, async (hosts) => {
  const { client, firewall: host } = hosts;
  const firewall = await startFirewall(host, { policy: INSPECTING });
  const counts: number[] = [];
  for (let run = 1; run <= 3; run += 1) {
    const before = await packetsSeen(firewall);
    assert.equal(await transferTls(host, client), MEGABYTES * 1_048_576);
    counts.push((await packetsSeen(firewall)) - before);
    assert.equal((await status(firewall)).offloaded.total, run);
  }
  // Packets that are on their way while the verdict is given come up too.
  const seen = Math.min(...counts);
  assert.ok(seen >= 4 && seen <= 8, `${counts.join(", ")} packets came up`);
  await firewall.stop();
});
