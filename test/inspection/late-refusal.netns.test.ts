/**
 * A connection that is refused when it already stands: both ends hear of it at once, whoever only listens.
 */
import assert from "node:assert/strict";
import { GATEWAY, type Namespace, type RunningProgram, startFirewall } from "#lab";
import { netnsTest } from "#testing";

/** How long an end waits to hear of the end, in milliseconds; one that hears nothing is asked no more. */
const PATIENCE_MS = 20_000;

/**
 * Says by which word a socket ends: an error's code, or that nothing was heard. Node takes a reset for the
 * end of the stream when it comes together with bytes; whoever then writes is told the truth.
 */
const SAY_END = `
  const sayEnd = (socket) => {
    socket.resume();
    socket.on("error", (error) => { console.log("end " + error.code); process.exit(); });
    socket.on("end", () => {
      socket.write("?", (error) => { if (!error) { console.log("end FIN"); process.exit(); } });
    });
    setTimeout(() => { console.log("end nothing heard"); process.exit(); }, ${PATIENCE_MS});
  };`;

/** What the end that speaks says: a beginning, a pause in which it is acknowledged, and what is refused. */
const SPEAK = `
  const { createCipheriv } = require("crypto");
  const speak = (socket, form) => {
    socket.setNoDelay();
    const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 9), Buffer.alloc(16));
    const pieces = form === "http"
      ? [Buffer.from("GE"), Buffer.from("T / HTTP/1.1\\r\\nHost: www.example.org\\r\\n\\r\\n")]
      : Array.from({ length: 40 }, () => cipher.update(Buffer.alloc(1000)));
    const next = () => {
      const piece = pieces.shift();
      if (piece === undefined) return;
      socket.write(piece);
      setTimeout(next, form === "http" ? 300 : 20);
    };
    next();
  };`;

const SERVER = `${SAY_END}${SPEAK}
  const [port, form] = process.argv.slice(1);
  require("net").createServer({ allowHalfOpen: true }, (socket) => {
    sayEnd(socket);
    if (form !== "listen") speak(socket, form);
  }).listen(Number(port), "::", () => console.log("listening"));`;

const CLIENT = `${SAY_END}${SPEAK}
  const [address, port, form] = process.argv.slice(1);
  const socket = require("net").connect({ port: Number(port), host: address, allowHalfOpen: true });
  sayEnd(socket);
  if (form !== "listen") socket.on("connect", () => speak(socket, form));`;

interface Talk {
  readonly from: Namespace;
  readonly to: Namespace;
  readonly address: string;
  readonly port: number;
  /** What client and server say: a form, or "listen". */
  readonly client: string;
  readonly server: string;
}

async function endOf(program: RunningProgram): Promise<string> {
  await program.waitForLine(/end .+/, 2 * PATIENCE_MS);
  return /end (.+)/.exec(program.output)?.[1] ?? "";
}

/** Lets two programs talk until the connection ends; how each of them heard of it. */
async function talk({ from, to, address, port, client, server }: Talk): Promise<string[]> {
  const listener = to.start([process.execPath, "-e", SERVER, String(port), server]);
  await listener.waitForLine(/listening/);
  const caller = from.start([process.execPath, "-e", CLIENT, address, String(port), client]);
  const ends = await Promise.all([endOf(caller), endOf(listener)]);
  listener.kill("SIGKILL");
  caller.kill("SIGKILL");
  return ends;
}

const REFUSE_HTTP = { name: "ProtocolRule", protocols: ["HTTP"], action: "REJECT" };
const REFUSE_UNKNOWN = { name: "EncryptedRule", action: "REJECT" };
const BOTH_RESET = ["ECONNRESET", "ECONNRESET"];

const WAYS = [
  { hook: "INPUT", from: "client", to: "firewall" },
  { hook: "OUTPUT", from: "firewall", to: "server" },
  { hook: "FORWARD", from: "client", to: "server" },
] as const;

for (const { hook, from, to } of WAYS) {
  netnsTest(
    `refused at ${hook} after bytes have passed, both ends are reset, whichever of them speaks`,
    GATEWAY,
    async (hosts) => {
      const rules = [REFUSE_HTTP, REFUSE_UNKNOWN];
      const policy = { INPUT: rules, OUTPUT: rules, FORWARD: rules };
      const firewall = await startFirewall(hosts.firewall, { policy });
      let port = 9000;
      for (const address of [hosts[to].ipv4, hosts[to].ipv6]) {
        for (const form of ["http", "aes"]) {
          const ends = { from: hosts[from], to: hosts[to], address };
          const up = await talk({ ...ends, port: (port += 1), client: form, server: "listen" });
          assert.deepEqual(up, BOTH_RESET, `${form} from the client, ${address}`);
          const down = await talk({ ...ends, port: (port += 1), client: "listen", server: form });
          assert.deepEqual(down, BOTH_RESET, `${form} from the server, ${address}`);
        }
      }
      await firewall.stop();
    },
  );
}

netnsTest(
  "a datagram refused for what its flow says is answered as a closed port would",
  GATEWAY,
  async (hosts) => {
    const rules = [{ name: "ProtocolRule", protocols: ["DNS"], action: "REJECT" }];
    const firewall = await startFirewall(hosts.firewall, {
      policy: { INPUT: rules, OUTPUT: rules, FORWARD: rules },
    });
    const question =
      "\u0012\u0034\u0001\u0000\u0000\u0001\u0000\u0000\u0000\u0000\u0000\u0000\u0007example\u0003org\u0000\u0000\u0001\u0000\u0001";
    for (const { from, to } of WAYS) {
      const station = await hosts[to].traffic.listenUdp({ port: 5300 });
      for (const address of [hosts[to].ipv4, hosts[to].ipv6]) {
        const send = { address, port: 5300, say: question, timeoutMs: PATIENCE_MS };
        const { outcome } = await hosts[from].traffic.sendUdp(send);
        assert.equal(outcome, "refused", address);
      }
      assert.equal((await station.heard()).length, 0);
      await station.close();
    }
    await firewall.stop();
  },
);
