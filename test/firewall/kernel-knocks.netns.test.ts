/** Knocks that the kernel remembers by itself, through the running firewall. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { PROTOCOL, TCP_FLAG } from "#base";
import { connect, type RuleReport } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";
import { buildPacket } from "#wire";
import { KNOCKED_PORT } from "../knocking.ts";
import { inject } from "./injection.ts";

const DOORS = [1001, 1002, 1003];

interface KnockChanges {
  readonly doors?: readonly (readonly unknown[])[];
  readonly timeout?: number;
  readonly deadline?: number;
  readonly attempts?: number;
  readonly attempt_window?: number;
}

/** Opens a port to who knocks at all doors; all else is dropped. */
function policyOf(changes: KnockChanges = {}, comment = ""): Readonly<Record<string, unknown>> {
  const doors = DOORS.map((door) => ["TCP", door]);
  const rule = {
    name: "PortKnocking",
    mode: "strict",
    protocol: "TCP",
    port: KNOCKED_PORT,
    doors,
    ...changes,
  };
  return {
    settings: { compatibility: "strict", limits: { knockSources: 16 } },
    default_chain: "DROP",
    INPUT: [rule, { name: "UDPRule", action: "ACCEPT", comment }, { name: "ICMPRule", action: "ACCEPT" }],
  };
}

/** A real client at some ports, one after the other. */
async function visit(
  client: Namespace,
  host: Namespace,
  ports: readonly number[],
  address = host.ipv4,
): Promise<void> {
  for (const port of ports) await client.traffic.connectTcp({ address, port, timeoutMs: 60 });
}

// oxlint-disable-next-line max-params -- who tries to get in where, and for how long
async function isOpen(
  client: Namespace,
  host: Namespace,
  timeoutMs = SILENCE_MS,
  address = host.ipv4,
): Promise<boolean> {
  const { outcome } = await client.traffic.connectTcp({ address, port: KNOCKED_PORT, timeoutMs });
  return outcome === "connected";
}

/** A SYN by hand. */
function synTo(host: Namespace, port: number, source: string, sequence: number): Uint8Array {
  const ends = { source, destination: host.ipv4, sourcePort: 4000, destinationPort: port };
  return buildPacket({ ...ends, protocol: PROTOCOL.TCP, flags: TCP_FLAG.SYN, sequence });
}

async function knockRule(socket: string): Promise<RuleReport> {
  const { rules } = await connect({ socket }).getRules();
  const found = rules.find(({ chain, rule }) => chain === "INPUT" && rule === 0);
  assert.ok(found !== undefined);
  return found;
}

netnsTest(
  "knocks of real clients open the port in the kernel, and only in their order",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyOf() });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    assert.equal(await isOpen(client, host), false, "nobody has knocked");
    await visit(client, host, [1001, 1003, 1002, 1003]);
    assert.equal(await isOpen(client, host), false, "a wrong door in between");
    await visit(client, host, [1001, 1002, 1003]);
    assert.equal(await isOpen(client, host, PATIENCE_MS), true, "all doors in order");
    const rule = await knockRule(firewall.socket);
    assert.equal(rule.place, "kernel", rule.reasons.join());
    // Four knocks that counted, and the packets of a connection.
    assert.ok(rule.kernel.packets > 4 + 3, `${rule.kernel.packets}`);
    await firewall.program.waitForLine(/DROP .*TCP from \d+ to 1001.*INPUT rule 0/, PATIENCE_MS);
    await firewall.stop();
  },
);

netnsTest(
  "knocks over IPv6 and datagrams open the port, each family for itself",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyOf() });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    await visit(client, host, DOORS, host.ipv6);
    assert.equal(await isOpen(client, host), false, "over IPv4 nobody has knocked");
    assert.equal(await isOpen(client, host, PATIENCE_MS, host.ipv6), true);
    const rule = await knockRule(firewall.socket);
    assert.equal(rule.userspacePackets, 0, "nothing comes up");
    await firewall.stop();
    const mixed = [
      ["TCP", 1001],
      ["UDP", 1001],
    ];
    const datagrams = await startFirewall(host, { policy: policyOf({ doors: mixed }) });
    await visit(client, host, [1001]);
    assert.equal(await isOpen(client, host), false, "one of two doors");
    await client.traffic.sendUdp({ address: host.ipv4, port: 1001, say: "", timeoutMs: 60 });
    assert.equal(await isOpen(client, host, PATIENCE_MS), true);
    const { place, kernel, userspacePackets } = await knockRule(datagrams.socket);
    assert.deepEqual([place, userspacePackets], ["both", 0]);
    assert.ok(kernel.packets > 2, `${kernel.packets}`);
    await datagrams.stop();
  },
);

netnsTest(
  "copies of a knock's SYN do no harm, and are told from other SYNs",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyOf() });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    const syn = (port: number, sequence: number): Uint8Array => synTo(host, port, client.ipv4, sequence);
    const [first, second, third] = [syn(1001, 7), syn(1002, 8), syn(1003, 9)];
    await inject(client, [first, first, second, first, second, third]);
    assert.equal(await isOpen(client, host, PATIENCE_MS), true, "late copies, of earlier doors too");
    await firewall.stop();
    const again = await startFirewall(host, { policy: policyOf() });
    await inject(client, [first, second, syn(1001, 10), third]);
    assert.equal(await isOpen(client, host), false, "another SYN to an earlier door");
    const { kernel } = await knockRule(again.socket);
    assert.equal(kernel.packets, 3, "what begins anew is a knock, what is wrong then is none");
    await again.stop();
  },
);

