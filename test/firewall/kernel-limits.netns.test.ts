/** Limits that the kernel counts by itself, through the running firewall. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { PROTOCOL, TCP_FLAG } from "#base";
import { connect, type FirewallClient, type RuleReport } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS } from "#testing";
import { buildPacket } from "#wire";
import { datagramBetween, inject } from "./injection.ts";

/** Pings of the client meet one limit; all else passes. */
function policyOf(limit: object, ...rest: readonly object[]): Record<string, unknown> {
  return {
    settings: { compatibility: "strict", limits: { limitSources: 16 } },
    INPUT: [{ name: "SourceIPRule", cidr_range: "0.0.0.0/0", action: "ipv4" }],
    ipv4: [{ name: "ICMPRule", protocol: "ICMP", type: "echo-request", action: "pings" }],
    pings: [{ name: "LimitRule", ...limit }, ...rest],
    OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
  };
}

/** Pings one after the other, as fast as they can be sent. @returns how many were answered */
async function answered(client: Namespace, host: Namespace, count: number, source?: string): Promise<number> {
  const from = source === undefined ? [] : ["-I", source];
  const words = ["ping", "-q", "-c", String(count), "-i", "0", "-W", "1", ...from, host.ipv4];
  const { output } = await client.run(words);
  return Number(/(\d+) received/.exec(output)?.[1]);
}

async function ruleOf(remote: FirewallClient, chain: string, index: number): Promise<RuleReport> {
  const { rules } = await remote.getRules();
  const found = rules.find((rule) => rule.chain === chain && rule.rule === index);
  assert.ok(found !== undefined);
  return found;
}

// Behind an IPv4 header without options, in bytes.
const UDP_CHECKSUM_AT = 26;
const DATA_OFFSET_AT = 32;

/** So slow that no token comes in while a test runs. */
const SLOW = { rate: 1, per: "hour" };

netnsTest(
  "a limit of which all packets stay in the kernel counts there, whether it names what is over or under",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await client.must(["ping", "-q", "-c", "1", host.ipv4]);
    for (const by of ["overall", "source"]) {
      for (const [match, action, rest] of [
        ["over", "DROP", "ACCEPT"],
        ["under", "ACCEPT", "DROP"],
      ] as const) {
        const limit = { ...SLOW, burst: 7, by, match, action };
        const policy = policyOf(limit, { name: "TrueRule", action: rest });
        const firewall = await startFirewall(host, { policy });
        const remote = connect({ socket: firewall.socket });
        assert.equal(await answered(client, host, 20), 7, `${by} ${match}`);
        const rule = await ruleOf(remote, "pings", 0);
        assert.equal(rule.place, by === "source" ? "both" : "kernel", rule.reasons.join());
        assert.equal(rule.kernel.packets, match === "over" ? 13 : 7);
        assert.equal((await ruleOf(remote, "pings", 1)).kernel.packets, match === "over" ? 7 : 13);
        const line = `DROP .*pings rule ${match === "over" ? 0 : 1}`;
        await firewall.program.waitForLine(new RegExp(line), 10_000);
        const { counters } = await remote.getStatus();
        assert.equal(counters["dropped"], 13, "the log is told");
        // Beside pings, the link's own multicast reports come up.
        assert.ok(Number(counters["packets"]) < 20, "what passes does not come up");
        writeFileSync(firewall.policyFile, JSON.stringify({ ...policy, other: [] }));
        await remote.reload();
        assert.equal(await answered(client, host, 5), 0, "a reload fills no bucket");
        const other = policyOf({ ...limit, burst: 3 }, { name: "TrueRule", action: rest });
        writeFileSync(firewall.policyFile, JSON.stringify(other));
        await remote.reload();
        assert.equal(await answered(client, host, 5), 3, "another limit begins full");
        await firewall.stop();
      }
    }
  },
);

netnsTest(
  "a limit in the kernel passes its rate, and its burst after a pause",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await client.must(["ping", "-q", "-c", "1", host.ipv4]);
    for (const by of ["overall", "source"]) {
      const limit = { rate: 20, burst: 4, by, match: "under", action: "ACCEPT" };
      const policy = policyOf(limit, { name: "TrueRule", action: "DROP" });
      const firewall = await startFirewall(host, { policy });
      const began = performance.now();
      const passed = await answered(client, host, 100);
      const seconds = (performance.now() - began) / 1000;
      assert.ok(passed >= 4 && passed <= 5 + 20 * seconds, `${passed} in ${seconds} s`);
      // So much later the bucket is full, and no fuller.
      await sleep(400);
      assert.ok((await answered(client, host, 4)) === 4, "a pause fills the bucket");
      const { kernel } = await ruleOf(connect({ socket: firewall.socket }), "pings", 0);
      assert.equal(kernel.packets, passed + 4);
      await firewall.stop();
    }
  },
);

/** Datagrams of a client: one that is well, one with a wrong checksum, one that is cut short. */
function datagramsOf(client: Namespace, host: Namespace): Record<"whole" | "wrong" | "cut", Uint8Array> {
  const whole = datagramBetween(client, host, 4);
  const wrong = whole.slice();
  wrong[UDP_CHECKSUM_AT] = (wrong[UDP_CHECKSUM_AT] ?? 0) ^ 1;
  const cut = whole.slice(0, -1);
  new DataView(cut.buffer).setUint16(2, cut.length);
  return { whole, wrong, cut };
}

