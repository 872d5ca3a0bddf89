import assert from "node:assert/strict";
import { Prefix } from "../../base/index.ts";
import { GATEWAY, type Namespace } from "../../lab/index.ts";
import { type Element, Endpoint, makeElement } from "../../pinhole/index.ts";
import { inNamespace } from "../../system/index.ts";
import { netnsTest } from "../../testing/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";

const OWN_TABLE: ChainPlan = {
  table: "postern-pinholes",
  chain: "pinholes",
  hooks: ["FORWARD"],
  otherwise: "drop",
};

function openIn(host: Namespace): NftablesPinholes {
  return inNamespace(host.fullName, () => NftablesPinholes.open(OWN_TABLE));
}

function endpoint(address: string, port: number): Endpoint {
  const prefix = Prefix.parse(address);
  assert.ok(prefix !== undefined);
  return new Endpoint(prefix, { low: port, high: port });
}

const UDP = 17;

function both(a: Endpoint, b: Endpoint): Element[] {
  return [
    makeElement("pass", { protocol: UDP, source: a, destination: b }),
    makeElement("pass", { protocol: UDP, source: b, destination: a }),
  ];
}

const NOTHING = { put: [], remove: [], putLimits: [], removeLimits: [] };

netnsTest("a pinhole lets one UDP flow through, and closing it ends that", GATEWAY, async (hosts) => {
  const { client, firewall, server } = hosts;
  const backend = openIn(firewall);
  await backend.restore({ now: 0, generation: 1, elements: [], limits: [] });
  await server.traffic.listenUdp({ port: 6004 });
  const send = async (localPort: number): Promise<string> => {
    const destination = { address: server.ipv4, port: 6004, localPort, timeoutMs: 200 };
    return (await client.traffic.sendUdp({ ...destination, say: "media" })).outcome;
  };
  assert.equal(await send(5004), "silent");

  const elements = both(endpoint(client.ipv4, 5004), endpoint(server.ipv4, 6004));
  const put = elements.map((element) => ({ ...element, deadline: 60_000, limiter: 0 }));
  await backend.commit(backend.prepare({ ...NOTHING, generation: 2, now: 0, put }));
  assert.equal(await send(5004), "answered");
  assert.equal(await send(5006), "silent");

  await backend.commit(backend.prepare({ ...NOTHING, generation: 3, now: 0, remove: elements }));
  assert.equal(await send(5004), "silent");
  await backend.close();
});