netnsTest(
  "time runs out for knocks in the kernel: between two, for all of them, and for the open port",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    const late = async (changes: KnockChanges, pauseMs: number): Promise<boolean> => {
      const firewall = await startFirewall(host, { policy: policyOf(changes) });
      for (const door of DOORS) {
        await visit(client, host, [door]);
        await sleep(pauseMs);
      }
      const opened = await isOpen(client, host);
      await firewall.stop();
      return opened;
    };
    assert.equal(await late({ timeout: 60 }, 800), true, "there is time");
    assert.equal(await late({ timeout: 0.5, deadline: 60 }, 800), false, "too long between two knocks");
    assert.equal(await late({ timeout: 60, deadline: 1.2 }, 800), false, "too long for all of them");
    const firewall = await startFirewall(host, { policy: policyOf({ timeout: 6 }) });
    await visit(client, host, DOORS);
    assert.equal(await isOpen(client, host, PATIENCE_MS), true);
    await sleep(6100);
    assert.equal(await isOpen(client, host), false, "the opening is over");
    await firewall.stop();
  },
);

netnsTest(
  "times as short and as long as a policy may give are the kernel's",
  HOST_PAIR,
  async ({ firewall: host }) => {
    for (const seconds of [0.001, 366 * 24 * 3600]) {
      const firewall = await startFirewall(host, {
        policy: policyOf({ timeout: seconds, deadline: seconds }),
      });
      const { place, reasons } = await knockRule(firewall.socket);
      assert.equal(place, "kernel", reasons.join());
      await firewall.stop();
    }
  },
);

netnsTest(
  "a source may begin so often in the kernel, and passing all doors pays it back",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const slow = { attempts: 2, attempt_window: 3600 };
    const firewall = await startFirewall(host, { policy: policyOf({ ...slow, timeout: 6 }) });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    await visit(client, host, [1001, ...DOORS]);
    assert.equal(await isOpen(client, host, PATIENCE_MS), true, "the second time");
    await sleep(6100);
    await visit(client, host, [1001, 1001, ...DOORS]);
    assert.equal(await isOpen(client, host), false, "the third time in a row");
    await firewall.stop();
  },
);

netnsTest(
  "first knocks from made-up addresses lock nobody out: who finds no room knocks in userspace",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyOf() });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    const forged = Array.from({ length: 40 }, (_, at) => synTo(host, 1001, `192.0.2.${100 + at}`, at));
    await inject(client, forged);
    await visit(client, host, DOORS);
    assert.equal(await isOpen(client, host, PATIENCE_MS), true);
    const rule = await knockRule(firewall.socket);
    assert.equal(rule.kernel.packets, 16, "as many sources as have room");
    // The others' first knocks, three knocks, and a connection.
    assert.ok(rule.userspacePackets > 24 + 3 + 3, `${rule.userspacePackets}`);
    await firewall.stop();
  },
);

netnsTest(
  "knocks in the kernel survive the change of other rules, and another rule begins anew",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyOf() });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    const change = async (policy: ReturnType<typeof policyOf>): Promise<void> => {
      writeFileSync(firewall.policyFile, JSON.stringify(policy));
      await remote.reload();
    };
    await visit(client, host, DOORS.slice(0, 2));
    await change(policyOf({}, "another"));
    await visit(client, host, DOORS.slice(2));
    assert.equal(await isOpen(client, host, PATIENCE_MS), true, "knocks survive");
    await change(policyOf({}, "a third"));
    assert.equal(await isOpen(client, host, PATIENCE_MS), true, "the open port stays open");
    await change(policyOf({ timeout: 50 }));
    assert.equal(await isOpen(client, host), false, "another rule knows nobody");
    await firewall.stop();
  },
);

netnsTest(
  "in a chain as deep as may be knocks and limits are the kernel's, and a chain deeper they are not",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const { INPUT, ...rest } = policyOf();
    const limit = [{ name: "LimitRule", rate: 3, per: "hour", action: "DROP" }];
    for (const [rules, depth, place] of [
      [INPUT, 2, "kernel"],
      [INPUT, 3, "userspace"],
      [limit, 6, "kernel"],
      [limit, 7, "userspace"],
    ] as const) {
      const names = Array.from({ length: depth }, (_, at) => `c${at + 1}`);
      const ways = names.map((action, at) => [
        names[at - 1] ?? "INPUT",
        [{ name: "SourceIPRule", cidr_range: "0.0.0.0/0", action }],
      ]);
      const policy = { ...rest, ...Object.fromEntries(ways), [names.at(-1) ?? ""]: rules };
      const firewall = await startFirewall(host, { policy });
      const report = await connect({ socket: firewall.socket }).getRules();
      const found = report.rules.find(({ chain, rule }) => chain === names.at(-1) && rule === 0);
      // Behind the deepest chain there is no plan at all.
      assert.equal(found?.place ?? "userspace", place, `${depth}: ${found?.reasons.join()}`);
      await firewall.stop();
    }
  },
);