netnsTest(
  "a datagram about which the kernel asks passes, unmarked, where nobody listens, if the policy says so",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { settings, ...rules } = policyOf({ ...SLOW, burst: 7, match: "over", action: "DROP" });
    const policy = {
      ...rules,
      settings: { ...(settings as object), queueBypass: true },
      ipv4: [{ name: "UDPRule", action: "pings" }],
    };
    const firewall = await startFirewall(host, { policy });
    await firewall.program.stop("SIGKILL");
    const chain = "type filter hook input priority 100; udp dport 5000 meta mark 0 counter";
    await host.must(["nft", `table inet witness { chain input { ${chain}; }; }`]);
    await inject(client, [datagramsOf(client, host).wrong], 10);
    assert.match(await host.must(["nft", "list", "table", "inet", "witness"]), /counter packets 10 /);
  },
);

netnsTest(
  "datagrams that the kernel does not vouch for, and that can be read, come back to it and are counted there",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const limit = { ...SLOW, burst: 7, match: "over", action: "DROP" };
    const policy = {
      ...policyOf(limit, { name: "TrueRule", action: "ACCEPT" }),
      ipv4: [{ name: "PortRule", protocol: "UDP", dst_port: 5000, action: "pings" }],
    };
    const firewall = await startFirewall(host, { policy });
    const remote = connect({ socket: firewall.socket });
    const { wrong, whole, cut } = datagramsOf(client, host);
    await inject(client, [wrong, whole, cut], 10);
    const counted = async (): Promise<(number | undefined)[]> => {
      const { counters } = await remote.getStatus();
      const rules = [await ruleOf(remote, "pings", 0), await ruleOf(remote, "pings", 1)];
      const counts = rules.flatMap(({ kernel, userspacePackets }) => [kernel.packets, userspacePackets]);
      return [...counts, counters["malformed"]];
    };
    // Of twenty that can be read thirteen are over the limit; ten have been cut.
    const wanted = [13, 0, 7, 0, 10];
    const until = performance.now() + PATIENCE_MS;
    while (!isDeepStrictEqual(await counted(), wanted) && performance.now() < until) await sleep(50);
    assert.deepEqual(await counted(), wanted);
    await firewall.stop();
  },
);

netnsTest(
  "a mark of another tool's does not spare a segment to be vouched for where limits count",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const limit = { ...SLOW, burst: 7, match: "over", action: "DROP" };
    const firewall = await startFirewall(host, { policy: policyOf(limit) });
    const chain = "type filter hook input priority -10; meta mark set 0x70000000";
    await host.must(["nft", `table inet others { chain input { ${chain}; }; }`]);
    const remote = connect({ socket: firewall.socket });
    const ends = { source: client.ipv4, destination: host.ipv4, sourcePort: 4000, destinationPort: 80 };
    const segment = buildPacket({ ...ends, protocol: PROTOCOL.TCP, flags: TCP_FLAG.SYN });
    segment[DATA_OFFSET_AT] = 0xf0;
    await inject(client, [segment], 10);
    const malformed = async (): Promise<number> => Number((await remote.getStatus()).counters["malformed"]);
    const until = performance.now() + PATIENCE_MS;
    while ((await malformed()) < 10 && performance.now() < until) await sleep(50);
    assert.equal(await malformed(), 10, "its header is longer than the packet");
    await firewall.stop();
  },
);

netnsTest(
  "a source for which the kernel has no room has its limit in userspace",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const echoes = Array.from({ length: 20 }, (_, at) =>
      buildPacket({
        source: `192.0.2.${100 + at}`,
        destination: host.ipv4,
        protocol: PROTOCOL.ICMP,
        icmpType: 8,
      }),
    );
    for (const match of ["over", "under"]) {
      const limit = { ...SLOW, burst: 2, by: "source", match, action: match === "over" ? "DROP" : "ACCEPT" };
      const rest = { name: "TrueRule", action: match === "over" ? "ACCEPT" : "DROP" };
      const firewall = await startFirewall(host, { policy: policyOf(limit, rest) });
      const remote = connect({ socket: firewall.socket });
      await inject(client, echoes, 3);
      // Sixteen sources have room. Of the three packets of each source one is over its limit.
      const [met, left] = match === "over" ? [1, 2] : [2, 1];
      const wanted = [
        [16 * met, 4 * met],
        [16 * left, 4 * left],
      ];
      const counted = async (): Promise<number[][]> => {
        const rules = [await ruleOf(remote, "pings", 0), await ruleOf(remote, "pings", 1)];
        return rules.map(({ kernel, userspacePackets }) => [kernel.packets, userspacePackets]);
      };
      const until = performance.now() + PATIENCE_MS;
      while (!isDeepStrictEqual(await counted(), wanted) && performance.now() < until) await sleep(50);
      assert.deepEqual(await counted(), wanted, match);
      await firewall.stop();
    }
  },
);
