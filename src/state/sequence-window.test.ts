import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { TCP_STATES } from "../base/index.ts";
import { Conversation, type SegmentFields } from "../testing/conversation.ts";
import { encodeTcpOptions, type Packet } from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { PEER } from "./direction.ts";
import { NO_SCALE } from "./flow-reader.ts";
import type { TrackerOptions } from "./tracker-options.ts";
import { Tracker } from "./tracker.ts";

let tracker = new Tracker();
let conversation = new Conversation();

/** What a tracker asks, and what both ends say as they open a connection. */
interface Opening extends Pick<TrackerOptions, "strict" | "hasSeenFin"> {
  readonly remote?: SegmentFields;
  readonly local?: SegmentFields;
}

function open(options: Opening = {}): void {
  tracker = new Tracker({ strict: options.strict ?? false, hasSeenFin: options.hasSeenFin });
  conversation = new Conversation();
  accept(conversation.received("S", options.remote));
  accept(conversation.sent("SA", options.local));
  accept(conversation.received("A"));
}

function accept(packet: Packet): number {
  tracker.lookup(packet, 0);
  return tracker.commit(packet, 0);
}

/** State of the flow as rules see it when the packet comes. */
function seen(packet: Packet): string {
  tracker.lookup(packet, 0);
  return TCP_STATES[tracker.tcpState] ?? "?";
}

/** State of the flow itself. */
function state(): string {
  return TCP_STATES[tracker.flows.state(tracker.slot)] ?? "?";
}

function expectFits(packet: Packet): void {
  assert.equal(accept(packet) & COMMIT.OUT_OF_WINDOW, 0, "the segment should fit");
}

function expectOutside(packet: Packet): void {
  assert.equal(accept(packet) & COMMIT.OUT_OF_WINDOW, COMMIT.OUT_OF_WINDOW, "the segment should not fit");
}

const scaled = (windowScale: number): SegmentFields => ({ tcpOptions: encodeTcpOptions({ windowScale }) });

beforeEach(() => open());

test("a handshake leaves each peer's numbers as pf names them", () => {
  open({
    remote: { window: 1000, tcpOptions: encodeTcpOptions({ maximumSegmentSize: 1460, windowScale: 7 }) },
    local: { window: 2000, tcpOptions: encodeTcpOptions({ maximumSegmentSize: 1400, windowScale: 3 }) },
  });
  accept(conversation.sent("PA", { bytes: 100, window: 50 }));
  const { flows, slot } = tracker;
  assert.equal(flows.sequenceEnd(slot, PEER.REMOTE), 1001);
  assert.equal(flows.sequenceLimit(slot, PEER.REMOTE), 1001 + 2000, "the SYN-ACK's window is not scaled");
  assert.equal(flows.maxWindow(slot, PEER.LOCAL), 2000);
  assert.equal(flows.maxWindow(slot, PEER.REMOTE), 65_535 << 7);
  assert.equal(flows.sequenceEnd(slot, PEER.LOCAL), (0xfffffff0 + 1 + 100) >>> 0);
  assert.equal(flows.windowScale(slot, PEER.REMOTE), 7);
  assert.equal(flows.windowScale(slot, PEER.LOCAL), 3);
  assert.equal(flows.segmentMax(slot, PEER.REMOTE), 1460);
  assert.equal(flows.segmentMax(slot, PEER.LOCAL), 1400);
  assert.equal(flows.maxAck(slot, PEER.LOCAL), 1001);
  assert.ok(flows.isNumbered(slot));
  assert.ok(!flows.isSloppy(slot));
});

test("windows are scaled only when both ends offered it (RFC 7323)", () => {
  open({ remote: scaled(7) });
  assert.equal(tracker.flows.maxWindow(tracker.slot, PEER.REMOTE), 65_535);
  assert.equal(tracker.flows.windowScale(tracker.slot, PEER.LOCAL), NO_SCALE);
});

test("rule I: no sequence number beyond what the receiver allows", () => {
  open({ local: { window: 1000 } });
  expectFits(conversation.received("PA", { bytes: 10, sequence: 1001 + 1000 }));
  open({ local: { window: 1000 } });
  expectOutside(
    conversation.received("PA", { bytes: 10, sequence: 1001 + 1001, acknowledgement: 0x7000_0000 }),
  );
});

