/**
 * States of connections whose addresses the kernel translates on their way through a running firewall: every
 * field against what was sent, segment by segment, and that a killed one ends at both ends.
 */
import assert from "node:assert/strict";
import { connect, type FirewallClient } from "#client";
import { GATEWAY, type Namespace, type RunningFirewall, startFirewall, type Topology } from "#lab";
import { inNamespace, RawSocket } from "#system";
import { eventually, netnsTest } from "#testing";
import type { State, StatePeer, StateSource } from "#view";
import { CraftedConnection, type CraftedEnd } from "../state-differential/crafted-connection.ts";

type Hosts = Topology<"client" | "firewall" | "server">;

/** How a connection looks on both sides of the firewall. */
interface Translation {
  readonly name: string;
  readonly family: "ip" | "ip6";
  /** Statements of chains `before` (destinations) and `behind` (sources). */
  readonly before?: string;
  readonly behind?: string;
  /** The server as the client addresses it. */
  readonly addressed: CraftedEnd;
  /** The client as the server sees it. */
  readonly seen: CraftedEnd;
}

const CLIENT_PORT = 4000;
const SERVICE = 80;

const CLIENT = { ip: "192.0.2.2", ip6: "2001:db8:1::2" } as const;
const SERVER = { ip: "198.51.100.2", ip6: "2001:db8:2::2" } as const;

const TRANSLATIONS: readonly Translation[] = [
  {
    name: "a translated source (SNAT)",
    family: "ip",
    behind: "snat to 198.51.100.1:5000",
    addressed: { address: SERVER.ip, port: SERVICE },
    seen: { address: "198.51.100.1", port: 5000 },
  },
  {
    name: "a masqueraded source",
    family: "ip",
    behind: "masquerade",
    addressed: { address: SERVER.ip, port: SERVICE },
    seen: { address: "198.51.100.1", port: CLIENT_PORT },
  },
  {
    name: "a translated destination (DNAT)",
    family: "ip",
    before: "dnat to 198.51.100.2:80",
    addressed: { address: "192.0.2.1", port: 8080 },
    seen: { address: CLIENT.ip, port: CLIENT_PORT },
  },
  {
    name: "both ends translated, IPv6",
    family: "ip6",
    before: "dnat to [2001:db8:2::2]:80",
    behind: "snat to [2001:db8:2::1]:5000",
    addressed: { address: "2001:db8:1::1", port: 8080 },
    seen: { address: "2001:db8:2::1", port: 5000 },
  },
];

/** Keeps hosts from answering segments that they know nothing of. */
const QUIET =
  "table inet quiet {\n chain c { type filter hook prerouting priority raw; meta l4proto tcp drop; }\n}";

function rulesOf({ family, before, behind, addressed }: Translation): string {
  const chain = (name: string, hook: string, statement: string | undefined): string =>
    statement === undefined
      ? ""
      : `chain ${name} { type nat hook ${hook}; ${family} saddr ${CLIENT[family]} ${statement}; }\n`;
  const toService = before === undefined ? undefined : `tcp dport ${addressed.port} ${before}`;
  const fromClient = behind === undefined ? undefined : `meta l4proto tcp ${behind}`;
  return `table ${family} translate {
    ${chain("before", "prerouting priority dstnat", toService)}
    ${chain("behind", "postrouting priority srcnat", fromClient)}
  }`;
}

