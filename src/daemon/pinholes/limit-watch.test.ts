import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defaultLimits, parseAddress } from "../../base/index.ts";
import {
  type Overrun,
  type PinholeNews,
  type PinholeSpec,
  PinholeStore,
  unpackPinhole,
} from "../../pinhole/index.ts";
import { ALICE, fakeEntropy } from "../../testing/index.ts";
import { LimitWatch } from "./limit-watch.ts";

const MOMENT = { now: 1000, wall: 1_700_000_000_000 };

function limited(port: number, limit: PinholeSpec["limit"]): PinholeSpec {
  return {
    kind: "permit",
    internal: { family: 4, address: "10.1.0.1", ports: [port, port] },
    external: { family: 4, address: "198.51.100.0", prefix: 24 },
    protocol: 17,
    direction: "both",
    lifetime: 60,
    ...(limit === undefined ? {} : { limit }),
  };
}

function overrun(limit: Overrun["limit"], port: number, theirs: string, packets: number): Overrun {
  return {
    limit,
    packets,
    packet: {
      family: 4,
      protocol: 17,
      source: parseAddress(theirs)?.words ?? new Uint32Array(4),
      sourcePort: 6004,
      destination: parseAddress("10.1.0.1")?.words ?? new Uint32Array(4),
      destinationPort: port,
      opensTcp: false,
    },
  };
}

function makeWatch(
  specs: readonly PinholeSpec[],
  refused: Overrun[][],
): { watch: LimitWatch; news: PinholeNews[]; asked: () => number; store: PinholeStore } {
  const store = new PinholeStore({ limits: defaultLimits(), expansionMax: 8, entropy: fakeEntropy() });
  const transaction = store.stage(ALICE, MOMENT);
  for (const spec of specs) transaction.open(spec);
  store.prepare([{ transaction, options: {} }], MOMENT).settle();
  const news: PinholeNews[] = [];
  let asked = 0;
  const overruns = (): Promise<Overrun[]> => {
    asked += 1;
    return Promise.resolve(refused.shift() ?? []);
  };
  const watch = new LimitWatch({
    backend: { overruns },
    read: async (look) => look(store),
    wall: () => MOMENT.wall,
    publish: (some) => news.push(...some),
  });
  return { watch, news, asked: () => asked, store };
}

describe("limits that refuse packets", () => {
  it("become one event for each pinhole, whatever the number of flows and limits", async () => {
    const { watch, news } = makeWatch(
      [limited(5004, { pps: 10, quotaBytes: 9000 }), limited(5005, { pps: 20 }), limited(5004, undefined)],
      [
        [
          overrun("pps", 5004, "198.51.100.1", 3),
          overrun("pps", 5004, "198.51.100.2", 4),
          overrun("quotaBytes", 5004, "198.51.100.2", 1),
          overrun("pps", 5005, "198.51.100.1", 2),
          overrun("pps", 5006, "198.51.100.1", 2),
        ],
      ],
    );
    await watch.look();
    const told = news.map(({ type, owner, refused, text }) => ({ type, owner, refused, text }));
    assert.deepEqual(told, [
      {
        type: "limit.hit",
        owner: ALICE.name,
        refused: { pps: 2 },
        text: "Packets were refused: 2 beyond 20 packets per second.",
      },
      {
        type: "limit.hit",
        owner: ALICE.name,
        refused: { pps: 7, quotaBytes: 1 },
        text: "Packets were refused: 7 beyond 10 packets per second, 1 beyond 9000 bytes altogether.",
      },
    ]);
    assert.deepEqual(
      news.map(({ packed }) => packed && unpackPinhole(packed).limit?.pps),
      [20, 10],
    );
    await watch.look();
    assert.equal(news.length, 2, "nothing was refused since");
  });

  it("cost no more than so many pinholes read, and hide nobody else's, however many overlap", async (test) => {
    const many = Array.from({ length: 3000 }, () => limited(5004, { pps: 10 }));
    const flows = Array.from({ length: 512 }, (_, at) => overrun("pps", 5004, `198.51.100.${at % 256}`, 1));
    const { watch, news, store } = makeWatch(
      [...many, limited(5005, { pps: 20 })],
      [[...flows, overrun("pps", 5005, "198.51.100.1", 2)]],
    );
    const parse = test.mock.method(JSON, "parse");
    await watch.look();
    assert.ok(parse.mock.callCount() <= 1024);
    assert.equal(news.length, 1024);
    assert.equal(news[0]?.text, "Packets were refused: 2 beyond 20 packets per second.");

    parse.mock.resetCalls();
    assert.equal(store.permits(overrun("pps", 5004, "198.51.100.1", 1).packet), true);
    assert.equal(parse.mock.callCount(), 0, "what permits it is found without being read");
  });

  it("are not asked for while nobody has limits", async () => {
    const { watch, news, asked } = makeWatch([limited(5004, undefined)], []);
    await watch.look();
    assert.equal(asked(), 0);
    assert.deepEqual(news, []);
  });
});