test("rule II: nothing older than a window", () => {
  open({ local: { window: 1000 } });
  accept(conversation.received("PA", { bytes: 1000 }));
  const bad = 0x7000_0000;
  expectFits(conversation.received("PA", { bytes: 10, sequence: 1001 - 10 }));
  expectOutside(conversation.received("PA", { bytes: 10, sequence: 1001 - 11, acknowledgement: bad }));
});

test("rule III: nothing is acknowledged that was not sent", () => {
  expectFits(conversation.received("A"));
  expectOutside(conversation.received("A", { acknowledgement: conversation.local.next + 1 }));
});

test("rule IV: no acknowledgement older than a window, or 66,000 bytes", () => {
  accept(conversation.sent("PA", { bytes: 40_000 }));
  accept(conversation.received("A"));
  accept(conversation.sent("PA", { bytes: 40_000 }));
  const oldest = (conversation.local.next - 66_000) >>> 0;
  expectFits(conversation.received("A", { acknowledgement: oldest }));
  expectOutside(conversation.received("A", { acknowledgement: oldest - 1 }));
});

test("retransmission, keep-alive, zero window and its probe fit", () => {
  accept(conversation.received("PA", { bytes: 100 }));
  expectFits(conversation.received("PA", { bytes: 100, sequence: 1001 }));
  expectFits(conversation.received("A", { sequence: conversation.remote.next - 1 }));
  accept(conversation.sent("A", { window: 0 }));
  expectFits(conversation.received("A", { bytes: 1 }));
  expectFits(conversation.sent("A", { window: 0, acknowledgement: conversation.remote.next }));
});

test("a window may be used to its last byte over many segments, across the wrap of sequence numbers", () => {
  open({ remote: scaled(2), local: scaled(2) });
  for (let round = 0; round < 100; round += 1) {
    expectFits(conversation.sent("PA", { bytes: 60_000 }));
    expectFits(conversation.sent("PA", { bytes: 60_000 }));
    expectFits(conversation.received("A"));
  }
  assert.equal(tracker.counters.outOfWindow, 0);
});

test("liberal: a segment outside is counted, seen in its state, and steps nothing", () => {
  const forged = conversation.received("FA", { sequence: 0x5000_0000, acknowledgement: 0x7000_0000 });
  assert.equal(seen(forged), "ESTABLISHED");
  expectOutside(forged);
  assert.equal(state(), "ESTABLISHED");
  assert.equal(tracker.counters.outOfWindow, 1);
});

test("strict: a segment outside is INVALID and is not entered", () => {
  open({ strict: true });
  const packets = tracker.flows.packets(tracker.slot, 0);
  const forged = conversation.received("PA", { sequence: 0x5000_0000, bytes: 10 });
  assert.equal(seen(forged), "INVALID");
  assert.equal(tracker.commit(forged, 0), COMMIT.INVALID | COMMIT.OUT_OF_WINDOW);
  assert.equal(tracker.flows.packets(tracker.slot, 0), packets);
  assert.equal(tracker.counters.invalid, 1);
});

test("strict: what this host sends itself is never INVALID", () => {
  open({ strict: true });
  assert.equal(seen(conversation.sent("PA", { sequence: 0x5000_0000, bytes: 10 })), "ESTABLISHED");
});

test("strict: a SYN-ACK with a wrong acknowledgement is INVALID", () => {
  tracker = new Tracker({ strict: true });
  conversation = new Conversation();
  accept(conversation.sent("S"));
  assert.equal(seen(conversation.received("SA", { acknowledgement: 1 })), "INVALID");
  assert.equal(seen(conversation.received("SA", { sequence: 7 })), "SYN_SENT1");
});

test("a SYN on a synchronised connection gets through, so that it can be challenged (RFC 5961)", () => {
  open({ strict: true });
  const syn = conversation.received("S", { sequence: 0x5000_0000 });
  assert.equal(seen(syn), "ESTABLISHED");
  tracker.commit(syn, 0);
  assert.equal(tracker.flows.sequenceEnd(tracker.slot, PEER.REMOTE), 1001, "and moves no number");
  expectFits(conversation.sent("A"));
});

