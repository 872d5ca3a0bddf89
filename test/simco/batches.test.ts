/** How long a request waits: for the change of the packet filter that is on its way, and for its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedPinholes } from "#backend";
import { defaultLimits } from "#base";
import type { KernelPlan, PinholeSpec, PreparedPlan } from "#pinhole";
import {
  decodeFromMiddlebox,
  encodeMessage,
  type Message,
  PACKET_FILTER,
  SimcoServer,
  type Transport,
} from "#simco";
import { openHouse } from "#testing";
import { begin, flow, IN, UDP } from "./requests.ts";
import { mac } from "./rig.ts";

/** A packet filter that carries out one plan when it is told to. */
class SteppedFilter extends SimulatedPinholes {
  readonly plans: KernelPlan[] = [];
  readonly #waiting: (() => void)[] = [];

  override async commit(prepared: PreparedPlan): Promise<void> {
    this.plans.push(prepared.plan);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return super.commit(prepared);
  }

  /** Carries out the plan that waits, and returns when the next one waits. */
  async step(): Promise<void> {
    const begun = this.plans.length;
    this.#waiting.shift()?.();
    for (let turn = 0; turn < 1000 && this.plans.length === begun; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const FLOW: PinholeSpec = {
  kind: "permit",
  internal: { family: 4, address: "10.1.8.4", ports: [5004, 5004] },
  external: { family: 4, address: "192.0.2.100", ports: [6004, 6004] },
  protocol: UDP,
  direction: "in",
  lifetime: 300,
};

test("a request goes with the first change that begins after it has come, and waits for no other", async () => {
  const backend = new SteppedFilter();
  const house = await openHouse({ backend });
  const { service, agents } = house;
  const root = agents.byName("root");
  assert.ok(root !== undefined);
  const server = new SimcoServer({
    box: {
      identity: "fw1",
      key: undefined,
      capabilities: PACKET_FILTER,
      protocols: [],
      isStrictAboutEnabling: false,
      directory: { agent: (name) => agents.byName(name), key: () => undefined },
      mac,
      entropy: (octets) => new Uint8Array(octets),
    },
    store: service,
    limits: defaultLimits(),
    name: "simco",
    meter: { take: () => 0 },
  });
  const replies: Message[] = [];
  const transport: Transport = {
    send: (octets) => {
      const message = decodeFromMiddlebox(new DataView(octets.buffer, octets.byteOffset, octets.byteLength));
      if (typeof message !== "string") replies.push(message);
    },
    end: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    backlog: 0,
  };
  const peer = {
    address: "::1",
    isWelcome: true,
    isProtected: true,
    agent: "root",
    binding: new Uint8Array(0),
  };
  const session = server.accept(peer, transport);
  session.receive(encodeMessage(begin()));
  const first = service.apply(root, [{ op: "open", spec: FLOW }]);
  assert.equal(backend.plans.length, 0);
  await backend.step();
  assert.equal(backend.plans.length, 1, "the first is on its way");
  session.receive(encodeMessage(flow(UDP, IN)));
  const other = { ...FLOW, external: { family: 4, address: "192.0.2.101" } } as const;
  const second = service.apply(root, [{ op: "open", spec: other }]);
  await backend.step();
  await first;
  assert.deepEqual(
    backend.plans.map(({ put }) => put.length),
    [1, 2],
    "both go together",
  );
  await backend.step();
  await second;
  assert.equal(replies.at(-1)?.name, "PER_REPLY");
  server.close();
  await house.close();
});
