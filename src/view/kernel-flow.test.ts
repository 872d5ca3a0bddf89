/** Entries of the kernel as states: real ones from captures/conntrack, and each orientation made by hand. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { formatAddress, parseAddress } from "../base/index.ts";
import {
  CONNTRACK_FIELD,
  CONNTRACK_STATUS,
  CONNTRACK_TCP_FLAG,
  CONNTRACK_TCP_STATES,
  ConntrackEntry,
  ConntrackReader,
  MessageCursor,
} from "../netlink/index.ts";
import { type IsLocal, KernelFlow, type State, StateFacts, StateFilter, verboseLines } from "./index.ts";

function localAre(...texts: string[]): IsLocal {
  return (family, words) => texts.includes(formatAddress(family, words));
}

function words(text: string): Uint32Array {
  return parseAddress(text)?.words ?? assert.fail(text);
}

type Ends = readonly [source: string, sourcePort: number, destination: string, destinationPort: number];

/** An entry with both directions, each as it is sent. */
function entryOf(original: Ends, reply: Ends, fields: Partial<ConntrackEntry> = {}): ConntrackEntry {
  const entry = new ConntrackEntry();
  entry.clear(original[0].includes(":") ? 6 : 4);
  for (const [tuple, ends] of [
    [entry.original, original],
    [entry.reply, reply],
  ] as const) {
    tuple.source.set(words(ends[0]));
    tuple.sourcePort = ends[1];
    tuple.destination.set(words(ends[2]));
    tuple.destinationPort = ends[3];
    tuple.protocol = 6;
  }
  return Object.assign(entry, fields);
}

function stateOf(entry: ConntrackEntry, isLocal: IsLocal): State {
  const flow = new KernelFlow({ isLocal, creatorId: 1 });
  flow.bind(entry, 100_000);
  return flow.state();
}

const HOST = "203.0.113.5";
const INSIDE = "192.168.1.10";
const PEER = "198.51.100.7";

describe("an entry of the kernel: orientation", () => {
  it("out, untranslated", () => {
    const state = stateOf(entryOf([HOST, 50_000, PEER, 443], [PEER, 443, HOST, 50_000]), localAre(HOST));
    assert.equal(state.direction, "out");
    assert.deepEqual(state.nk.addresses, [PEER, HOST]);
    assert.deepEqual(state.nk.ports, [443, 50_000]);
    assert.deepEqual(state.sk, state.nk);
  });

  it("out, source translated: nk is the wire's side", () => {
    const entry = entryOf([INSIDE, 51_515, PEER, 443], [PEER, 443, HOST, 50_123]);
    const state = stateOf(entry, localAre(INSIDE));
    assert.deepEqual([state.nk.addresses[1], state.nk.ports[1]], [HOST, 50_123]);
    assert.deepEqual([state.sk.addresses[1], state.sk.ports[1]], [INSIDE, 51_515]);
    assert.match(
      verboseLines(state)[0] ?? "",
      /^all tcp 203\.0\.113\.5:50123 \(192\.168\.1\.10:51515\) -> 198\.51\.100\.7:443 {7}/,
    );
  });

  it("in, destination translated: nk is the host's side", () => {
    const entry = entryOf([PEER, 40_000, HOST, 80], [INSIDE, 8080, PEER, 40_000]);
    const state = stateOf(entry, localAre(HOST, INSIDE));
    assert.equal(state.direction, "in");
    assert.deepEqual([state.nk.addresses[1], state.nk.ports[1]], [INSIDE, 8080]);
    assert.deepEqual([state.sk.addresses[1], state.sk.ports[1]], [HOST, 80]);
    assert.deepEqual([state.nk.addresses[0], state.sk.addresses[0]], [PEER, PEER]);
  });

  it("out, destination translated: the remote part differs", () => {
    const entry = entryOf([HOST, 50_000, "10.9.9.9", 53], [PEER, 5353, HOST, 50_000]);
    const state = stateOf(entry, localAre(HOST));
    assert.deepEqual([state.nk.addresses[0], state.sk.addresses[0]], [PEER, "10.9.9.9"]);
    assert.deepEqual([state.nk.ports[0], state.sk.ports[0]], [5353, 53]);
  });

  it("gives levels and scales to the right ends", () => {
    const fields = {
      present: CONNTRACK_FIELD.TCP,
      tcpState: CONNTRACK_TCP_STATES.indexOf("CLOSE_WAIT"),
      tcpFlagsOriginal: CONNTRACK_TCP_FLAG.WINDOW_SCALE | CONNTRACK_TCP_FLAG.CLOSE_INIT,
      tcpFlagsReply: CONNTRACK_TCP_FLAG.WINDOW_SCALE,
      tcpScaleOriginal: 7,
      tcpScaleReply: 8,
    };
    const out = stateOf(entryOf([HOST, 1, PEER, 2], [PEER, 2, HOST, 1], fields), localAre(HOST));
    assert.deepEqual([out.src.levelName, out.dst.levelName], ["FIN_WAIT_2", "CLOSE_WAIT"]);
    assert.deepEqual([out.src.windowScale, out.dst.windowScale], [7, 8]);
    const into = stateOf(entryOf([PEER, 1, HOST, 2], [HOST, 2, PEER, 1], fields), localAre(HOST));
    assert.deepEqual([into.src.levelName, into.dst.levelName], ["CLOSE_WAIT", "FIN_WAIT_2"]);
    assert.deepEqual([into.src.windowScale, into.dst.windowScale], [8, 7]);
  });

  it("names what holds an entry in the kernel", () => {
    const entry = entryOf([HOST, 1, PEER, 2], [PEER, 2, HOST, 1]);
    const offloadOf = (status: number, mark = 0): string => {
      const flow = new KernelFlow({
        isLocal: localAre(),
        creatorId: 0,
        offloadMark: { value: 0x100, mask: 0x300 },
      });
      flow.bind(Object.assign(entry, { status, mark }), 0);
      return flow.state().offload;
    };
    assert.equal(offloadOf(CONNTRACK_STATUS.OFFLOAD), "flowtable");
    assert.equal(offloadOf(CONNTRACK_STATUS.OFFLOAD | CONNTRACK_STATUS.HARDWARE_OFFLOAD), "hardware");
    assert.equal(offloadOf(0, 0xff0001ff & ~0x200), "mark");
    assert.equal(offloadOf(0, 0x300), "none");
  });
});