test("liberal: after unseen segments the acknowledgement vouches for the sequence number", () => {
  conversation.remote.next += 10_000_000;
  const later = conversation.received("PA", { bytes: 100 });
  expectOutside(later);
  assert.equal(tracker.flows.sequenceEnd(tracker.slot, PEER.REMOTE), conversation.remote.next);
  expectFits(conversation.received("PA", { bytes: 100 }));
  expectFits(conversation.sent("A"));
});

test("liberal: a gap in both directions is bridged when each number lies within its window", () => {
  open({ local: { window: 20_000 }, remote: { window: 20_000 } });
  conversation.remote.next += 800;
  conversation.local.next = (conversation.local.next + 900) >>> 0;
  expectOutside(conversation.received("PA", { bytes: 10 }));
  assert.equal(tracker.flows.sequenceEnd(tracker.slot, PEER.LOCAL), conversation.local.next);
  assert.equal(tracker.flows.sequenceEnd(tracker.slot, PEER.REMOTE), conversation.remote.next);
  expectFits(conversation.sent("PA", { bytes: 10 }));
  assert.equal(tracker.counters.outOfWindow, 1);
});

test("liberal: a forged segment without data needs the right sequence number as well", () => {
  const end = tracker.flows.sequenceEnd(tracker.slot, PEER.LOCAL);
  const forged = { sequence: 0x5000_0000, acknowledgement: (end + 1000) >>> 0 };
  expectOutside(conversation.received("A", forged));
  assert.equal(tracker.flows.sequenceEnd(tracker.slot, PEER.LOCAL), end);
});

test("while one end has not been seen nothing is held against the other", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.received("S"));
  for (let count = 0; count < 5; count += 1) expectFits(conversation.received("PA", { bytes: 50_000 }));
  assert.equal(state(), "SYN_RCVD1");
});

test("liberal: what this host sends moves its own window, even when much was not seen", () => {
  conversation.remote.next += 10_000_000;
  conversation.local.next = (conversation.local.next + 10_000_000) >>> 0;
  expectOutside(conversation.sent("PA", { bytes: 100 }));
  expectFits(conversation.received("PA", { bytes: 100 }));
  expectFits(conversation.received("FA"));
  assert.equal(state(), "CLOSE_WAIT1");
});

test("a reset must be the very next segment, by the sender's own count or the receiver's acknowledgement", () => {
  const next = conversation.remote.next;
  assert.equal(
    accept(conversation.received("R", { sequence: next + 1 })),
    COMMIT.DISBELIEVED,
    "in the window",
  );
  assert.equal(state(), "ESTABLISHED");
  assert.equal(
    accept(conversation.received("R", { sequence: 0x5000_0000 })),
    COMMIT.DISBELIEVED | COMMIT.OUT_OF_WINDOW,
  );
  assert.equal(tracker.counters.disbelievedResets, 2);
  assert.equal(accept(conversation.received("R", { sequence: next })), COMMIT.STEPPED);
  assert.equal(state(), "CLOSED");
});

test("a reset that answers an acknowledgement is believed, though later data was seen", () => {
  accept(conversation.sent("A"));
  const acknowledged = conversation.remote.next;
  accept(conversation.received("PA", { bytes: 100 }));
  assert.equal(accept(conversation.received("R", { sequence: acknowledged })), COMMIT.STEPPED);
});

test("while a connection closes a reset anywhere in the window is believed: one end may be gone", () => {
  const before = conversation.remote.next;
  accept(conversation.received("FA"));
  accept(conversation.sent("A"));
  assert.equal(state(), "CLOSE_WAIT2");
  assert.equal(accept(conversation.received("R", { sequence: before - 5 })), COMMIT.STEPPED);
  assert.equal(state(), "CLOSED");
});

test("a reset that acknowledges what was never sent, or long ago, is not believed; one that acknowledges nothing is", () => {
  const { next } = conversation.local;
  for (const acknowledgement of [(next + 1000) >>> 0, (next - 1_000_000) >>> 0]) {
    assert.notEqual(accept(conversation.received("RA", { acknowledgement })) & COMMIT.DISBELIEVED, 0);
    assert.equal(state(), "ESTABLISHED");
  }
  assert.equal(accept(conversation.received("RA", { acknowledgement: 0 })), COMMIT.STEPPED);
});

