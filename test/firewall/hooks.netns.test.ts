/** The three hooks, both families, rules about hosts and users, and rules of one's own. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GATEWAY, HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const SILENCE_MS = 300;
const settings = { compatibility: "strict" };

async function tcp(from: Namespace, address: string, port: number): Promise<string> {
  return (await from.traffic.connectTcp({ address, port, timeoutMs: SILENCE_MS })).outcome;
}

netnsTest(
  "OUTPUT: an outgoing port is forbidden, all others are free",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const rule = { name: "PortRule", protocol: "TCP", dst_port: 25, action: "DROP" };
    const firewall = await startFirewall(host, { policy: { settings, OUTPUT: [rule] } });
    for (const port of [25, 26]) await client.traffic.listenTcp({ port });
    for (const address of [client.ipv4, client.ipv6]) {
      assert.equal(await tcp(host, address, 25), "timeout");
      assert.equal(await tcp(host, address, 26), "connected");
    }
    await firewall.stop();
  },
);

netnsTest(
  "FORWARD: what crosses the host is judged by its own chain",
  GATEWAY,
  async ({ client, firewall: host, server }) => {
    const forward = [
      { name: "InterfaceRule", in: "to-server", action: "FROM_SERVER" },
      { name: "PortRule", protocol: "TCP", dst_port: 80, action: "ACCEPT" },
    ];
    const fromServer = [
      { name: "TCPStateRule", match_if: ["CLOSED"], action: "DROP" },
      { name: "TrueRule", action: "ACCEPT" },
    ];
    const icmp = { name: "ICMPRule", action: "ACCEPT" };
    const policy = {
      settings,
      default_chain: "DROP",
      INPUT: [icmp],
      FORWARD: forward,
      FROM_SERVER: fromServer,
    };
    const firewall = await startFirewall(host, { policy });
    for (const port of [80, 81]) await server.traffic.listenTcp({ port });
    await client.traffic.listenTcp({ port: 80 });
    for (const [to, back] of [
      [server.ipv4, client.ipv4],
      [server.ipv6, client.ipv6],
    ] as const) {
      assert.equal(await tcp(client, to, 80), "connected", "allowed, and the replies are known");
      assert.equal(await tcp(client, to, 81), "timeout", "not allowed");
      assert.equal(await tcp(server, back, 80), "timeout", "unsolicited from the other side");
    }
    await firewall.stop();
  },
);

netnsTest(
  "UserRule: what one user may not send, another may",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const rule = { name: "UserRule", user: "nobody", action: "REJECT" };
    const firewall = await startFirewall(host, { policy: { settings, OUTPUT: [rule] } });
    await client.traffic.listenTcp({ port: 80 });
    assert.equal(await tcp(host, client.ipv4, 80), "connected", "root");
    const script = `require("net").connect(80, "${client.ipv4}").on("connect", () => process.exit(0)).on("error", () => process.exit(7))`;
    const asNobody = await host.run([
      "setpriv",
      "--reuid",
      "nobody",
      "--clear-groups",
      process.execPath,
      "-e",
      script,
    ]);
    assert.equal(asNobody.status, 7, asNobody.output);
    await firewall.stop();
  },
);

netnsTest(
  "LimitRule: a source that is too fast is held back, another is not",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const limit = { name: "LimitRule", rate: 1, burst: 3, by: "source", match: "under", action: "ACCEPT" };
    const policy = {
      settings,
      INPUT: [{ name: "PortRule", protocol: "UDP", dst_port: 5000, action: "LIMITED" }],
      LIMITED: [limit, { name: "TrueRule", action: "DROP" }],
    };
    const firewall = await startFirewall(host, { policy });
    const server = await host.traffic.listenUdp({ port: 5000, manner: "mute" });
    const send = (address: string, timeoutMs: number): Promise<unknown> =>
      client.traffic.sendUdp({ address, port: 5000, say: address, timeoutMs });
    for (let at = 0; at < 10; at += 1) await send(host.ipv4, 10);
    await send(host.ipv6, SILENCE_MS);
    const heard = await server.heard();
    const fromFast = heard.filter((entry) => entry.text === host.ipv4).length;
    assert.ok(fromFast >= 3 && fromFast <= 5, `${fromFast} of 10 datagrams passed`);
    assert.equal(heard.filter((entry) => entry.text === host.ipv6).length, 1);
    await firewall.stop();
  },
);

netnsTest(
  "LogRule and PrintRule: lines on the log and on standard output",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = { settings, INPUT: [{ name: "LogRule", prefix: "seen:" }, { name: "PrintRule" }] };
    const firewall = await startFirewall(host, { policy });
    await client.traffic.sendUdp({
      address: host.ipv4,
      port: 5000,
      localPort: 6000,
      say: "x",
      timeoutMs: 50,
    });
    await firewall.program.waitForLine(/\]\[INFO\] seen: IP Packet 192\.0\.2\.2 => 192\.0\.2\.1, proto=UDP/);
    await firewall.program.waitForLine(/^IP Packet 192\.0\.2\.2 => 192\.0\.2\.1, proto=UDP$/);
    await firewall.program.waitForLine(/^UDP from 6000 to 5000$/);
    await firewall.stop();
  },
);

netnsTest(
  "a rule of one's own judges packets, and its exception takes the declared outcome",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-own-rule-"));
    writeFileSync(
      join(folder, "greeting.mjs"),
      `import { Rule } from "postern/rules";
     class GreetingRule extends Rule {
       match(packet) {
         const greeting = [..."bomb"].every((letter, at) => packet.payloadAt + at < packet.end && packet.bytes.getUint8(packet.payloadAt + at) === letter.charCodeAt(0));
         if (greeting) throw new Error("boom");
         return packet.end - packet.payloadAt === 5;
       }
     }
     export default (registry) => registry.register("GreetingRule", {
       summary: "Matches payloads of five bytes.", arguments: {}, action: "required", create: () => new GreetingRule(),
     });`,
    );
    const root = new URL("../../..", import.meta.url).pathname;
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules", "postern"));
    const policyFile = join(folder, "policy.json");
    const policy = {
      settings: { ...settings, modules: ["./greeting.mjs"], outcomes: { ruleError: "DROP" } },
      INPUT: [{ name: "PortRule", protocol: "UDP", dst_port: 5000, action: "OWN" }],
      OWN: [{ name: "GreetingRule", action: "DROP" }],
    };
    writeFileSync(policyFile, JSON.stringify(policy));
    const firewall = await startFirewall(host, { policy: policyFile });
    await host.traffic.listenUdp({ port: 5000 });
    const outcome = async (say: string): Promise<string> =>
      (await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say, timeoutMs: SILENCE_MS })).outcome;
    assert.equal(await outcome("four"), "answered");
    assert.equal(await outcome("fives"), "silent");
    assert.equal(await outcome("bomb"), "silent", "the declared outcome");
    await firewall.program.waitForLine(/ERROR\] rule 0 of chain OWN failed: boom/);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);
