/**
 * PyWall's 27 integration scenarios, on the loopback interface of a host of their own. A server listens on
 * every port that is tried, so what does not arrive was blocked; IPv6 twins follow where the policy has no
 * addresses.
 */
import assert from "node:assert/strict";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { addressPolicy, blockUnregistered, PORT_KNOCKING, type PolicyObject } from "./policies.ts";

/** Time after which silence means blocked, in milliseconds; a loopback answer takes less than one. */
const SILENCE_MS = 300;

type Protocol = "TCP" | "UDP";

interface Attempt {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly localPort?: number;
}

/** Tries to reach a server on this host; true when it heard us. */
async function reaches(host: Namespace, address: string, attempt: Attempt): Promise<boolean> {
  const { protocol, port, localPort } = attempt;
  const server =
    protocol === "TCP" ? await host.traffic.listenTcp({ port }) : await host.traffic.listenUdp({ port });
  const destination = {
    address,
    port,
    timeoutMs: SILENCE_MS,
    ...(localPort === undefined ? {} : { localPort }),
  };
  const say = "knock-knock";
  if (protocol === "TCP") await host.traffic.connectTcp({ ...destination, say });
  else await host.traffic.sendUdp({ ...destination, say });
  const heard = await server.heard();
  await server.close();
  return heard.length > 0;
}

/** Three attempts for each protocol, as the suite numbers them. */
function attempts(kind: string, ports: readonly (readonly [number, number | undefined])[]): Attempt[] {
  return (["TCP", "UDP"] as const).flatMap((protocol) =>
    ports.map(([port, localPort], at) => ({
      name: `${protocol}Unreg${kind}${at + 1}`,
      protocol,
      port,
      ...(localPort === undefined ? {} : { localPort }),
    })),
  );
}

const BLOCKED: readonly { title: string; policy: PolicyObject; attempts: readonly Attempt[] }[] = [
  {
    title: "scenarios 1 to 6: unregistered source ports are blocked",
    policy: blockUnregistered("src"),
    attempts: attempts("SrcPort", [
      [49_151, 49_251],
      [49_152, 49_252],
      [65_535, 65_435],
    ]),
  },
  {
    title: "scenarios 7 to 12: unregistered destination ports are blocked",
    policy: blockUnregistered("dst"),
    attempts: attempts("DstPort", [
      [49_151, undefined],
      [49_152, undefined],
      [65_535, undefined],
    ]),
  },
  {
    title: "scenarios 13 to 18: unregistered ports on either side are blocked",
    policy: blockUnregistered("either"),
    attempts: attempts("Port", [
      [49_151, 49_251],
      [49_152, 49_252],
      [65_535, 65_435],
    ]),
  },
];

for (const { title, policy, attempts: tried } of BLOCKED) {
  netnsTest(title, HOST_PAIR, async ({ firewall: host }) => {
    const firewall = await startFirewall(host, { policy });
    for (const address of ["127.0.0.1", "::1"]) {
      for (const attempt of tried) {
        assert.equal(await reaches(host, address, attempt), false, `${attempt.name} to ${address}`);
      }
      const control: Attempt = { name: "control", protocol: "TCP", port: 8008, localPort: 8009 };
      assert.equal(await reaches(host, address, control), true, `registered ports to ${address}`);
    }
    await firewall.stop();
  });
}

const ADDRESSES = (["DestinationIPRule", "SourceIPRule"] as const).flatMap((rule) => [
  {
    name: `${rule}OutOfRange`,
    policy: addressPolicy(rule, "127.0.255.0/24", { action: "DROP", fallback: "ACCEPT" }),
    passes: true,
  },
  {
    name: `${rule}InRangeAccept`,
    policy: addressPolicy(rule, "127.0.0.0/24", { action: "ACCEPT", fallback: "DROP" }),
    passes: true,
  },
  {
    name: `${rule}InRangeDrop`,
    policy: addressPolicy(rule, "127.0.0.0/24", { action: "DROP", fallback: "ACCEPT" }),
    passes: false,
  },
]);

for (const { name, policy, passes } of ADDRESSES) {
  netnsTest(
    `scenarios 19 to 24: ${name} ${passes ? "passes" : "is blocked"}`,
    HOST_PAIR,
    async ({ firewall: host }) => {
      const firewall = await startFirewall(host, { policy });
      const attempt: Attempt = { name, protocol: "TCP", port: 58_008 };
      assert.equal(await reaches(host, "127.0.0.1", attempt), passes);
      await firewall.stop();
    },
  );
}

netnsTest(
  "scenarios 25 and 26: one accepted source passes under a default of DROP",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const policy = addressPolicy("SourceIPRule", "127.0.0.1", { action: "ACCEPT", fallback: "DROP" });
    const firewall = await startFirewall(host, { policy });
    for (const protocol of ["TCP", "UDP"] as const) {
      const attempt: Attempt = { name: `${protocol}Connection`, protocol, port: 58_008 };
      assert.equal(await reaches(host, "127.0.0.1", attempt), true, protocol);
      assert.equal(await reaches(host, "::1", attempt), false, `${protocol} from another source`);
    }
    await firewall.stop();
  },
);

netnsTest(
  "scenario 27: the protected port itself opens after the knock, and only then",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: PORT_KNOCKING });
    await host.traffic.listenTcp({ port: 2222 });
    for (const address of [host.ipv4, host.ipv6]) {
      const open = async (): Promise<string> =>
        (await client.traffic.connectTcp({ address, port: 2222, timeoutMs: SILENCE_MS })).outcome;
      const knock = { address, localPort: 9001, timeoutMs: 50 };
      assert.equal(await open(), "timeout", "before the knock");
      await client.traffic.connectTcp({ ...knock, port: 49_001 });
      assert.equal(await open(), "timeout", "after half of it");
      await client.traffic.sendUdp({ ...knock, port: 49_011, say: "" });
      assert.equal(await open(), "connected", "after the whole knock");
    }
    await firewall.stop();
  },
);
