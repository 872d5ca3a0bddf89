/**
 * Who may use the control socket: what the kernel says of the process that asks, whatever the file's mode.
 */
import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { dirname } from "node:path";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const NOBODY = 65_534;
/** A group that a process may be put into without being listed anywhere. */
const GROUP = 1;

const ASK = `require("node:http").get({ socketPath: process.argv[1], path: "/v1/status" }, (answer) => {
  let text = "";
  answer.on("data", (part) => (text += part)).on("end", () => console.log(answer.statusCode, JSON.parse(text).code));
});`;

/** Asks for the status as a user without rights. @returns HTTP status and the code of a failure */
async function askAs(host: Namespace, groups: readonly number[], socket: string): Promise<string> {
  const rights = groups.length === 0 ? ["--clear-groups"] : ["--groups", groups.join(",")];
  const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, ...rights];
  return (await host.must([...user, process.execPath, "-e", ASK, socket])).trim();
}

netnsTest(
  "a socket that was opened to all by mistake answers nobody but root and its owner",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { INPUT: [] } });
    chmodSync(dirname(firewall.socket), 0o755);
    chmodSync(firewall.socket, 0o666);
    assert.equal(await askAs(host, [], firewall.socket), "403 PEER_REFUSED");
    assert.equal(
      (await host.must([process.execPath, "-e", ASK, firewall.socket])).trim(),
      "200 undefined",
      "root",
    );
    await firewall.stop();
  },
);

netnsTest(
  "a socket's group may use it when its mode says so, by supplementary groups as well",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const words = ["--socket-mode", "660", "--socket-group", "daemon"];
    const firewall = await startFirewall(host, { policy: { INPUT: [] }, words });
    chmodSync(dirname(firewall.socket), 0o755);
    assert.equal(await askAs(host, [GROUP], firewall.socket), "200 undefined");
    chmodSync(firewall.socket, 0o666);
    assert.equal(await askAs(host, [], firewall.socket), "403 PEER_REFUSED");
    await firewall.stop();
  },
);

/** Clients that the socket has room for. */
const CLIENTS_MAX = 256;

function hold(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => resolve(socket));
    socket.once("error", reject);
  });
}

netnsTest(
  "a socket with all the clients it has room for says so to the next, and answers when one has left",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { INPUT: [] } });
    const remote = connect({ socket: firewall.socket });
    const held: Socket[] = [];
    while (held.length < CLIENTS_MAX) held.push(await hold(firewall.socket));
    await assert.rejects(remote.getStatus(), { code: "CONTROL_SOCKET", message: /too many clients/ });
    for (const socket of held) socket.destroy();
    for (let answered = false; !answered; ) {
      answered = await remote.getStatus().then(
        () => true,
        () => false,
      );
    }
    await firewall.stop();
  },
);
