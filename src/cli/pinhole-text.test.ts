import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PinholeReport, PinholeStatus } from "../client/index.ts";
import { eventText, pinholeStatusText, pinholesText, pinholeText } from "./pinhole-text.ts";

const AUDIO: PinholeReport = {
  id: "ph_1",
  pid: 7,
  clientId: "call:1",
  owner: "sip",
  group: "call-1",
  state: "enabled",
  revision: 2,
  generation: 3,
  granted: 60,
  remaining: 42,
  createdAt: 0,
  spec: {
    kind: "permit",
    internal: { family: 4, address: "10.1.0.7", ports: [5004, 5005] },
    external: { family: 6, address: "2001:db8::", prefix: 32, ports: [6004, 6004] },
    protocol: 17,
    direction: "in",
    lifetime: 60,
    labels: { a: "b" },
    limit: { pps: 100 },
  },
};

describe("pinholes as text", () => {
  it("are one line each", () => {
    const block: PinholeReport = {
      ...AUDIO,
      id: "ph_2",
      group: "",
      remaining: null,
      spec: {
        kind: "block",
        external: { family: 4, address: "198.51.100.0", prefix: 24 },
        protocol: 0,
        lifetime: null,
      },
    };
    const { clientId: _none, ...nameless } = block;
    assert.equal(
      pinholesText([AUDIO, nameless], false),
      "id      state          flow                                                left  group   owner\n" +
        "call:1  enabled        udp 10.1.0.7:5004-5005 <- [2001:db8::]/32:6004      42 s  call-1  sip\n" +
        "ph_2    enabled block  any * -x- 198.51.100.0/24                       for ever          sip\n",
    );
  });

  it("show what passed, when it was asked for", () => {
    const text = pinholesText([{ ...AUDIO, traffic: { packets: 12, bytes: 3456 } }], true);
    assert.match(text, /packets {2}bytes\n/);
    assert.match(text, /sip +12 +3456\n$/);
  });

  it("alone are told with everything", () => {
    const text = pinholeText({ ...AUDIO, state: "ended", remaining: 0, reason: "expired" });
    assert.match(text, /number in SIMCO +7\n/);
    assert.match(text, /state +ended \(expired\)\n/);
    assert.match(text, /lease +60 s, 0 s left\n/);
    assert.match(text, /labels +a=b\nlimits +pps 100\n/);
  });

  it("in reserve say how many ports are kept", () => {
    const spec = { kind: "reserve", protocol: 17, lifetime: 30, portCount: 2 } as const;
    assert.match(
      pinholesText([{ ...AUDIO, state: "reserved", spec }], false),
      /reserved reserve +udp 2 ports/,
    );
  });
});

describe("events as text", () => {
  it("say what happened to which pinhole", () => {
    const event = { id: "x-1", type: "pinhole.ended", generation: 4, at: 0 };
    assert.equal(
      eventText({ ...event, pinhole: { ...AUDIO, reason: "conflict" } }),
      "1970-01-01T00:00:00.000Z pinhole.ended call:1 udp 10.1.0.7:5004-5005 <- [2001:db8::]/32:6004 of sip (conflict)\n",
    );
    assert.equal(eventText({ id: "x-2", type: "events.gap", generation: 9 }), "events.gap generation 9\n");
    assert.match(
      eventText({ ...event, type: "backend.drift", text: "Somebody was here." }),
      /drift Somebody was here\.\n/,
    );
  });
});

describe("the status as text", () => {
  it("says what is in force of what shall be, and what is wrong", () => {
    const abilities = {
      isAtomic: true,
      expires: true,
      counts: true,
      limits: [],
      translates: false,
      expansionMax: 64,
    };
    const backend = {
      name: "nftables",
      abilities,
      isDegraded: true,
      reason: "no memory",
      desired: 9,
      enforced: 7,
    };
    const status: PinholeStatus = {
      bootId: "b",
      pid: 1,
      uptimeSeconds: 2,
      generation: 3,
      pinholes: 4,
      lastEvent: "b-5",
      backend,
      counters: { commits: 6 },
    };
    const text = pinholeStatusText(status);
    assert.match(text, /packet filter +nftables \(degraded: no memory\)\n/);
    assert.match(text, /elements +7 of 9 in force\n/);
    assert.match(text, /commits +6\n/);
  });
});
