/** States of our tracker, field by field, against flows whose truth is known. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HOOK, PROTOCOL } from "../base/index.ts";
import { Tracker } from "../state/index.ts";
import { Conversation, packetAt } from "../testing/conversation.ts";
import type { Packet } from "../wire/index.ts";
import { type FlowNames, type State, TrackerFlow } from "./index.ts";

const NAMES: FlowNames = {
  interfaceName: (index) => (index === 0 ? "" : `eth${index}`),
  rule: (chain, rule) =>
    chain === 0
      ? { chain: "INPUT", isStart: true, label: rule === 3 ? "web" : "", log: true }
      : { chain: "mail", isStart: false, label: "", log: false },
  application: (note) => (note === 5 ? "TLS" : ""),
  details: () => ({ serverName: "example.org" }),
};

const ORIGIN = { worker: 2, creatorId: 0xabcdef01 };

interface Table {
  readonly tracker: Tracker;
  readonly accept: (packet: Packet, now: number) => void;
  readonly state: (now: number) => State;
}

function table(): Table {
  const tracker = new Tracker({ capacity: 100 });
  const flow = new TrackerFlow(tracker, NAMES, ORIGIN);
  return {
    tracker,
    accept: (packet, now) => {
      tracker.lookup(packet, now);
      tracker.commit(packet, now);
    },
    state: (now) => {
      flow.bind(tracker.slot, now);
      return flow.state();
    },
  };
}

describe("a state of our tracker: orientation", () => {
  it("in: local was spoken to", () => {
    const { accept, state } = table();
    accept(new Conversation().received("S"), 0);
    const { direction, nk, sk, src, dst } = state(0);
    assert.equal(direction, "in");
    assert.deepEqual(nk, {
      family: 4,
      addresses: ["192.0.2.1", "198.51.100.7"],
      ports: [40_000, 443],
      zone: 0,
    });
    assert.deepEqual(sk, nk);
    assert.deepEqual([src.levelName, dst.levelName], ["CLOSED", "SYN_SENT"]);
  });

  it("out: local spoke first", () => {
    const { accept, state } = table();
    accept(new Conversation().sent("S"), 0);
    const { direction, nk, src, dst } = state(0);
    assert.equal(direction, "out");
    assert.deepEqual(nk.addresses, ["192.0.2.1", "198.51.100.7"]);
    assert.deepEqual([src.levelName, dst.levelName], ["SYN_SENT", "CLOSED"]);
  });

  it("forwarded: local is who was spoken to", () => {
    const { accept, state } = table();
    accept(new Conversation({ forwarded: true }).received("S"), 0);
    const { direction, nk } = state(0);
    assert.equal(direction, "in");
    assert.deepEqual(nk.addresses, ["192.0.2.1", "198.51.100.7"]);
  });

  it("ICMP: the asking end has the identifier, the other one the type", () => {
    const { accept, state } = table();
    const echo = { source: "2001:db8::1", destination: "2001:db8::2", protocol: PROTOCOL.ICMPV6 };
    accept(packetAt(HOOK.OUTPUT, { ...echo, icmpType: 128, icmpIdentifier: 4711 }), 0);
    const { nk, protocolName, src, dst, timeout } = state(0);
    assert.deepEqual(nk, {
      family: 6,
      addresses: ["2001:db8::2", "2001:db8::1"],
      ports: [128, 4711],
      zone: 0,
    });
    assert.equal(protocolName, "ipv6-icmp");
    assert.deepEqual([src.level, dst.level], [1, 0]);
    assert.equal(timeout, "icmp.first");
  });
});

describe("a state of our tracker: attributes", () => {
  it("tells traffic, age, life, rule and peers", () => {
    const { tracker, accept, state } = table();
    const talk = new Conversation();
    const options = Uint8Array.of(2, 4, 5, 0xb4, 3, 3, 7, 0);
    const first = talk.received("S", { tcpOptions: options, window: 64_000, timeToLive: 60 });
    first.inInterface = 4;
    first.userId = 1000;
    first.mark = 0x10;
    accept(first, 1000);
    accept(talk.sent("SA", { tcpOptions: Uint8Array.of(2, 4, 5, 0x78, 3, 3, 8, 0), window: 60_000 }), 1010);
    accept(talk.received("A", { window: 500 }), 1020);
    accept(talk.received("PA", { bytes: 100, window: 500, timeToLive: 50 }), 2000);
    accept(talk.sent("PA", { bytes: 3000, window: 500 }), 3000);
    tracker.attribute(tracker.slot, 0, 3, 9);
    tracker.setNote(tracker.slot, 5);
    const made = state(11_000);
    assert.equal(made.id, "02" + tracker.flows.id(tracker.slot).toString(16).padStart(14, "0"));
    assert.equal(made.source, "own");
    assert.equal(made.interface, "eth4");
    assert.deepEqual(made.rule, { chain: "INPUT", index: 3, revision: 9, label: "web" });
    assert.equal(made.anchor, null);
    assert.equal(made.log, true);
    assert.equal(made.ageMs, 10_000);
    assert.equal(made.expiresInMs, 86_400_000 - 8000);
    assert.equal(made.timeout, "tcp.established");
    assert.deepEqual(made.packets, [3, 2]);
    assert.deepEqual(made.bytes, [48 + 40 + 140, 48 + 3040]);
    assert.equal(made.creatorId, 0xabcdef01);
    assert.equal(made.protocolName, "tcp");
    assert.equal(made.userId, 1000);
    assert.equal(made.mark, 0x10);
    assert.equal(made.application, "TLS");
    assert.equal(made.serverName, "example.org");
    assert.equal(made.offload, "none");
    assert.deepEqual(made.verdict, { verdict: "ACCEPT", cause: "rule", ageMs: 10_000 });
    assert.equal(made.flags.sloppy, false);
    const { src, dst } = made;
    // The remote end has sent a SYN and 100 bytes from 1000 on; the local one a SYN and 3000 from 2^32 - 16
    // on.
    assert.equal(dst.sequenceLow, 1101);
    assert.equal(src.sequenceLow, (0xfffffff0 + 1 + 3000) % 2 ** 32);
    assert.equal(dst.windowScale, 7);
    assert.equal(src.windowScale, 8);
    assert.equal(dst.maxSegmentBytes, 1460);
    assert.equal(src.maxSegmentBytes, 1400);
    assert.equal(dst.maxWindowBytes, 64_000);
    assert.equal(src.maxWindowBytes, 500 << 8);
    assert.equal(dst.minTimeToLive, 50);
    assert.equal(src.levelName, "ESTABLISHED");
  });

  it("says sloppy of a connection picked up in the middle", () => {
    const { accept, state } = table();
    accept(new Conversation().sent("PA", { bytes: 10 }), 0);
    const made = state(0);
    assert.equal(made.flags.sloppy, true);
    assert.equal(made.rule, null);
    assert.deepEqual([made.src.level, made.dst.level], [4, 4]);
  });

  it("names the chain as an anchor when packets do not start there, and the chain's default", () => {
    const { tracker, accept, state } = table();
    accept(new Conversation().received("S"), 0);
    tracker.attribute(tracker.slot, 6, -1, 2);
    const { rule, anchor, verdict } = state(0);
    assert.deepEqual(rule, { chain: "mail", index: null, revision: 2, label: "" });
    assert.deepEqual(anchor, { index: 6, name: "mail" });
    assert.equal(verdict?.cause, "default");
  });

  it("says where it is offloaded", () => {
    const { tracker, accept, state } = table();
    accept(new Conversation().received("S"), 0);
    tracker.setOffloaded(tracker.slot, true);
    assert.equal(state(0).offload, "mark");
  });

  it("goes through JSON unchanged", () => {
    const { accept, state } = table();
    accept(new Conversation().received("S"), 0);
    const made = state(5);
    assert.deepEqual(JSON.parse(JSON.stringify(made)), made);
  });
});
