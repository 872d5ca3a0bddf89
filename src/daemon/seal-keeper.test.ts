import assert from "node:assert/strict";
import { test } from "node:test";
import { FirewallError, PROTOCOL } from "../base/index.ts";
import {
  CONNTRACK_TCP_STATES,
  ConntrackEntry,
  type ConntrackKey,
  type ConntrackTcpState,
  SEAL_KIND,
  type SealKind,
  SealMarks,
} from "../netlink/index.ts";
import type { Tracker } from "../state/index.ts";
import { readSysctl } from "../system/index.ts";
import { SealKeeper } from "./seal-keeper.ts";

/** Enough of a tracker: the flow in slot n has source port n. */
const FLOWS = {
  id: (slot: number) => slot,
  slotOf: (id: number) => id,
  isOffloaded: () => true,
  isCarried: () => false,
  isOpening: () => false,
  originalFlowing: () => 0,
  copyAddress: () => undefined,
  protocol: (): number => PROTOCOL.UDP,
  port: (slot: number, peer: number) => (peer === 0 ? slot : 53),
  family: () => 4,
};
const TRACKER = {
  flows: FLOWS,
  ended: () => undefined,
  expiry: () => 0,
} as unknown as Tracker;

/** A keeper whose kernel refuses some ports, and the ports that it was asked about with success. */
function open(refused: Set<number>) {
  const unsealed: number[] = [];
  const looked: number[] = [];
  /** Questions in each message to the kernel. */
  const batches: number[] = [];
  const asks =
    <Word>(ports: number[], word: Word) =>
    (keys: readonly ConntrackKey[]): (Word | FirewallError)[] => {
      batches.push(keys.length);
      return keys.map(({ original: { sourcePort } }) => {
        if (refused.has(sourcePort)) return new FirewallError("NETLINK_REFUSED", "out of memory");
        if (sourcePort !== 53) ports.push(sourcePort);
        return word;
      });
    };
  const keeper = new SealKeeper(new SealMarks(0xff), () => ({
    updateEach: asks<boolean>(unsealed, true),
    getEach: asks<ConntrackEntry | undefined>(looked, undefined),
    close: () => undefined,
  }));
  return { keeper, unsealed, looked, batches };
}

test("what the kernel refuses once is asked again, and keeps nothing else waiting", () => {
  const refused = new Set([1001]);
  const { keeper, unsealed, looked } = open(refused);
  for (const port of [1001, 1002, 1003]) {
    keeper.lost(TRACKER, port);
    keeper.idle(TRACKER, port);
  }
  keeper.turn(TRACKER, 0);
  assert.deepEqual(unsealed, [1002, 1003]);
  assert.deepEqual(looked, [1002, 1003]);
  refused.clear();
  keeper.turn(TRACKER, 0);
  assert.deepEqual(unsealed, [1002, 1003, 1001]);
  assert.deepEqual(looked, [1002, 1003, 1001]);
});

test("a turn asks the kernel a bounded number of questions; a kill ends all seals that wait", () => {
  const { keeper, unsealed, batches } = open(new Set());
  for (let port = 2000; port < 2100; port += 1) keeper.lost(TRACKER, port);
  keeper.turn(TRACKER, 0);
  assert.equal(unsealed.length, 32);
  keeper.drain();
  assert.equal(unsealed.length, 100);
  assert.deepEqual(batches, [32, 68], "all at once");
});

/** What becomes of a connection that is carried and seems idle, whose entry the kernel has like this. */
function carriedFate(state: ConntrackTcpState, silentSeconds: number): "kept" | "gone" {
  const entry = new ConntrackEntry();
  entry.original.protocol = PROTOCOL.TCP;
  entry.tcpState = CONNTRACK_TCP_STATES.indexOf(state);
  const setting = state === "TIME_WAIT" ? "time_wait" : "established";
  entry.timeoutSeconds =
    Number(readSysctl(`net.netfilter.nf_conntrack_tcp_timeout_${setting}`)) - silentSeconds;
  const asked = { getEach: () => [entry], updateEach: () => [true], close: () => undefined };
  const keeper = new SealKeeper(new SealMarks(0xff), () => asked);
  let fate: "kept" | "gone" = "kept";
  const tracker = {
    flows: { ...FLOWS, isCarried: () => true, protocol: () => PROTOCOL.TCP },
    setOffloaded: () => undefined,
    ended: () => {
      fate = "gone";
    },
    renew: () => undefined,
    answered: () => undefined,
    expiry: () => 1,
  } as unknown as Tracker;
  keeper.idle(tracker, 1000);
  keeper.turn(tracker, 0);
  assert.equal(keeper.isOver(tracker, 1000), state === "TIME_WAIT");
  return fate;
}

