import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatAddress } from "../base/index.ts";
import {
  CONNTRACK_FIELD,
  CONNTRACK_STATUS,
  CONNTRACK_TCP_STATES,
  ConntrackEntry,
  ConntrackReader,
  type ConntrackTuple,
  conntrackEvent,
  decodeConntrackSize,
  decodeConntrackStatistics,
  MessageCursor,
} from "./index.ts";

/** The datagrams of a file of captures/conntrack; see the README there. */
function capture(name: string): DataView[] {
  const file = new URL(`../../captures/conntrack/${name}.hex`, import.meta.url);
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const bytes = Uint8Array.from(line.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
      return new DataView(bytes.buffer);
    });
}

/** Calls `see` with every message that is not netlink's own. */
function eachMessage(
  datagrams: readonly DataView[],
  see: (bytes: DataView, cursor: MessageCursor) => void,
): void {
  const cursor = new MessageCursor();
  for (const bytes of datagrams) {
    cursor.bind(bytes, 0, bytes.byteLength);
    while (cursor.next()) if (cursor.type >= 16) see(bytes, cursor);
    assert.equal(cursor.fault, undefined);
  }
}

/** The messages themselves, each in bytes of its own. */
function messages(name: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  eachMessage(capture(name), (bytes, { at, end }) => found.push(new Uint8Array(bytes.buffer.slice(at, end))));
  return found;
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };

/** One direction as `conntrack -L -o extended` prints it. */
function directionText(entry: ConntrackEntry, tuple: ConntrackTuple, packets: number, bytes: number): string {
  const icmp = tuple.protocol === 1 || tuple.protocol === 58;
  const source = formatAddress(entry.family, tuple.source);
  const destination = formatAddress(entry.family, tuple.destination);
  const transport = icmp
    ? `type=${tuple.icmpType} code=${tuple.icmpCode} id=${tuple.icmpIdentifier}`
    : `sport=${tuple.sourcePort} dport=${tuple.destinationPort}`;
  return `src=${source} dst=${destination} ${transport} packets=${packets} bytes=${bytes}`;
}

/** An entry in conntrack's words, without what moves while one looks: timeout, age and uses. */
function entryText(entry: ConntrackEntry): string {
  const protocol = entry.original.protocol;
  const state = entry.has(CONNTRACK_FIELD.TCP) ? `${CONNTRACK_TCP_STATES[entry.tcpState]} ` : "";
  const seen = (entry.status & CONNTRACK_STATUS.SEEN_REPLY) !== 0 ? "" : "[UNREPLIED] ";
  const assured = (entry.status & CONNTRACK_STATUS.ASSURED) !== 0 ? "[ASSURED] " : "";
  const zone = entry.zone === 0 ? "" : `zone=${entry.zone} `;
  const original = directionText(entry, entry.original, entry.originalPackets, entry.originalBytes);
  const reply = directionText(entry, entry.reply, entry.replyPackets, entry.replyBytes);
  const second = new Date(Math.floor(entry.startMs / 1000) * 1000).toUTCString();
  return (
    `ipv${entry.family} ${PROTOCOLS[protocol]} ${protocol} ${state}${original} ${seen}${reply} ` +
    `${assured}mark=${entry.mark} ${zone}[start=${second}] id=${entry.id}`
  );
}

/** The same of a line that conntrack printed. */
function lineText(line: string): string {
  return line
    .replace(/\s+/g, " ")
    .replace(/^(ipv\d) \d+ (\S+) (\d+) \d+ /, "$1 $2 $3 ")
    .replace(/delta-time=\d+ /, "")
    .replace(/ use=\d+/, "")
    .replace(/\[start=(\w+) (\w+) (\d+) ([\d:]+) (\d+)\]/, "[start=$1, $3 $2 $5 $4 GMT]");
}

