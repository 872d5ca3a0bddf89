/** Watching a running firewall's flows: a slow reader, a worker that dies meanwhile, and the live screen. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, type WatchEvent } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { ownRule } from "./own-rule.ts";

const FLOOD = fileURLToPath(new URL("../../testing/programs/syn-flood.js", import.meta.url));

/** Requests of the flood; some are lost on the way while events are made of the others. */
const SYNS = 100_000;
/** Events that more than fill every buffer on the way to the reader. */
const MADE_MIN = 20_000;
const FLOWS = 4096;

/** Most events that wait for a reader, and the gap behind them. */
const WAITING_MAX = 4097;

/** Growth that is no more than the firewall's own garbage, in bytes. */
const GROWTH_MAX = 100 * 1024 * 1024;

function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]) * 1024;
}

/** Begins to watch; the answer goes on with the first event. */
async function begin(events: AsyncGenerator<WatchEvent>, traffic: () => Promise<unknown>): Promise<void> {
  let begun = false;
  const first = events.next().then(() => {
    begun = true;
  });
  while (!begun) await traffic();
  await first;
}

netnsTest(
  "a reader that is slow gets a gap where events were lost, every event is told or counted, and memory is bounded",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const settings = { compatibility: "strict", offload: "none", workers: 1, limits: { flows: FLOWS } };
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
    const remote = connect({ socket: firewall.socket });
    const flood = async (count: number): Promise<unknown> =>
      client.must([process.execPath, FLOOD, host.ipv4, "80", String(count)]);
    // What is counted below is warm then, and the table full.
    await flood(2 * FLOWS);
    const events = remote.watchStates({ filter: "tcp to any port 80", source: "own" });
    await begin(events, () => flood(10));
    const before = await remote.getStatus();
    const resident = residentBytes(before.pid);
    await flood(SYNS);
    const after = await remote.getStatus();
    const grown = residentBytes(before.pid) - resident;
    assert.ok(grown < GROWTH_MAX, `memory grew by ${grown} bytes`);
    const { inserts, removals } = after.pf.activity;
    const made = inserts - before.pf.activity.inserts + removals - before.pf.activity.removals;
    assert.ok(made >= MADE_MIN, `${made} events`);
    let told = 0;
    let lost = 0;
    let longest = 0;
    let sinceGap = 0;
    for await (const event of events) {
      if (event.kind === "gap") {
        lost += event.lost;
        sinceGap = 0;
      } else told += 1;
      sinceGap += 1;
      longest = Math.max(longest, sinceGap);
      if (told + lost >= made) break;
    }
    assert.ok(lost > 0, `${told} of ${made} told`);
    assert.ok(longest <= 3 * WAITING_MAX, `${longest} events without a gap`);
    await firewall.stop();
  },
);

netnsTest(
  "a worker that is started anew goes on with the watch and with the timeouts that were set",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule("match() { process.exit(7); }");
    const firewall = await startFirewall(host, { policy: policyFile });
    const remote = connect({ socket: firewall.socket });
    const say = async (port: number): Promise<unknown> =>
      client.traffic.sendUdp({ address: host.ipv4, port, say: "x", timeoutMs: 50 });
    const timeouts = await remote.setTimeouts({ "udp.single": 12_345 });
    const events = remote.watchStates({ filter: "udp to any port 5001", source: "own" });
    await begin(events, () => say(5001));
    await say(5000);
    await firewall.program.waitForLine(/was started anew/);
    await begin(events, () => say(5001));
    assert.deepEqual(await remote.getTimeouts(), timeouts);
    await events.return(undefined);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);

/**
 * Runs `postern states watch` on a terminal of its own, types `q` once it has shown what it shall, and waits.
 */
async function watchOnTerminal(host: Namespace, words: readonly string[], shows: RegExp): Promise<string> {
  const command = [process.execPath, POSTERN, "states", "watch", ...words].join(" ");
  // script(1) gives its program a terminal; what is typed comes from a pipe that waits for the screen.
  const screen = join(mkdtempSync(join(tmpdir(), "postern-screen-")), "screen");
  const typing = `until grep -Eq '${shows.source}' ${screen}; do sleep 0.1; done; printf q`;
  const session = `(${typing}) 2>/dev/null | script -qefc "stty cols 100 rows 20; ${command}" ${screen}`;
  const { status, output } = await host.run(["sh", "-c", session], 60_000);
  assert.equal(status, 0, output);
  const shown = readFileSync(screen, "utf8");
  rmSync(join(screen, ".."), { recursive: true });
  return shown;
}

netnsTest(
  "postern states watch is a screen with rates that is drawn in place, and q leaves it",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, {
      policy: { settings: { compatibility: "strict", offload: "none" }, INPUT: [] },
    });
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 4001 });
    await connection.exchange("hello");
    const shown = await watchOnTerminal(host, ["--socket", firewall.socket, "port", "80"], /4001/);
    assert.match(shown, /1 states, fastest first; q quits/);
    const entered = shown.indexOf("\u001b[?1049h");
    const home = shown.indexOf("\u001b[H");
    const left = shown.lastIndexOf("\u001b[?1049l");
    assert.ok(entered >= 0 && home > entered && left > home, "an alternate screen, drawn from its corner");
    assert.ok(
      shown
        .slice(home, left)
        .split("\n")
        // oxlint-disable-next-line no-control-regex -- the sequences of the terminal take no columns
        .every((line) => line.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").trimEnd().length <= 100),
      "no line is longer than the terminal is wide",
    );
    await firewall.stop();
  },
);

netnsTest(
  "the kernel's connections are watched without a running firewall, one line an event",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const track = "table inet t { chain c { type filter hook input priority 0; ct state new accept; }; }";
    await host.must(["nft", track]);
    await host.traffic.listenTcp({ port: 80 });
    const words = ["states", "watch", "tcp", "port", "80", "--source", "kernel", "--json"];
    const watch = host.start([process.execPath, POSTERN, ...words]);
    while (watch.lines.length === 0) await client.traffic.connectTcp({ address: host.ipv4, port: 80 });
    const { state } = JSON.parse(watch.lines[0] ?? "") as Exclude<WatchEvent, { kind: "gap" }>;
    assert.deepEqual([state.source, state.nk.ports[1]], ["kernel", 80]);
    await watch.stop();
  },
);
