/** A state with everything in it, and how to change parts of it. */
import type { State, StateKey, StatePeer } from "../view/index.ts";

/** An end of an established connection. */
export function samplePeer(fields: Partial<StatePeer> = {}): StatePeer {
  return {
    level: 4,
    levelName: "ESTABLISHED",
    sequenceLow: 1000,
    sequenceHigh: 66_536,
    sequenceDifference: 0,
    maxWindowBytes: 65_536,
    maxSegmentBytes: 1460,
    windowScale: 7,
    minTimeToLive: 64,
    scrubbed: false,
    timestampModulator: 0,
    ...fields,
  };
}

/** A key between a remote and a local end. */
export function sampleKey(
  remote: readonly [string, number],
  local: readonly [string, number],
  zone = 0,
): StateKey {
  const family = remote[0].includes(":") ? 6 : 4;
  return { family, addresses: [remote[0], local[0]], ports: [remote[1], local[1]], zone };
}

/** An outgoing TCP connection whose source is translated. */
export function sampleState(fields: Partial<State> = {}): State {
  return {
    id: "5f3c2a1b00000042",
    source: "both",
    interface: "em0",
    rule: { chain: "OUTPUT", index: 7, revision: 3, label: "" },
    anchor: null,
    translation: { source: true, destination: false },
    ageMs: 93_000,
    expiresInMs: 86_391_000,
    packets: [12, 9],
    bytes: [1840, 5120],
    creatorId: 0x1a2b3c4d,
    family: 4,
    protocol: 6,
    protocolName: "tcp",
    direction: "out",
    flags: { sloppy: false, pflow: false, sourceTrack: false, stickyAddress: false, noSync: false },
    src: samplePeer(),
    dst: samplePeer({ sequenceLow: 9000, sequenceHigh: 74_536, windowScale: 8 }),
    nk: sampleKey(["198.51.100.7", 443], ["203.0.113.5", 50_123]),
    sk: sampleKey(["198.51.100.7", 443], ["192.168.1.10", 51_515]),
    routeAddress: null,
    routingTables: null,
    enforcedSegmentBytes: null,
    log: false,
    timeout: "tcp.established",
    updates: 0,
    enforcedTimeToLive: null,
    typeOfService: null,
    mark: 0,
    application: "",
    serverName: "",
    userId: null,
    offload: "none",
    verdict: { verdict: "ACCEPT", cause: "rule", ageMs: 93_000 },
    kernel: null,
    ...fields,
  };
}

/** The same state of a protocol without handshake. */
export function sampleDatagramState(fields: Partial<State> = {}): State {
  const key = sampleKey(["198.51.100.7", 40_001], ["192.0.2.1", 53]);
  const peer = samplePeer({
    level: 1,
    levelName: "SINGLE",
    sequenceLow: null,
    sequenceHigh: null,
    maxWindowBytes: null,
    maxSegmentBytes: null,
    windowScale: null,
  });
  return sampleState({
    protocol: 17,
    protocolName: "udp",
    direction: "in",
    translation: { source: false, destination: false },
    ageMs: 4000,
    expiresInMs: 26_000,
    packets: [1, 1],
    bytes: [60, 120],
    src: peer,
    dst: peer,
    nk: key,
    sk: key,
    timeout: "udp.single",
    ...fields,
  });
}