test("a connection picked up in the middle believes no reset older than what was acknowledged", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.received("PA", { bytes: 100 }));
  accept(conversation.sent("A"));
  const old = conversation.received("R", { sequence: conversation.remote.next - 50 });
  assert.notEqual(accept(old) & COMMIT.DISBELIEVED, 0);
});

test("strict: a segment without ACK on a connection is INVALID (RFC 9293 section 3.10.7.4)", () => {
  open({ strict: true });
  assert.equal(seen(conversation.received("F")), "INVALID");
  assert.equal(seen(conversation.received("-")), "INVALID");
});

test("a disbelieved reset does not keep the flow alive", () => {
  tracker.lookup(conversation.received("R", { sequence: 0x5000_0000 }), 5000);
  tracker.commit(conversation.received("R", { sequence: 0x5000_0000 }), 5000);
  assert.equal(tracker.flows.lastSeen(tracker.slot), 0);
});

test("strict: a reset outside the window is INVALID, one inside may be challenged", () => {
  open({ strict: true });
  assert.equal(seen(conversation.received("R", { sequence: 0x5000_0000 })), "INVALID");
  assert.equal(seen(conversation.received("R", { sequence: conversation.remote.next + 1 })), "ESTABLISHED");
});

test("only the reset that acknowledges the SYN refuses a connection", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.sent("S"));
  assert.equal(accept(conversation.received("R")), COMMIT.DISBELIEVED);
  assert.equal(accept(conversation.received("RA", { acknowledgement: 12_345 })), COMMIT.DISBELIEVED);
  const acknowledgement = (conversation.local.next - 1) >>> 0;
  // The SYN's own number: its sender ignores such a reset too.
  assert.equal(accept(conversation.received("RA", { acknowledgement })), COMMIT.DISBELIEVED);
  assert.equal(accept(conversation.received("RA")), COMMIT.STEPPED);
});

test("a connection picked up at its SYN-ACK believes the reset that answers it, and no other", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.sent("SA"));
  assert.equal(accept(conversation.received("R", { sequence: 0 })), COMMIT.DISBELIEVED);
  assert.equal(accept(conversation.received("R")), COMMIT.STEPPED);
  assert.equal(state(), "CLOSED");
});

test("a connection picked up at a segment without ACK believes no reset of the end that was not seen", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.sent("P", { bytes: 10 }));
  assert.equal(accept(conversation.received("R", { sequence: 0 })), COMMIT.DISBELIEVED);
});

test("a connection picked up in the middle believes a reset in its window only", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.sent("PA", { bytes: 10 }));
  accept(conversation.received("PA", { bytes: 10 }));
  assert.ok(tracker.flows.isSloppy(tracker.slot));
  assert.equal(accept(conversation.received("R", { sequence: 0x5000_0000 })), COMMIT.DISBELIEVED);
  assert.equal(
    accept(conversation.received("R", { sequence: conversation.remote.next + 5 })),
    COMMIT.STEPPED,
  );
});

test("the reset by which this host refuses an adopted connection is believed", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.received("A", { acknowledgement: 4242 }));
  assert.equal(accept(conversation.sent("R", { sequence: 4242 })), COMMIT.STEPPED);
});

/** Opens a connection and hands it to the kernel. */
function offload(): void {
  open({ strict: true });
  tracker.setOffloaded(tracker.slot, true);
}

/** A segment that the kernel's tracker found to fit. */
function vouched(packet: Packet): Packet {
  packet.vouched = true;
  return packet;
}

test("an offloaded flow enforces no window, and what could end it must be vouched for", () => {
  offload();
  assert.equal(seen(conversation.received("PA", { sequence: 0x5000_0000, bytes: 10 })), "ESTABLISHED");
  assert.equal(accept(conversation.received("R", { sequence: 0x6000_0000 })), COMMIT.DISBELIEVED);
  assert.equal(accept(conversation.received("FA", { sequence: 0x6000_0000 })), COMMIT.DISBELIEVED);
  assert.equal(state(), "ESTABLISHED");
  assert.ok(tracker.flows.isOffloaded(tracker.slot));
  assert.equal(accept(vouched(conversation.received("R", { sequence: 0x6000_0000 }))), COMMIT.STEPPED);
  assert.equal(state(), "CLOSED");
});

