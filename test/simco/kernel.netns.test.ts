/** Statements that only the kernel can prove: packets, deadlines, and daemons that are killed. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { GATEWAY, type Namespace, POSTERN, type RunningProgram, type Topology } from "#lab";
import { type AddressTuple, encodeMessage, LOCATION, type MessageOf } from "#simco";
import { fullTuple, netnsTest } from "#testing";
import { begin, BOTH, enable, lifetime, list, OUT, permit, reserve, status, TCP, UDP } from "./requests.ts";
import { AgentWire } from "./rig.ts";

type Hosts = Topology<"client" | "firewall" | "server">;

const READY_MS = 30_000;
/** A second for the deadline itself, and the rest for a machine that is busy. */
const PATIENCE_MS = 15_000;

/** `postern pinhold` on a gateway, speaking SIMCO on a Unix socket; its agent is root. */
class Daemon {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "postern-simco-kernel-"));
  readonly #host: Namespace;
  #program: RunningProgram | undefined;
  #wires: AgentWire[] = [];

  constructor(host: Namespace) {
    this.#host = host;
  }

  /** @param more - of the command line */
  async start(...more: readonly string[]): Promise<void> {
    const place = ["-s", join(this.#folder, "s"), "--state", join(this.#folder, "state")];
    const chain = ["--table", "postern-simco", "--hooks", "forward", "--otherwise", "drop"];
    const simco = ["--simco-socket", join(this.#folder, "simco")];
    const words = [process.execPath, POSTERN, "pinhold", ...place, ...chain, ...simco, ...more];
    this.#program = this.#host.start(words);
    await this.#program.waitForLine(/\bready\b/, READY_MS);
  }

  /** Writes a file for the daemon; returns its path. */
  write(name: string, content: object): string {
    const file = join(this.#folder, name);
    writeFileSync(file, JSON.stringify(content));
    return file;
  }

  async session(): Promise<AgentWire> {
    const socket = connect({ path: join(this.#folder, "simco"), allowHalfOpen: true });
    const wire = new AgentWire(socket);
    this.#wires.push(wire);
    await wire.must("SE_REPLY", begin());
    return wire;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    for (const wire of this.#wires.splice(0)) wire.close();
    await this.#program?.stop(signal);
  }

  async remove(): Promise<void> {
    await this.end("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The rules that the kernel has. */
  kernel(): Promise<string> {
    return this.#host.must(["nft", "list", "table", "inet", "postern-simco"]);
  }
}

/** From a port of the client to a port of the server. */
function flow(
  { client, server }: Hosts,
  { protocol = UDP, direction = OUT, port = 5004, seconds = 300 } = {},
): MessageOf<"PER"> {
  const end = (at: number, address: string, first: number): AddressTuple =>
    fullTuple({ at, address, protocol, port: first });
  return permit({
    enable: { parity: 0, direction },
    internal: end(LOCATION.INTERNAL, client.ipv4, port),
    external: end(LOCATION.EXTERNAL, server.ipv4, 6004),
    lifetime: seconds,
  });
}

/** What becomes of one datagram from the client to the server. */
async function send({ client, server }: Hosts, localPort = 5004, timeoutMs = 2000): Promise<string> {
  const destination = { address: server.ipv4, port: 6004, localPort, timeoutMs };
  return (await client.traffic.sendUdp({ ...destination, say: "media" })).outcome;
}

async function untilSilent(hosts: Hosts): Promise<number> {
  const start = Date.now();
  while ((await send(hosts, 5004, 200)) !== "silent") {
    if (Date.now() - start > PATIENCE_MS) return Number.POSITIVE_INFINITY;
    await delay(50);
  }
  return Date.now() - start;
}

netnsTest("E-02 the packet after a positive reply passes, and none after the end", GATEWAY, async (hosts) => {
  const daemon = new Daemon(hosts.firewall);
  await daemon.start();
  const wire = await daemon.session();
  await hosts.server.traffic.listenUdp({ port: 6004 });
  assert.equal(await send(hosts, 5000, 300), "silent");
  for (let port = 5001; port < 5011; port += 1) {
    const { rule } = await wire.must("PER_REPLY", flow(hosts, { port, direction: BOTH }));
    assert.equal(await send(hosts, port), "answered", String(port));
    await wire.must("PRD_REPLY", lifetime(rule, 0));
    assert.equal(await send(hosts, port, 300), "silent", String(port));
  }
  await daemon.remove();
});

netnsTest("E-37 a rule dies at its deadline also when the daemon is dead", GATEWAY, async (hosts) => {
  const daemon = new Daemon(hosts.firewall);
  await daemon.start();
  const wire = await daemon.session();
  await hosts.server.traffic.listenUdp({ port: 6004 });
  await wire.must("PER_REPLY", flow(hosts, { direction: BOTH, seconds: 4 }));
  await daemon.end("SIGKILL");
  assert.equal(await send(hosts), "answered");
  assert.ok(Number.isFinite(await untilSilent(hosts)));
  assert.doesNotMatch(await daemon.kernel(), /5004/);
  await daemon.start();
  assert.deepEqual((await (await daemon.session()).must("PRL_REPLY", list())).rules, []);
  await daemon.remove();
});

netnsTest("D-08 what an ended permit let through stops", GATEWAY, async (hosts) => {
  const daemon = new Daemon(hosts.firewall);
  await daemon.start();
  const wire = await daemon.session();
  const { server, client } = hosts;
  await server.traffic.listenTcp({ port: 6004 });
  const { rule } = await wire.must("PER_REPLY", flow(hosts, { protocol: TCP }));
  const connection = await client.traffic.openTcp({ address: server.ipv4, port: 6004, localPort: 5004 });
  assert.equal(await connection.exchange("before"), "before");
  const { internal, external } = flow(hosts, { protocol: TCP });
  await wire.must("PDR_REPLY", { name: "PDR", tid: wire.tid(), internal, external, lifetime: 60 });
  assert.equal(await wire.refusal(status(rule)), 0x0343);
  // Nothing of it comes through, from the reply on.
  assert.equal(await connection.exchange("after"), "");
  await connection.reset();
  await daemon.remove();
});

netnsTest(
  "O-05 a permit whose daemon is killed on the way is there as a whole or not at all",
  GATEWAY,
  async (hosts) => {
    const daemon = new Daemon(hosts.firewall);
    await hosts.server.traffic.listenUdp({ port: 6004 });
    let survived = 0;
    for (const waitMs of [0, 1, 3, 10, 200]) {
      await daemon.start();
      const wire = await daemon.session();
      await wire.must("PRR_REPLY", reserve());
      wire.send(encodeMessage(flow(hosts, { direction: BOTH })));
      await delay(waitMs);
      await daemon.end("SIGKILL");
      await daemon.start();
      const again = await daemon.session();
      const { rules } = await again.must("PRL_REPLY", list());
      const states: string[] = [];
      for (const rule of rules) states.push((await again.ask(status(rule)))?.name ?? "");
      const isListed = states.includes("PES_REPLY");
      assert.equal(
        await send(hosts, 5004, isListed ? 2000 : 300),
        isListed ? "answered" : "silent",
        String(waitMs),
      );
      survived += isListed ? 1 : 0;
      for (const rule of rules) await again.ask(lifetime(rule, 0));
      await daemon.end("SIGTERM");
    }
    assert.ok(survived >= 1, "the last had all the time that it needed");
    await daemon.remove();
  },
);

/** Sends octets from a host, and prints the digits of what comes back until the connection ends. */
const SPEAK = `
  const [host, port, digits] = process.argv.slice(1);
  const socket = require("node:net").connect(Number(port), host, () => socket.write(Buffer.from(digits, "hex")));
  socket.on("data", (octets) => process.stdout.write(octets.toString("hex")));
  socket.on("close", () => console.log(" closed"));
`;

netnsTest(
  "S-23 clear text from another machine is refused, and from the machine itself it is not",
  GATEWAY,
  async ({ client, firewall }) => {
    const daemon = new Daemon(firewall);
    await daemon.start("--simco-listen", "0.0.0.0:7626", "--simco-local-agent", "root");
    const [inside = ""] = firewall.addresses;
    const speak = async (host: Namespace, to: string, digits: string): Promise<string> =>
      (await host.run([process.execPath, "-e", SPEAK, to, "7626", digits])).output.trim();
    const hello = Buffer.from(encodeMessage(begin({ tid: 1 }))).toString("hex");
    assert.equal(await speak(client, inside, hello), "0326000000000001 closed");
    const end = Buffer.from(encodeMessage({ name: "ST", tid: 2 })).toString("hex");
    assert.match(
      await speak(firewall, "127.0.0.1", hello + end),
      /^0201000c00000001.*0203000000000002 closed$/,
    );
    await daemon.remove();
  },
);

netnsTest(
  "X-13 what is reserved is translated in the kernel from the reply to the permit until its end",
  GATEWAY,
  async (hosts) => {
    const { client, firewall, server } = hosts;
    const daemon = new Daemon(firewall);
    const address = "198.51.100.1";
    await daemon.start(
      "--agents",
      daemon.write("agents.json", {
        translation: { outside: { addresses: [address], ports: [40_000, 40_999] } },
      }),
    );
    const wire = await daemon.session();
    await client.traffic.listenUdp({ port: 5004 });
    const { rule, outside } = await wire.must("PRR_REPLY", reserve({ count: 1 }));
    assert.deepEqual([outside.port % 2, outside.count], [0, 1]);
    const knock = async (): Promise<string> => {
      const destination = { address, port: outside.port, localPort: 6004, timeoutMs: 1000 };
      return (await server.traffic.sendUdp({ ...destination, say: "media" })).outcome;
    };
    assert.notEqual(await knock(), "answered", "a reservation opens nothing");
    const { internal, external } = flow(hosts);
    const enabling = enable(rule, { enable: { parity: 0, direction: BOTH }, internal, external });
    assert.deepEqual((await wire.must("PER_REPLY", enabling)).outside, outside);
    assert.equal(await knock(), "answered");
    await wire.must("PRD_REPLY", lifetime(rule, 0));
    assert.notEqual(await knock(), "answered");
    await daemon.remove();
  },
);
