import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultLimits } from "../base/index.ts";
import { ADMINISTRATOR_PROFILE } from "./access-profile.ts";
import type { Pinhole } from "./pinhole.ts";
import { hasId, idIn, packPinhole, unpackPinhole } from "./record.ts";
import { PinholeRequest, type PinholeSpec } from "./specification.ts";
import { PinholeStore } from "./store.ts";

const ENDS = {
  internal: { family: 4, address: "10.1.0.7", prefix: 24, ports: [5004, 5005] },
  external: { family: 4, address: "198.51.100.9", ports: [6004, 6005] },
} as const;

/** As clients write them: what is left out stays out, and null is not the same as nothing. */
const SPECS: readonly PinholeSpec[] = [
  { kind: "permit", ...ENDS, protocol: 17, lifetime: 60 },
  { kind: "permit", ...ENDS, protocol: 17, lifetime: null, direction: "in" },
  { kind: "permit", ...ENDS, protocol: 17, lifetime: 60, portMode: "pairwise", group: 'a"b\\c' },
  { kind: "permit", ...ENDS, protocol: 17, lifetime: 60, labels: { call: "é\0\n" }, limit: { pps: 5 } },
  { kind: "permit", ...ENDS, protocol: 17, lifetime: 60, direction: "out", parity: "same" },
  { kind: "block", internal: { family: 6 }, external: { family: 6, ports: null }, protocol: 0, lifetime: 1 },
  { kind: "reserve", protocol: 17, lifetime: 60, portCount: 2 },
  { kind: "reserve", internal: { family: 6 }, protocol: 6, lifetime: 60, parity: "odd" },
  { kind: "reserve", protocol: 6, lifetime: 60, nat: { mode: "traditional", exact: true } },
];

const LEASE = { side: "outside", address: "203.0.113.1", protocol: 17, port: 4000, count: 2 } as const;

const pinholes: fc.Arbitrary<Pinhole> = fc
  .record({
    id: fc.constantFrom("ph_01k9qv7n2s000abcdefghjkmnp", "ph_zz"),
    number: fc.integer({ min: 1, max: 0xffffffff }),
    clientId: fc.option(fc.constantFrom("call:1", "a.b~c-d_e"), { nil: undefined }),
    owner: fc.string(),
    spec: fc.constantFrom(...SPECS),
    group: fc.constantFrom("", "gr_7", 'odd "name"'),
    groupNumber: fc.integer({ min: 0, max: 0xffffffff }),
    state: fc.constantFrom("reserved", "enabled"),
    revision: fc.nat(),
    generation: fc.maxSafeNat(),
    granted: fc.option(fc.nat()),
    deadline: fc.double({ min: 0, noNaN: true }),
    createdAt: fc.double({ min: 0, max: 1e15, noNaN: true }),
    limit: fc.option(fc.constant({ pps: 5, quotaBytes: 1e12 }), { nil: undefined }),
    leases: fc.constantFrom([], [LEASE]),
    end: fc.constant(undefined),
  })
  .map(({ spec, ...rest }) => ({
    ...rest,
    deadlineAt: rest.deadline === Number.POSITIVE_INFINITY ? rest.deadline : rest.createdAt + rest.deadline,
    request: PinholeRequest.check(spec),
  }));

test("a pinhole is the same after it was a text, with every word of what was asked for", () => {
  fc.assert(
    fc.property(pinholes, (pinhole) => {
      const text = packPinhole(pinhole);
      assert.deepEqual(unpackPinhole(text), pinhole);
      const { id, owner, clientId } = pinhole;
      const end = {
        id,
        owner,
        clientId,
        revision: 7,
        generation: 8,
        end: { reason: "expired", at: 9 },
      } as const;
      assert.deepEqual(unpackPinhole({ ...end, text }), { ...pinhole, ...end, state: "ended" });
      assert.equal(idIn(text), pinhole.id);
      assert.ok(hasId(text, pinhole.id));
      assert.ok(!hasId(text, pinhole.id.slice(0, -1)) && !hasId(text, `${pinhole.id}z`));
    }),
  );
});

const AGENT = { name: "alice", profile: ADMINISTRATOR_PROFILE };

function makeStore(): PinholeStore {
  return new PinholeStore({
    limits: defaultLimits(),
    expansionMax: 8,
    entropy: (bytes) => new Uint8Array(bytes).fill(7),
  });
}

test("after a start of the machine the journal learns the deadlines of its clock, for the next start", async () => {
  const wall = 1_700_000_000_000;
  const first = makeStore();
  const before = { now: 2_000_000_000, wall };
  const transaction = first.stage(AGENT, before);
  transaction.open({ kind: "permit", ...ENDS, protocol: 17, lifetime: 60 });
  transaction.open({ kind: "permit", ...ENDS, protocol: 6, lifetime: 5 });
  const { journal } = first.prepare([{ transaction, options: {} }], before);
  const written = journal.put.map(({ text }) => text);
  const head = { ...journal.head, bootId: "summer" };

  const after = { now: 1000, wall: wall + 10_000 };
  const second = makeStore();
  const corrections = await second.load({ head, pinholes: written, answers: [] }, after, "autumn");
  assert.deepEqual(corrections?.remove, [journal.put[1]?.id], "what was over meanwhile is forgotten");
  const corrected = corrections?.put.map(({ text }) => text) ?? [];

  const third = makeStore();
  const later = { now: 2000, wall: wall + 500_000 };
  const contents = { head: { ...head, bootId: "autumn" }, pinholes: corrected, answers: [] };
  assert.equal(await third.load(contents, later, "autumn"), undefined, "nothing is left to correct");
  for (const store of [second, third]) {
    assert.deepEqual(
      [...store.all()].map(({ deadline }) => deadline),
      [51_000],
    );
  }
});
