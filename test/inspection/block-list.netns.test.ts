/** The example that blocks who sends what it must not: trusted addresses, the list, and its end. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const EXAMPLE = fileURLToPath(new URL("../../../examples/block-list/", import.meta.url));
const PORT = 9000;

/** Ciphertext to the host, until somebody cuts it. */
const SEND_AES = `
  const { createCipheriv } = require("crypto");
  const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 9), Buffer.alloc(16));
  const socket = require("net").connect(${PORT}, process.argv[1]);
  socket.on("error", (error) => { console.log("cut " + error.code); process.exit(); });
  socket.on("connect", () => socket.end(cipher.update(Buffer.alloc(60000)), () => console.log("sent")));
  setTimeout(() => { console.log("cut: silence"); process.exit(); }, 5000);`;

async function sendAes(client: Namespace, address: string): Promise<string> {
  return (await client.run([process.execPath, "-e", SEND_AES, address])).output;
}

async function isReached(client: Namespace, address: string): Promise<boolean> {
  const attempt = { address, port: PORT, say: "plain words", timeoutMs: 4_000 };
  return (await client.traffic.connectTcp(attempt)).outcome === "connected";
}

netnsTest(
  "who sends the unknown and encrypted is blocked until the firewall ends, unless trusted",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const before = await host.must(["nft", "list", "ruleset"]);
    const firewall = await startFirewall(host, { policy: `${EXAMPLE}policy.json` });
    await host.traffic.listenTcp({ port: PORT });
    const words = ["--socket", firewall.socket, "--comment", "unknown and encrypted"];
    const blocker = host.start([process.execPath, `${EXAMPLE}block-list.mjs`, ...words]);
    const postern = connect({ socket: firewall.socket });

    // Trusted: not even looked at.
    await postern.addAddresses("trusted", { addresses: [client.ipv4] });
    assert.match(await sendAes(client, host.ipv4), /sent/);
    assert.equal(await isReached(client, host.ipv4), true);

    // Not trusted: cut, and from then on not spoken to; other addresses are.
    await postern.deleteAddresses("trusted", { addresses: [client.ipv4] });
    assert.match(await sendAes(client, host.ipv4), /cut/);
    await blocker.waitForLine(/192\.0\.2\.2 is blocked for 600 seconds: unknown and encrypted/, 20_000);
    assert.equal(await isReached(client, host.ipv4), false);
    assert.equal(await isReached(client, host.ipv6), true);

    // Taken off the list by hand.
    assert.equal((await postern.deleteAddresses("blocked", { addresses: [client.ipv4] })).deleted, 1);
    assert.equal(await isReached(client, host.ipv4), true);

    // At the end nobody is blocked, and nothing is left.
    await postern.addAddresses("blocked", { addresses: [client.ipv4] });
    assert.equal(await isReached(client, host.ipv4), false);
    blocker.kill("SIGKILL");
    await firewall.stop();
    assert.equal(await isReached(client, host.ipv4), true);
    assert.equal(await host.must(["nft", "list", "ruleset"]), before);
  },
);