test("a vouched FIN brings an offloaded flow back, with its numbers", () => {
  offload();
  const ours = 0x7000_0000;
  const fin = { sequence: 0x6000_0000, acknowledgement: ours };
  assert.equal(accept(vouched(conversation.received("FA", fin))), COMMIT.STEPPED);
  assert.ok(!tracker.flows.isOffloaded(tracker.slot));
  assert.equal(state(), "CLOSE_WAIT1");
  const forged = { sequence: 0x1000_0000, acknowledgement: ours };
  assert.equal(seen(conversation.received("R", forged)), "INVALID");
  accept(conversation.sent("A", { sequence: ours, acknowledgement: 0x6000_0001 }));
  assert.equal(state(), "CLOSE_WAIT2");
  accept(conversation.sent("FA", { sequence: ours, acknowledgement: 0x6000_0001 }));
  accept(conversation.received("A", { sequence: 0x6000_0001, acknowledgement: ours + 1 }));
  assert.equal(state(), "CLOSED");
});

test("a vouched FIN tells what the other end, which has not spoken since, may have sent", () => {
  offload();
  const sequence = 0x6000_0001;
  const ours = 0x7000_0000;
  accept(vouched(conversation.received("FA", { sequence: sequence - 1, acknowledgement: ours })));
  for (const [acknowledgement, expected] of [
    [ours + 60_000, "CLOSE_WAIT1"],
    [ours + 70_000, "INVALID"],
    [ours - 60_000, "CLOSE_WAIT1"],
    [ours - 70_000, "INVALID"],
  ] as const) {
    assert.equal(seen(conversation.received("A", { sequence, acknowledgement })), expected);
  }
});

test("a vouched FIN that the kernel has passed over changes nothing, sealed or taken back, nor spoils a seal", () => {
  for (const isTakenBack of [false, true]) {
    let taken = false;
    const asked: number[] = [];
    const hasSeenFin = (slot: number): boolean => {
      asked.push(slot);
      return taken;
    };
    open({ strict: true, hasSeenFin });
    tracker.setOffloaded(tracker.slot, true);
    if (isTakenBack) tracker.takeBack();
    const forged = (): Packet => vouched(conversation.received("FA", { sequence: 0, acknowledgement: 0 }));
    assert.equal(accept(forged()), COMMIT.DISBELIEVED);
    assert.deepEqual([state(), asked], ["ESTABLISHED", [tracker.slot]]);
    assert.equal(tracker.flows.isOffloaded(tracker.slot), !isTakenBack);
    accept(vouched(conversation.received("A")));
    assert.equal(seen(conversation.received("A")), "ESTABLISHED");
    assert.equal(asked.length, 1, "of a FIN alone");
    taken = true;
    assert.equal(accept(vouched(conversation.received("FA"))), COMMIT.STEPPED);
    assert.deepEqual([state(), asked.length], ["CLOSE_WAIT1", 2]);
  }
});

test("of this host's own FIN nobody is asked", () => {
  open({ hasSeenFin: () => assert.fail("asked") });
  tracker.setOffloaded(tracker.slot, true);
  accept(vouched(conversation.sent("FA", { sequence: 1 })));
  assert.equal(state(), "FIN_WAIT_1");
});

test("a FIN that acknowledges nothing tells nothing of the other end", () => {
  offload();
  accept(vouched(conversation.received("F", { sequence: 0x6000_0000 })));
  const later = { sequence: 0x6000_0001, acknowledgement: 0x7000_0000 };
  assert.equal(seen(conversation.received("A", later)), "CLOSE_WAIT1");
});

test("a SYN changes nothing of an offloaded flow, whoever vouches for it", () => {
  offload();
  const syn = conversation.received("S", { sequence: 0x6000_0000 });
  assert.equal(accept(vouched(syn)), COMMIT.DISBELIEVED);
  assert.equal(state(), "ESTABLISHED");
  assert.ok(tracker.flows.isOffloaded(tracker.slot));
});

