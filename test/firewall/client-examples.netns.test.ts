/** The examples under examples/client, each against a running firewall. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, type RunningFirewall, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS } from "#testing";

const settings = { compatibility: "strict", offload: "none" };

function commandOf(firewall: RunningFirewall, example: string, words: readonly string[]): string[] {
  const file = fileURLToPath(new URL(`../../../examples/client/${example}`, import.meta.url));
  return [process.execPath, file, "--socket", firewall.socket, ...words];
}

async function linesOf(
  host: Namespace,
  firewall: RunningFirewall,
  example: string,
  ...words: string[]
): Promise<string[]> {
  const { status, output } = await host.run(commandOf(firewall, example, words));
  assert.equal(status, 0, output);
  return output.trimEnd().split("\n");
}

netnsTest(
  "list-states.mjs lists like the sample of py-pf's manual, line by line as postern does",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
    await host.traffic.listenTcp({ port: 80 });
    for (const address of [host.ipv4, host.ipv6]) {
      const connection = await client.traffic.openTcp({ address, port: 80, localPort: 4000 });
      await connection.exchange("hello");
    }
    const lines = await linesOf(host, firewall, "list-states.mjs", "tcp to any port 80");
    const listed = await host.run([
      process.execPath,
      POSTERN,
      "states",
      "list",
      "tcp to any port 80",
      "--chapter",
      "--socket",
      firewall.socket,
    ]);
    // Time goes on between the two, and their orders are not the same.
    const timeless = (line: string): string => line.replace(/^Expires in \d+/, "Expires in N");
    const expected = listed.output.trimEnd().split("\n");
    assert.deepEqual(lines.map(timeless).sort(), expected.map(timeless).sort());
    assert.equal(lines.length, 8);
    assert.match(
      lines.join("\n"),
      /^State 0x[0-9a-f]{16} on to-client \(192\.0\.2\.1:80 <- 192\.0\.2\.2:4000\)$/m,
    );
    assert.match(lines.join("\n"), /\(2001:db8:1::1\[80\] <- 2001:db8:1::2\[4000\]\)$/m);
    await firewall.stop();
  },
);

netnsTest(
  "kill-states.mjs ends what its filter chooses, for both ends, and nothing else",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
    for (const port of [80, 81]) await host.traffic.listenTcp({ port });
    const doomed = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 4000 });
    const spared = await client.traffic.openTcp({ address: host.ipv4, port: 81 });
    const lines = await linesOf(host, firewall, "kill-states.mjs", "tcp to any port 80");
    assert.match(lines[0] ?? "", /^tcp 192\.0\.2\.1 port 80 and 192\.0\.2\.2 port 4000, \d+ seconds old$/);
    assert.match(lines[1] ?? "", /^ended 1 flows of the firewall and \d of the kernel, 2 resets sent$/);
    assert.equal(await doomed.exchange("there?", 200).catch(() => ""), "", "nobody answers");
    assert.equal(await spared.exchange("there?"), "there?");
    await firewall.stop();
  },
);

netnsTest(
  "watch-flows.mjs says of each flow when it begins, and by which rule",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = { settings, INPUT: [{ name: "TrueRule", action: "ACCEPT" }] };
    const firewall = await startFirewall(host, { policy });
    const watch = host.start(commandOf(firewall, "watch-flows.mjs", ["udp"]));
    const line = /^udp in: 192\.0\.2\.1 port 5000, 192\.0\.2\.2 port \d+, let in by INPUT rule 0$/m;
    // The watch has begun when it tells of something; what happened before is not its business.
    while (!line.test(watch.output)) {
      await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say: "x", timeoutMs: 50 });
    }
    await client.traffic.connectTcp({ address: host.ipv4, port: 80, timeoutMs: 50 });
    assert.doesNotMatch(watch.output, /tcp/);
    await watch.stop("SIGTERM");
    await firewall.stop();
  },
);

netnsTest(
  "half-open-alert.mjs tells of a flood of half-open connections and keeps its source out",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, {
      policy: {
        settings: { ...settings, tables: { flooders: {} } },
        INPUT: [{ name: "TableRule", table: "flooders", action: "DROP" }],
        // Nobody answers at this port, as when the sources are forged.
        OUTPUT: [{ name: "PortRule", protocol: "TCP", src_port: 7777, action: "DROP" }],
      },
    });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    const words = ["--most", "8", "--table", "flooders"];
    const guard = host.start(commandOf(firewall, "half-open-alert.mjs", words));
    const knock = (port: number, timeoutMs = 100): Promise<{ outcome: string }> =>
      client.traffic.connectTcp({ address: host.ipv4, port, timeoutMs });
    for (let count = 0; count < 12; count += 1) {
      assert.equal((await knock(80, PATIENCE_MS)).outcome, "connected");
    }
    assert.equal(guard.output, "", "finished handshakes are no flood");
    while (!guard.output.includes("put into table")) {
      await Promise.all([knock(7777), knock(7777), knock(7777)]);
    }
    assert.match(
      guard.output,
      /^ALERT port 7777: 9 half-open connections, most from 192\.0\.2\.2 \(9\)\n1 sources put into table flooders\n/,
    );
    assert.equal((await knock(80)).outcome, "timeout", "the source is kept out");
    assert.equal((await remote.testAddresses("flooders", [client.ipv4]))[0]?.matches, true);
    await guard.stop("SIGTERM");
    await firewall.stop();
  },
);
