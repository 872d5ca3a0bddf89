/** Statements C about connections: an agent that keeps its rules, against a real door. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type KeeperEvent, type KeptRule, SimcoConnection, SimcoKeeper, type SimcoMiddlebox } from "#client";
import { lifetime, list, ours, permit, status, theirs } from "./requests.ts";
import { KEY, SimcoRig } from "./rig.ts";

const PATIENCE_MS = 20_000;
const keepers: SimcoKeeper[] = [];
const relays: Relay[] = [];

after(async () => {
  for (const keeper of keepers) await keeper.stop();
  for (const relay of relays) relay.close();
});

/** A wire between an agent and a door that can be cut, and that things can be said into. */
class Relay {
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  #toDoor: Socket | undefined;

  private constructor(door: number) {
    this.#server = createServer((socket) => {
      const other = connect(door, "127.0.0.1");
      this.#toDoor = other;
      for (const [one, two] of [
        [socket, other],
        [other, socket],
      ] as const) {
        this.#sockets.add(one);
        one.pipe(two);
        one.on("error", () => two.destroy());
        one.on("close", () => two.destroy());
      }
    });
  }

  static async open({ port }: SimcoRig): Promise<Relay> {
    const relay = new Relay(port);
    await new Promise<void>((resolve) => void relay.#server.listen(0, "127.0.0.1", () => resolve()));
    return relay;
  }

  get middlebox(): SimcoMiddlebox {
    const { port } = this.#server.address() as AddressInfo;
    return { port, proof: { identity: "agent-1", key: KEY }, demandsProof: true };
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  inject(digits: string): void {
    this.#toDoor?.write(Buffer.from(digits, "hex"));
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

function wish(changes: Parameters<typeof permit>[0] = {}): KeptRule {
  const { tid: _, ...rest } = permit(changes);
  return rest;
}

interface Kept {
  readonly relay: Relay;
  readonly keeper: SimcoKeeper;
  readonly events: KeeperEvent[];
}

async function keep(rig: SimcoRig): Promise<Kept> {
  const relay = await Relay.open(rig);
  relays.push(relay);
  const events: KeeperEvent[] = [];
  const keeper = new SimcoKeeper(relay.middlebox, { onEvent: (event) => void events.push(event) });
  keepers.push(keeper);
  await keeper.start();
  return { relay, keeper, events };
}

/** Waits until something was told so often. */
async function until({ events }: Kept, type: KeeperEvent["type"], times = 1): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (events.filter((event) => event.type === type).length < times) {
    if (Date.now() > deadline) throw new Error(`${type} did not come: ${JSON.stringify(events)}`);
    await delay(20);
  }
}

function made({ events }: Kept): number[] {
  return events.flatMap((event) => (event.type === "made" ? [event.rule] : []));
}

describe("an agent that keeps rules", () => {
  it("C-10 finds its rules again after a loss, makes what is missing and ends what nobody wants", async () => {
    const rig = await SimcoRig.open();
    const kept = await keep(rig);
    await kept.keeper.keep("stays", wish());
    await kept.keeper.keep("goes", wish({ internal: ours({ address: "10.1.8.4" }) }));
    const [stays = 0, goes = 0] = made(kept);
    const admin = await rig.session("admin");
    const agent = await rig.session();
    const { rule: orphan } = await agent.must(
      "PER_REPLY",
      permit({ external: theirs({ address: "192.0.2.7" }) }),
    );
    kept.relay.cut();
    // While nobody listens, one of its rules ends.
    await admin.must("PRD_REPLY", lifetime(goes, 0));
    await until(kept, "connected", 2);
    await until(kept, "orphan");
    assert.deepEqual(
      kept.events.flatMap((event) => (event.type === "found" ? [event.rule] : [])),
      [stays],
    );
    const again = made(kept)[2] ?? 0;
    assert.deepEqual(new Set((await admin.must("PRL_REPLY", list())).rules), new Set([stays, again]));
    assert.ok(again !== goes && orphan !== again);
    await kept.keeper.stop();
    await rig.close();
  });

  it("C-12 renews at about half of the time, and not what has ended", async () => {
    const rig = await SimcoRig.open();
    const kept = await keep(rig);
    await kept.keeper.keep("short", wish({ lifetime: 4 }));
    const [rule = 0] = made(kept);
    await until(kept, "renewed", 2);
    const admin = await rig.session("admin");
    const { lifetime: left } = await admin.must("PES_REPLY", status(rule));
    assert.ok(left >= 1);
    await admin.must("PRD_REPLY", lifetime(rule, 0));
    await until(kept, "ended");
    const renewals = kept.events.length;
    await delay(2500);
    assert.equal(kept.events.length, renewals);
    await kept.keeper.stop();
    await rig.close();
  });

  it("C-14 tells that it was not understood, and connects again", async () => {
    const rig = await SimcoRig.open();
    const kept = await keep(rig);
    await kept.keeper.keep("stays", wish());
    // Half a message, and then nothing for longer than anybody waits.
    kept.relay.inject("0122");
    await rig.hear();
    rig.advance(61);
    await until(kept, "fault");
    await until(kept, "connected", 2);
    await until(kept, "found");
    await kept.keeper.stop();
    assert.equal(await rig.service.read((store) => store.size), 1);
    await rig.close();
  });

  it("goes on trying while the middlebox is away, at longer and longer intervals", async () => {
    const rig = await SimcoRig.open();
    const kept = await keep(rig);
    await rig.closeDoor();
    await until(kept, "disconnected", 3);
    const pauses = kept.events.flatMap((event) => (event.type === "disconnected" ? [event.againInMs] : []));
    assert.ok((pauses[2] ?? 0) > (pauses[0] ?? 0), pauses.join());
    await kept.keeper.stop();
    await rig.close();
  });

  it("is told that a middlebox cannot be reached, and where it was looked for", async () => {
    await assert.rejects(SimcoConnection.open({ port: 1 }), /127\.0\.0\.1 port 1/);
  });
});