/** The states of the captured table, as the router has them, each with the entry it was made of. */
function capturedStates(see: (flow: KernelFlow) => void = () => undefined): State[] {
  const file = new URL("../../captures/conntrack/dump.hex", import.meta.url);
  const isLocal = localAre("10.71.1.1", "10.71.2.1", "10.71.2.77", "fd71:1::1", "fd71:2::1");
  const flow = new KernelFlow({ isLocal, creatorId: 1 });
  const reader = new ConntrackReader();
  const entry = new ConntrackEntry();
  const cursor = new MessageCursor();
  const states: State[] = [];
  for (const line of readFileSync(file, "utf8").trim().split("\n")) {
    const bytes = new DataView(
      Uint8Array.from(line.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer,
    );
    cursor.bind(bytes, 0, bytes.byteLength);
    while (cursor.next()) {
      if (cursor.type < 16) continue;
      reader.read(entry, bytes, cursor.bodyAt, cursor.end);
      flow.bind(entry, entry.startMs + 5000);
      states.push(flow.state());
      see(flow);
    }
  }
  return states;
}

describe("entries of a real router", () => {
  const states = capturedStates();
  const toPort = (port: number): State =>
    states.find(({ sk }) => sk.ports[1] === port) ?? assert.fail(`port ${port}`);

  it("are ten, all of them forwarded, with age and traffic", () => {
    assert.equal(states.length, 10);
    for (const state of states) {
      assert.equal(state.direction, "in");
      assert.equal(state.ageMs, 5000);
      assert.ok((state.packets?.[0] ?? 0) > 0);
      assert.ok((state.bytes?.[0] ?? 0) > 0);
      assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
    }
  });

  it("show DNAT in the local part of nk, SNAT in the remote part", () => {
    const { nk, sk, translation } = toPort(8080);
    assert.deepEqual(translation, { source: false, destination: true });
    assert.deepEqual([sk.addresses[1], nk.addresses[1], nk.ports[1]], ["10.71.1.1", "10.71.2.2", 7001]);
    const translated = toPort(7002);
    assert.deepEqual(translated.translation, { source: true, destination: false });
    assert.deepEqual([translated.nk.addresses[0], translated.sk.addresses[0]], ["10.71.2.77", "10.71.1.2"]);
    assert.equal(translated.mark, 0x10203040);
    assert.equal(toPort(7003).nk.addresses[0], "10.71.2.1");
  });

  it("show zones, half-closed connections, unanswered datagrams and echoes", () => {
    assert.equal(toPort(7004).nk.zone, 9);
    const closing = toPort(7005);
    assert.deepEqual([closing.src.levelName, closing.dst.levelName], ["CLOSE_WAIT", "FIN_WAIT_2"]);
    const lonely = toPort(7099);
    assert.deepEqual([lonely.src.levelName, lonely.dst.levelName], ["NO_TRAFFIC", "SINGLE"]);
    const echo = states.find(({ protocol }) => protocol === 58) ?? assert.fail("no echo");
    assert.equal(echo.nk.ports[1], 128);
    assert.ok(echo.nk.ports[0] > 0);
  });
});

describe("filters", () => {
  const texts = [
    "tcp",
    "inet6 icmp6",
    "from 10.71.1.0/24 to port 7000:7004",
    "local 10.71.2.2 port 7001",
    "local 10.71.1.1",
    "from 10.71.2.77",
    "host ! 10.71.1.2",
    "nat",
    "zone 9",
    "mark 0x10203040",
    "state CLOSE_WAIT:*",
    "half-open",
    "established",
    "age > 4s bytes > 1K",
    "packets < 3 or expires > 1h",
    "kernel in not udp",
  ];
  for (const text of texts) {
    it(`choose the same entries as states of them: ${text}`, () => {
      const filter = StateFilter.parse(text);
      const facts = new StateFacts();
      const ofEntries: boolean[] = [];
      const states = capturedStates((flow) => ofEntries.push(filter.matches(flow)));
      const ofStates = states.map((state) => {
        facts.bind(state);
        return filter.matches(facts);
      });
      assert.deepEqual(ofEntries, ofStates);
      assert.ok(ofStates.includes(true), "the filter chooses something");
    });
  }
});