/** A firewall whose kernel translates and counts. */
async function startTranslating(
  hosts: Hosts,
  translation: Translation,
): Promise<{ firewall: RunningFirewall; remote: FirewallClient }> {
  const { client, firewall: host, server } = hosts;
  await host.must(["sh", "-c", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_acct"]);
  await host.must([
    "nft",
    "table inet track { chain c { type filter hook forward priority 0; ct state new accept; }; }",
  ]);
  await host.must(["nft", rulesOf(translation)]);
  for (const address of [server.ipv4, server.ipv6]) await client.must(["ping", "-q", "-c", "1", address]);
  const web = { name: "PortRule", protocol: "TCP", dst_port: SERVICE, action: "ACCEPT", comment: "web" };
  const settings = { compatibility: "strict", offload: "none" };
  const firewall = await startFirewall(host, { policy: { settings, FORWARD: [web] } });
  return { firewall, remote: connect({ socket: firewall.socket }) };
}

async function statesOf(remote: FirewallClient, source: StateSource): Promise<State[]> {
  const found: State[] = [];
  for await (const state of remote.getStates({ filter: "tcp", source })) found.push(state);
  return found;
}

/** A conversation of both ends; windows are 8192 and 4096 shifted by 2 bits, data ends the numbers below. */
const CONVERSATION = [
  "c:S",
  "s:SA",
  "c:A",
  "c:PA+100",
  "s:A",
  "s:PA+1000",
  "c:A",
  "c:PA+50%4096",
  "s:A%16384",
];

/** First sequence numbers of crafted connections; the server's wraps on the way. */
const FIRST_CLIENT = 1000;
const FIRST_SERVER = 0xffffff00;

interface Sent {
  readonly packets: readonly [number, number];
  readonly bytes: readonly [number, number];
}

/** Packets of all states. */
function countPackets(states: readonly State[]): number {
  return states.reduce((sum, { packets }) => sum + (packets?.[0] ?? 0) + (packets?.[1] ?? 0), 0);
}

/** Sends the conversation from both ends, each with the addresses that it knows, and in order. */
async function converse(hosts: Hosts, translation: Translation, remote: FirewallClient): Promise<Sent> {
  const { family, addressed, seen } = translation;
  const version = family === "ip" ? 4 : 6;
  const atClient = new CraftedConnection({ address: CLIENT[family], port: CLIENT_PORT }, addressed);
  const atServer = new CraftedConnection(seen, { address: SERVER[family], port: SERVICE });
  const open = (host: Namespace): RawSocket => inNamespace(host.fullName, () => RawSocket.open(version));
  const [client, server] = [open(hosts.client), open(hosts.server)];
  const [packets, bytes] = [[0, 0] as [number, number], [0, 0] as [number, number]];
  for (const word of CONVERSATION) {
    const [mine, theirs] = [atClient.play(word), atServer.play(word)];
    const { packet } = mine.from === "c" ? mine : theirs;
    (mine.from === "c" ? client : server).send(packet);
    const end = mine.from === "c" ? 0 : 1;
    packets[end] += 1;
    bytes[end] += packet.length;
    // The kernel lists an entry when its first packet has left, and counts it then.
    for (const source of ["own", "kernel"] as const) {
      const count = await eventually(
        async () => countPackets(await statesOf(remote, source)),
        (met) => met >= packets[0] + packets[1],
      );
      assert.equal(count, packets[0] + packets[1], `${word} in the table ${source}`);
    }
  }
  client.close();
  server.close();
  return { packets, bytes };
}

function peer(fields: Partial<StatePeer>): StatePeer {
  return {
    level: 4,
    levelName: "ESTABLISHED",
    sequenceLow: null,
    sequenceHigh: null,
    sequenceDifference: 0,
    maxWindowBytes: null,
    maxSegmentBytes: 1460,
    windowScale: 2,
    // One router lies behind the packet: the firewall itself.
    minTimeToLive: 63,
    scrubbed: false,
    timestampModulator: 0,
    ...fields,
  };
}

for (const translation of TRANSLATIONS) {
  const { name, family, before, behind, addressed, seen } = translation;

  netnsTest(`every field of a state is what was sent: ${name}`, GATEWAY, async (hosts) => {
    const { firewall, remote } = await startTranslating(hosts, translation);
    for (const host of [hosts.client, hosts.server]) await host.must(["nft", QUIET]);
    const sent = await converse(hosts, translation, remote);
    for (const source of ["both", "kernel", "own"] as const) {
      const [state, ...more] = await statesOf(remote, source);
      assert.ok(state !== undefined && more.length === 0, `${source}: ${more.length + 1} states`);
      assert.equal(state.source, source);
      assert.deepEqual([state.packets, state.bytes], [sent.packets, sent.bytes], source);
      assert.deepEqual(
        [state.direction, state.family, state.protocolName],
        ["in", family === "ip" ? 4 : 6, "tcp"],
      );
      assert.deepEqual([state.src.levelName, state.dst.levelName], ["ESTABLISHED", "ESTABLISHED"], source);
      assert.deepEqual([state.src.windowScale, state.dst.windowScale], [2, 2], source);
      const { nk, sk } = state;
      const server = { address: SERVER[family], port: SERVICE };
      const client = { address: CLIENT[family], port: CLIENT_PORT };
      const key = (far: CraftedEnd, near: CraftedEnd): Pick<State["nk"], "addresses" | "ports"> => ({
        addresses: [far.address, near.address],
        ports: [far.port, near.port],
      });
      // Our tracker stands behind the translation of destinations and in front of that of sources.
      const expected =
        source === "own"
          ? { nk: key(client, server), sk: key(client, server) }
          : { nk: key(seen, server), sk: key(client, addressed) };
      const zone = { family: state.family, zone: 0 };
      assert.deepEqual(
        { nk, sk },
        { nk: { ...zone, ...expected.nk }, sk: { ...zone, ...expected.sk } },
        source,
      );
      const translated = { source: behind !== undefined, destination: before !== undefined };
      assert.deepEqual(
        state.translation,
        source === "own" ? { source: false, destination: false } : translated,
      );
      if (source === "kernel") continue;
      const [clientEnd, serverEnd] = [FIRST_CLIENT + 1 + 150, FIRST_SERVER + 1 + 1000 - 2 ** 32];
      assert.deepEqual(
        state.src,
        peer({ sequenceLow: serverEnd, sequenceHigh: serverEnd + 8192 * 4, maxWindowBytes: 16_384 * 4 }),
        source,
      );
      assert.deepEqual(
        state.dst,
        peer({ sequenceLow: clientEnd, sequenceHigh: clientEnd + 16_384 * 4, maxWindowBytes: 8192 * 4 }),
        source,
      );
      assert.deepEqual(state.rule, { chain: "FORWARD", index: 0, revision: 1, label: "web" });
      assert.deepEqual(
        [state.interface, state.timeout, state.offload],
        ["to-client", "tcp.established", "none"],
      );
      assert.ok((state.ageMs ?? -1) >= 0 && (state.expiresInMs ?? 0) > 86_000_000);
    }
    await firewall.stop();
  });

  netnsTest(
    `a killed connection ends at both ends and in both tables: ${name}`,
    GATEWAY,
    async (hosts) => {
      const { firewall, remote } = await startTranslating(hosts, translation);
      const { client, firewall: host, server } = hosts;
      await server.traffic.listenTcp({ port: SERVICE });
      const { address, port } = addressed;
      const standing = async (end: Namespace): Promise<string> =>
        end.must(["ss", "-Htn", "state", "established", `( sport = :${SERVICE} or dport = :${port} )`]);
      // The kernel knows no rules and our table no translation: the other's entry is found by its ends.
      for (const filter of ["label web", "translated"]) {
        const connection = await client.traffic.openTcp({ address, port, localPort: CLIENT_PORT });
        assert.equal(await connection.exchange("hello"), "hello");
        const killed = await remote.killStates({ filter, reset: true });
        assert.deepEqual(killed, { own: 1, kernel: 1, resets: 2 }, filter);
        for (const end of [server, client]) {
          const left = await eventually(
            () => standing(end),
            (text) => text === "",
          );
          assert.equal(left, "", filter);
        }
        assert.doesNotMatch(await host.must(["conntrack", "-L", "-p", "tcp"]), /ESTABLISHED/);
        assert.deepEqual(await statesOf(remote, "own"), []);
      }
      await firewall.stop();
    },
    ["conntrack", "ss"],
  );
}
