/** How much of each packet comes up: its headers, unless a rule reads more. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "#client";
import { PROTOCOL } from "#base";
import { HOST_PAIR, type Namespace, type RunningFirewall, startFirewall } from "#lab";
import { parseQueueStatistics } from "#system";
import { eventually, netnsTest } from "#testing";
import { buildPacket, IPV6_EXTENSION } from "#wire";
import { expectDropped } from "./dropping.ts";
import { datagramBetween, flood, inject } from "./injection.ts";
import { ownRule } from "./own-rule.ts";

const HEADERS = 256;
const WHOLE = 65_531;

/** For experiments (RFC 4727 section 4.3); passed over where unknown. */
const UNKNOWN_OPTION = 0x1e;

/** Bytes that are copied to each of the firewall's queues. */
async function copied(host: Namespace): Promise<number[]> {
  const text = await host.must(["cat", "/proc/net/netfilter/nfnetlink_queue"]);
  return [...new Set(parseQueueStatistics(text).map(({ copyRangeBytes }) => copyRangeBytes))];
}

async function judged(firewall: RunningFirewall): Promise<Readonly<Record<string, number>>> {
  return (await connect({ socket: firewall.socket }).getStatus()).counters;
}

const settings = { compatibility: "strict", offload: "none", workers: 1 };

/** Packets of these are judged by their headers, or by their bytes as well. */
const BY_HEADERS = { settings, INPUT: [{ name: "PortRule", protocol: "UDP", dst_port: 9, action: "DROP" }] };
const BY_BYTES = { settings, INPUT: [{ name: "ProtocolRule", protocols: ["SSH"], action: "DROP" }] };

netnsTest(
  "as long as no rule reads bytes, headers are copied; a reload brings bytes back",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const firewall = await startFirewall(host, { policy: BY_HEADERS });
    assert.deepEqual(await copied(host), [HEADERS]);
    await host.traffic.listenTcp({ port: 80 });
    const long = "SSH-2.0-OpenSSH_9.2\r\n".padEnd(1000, "x");
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    assert.equal(await connection.exchange(long, 30_000), long);
    const { malformed, truncated } = await judged(firewall);
    assert.deepEqual([malformed, truncated], [0, 0]);

    const { folder } = ownRule("");
    const api = connect({ socket: firewall.socket });
    const reload = async (policy: object): Promise<void> => {
      const file = join(folder, "next.json");
      writeFileSync(file, JSON.stringify(policy));
      await api.reload(file);
    };
    await reload(BY_BYTES);
    assert.deepEqual(await copied(host), [WHOLE]);
    const refused = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    // What it speaks is read again.
    await expectDropped(firewall, refused, long);
    await reload(BY_HEADERS);
    assert.deepEqual(await copied(host), [HEADERS]);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a policy that reads bytes is shown no packet without them, also under load",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const firewall = await startFirewall(host, { policy: BY_HEADERS });
    // Matches packets of which not all bytes are there.
    const { folder, policyFile } = ownRule(
      "match(packet) { return packet.end - packet.at < packet.wireBytes; }",
    );
    const endFlood = flood(client, [datagramBetween(client, host, 1400)]);
    const api = connect({ socket: firewall.socket });
    try {
      for (let round = 0; round < 5; round += 1) {
        const before = (await judged(firewall))["packets"] ?? 0;
        assert.ok(
          (await eventually(
            async () => (await judged(firewall))["packets"] ?? 0,
            (now) => now > before,
          )) > before,
        );
        await api.reload(policyFile);
        await eventually(
          async () => (await api.getRules()).rules[0]?.userspacePackets ?? 0,
          (seen) => seen > 0,
        );
        const { rules } = await api.getRules();
        const matches = rules
          .filter(({ rule }) => rule !== null)
          .map(({ name, userspacePackets }) => [name, userspacePackets > 0]);
        assert.deepEqual(matches, [
          ["PortRule", true],
          ["BadRule", false],
        ]);
        const headersFile = join(folder, "headers.json");
        writeFileSync(headersFile, JSON.stringify(BY_HEADERS));
        await api.reload(headersFile);
      }
    } finally {
      await endFlood();
    }
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);

netnsTest("headers that are longer than the copy are seen all the same", HOST_PAIR, async (hosts) => {
  const { client, firewall: host } = hosts;
  const firewall = await startFirewall(host, { policy: BY_HEADERS });
  const datagram = (destinationPort: number): Uint8Array =>
    buildPacket({
      source: client.ipv6,
      destination: host.ipv6,
      protocol: PROTOCOL.UDP,
      sourcePort: 1024,
      destinationPort,
      payload: new Uint8Array(700),
      extensions: [{ type: IPV6_EXTENSION.DESTINATION, data: unknownOptions(398) }],
    });
  const heard = await host.traffic.listenUdp({ port: 5000 });
  const counters = async () => judged(firewall);
  for (const times of [1, 2]) {
    const { dropped: droppedBefore = 0 } = await counters();
    await inject(client, [datagram(5000), datagram(9)]);
    await eventually(
      async () => (await counters())["dropped"] ?? 0,
      (dropped) => dropped > droppedBefore,
    );
    const { malformed, dropped } = await counters();
    assert.deepEqual([malformed, (dropped ?? 0) - droppedBefore], [0, 1], "each met the rule that it should");
    assert.equal((await heard.heard()).length, times);
    const after = await eventually(
      () => copied(host),
      ([bytes, ...others]) => bytes === HEADERS && others.length === 0,
    );
    assert.deepEqual(after, [HEADERS], "and of others only headers come up again");
  }
  await firewall.stop();
});

/** A module that one thread can load, and the second to come cannot. */
const LOADED_ONCE = `import { mkdirSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
if (!isMainThread) mkdirSync(new URL("./loaded", import.meta.url));
export default () => undefined;`;

netnsTest("a reload that a worker refuses leaves the others at headers", HOST_PAIR, async (hosts) => {
  const { firewall: host } = hosts;
  const policy = { ...BY_HEADERS, settings: { ...settings, workers: 2 } };
  const firewall = await startFirewall(host, { policy });
  const { folder } = ownRule("");
  try {
    const api = connect({ socket: firewall.socket });
    const file = join(folder, "next.json");
    writeFileSync(join(folder, "once.mjs"), LOADED_ONCE);
    writeFileSync(
      file,
      JSON.stringify({ ...policy, settings: { ...policy.settings, modules: ["./once.mjs"] } }),
    );
    await assert.rejects(api.reload(file), /EEXIST/);
    assert.deepEqual(await copied(host), [HEADERS]);
    const { policy: inForce } = await api.getStatus();
    assert.equal(inForce.revision, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
  await firewall.stop();
});

/** Options that whoever does not know them passes over (RFC 8200 section 4.2), in bytes. */
function unknownOptions(bytes: number): Uint8Array {
  const options = new Uint8Array(bytes);
  let at = 0;
  while (at < bytes) {
    const length = Math.min(255, bytes - at - 2);
    options.set([UNKNOWN_OPTION, length], at);
    at += 2 + length;
  }
  return options;
}
