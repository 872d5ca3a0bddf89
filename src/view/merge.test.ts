import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sampleKey, samplePeer, sampleState } from "../testing/sample-state.ts";
import { mergeStates, type State, StateMerger } from "./index.ts";

const KERNEL = { id: 5, status: ["ASSURED"], labels: "", helper: "" };

/** Outgoing, source translated behind our tracker's back. */
const PLAIN = sampleKey(["198.51.100.7", 443], ["192.168.1.10", 51_515]);
const OWN = sampleState({
  source: "own",
  nk: PLAIN,
  sk: PLAIN,
  translation: { source: false, destination: false },
});
const FROM_KERNEL = sampleState({
  id: "ff00000000000005",
  source: "kernel",
  rule: null,
  kernel: KERNEL,
  packets: [100, 90],
  bytes: [1000, 100_000],
  expiresInMs: 300_000,
  mark: 0x11,
  src: samplePeer({ sequenceLow: null, sequenceDifference: 8, windowScale: 7 }),
});

describe("merging", () => {
  it("makes one object of both sources", () => {
    const merger = new StateMerger();
    merger.addOwn(OWN);
    const [state, ...more] = merger.addKernel(FROM_KERNEL);
    assert.ok(state);
    assert.deepEqual(more, []);
    assert.deepEqual(merger.takeRest(), []);
    assert.equal(state.source, "both");
    assert.equal(state.id, OWN.id);
    assert.deepEqual(state.rule, OWN.rule);
    assert.deepEqual(state.nk, FROM_KERNEL.nk);
    assert.deepEqual(state.sk, FROM_KERNEL.sk);
    assert.deepEqual(state.translation, { source: true, destination: false });
    assert.deepEqual(state.packets, [100, 90]);
    assert.deepEqual(state.bytes, [1840, 100_000]);
    assert.equal(state.mark, 0x11);
    assert.equal(state.expiresInMs, OWN.expiresInMs);
    assert.equal(state.src.sequenceLow, 1000);
    assert.equal(state.src.sequenceDifference, 8);
    assert.deepEqual(state.kernel, KERNEL);
  });

  it("takes the kernel's word for how far an offloaded flow has come, and how long it lives", () => {
    const src = samplePeer({ level: 10, levelName: "TIME_WAIT" });
    const merged = mergeStates(OWN, { ...FROM_KERNEL, src, offload: "flowtable" });
    assert.equal(merged.offload, "flowtable");
    assert.equal(merged.expiresInMs, 300_000);
    assert.equal(merged.src.levelName, "TIME_WAIT");
    assert.equal(mergeStates(OWN, { ...FROM_KERNEL, src }).src.levelName, OWN.src.levelName);
  });

  it("finds flows whose destination is translated, by either destination", () => {
    const kernel: State = {
      ...FROM_KERNEL,
      direction: "in",
      nk: sampleKey(["198.51.100.7", 40_000], ["10.0.0.5", 8443]),
      sk: sampleKey(["198.51.100.7", 40_000], ["203.0.113.5", 443]),
    };
    for (const key of [kernel.nk, kernel.sk]) {
      const merger = new StateMerger();
      merger.addOwn({ ...OWN, direction: "in", nk: key, sk: key });
      const [state] = merger.addKernel(kernel);
      assert.equal(state?.source, "both");
      assert.deepEqual([state?.nk, state?.sk], [kernel.nk, kernel.sk]);
    }
  });

  it("joins both ends of a connection of this host with itself to the kernel's one entry", () => {
    const outgoing = sampleKey(["127.0.0.1", 80], ["127.0.0.1", 40_000]);
    const incoming = sampleKey(["127.0.0.1", 40_000], ["127.0.0.1", 80]);
    const merger = new StateMerger();
    merger.addOwn({ ...OWN, id: "a", nk: outgoing, sk: outgoing });
    merger.addOwn({ ...OWN, id: "b", direction: "in", nk: incoming, sk: incoming });
    const src = samplePeer({ sequenceDifference: 1 });
    const dst = samplePeer({ sequenceDifference: 2 });
    const merged = merger.addKernel({ ...FROM_KERNEL, nk: outgoing, sk: outgoing, src, dst });
    assert.deepEqual(
      merged.map(({ id, nk, src: local, dst: remote }) => [
        id,
        nk,
        local.sequenceDifference,
        remote.sequenceDifference,
      ]),
      [
        ["a", outgoing, 1, 2],
        ["b", incoming, 2, 1],
      ],
    );
  });

  it("leaves alone what only one of them knows", () => {
    const merger = new StateMerger();
    merger.addOwn({ ...OWN, protocol: 17 });
    assert.deepEqual(merger.addKernel(FROM_KERNEL), [FROM_KERNEL]);
    assert.deepEqual(
      merger.takeRest().map(({ protocol, source }) => [protocol, source]),
      [[17, "own"]],
    );
    assert.deepEqual(merger.takeRest(), []);
  });

  it("keeps our counters when the kernel does not count", () => {
    const merged = mergeStates(OWN, { ...FROM_KERNEL, packets: null, bytes: null, ageMs: null });
    assert.deepEqual([merged.packets, merged.bytes, merged.ageMs], [OWN.packets, OWN.bytes, OWN.ageMs]);
  });
});