describe("conntrack entries", () => {
  it("are what conntrack(8) says of the same table", () => {
    const file = new URL("../../captures/conntrack/dump.txt", import.meta.url);
    const expected = readFileSync(file, "utf8").trim().split("\n").map(lineText);
    const reader = new ConntrackReader();
    const entry = new ConntrackEntry();
    const found: string[] = [];
    eachMessage(capture("dump"), (bytes, { bodyAt, end }) => {
      assert.equal(reader.read(entry, bytes, bodyAt, end), undefined);
      found.push(entryText(entry));
    });
    assert.deepEqual(found.sort(), expected.sort());
    assert.ok(found.length >= 10, `${found.length} entries`);
  });

  it("have the details that conntrack(8) does not print", () => {
    const reader = new ConntrackReader();
    const entry = new ConntrackEntry();
    const seen = { sourceNat: 0, destinationNat: 0, scales: 0, closers: 0 };
    eachMessage(capture("dump"), (bytes, { bodyAt, end }) => {
      reader.read(entry, bytes, bodyAt, end);
      if ((entry.status & CONNTRACK_STATUS.SOURCE_NAT) !== 0) seen.sourceNat += 1;
      if ((entry.status & CONNTRACK_STATUS.DESTINATION_NAT) !== 0) seen.destinationNat += 1;
      if (!entry.has(CONNTRACK_FIELD.TCP)) return;
      if (entry.tcpScaleOriginal > 0 && entry.tcpScaleReply > 0) seen.scales += 1;
      if (CONNTRACK_TCP_STATES[entry.tcpState] === "CLOSE_WAIT") {
        assert.ok((entry.tcpFlagsOriginal & 4) !== 0, "the client sent FIN first");
        assert.ok((entry.tcpFlagsReply & 4) === 0);
        seen.closers += 1;
      }
    });
    // The port of the masqueraded UDP flow and of the source-translated TCP flow; one DNAT; five TCP flows.
    assert.deepEqual(seen, { sourceNat: 2, destinationNat: 1, scales: 5, closers: 1 });
  });

  it("never throw, and name a fault, at every shorter length", () => {
    const reader = new ConntrackReader();
    const entry = new ConntrackEntry();
    for (const message of messages("dump")) {
      const bytes = new DataView(message.buffer);
      let faults = 0;
      for (let end = 16; end < message.length; end += 1) {
        if (reader.read(entry, bytes, 16, end) !== undefined) faults += 1;
      }
      assert.ok(faults > message.length / 2, `${faults} faults in ${message.length} bytes`);
    }
  });

  it("never throw on damaged messages", () => {
    const all = messages("dump");
    const reader = new ConntrackReader();
    const entry = new ConntrackEntry();
    const damage = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.nat(all.length - 1), damage, (which, changes) => {
        const bytes = Uint8Array.from(all[which] ?? []);
        for (const [at, value] of changes) if (at >= 16 && at < bytes.length) bytes[at] = value;
        reader.read(entry, new DataView(bytes.buffer), 16, bytes.length);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("conntrack events", () => {
  it("tell what came, changed and went", () => {
    const kinds: Record<string, number> = {};
    const reader = new ConntrackReader();
    const entry = new ConntrackEntry();
    let ended = 0;
    eachMessage(capture("events"), (bytes, { type, flags, bodyAt, end }) => {
      const kind = conntrackEvent(type, flags) ?? "none";
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      assert.equal(reader.read(entry, bytes, bodyAt, end), undefined);
      if (kind === "destroy" && entry.has(CONNTRACK_FIELD.TIMESTAMP) && entry.stopMs > entry.startMs)
        ended += 1;
    });
    assert.ok((kinds["new"] ?? 0) >= 10, JSON.stringify(kinds));
    assert.ok((kinds["update"] ?? 0) >= 5, JSON.stringify(kinds));
    assert.ok((kinds["destroy"] ?? 0) >= 1, JSON.stringify(kinds));
    assert.equal(kinds["none"], undefined);
    assert.equal(ended, kinds["destroy"]);
  });
});

describe("conntrack statistics", () => {
  it("are summed over the processors", () => {
    const sum = decodeConntrackStatistics(messages("statistics"));
    assert.deepEqual([...new Set(Object.values(sum))], [0]);
    const [message] = messages("statistics");
    assert.ok(message);
    // The first attribute is "found"; its value is at 24.
    new DataView(message.buffer).setUint32(24, 5);
    assert.equal(decodeConntrackStatistics([message, message]).found, 10);
  });

  it("tell the size of the table", () => {
    const { entries, limit } = decodeConntrackSize(messages("size"));
    assert.equal(entries, 10);
    assert.equal(limit, 262144);
  });
});
