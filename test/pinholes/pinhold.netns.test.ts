/**
 * The slides' set-up, with programs as an administrator has them: a chain of his own that jumps to ours and
 * drops what is left, `postern pinhold` beside it, and `postern pinholes` as the user who may open.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GATEWAY, type Namespace, POSTERN, type RunningProgram } from "#lab";
import { netnsTest } from "#testing";

const USER = "nobody";
const USER_ID = 65_534;
const STRANGER_ID = 4711;
const READY = /\bready\b/;

const ADMINISTRATOR_RULES = `
table inet filter {
  chain pinholes { }
  chain forward {
    type filter hook forward priority 0; policy accept;
    icmp type echo-request counter accept
    jump pinholes
    counter drop
  }
}`;

/** Everything that the administrator wrote, without the counters. */
async function administratorRules(host: Namespace): Promise<string> {
  const rules = await host.must(["nft", "list", "chain", "inet", "filter", "forward"]);
  return rules.replaceAll(/packets \d+ bytes \d+/g, "");
}

/** A daemon on a gateway, with the slides' command line. */
class Pinhold {
  readonly socket: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "postern-pinhold-"));
  readonly #host: Namespace;
  #program: RunningProgram | undefined;

  constructor(host: Namespace) {
    this.#host = host;
    this.socket = join(this.#folder, "s");
    // The user who asks must be able to get as far as the socket.
    chmodSync(this.#folder, 0o755);
  }

  async start(...words: readonly string[]): Promise<RunningProgram> {
    const command = ["pinhold", "-s", this.socket, "-u", USER, "-c", "pinholes"];
    const state = ["--state", join(this.#folder, "state")];
    const program = this.#host.start([process.execPath, POSTERN, ...command, ...state, ...words]);
    await program.waitForLine(READY);
    this.#program = program;
    return program;
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    const end = await this.#program?.stop(signal);
    return end?.status ?? null;
  }

  /** Runs `postern pinholes`; returns status and output. */
  async ask(userId: number, verb: string, ...words: readonly string[]): Promise<[number | null, string]> {
    // It may read what only root may, such as a checkout in /root, but write to no socket of others.
    const reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    const as = ["setpriv", `--reuid=${userId}`, `--regid=${userId}`, "--clear-groups", ...reading];
    const command = [process.execPath, POSTERN, "pinholes", verb, ...words, "--socket", this.socket];
    const { status, output } = await this.#host.run([...as, ...command]);
    return [status, output];
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

netnsTest(
  "the slides' command line serves its user and nobody else, in one chain, beside the administrator's rules",
  GATEWAY,
  async ({ client, firewall, server }) => {
    await firewall.must(["nft", ADMINISTRATOR_RULES]);
    const before = await administratorRules(firewall);
    const pinhold = new Pinhold(firewall);
    await pinhold.start();
    await server.traffic.listenUdp({ port: 6004 });
    const send = async (): Promise<string> => {
      const destination = { address: server.ipv4, port: 6004, localPort: 5004, timeoutMs: 300 };
      return (await client.traffic.sendUdp({ ...destination, say: "media" })).outcome;
    };
    assert.equal(await send(), "silent");
    const flow = [
      "--internal",
      `${client.ipv4}:5004`,
      "--external",
      `${server.ipv4}:6004`,
      "--lifetime",
      "300",
    ];
    const [refused, words] = await pinhold.ask(STRANGER_ID, "open", ...flow);
    assert.equal(refused, 3, words);
    assert.match(words, /this user may not use it/);
    const [opened, table] = await pinhold.ask(USER_ID, "open", ...flow, "--id", "call:1");
    assert.equal(opened, 0, table);
    assert.match(table, /call:1 +enabled +udp .*:5004 <-> .*:6004 +300 s .* nobody/);
    assert.equal(await send(), "answered");

    await pinhold.stop("SIGKILL");
    assert.equal(await send(), "answered", "pinholes outlive the daemon");
    await pinhold.start();
    const [, listed] = await pinhold.ask(USER_ID, "list", "--json", "--traffic");
    const [pinhole] = listed
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(pinhole?.["clientId"], "call:1");
    const { packets } = (pinhole?.["traffic"] ?? {}) as { packets?: number };
    assert.ok(packets !== undefined && packets >= 2, `${packets} packets`);
    assert.equal(await pinhold.stop("SIGTERM"), 0);
    assert.equal(await send(), "answered", "they stay when it is stopped in order");
    await pinhold.start();
    assert.deepEqual(await pinhold.ask(USER_ID, "close", "call:1"), [0, "1 closed\n"]);
    assert.equal(await send(), "silent");
    assert.equal((await pinhold.ask(USER_ID, "close", "call:1"))[0], 1, "there is nothing to close");
    assert.equal(await administratorRules(firewall), before);
    await pinhold.stop("SIGTERM");
    pinhold.remove();
  },
);

netnsTest(
  "a second daemon for the same chain, or the same journal, is refused",
  GATEWAY,
  async ({ firewall }) => {
    const first = new Pinhold(firewall);
    await first.start();
    const second = new Pinhold(firewall);
    await assert.rejects(second.start(), /a daemon of pinholes is running .* with the chain .* --chain/);
    await assert.rejects(first.start("--table", "other"), /Another process uses/);
    const iptables = ["--backend", "iptables"];
    await assert.rejects(first.start(...iptables, "--table", "raw"), /the table is filter: no --table/);
    await assert.rejects(first.start(...iptables, "--hooks", "forward"), /no --hooks/);
    await first.stop("SIGTERM");
    first.remove();
    second.remove();
  },
);

netnsTest(
  "the same with iptables: the chain is the administrator's, and only what a pinhole permits passes",
  GATEWAY,
  async ({ client, firewall, server }) => {
    for (const words of ["-N pinholes", "-A FORWARD -j pinholes", "-A FORWARD -j DROP"]) {
      await firewall.must(["iptables", ...words.split(" ")]);
    }
    const pinhold = new Pinhold(firewall);
    await pinhold.start("--backend", "iptables", "-t", "accept");
    await server.traffic.listenUdp({ port: 6004 });
    const send = async (localPort: number): Promise<string> => {
      const destination = { address: server.ipv4, port: 6004, localPort, timeoutMs: 300 };
      return (await client.traffic.sendUdp({ ...destination, say: "media" })).outcome;
    };
    assert.equal(await send(5004), "silent");
    const flow = ["--internal", `${client.ipv4}:5004`, "--external", `${server.ipv4}:6004`, "--id", "a"];
    assert.equal((await pinhold.ask(USER_ID, "open", ...flow))[0], 0);
    assert.deepEqual([await send(5004), await send(5006)], ["answered", "silent"]);
    await pinhold.ask(USER_ID, "close", "a");
    assert.equal(await send(5004), "silent");
    await pinhold.stop("SIGTERM");
    pinhold.remove();
  },
);

netnsTest(
  "a target takes what a pinhole permits, and packets that no pinhole permits go on",
  GATEWAY,
  async ({ client, firewall, server }) => {
    await firewall.must(["nft", ADMINISTRATOR_RULES]);
    await firewall.must(["nft", "add chain inet filter permitted"]);
    await firewall.must(["nft", "add rule inet filter permitted counter accept"]);
    const pinhold = new Pinhold(firewall);
    await pinhold.start("-t", "permitted");
    await server.traffic.listenUdp({ port: 6004 });
    await pinhold.ask(USER_ID, "open", "--internal", client.ipv4, "--external", `${server.ipv4}:6004`);
    const destination = { address: server.ipv4, port: 6004, timeoutMs: 5000 };
    assert.equal((await client.traffic.sendUdp({ ...destination, say: "media" })).outcome, "answered");
    const counted = await firewall.must(["nft", "list", "chain", "inet", "filter", "permitted"]);
    const [, packets] = /packets (\d+)/.exec(counted) ?? [];
    assert.ok(Number(packets) >= 2, counted);
    await pinhold.stop("SIGTERM");
    pinhold.remove();
  },
);

netnsTest(
  "a chain that cannot be, or is not there, is told before anything is opened, whatever the packet filter",
  GATEWAY,
  async ({ firewall }) => {
    const pinhold = new Pinhold(firewall);
    for (const backend of ["nftables", "iptables", "simulator"]) {
      const start = (...words: readonly string[]): Promise<RunningProgram> =>
        pinhold.start("--backend", backend, ...words);
      await assert.rejects(start("-c", "a b"), /"a b" is no name for a chain/, backend);
      await assert.rejects(start("-t", "a b"), /"a b" is no name for a target/, backend);
    }
    const target = ["-t", "permitted"];
    const nftWords = /no chain "permitted" in the table inet filter .* nft 'add table .* filter permitted'/;
    await assert.rejects(pinhold.start(...target), nftWords);
    await assert.rejects(
      pinhold.start("--backend", "iptables", ...target),
      /iptables has no chain "permitted" .*: iptables -N permitted/,
    );
    await assert.rejects(pinhold.start("--otherwise", "drop"), /--otherwise needs --hooks/);
    await firewall.must(["nft", "add table inet filter; add chain inet filter permitted"]);
    await pinhold.start(...target);
    assert.equal(await pinhold.stop("SIGTERM"), 0);
    pinhold.remove();
  },
);