test("what was known under a seal to the kernel alone it says until both ends have spoken again", () => {
  offload();
  const ours = 0x7000_0000;
  accept(vouched(conversation.sent("FA", { sequence: ours, acknowledgement: 0x6000_0000 })));
  assert.equal(state(), "FIN_WAIT_1");
  // Nobody knows what the other end has sent, so its FIN is taken to acknowledge ours as it says.
  const reset = { sequence: 0x6000_0000, acknowledgement: ours + 1 };
  assert.equal(accept(conversation.received("R", { ...reset, sequence: 0x5000_0000 })), COMMIT.DISBELIEVED);
  assert.equal(accept(vouched(conversation.received("R", reset))), COMMIT.STEPPED);
  assert.equal(state(), "CLOSED");
});

test("the FIN that answers one of unknown numbers acknowledges it", () => {
  offload();
  accept(vouched(conversation.sent("FA", { sequence: 1, acknowledgement: 0x6000_0000 })));
  tracker.setOffloaded(tracker.slot, true);
  accept(vouched(conversation.received("FA", { sequence: 0x6000_0000, acknowledgement: 2 })));
  assert.equal(state(), "FIN_WAIT_3");
});

test("an offloaded connection with both its FINs is over when the kernel takes a SYN for another", () => {
  for (const isVouched of [true, false]) {
    offload();
    accept(vouched(conversation.sent("FA")));
    tracker.setOffloaded(tracker.slot, true);
    const syn = (): Packet => Object.assign(conversation.received("S"), { vouched: isVouched });
    assert.equal(seen(syn()), "FIN_WAIT_1", "half of it is open");
    accept(vouched(conversation.received("FA")));
    tracker.setOffloaded(tracker.slot, true);
    assert.equal(seen(syn()), isVouched ? "FIN_WAIT_3" : "CLOSED");
  }
});

test("where the kernel takes a SYN for another connection's, its word about the one we know ends", () => {
  offload();
  accept(conversation.received("FA"));
  assert.equal(state(), "ESTABLISHED", "nobody vouches for the FIN");
  assert.equal(accept(conversation.received("S", { sequence: 0x6000_0000 })), COMMIT.DISBELIEVED);
  assert.ok(!tracker.flows.isOffloaded(tracker.slot));
  accept(conversation.received("R", { sequence: 0x6000_0000 }));
  assert.equal(state(), "ESTABLISHED", "a reset still has to fit");
  accept(conversation.sent("A", { acknowledgement: 0x5000_0000 }));
  accept(conversation.received("R", { sequence: 0x5000_0000 }));
  assert.equal(state(), "CLOSED");
});

test("a reset of a closing connection has to come near what its sender is known to have sent", () => {
  for (const [behind, expected] of [
    [2, "CLOSED"],
    [70_000, "CLOSE_WAIT1"],
  ] as const) {
    offload();
    accept(vouched(conversation.received("FA", { sequence: 0x6000_0000 })));
    accept(conversation.received("RA", { sequence: 0x6000_0000 - behind }));
    assert.equal(state(), expected);
  }
});

test("a FIN again keeps its connection open-ended to the last: the kernel takes it for the other end's", () => {
  for (const [first, then] of [
    ["received", "sent"],
    ["sent", "received"],
  ] as const) {
    open();
    accept(conversation[first]("FA"));
    assert.ok(!tracker.flows.isOpenEnded(tracker.slot));
    accept(conversation[first]("FA"));
    assert.ok(tracker.flows.isOpenEnded(tracker.slot));
    accept(conversation[then]("A"));
    accept(conversation[then]("FA"));
    assert.ok(tracker.flows.isOpenEnded(tracker.slot), state());
  }
});

test("a flow that was taken back follows its next segment, but no FIN or RST of unknown numbers", () => {
  offload();
  tracker.takeBack();
  accept(conversation.received("FA", { sequence: 0x6000_0000 }));
  assert.equal(state(), "ESTABLISHED");
  const bytes = { sequence: 0x6000_0000, acknowledgement: 0x7000_0000, bytes: 10 };
  accept(conversation.received("PA", bytes));
  accept(conversation.sent("A", { sequence: 0x7000_0000, acknowledgement: 0x6000_000a }));
  assert.equal(seen(conversation.received("FA", { sequence: 0x1000_0000 })), "INVALID");
  accept(conversation.received("FA", { sequence: 0x6000_000a, acknowledgement: 0x7000_0000 }));
  assert.equal(state(), "CLOSE_WAIT1");
});