test("a connection that was carried is over when the kernel has seen its end and hears nothing more of it", () => {
  assert.equal(carriedFate("ESTABLISHED", 3600), "kept");
  assert.equal(carriedFate("TIME_WAIT", 60), "gone");
  // An end that has not closed goes on speaking: the kernel took a FIN that was sent twice for both.
  assert.equal(carriedFate("TIME_WAIT", 1), "kept");
});

/** What becomes of a connection whose SYN was answered and of which no more was seen. */
function openingFate(
  state: ConntrackTcpState,
  seal: { readonly kind: SealKind; readonly generation: number } | undefined,
): "carried" | "gone" {
  const marks = new SealMarks(0xff);
  const entry = new ConntrackEntry();
  entry.original.protocol = PROTOCOL.TCP;
  entry.tcpState = CONNTRACK_TCP_STATES.indexOf(state);
  entry.mark = seal === undefined ? 0 : marks.bits(seal.generation, seal.kind);
  const keeper = new SealKeeper(marks, () => ({
    getEach: () => [entry],
    updateEach: () => [],
    close: () => undefined,
  }));
  keeper.generation = 3;
  const fate = { carried: false, gone: false };
  const tracker = {
    flows: { ...FLOWS, isOffloaded: () => false, isOpening: () => true, protocol: () => PROTOCOL.TCP },
    carryUnseen: () => {
      fate.carried = true;
    },
    ended: () => {
      fate.gone = true;
    },
    renew: () => undefined,
    answered: () => undefined,
    expiry: () => 1,
  } as unknown as Tracker;
  keeper.idle(tracker, 1000);
  keeper.turn(tracker, 0);
  assert.notEqual(fate.carried, fate.gone);
  return fate.carried ? "carried" : "gone";
}

test("a connection whose last segment of the handshake was lost here stands where the kernel carries it", () => {
  const { CARRIED, OPENING } = SEAL_KIND;
  assert.equal(openingFate("ESTABLISHED", { kind: CARRIED, generation: 3 }), "carried");
  assert.equal(openingFate("FIN_WAIT", { kind: CARRIED, generation: 3 }), "carried");
  assert.equal(openingFate("TIME_WAIT", { kind: CARRIED, generation: 3 }), "gone");
  assert.equal(openingFate("ESTABLISHED", { kind: CARRIED, generation: 2 }), "gone");
  assert.equal(openingFate("SYN_RECV", { kind: OPENING, generation: 3 }), "gone");
  assert.equal(openingFate("SYN_RECV", undefined), "gone");
});

/** Whether a FIN is believed of a connection that the kernel has like this. */
function believesFin(word: ConntrackTcpState | "gone" | "refused", isClosing = false): boolean {
  const entry = new ConntrackEntry();
  entry.tcpState = CONNTRACK_TCP_STATES.indexOf(word as ConntrackTcpState);
  const refusal = new FirewallError("NETLINK_REFUSED", "out of memory");
  const answer = word === "gone" ? undefined : word === "refused" ? refusal : entry;
  const keeper = new SealKeeper(new SealMarks(0xff), () => ({
    getEach: () => [answer],
    updateEach: () => [],
    close: () => undefined,
  }));
  const tracker = { flows: { ...FLOWS, isClosing: () => isClosing } } as unknown as Tracker;
  return keeper.hasSeenFin(tracker, 1000);
}

test("a FIN has been taken where the kernel's state says so, and the other end's where it says so of both", () => {
  const believed = (isClosing: boolean): string[] =>
    CONNTRACK_TCP_STATES.filter((state) => believesFin(state, isClosing));
  assert.deepEqual(believed(false), ["FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE"]);
  assert.deepEqual(believed(true), ["LAST_ACK", "TIME_WAIT", "CLOSE"]);
  assert.equal(believesFin("gone"), true);
  assert.equal(believesFin("refused"), false);
});