test("a flow that was taken back takes no numbers from the other end, whoever vouches for them", () => {
  for (const isVouched of [true, false]) {
    offload();
    tracker.takeBack();
    const forged = { sequence: 0x6000_0000, acknowledgement: 0x7000_0000 };
    const segment = Object.assign(conversation.received("PA", { ...forged, bytes: 10 }), {
      vouched: isVouched,
    });
    assert.equal(accept(segment), COMMIT.DISBELIEVED);
    accept(conversation.received("R", { sequence: 0x6000_000a }));
    assert.equal(state(), "ESTABLISHED");
    const ours = { sequence: 0x7000_0000, acknowledgement: 0x5000_0000 };
    accept(conversation.sent("A", ours));
    accept(conversation.received("R", { sequence: 0x5000_0000 }));
    assert.equal(state(), "CLOSED", "this host knows which numbers are right");
  }
});

test("a FIN again keeps its connection open-ended when all flows are taken back; others are asked about", () => {
  open();
  tracker.setOpenEnded(tracker.slot);
  tracker.takeBack();
  assert.ok(!tracker.flows.isOpenEnded(tracker.slot));
  accept(conversation.received("FA"));
  accept(conversation.received("FA"));
  tracker.takeBack();
  assert.ok(tracker.flows.isOpenEnded(tracker.slot), "the kernel takes it for over still");
});

test("forged acknowledgements do not complete a handshake", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.received("S"));
  accept(conversation.sent("SA"));
  accept(conversation.received("A", { acknowledgement: 0x7000_0000 }));
  assert.equal(state(), "SYN_RCVD2");
  accept(conversation.received("A"));
  assert.equal(state(), "ESTABLISHED");
});

test("a SYN with other numbers begins the handshake again", () => {
  tracker = new Tracker();
  conversation = new Conversation();
  accept(conversation.received("S"));
  conversation.remote.next = 5_000_000;
  accept(conversation.received("S"));
  accept(conversation.sent("SA"));
  accept(conversation.received("A"));
  assert.ok(tracker.flows.isNumbered(tracker.slot));
  assert.equal(tracker.flows.sequenceEnd(tracker.slot, PEER.REMOTE), 5_000_001);
});

test("data in a SYN may be taken or refused (RFC 7413)", () => {
  for (const refused of [true, false]) {
    tracker = new Tracker();
    conversation = new Conversation();
    const syn = conversation.received("S", { bytes: 100 });
    accept(syn);
    if (refused) conversation.remote.next = syn.sequence + 1;
    accept(conversation.sent("SA"));
    accept(conversation.received("PA", { bytes: 100 }));
    assert.ok(tracker.flows.isNumbered(tracker.slot));
    assert.equal(state(), "ESTABLISHED");
    assert.equal(tracker.counters.outOfWindow, 0);
  }
});

test("old timestamps are told and counted (RFC 7323), strict: INVALID", () => {
  const at = (value: number): SegmentFields => ({
    tcpOptions: encodeTcpOptions({ timestamps: [value, 1] }),
  });
  for (const strict of [false, true]) {
    open({ strict, remote: at(0xffff_fff0), local: at(1) });
    const { remote } = conversation;
    accept(conversation.received("PA", { bytes: 10, ...at(5) }));
    accept(conversation.sent("A", at(2)));
    accept(conversation.received("PA", { bytes: 10, ...at(6) }));
    const old = conversation.received("PA", { bytes: 10, sequence: remote.next, ...at(0xffff_fff8) });
    assert.equal(seen(old), strict ? "INVALID" : "ESTABLISHED");
    expectOutside(old);
    assert.equal(tracker.counters.badTimestamp, strict ? 2 : 1);
    expectFits(conversation.received("PA", { bytes: 10, ...at(7) }));
  }
});

test("segments cut off behind their ports, or without options, are judged without options", () => {
  open({
    remote: { tcpOptions: Uint8Array.of(8, 10, 0, 0) },
    local: { tcpOptions: Uint8Array.of(3, 0, 0, 0) },
  });
  assert.equal(state(), "ESTABLISHED");
  expectFits(conversation.received("PA", { bytes: 10 }));
});
