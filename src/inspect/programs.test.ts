/** Captures of real programs, on ports that say nothing (captures/programs/README.md). */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { FlowRecognition, type Recognition, RecogniserSet } from "../recognise/index.ts";
import { type StreamConsumer, type StreamDirection, StreamTable } from "../stream/index.ts";
import { CaptureReader, decodeRecord, Packet } from "../wire/index.ts";
import { type FlowReport, inspectCapture, Inspector } from "./index.ts";

const CAPTURES = new URL("../../captures/programs/", import.meta.url);

/** What must be known of a flow; `undefined` for what must not be. */
type ExpectedFlow = { readonly [Field in keyof FlowReport]?: FlowReport[Field] | undefined };

/** One flow, or the flows of a file in order. */
type Expected = ExpectedFlow | readonly ExpectedFlow[];

const NAMES = ["server.example.org", "alias.example.org"];

/** What the first flows of each capture are, and what must be known of them. */
const EXPECTED: Readonly<Record<string, Expected>> = {
  tls12: {
    protocol: "TLS",
    encrypted: true,
    serverName: "www.example.org",
    certificateNames: NAMES,
    tlsVersion: 0x0303,
    // Both as tshark computes them.
    ja3: "22558766122974704364c9c75c5cce0a",
    ja3s: "ec74a5c51106f0419184d0dd08fb05bc",
  },
  tls13: {
    protocol: "TLS",
    encrypted: true,
    serverName: "www.example.org",
    tlsVersion: 0x0304,
    ja3: "f146948b4a599d4d7ddf071b74696983",
    ja3s: "15af977ce25de452b96affa2addb1036",
  },
  // The second connection of each takes up the first one's session: no certificate is sent.
  "tls12-resumed": [
    { protocol: "TLS", serverName: "www.example.org", certificateNames: NAMES },
    { protocol: "TLS", serverName: "www.example.org", certificateNames: undefined, tlsVersion: 0x0303 },
  ],
  "tls13-resumed": [
    { protocol: "TLS", serverName: "www.example.org", tlsVersion: 0x0304 },
    { protocol: "TLS", serverName: "www.example.org", tlsVersion: 0x0304 },
  ],
  dtls12: { protocol: "DTLS", encrypted: true, serverName: "www.example.org", tlsVersion: 0xfefd },
  http1: {
    protocol: "HTTP",
    encrypted: false,
    serverName: "www.example.org",
    clientSoftware: "curl/7.88.1",
    status: 200,
  },
  http2: { protocol: "HTTP2", serverName: "www.example.org", path: "/page", clientSoftware: "curl/7.88.1" },
  "http2-tls": { protocol: "TLS", alpnChosen: "h2", serverName: "www.example.org" },
  ssh: {
    protocol: "SSH",
    encrypted: true,
    hasshClient: "472b5de333ad665af5cbf10ff892c4df",
    hasshServer: "425d29fe50d8e4f5e37efb6e24bcf660",
  },
  "git-over-ssh": { protocol: "SSH", encrypted: true },
  "openvpn-udp-plain": { protocol: "OpenVPN", encrypted: true, confidence: "certain", kind: "plain" },
  "openvpn-tcp-plain": { protocol: "OpenVPN", encrypted: true, confidence: "certain", kind: "plain" },
  "openvpn-udp-tls-auth": { protocol: "OpenVPN", encrypted: true, confidence: "certain", kind: "tls-auth" },
  "openvpn-tcp-tls-auth": { protocol: "OpenVPN", encrypted: true, confidence: "certain", kind: "tls-auth" },
  "openvpn-udp-tls-crypt": { protocol: "OpenVPN", encrypted: true, kind: "tls-crypt" },
  "openvpn-tcp-tls-crypt": { protocol: "OpenVPN", encrypted: true, kind: "tls-crypt" },
  "openvpn-udp-tls-crypt-v2": { protocol: "OpenVPN", encrypted: true, kind: "tls-crypt" },
  "openvpn-tcp-tls-crypt-v2": { protocol: "OpenVPN", encrypted: true, kind: "tls-crypt" },
  redis: { protocol: "Redis", kind: "SET" },
  memcached: { protocol: "memcached" },
  postgresql: { protocol: "PostgreSQL", encrypted: false, user: "postgres" },
  "postgresql-tls": { protocol: "PostgreSQL", encrypted: true, layers: ["PostgreSQL", "TLS"] },
  mqtt: { protocol: "MQTT", version: "3.1.1" },
  mqtt5: { protocol: "MQTT", version: "5" },
  snmp2c: { protocol: "SNMP", version: "2c" },
  snmp3: { protocol: "SNMP", version: "3" },
  ldap: { protocol: "LDAP", encrypted: false },
  "ldap-starttls": { protocol: "LDAP", encrypted: true, layers: ["LDAP", "TLS"] },
  dns: { protocol: "DNS", serverName: "www.example.org" },
  "dns-tcp": { protocol: "DNS", serverName: "www.example.org" },
  smtp: {
    protocol: "SMTP",
    encrypted: false,
    serverName: "mail.example.org",
    serverSoftware: "mail.example.org ESMTP Postfix",
  },
  "smtp-starttls": { protocol: "TLS", encrypted: true, layers: ["SMTP", "TLS"] },
  imap: { protocol: "IMAP", encrypted: false },
  "imap-starttls": { protocol: "TLS", encrypted: true, layers: ["IMAP", "TLS"] },
  pop3: { protocol: "POP3", encrypted: false },
  "pop3-starttls": { protocol: "TLS", encrypted: true, layers: ["POP3", "TLS"] },
  ftp: { protocol: "FTP", encrypted: false, user: "anonymous", serverSoftware: "(vsFTPd 3.0.3)" },
  "ftp-auth-tls": { protocol: "TLS", encrypted: true, layers: ["FTP", "TLS"] },
  rsync: { protocol: "rsync", encrypted: false },
  "rsync-over-ssh": { protocol: "SSH", encrypted: true },
  "smb-nt1": { protocol: "SMB", version: "1" },
  "smb-smb2": { protocol: "SMB", version: "2.1" },
  "smb-smb3": { protocol: "SMB", version: "3.1.1" },
  "sip-rtp": [
    { protocol: "SIP", encrypted: false, kind: "INVITE" },
    { protocol: "RTP", confidence: "certain" },
  ],
  turn: { protocol: "STUN", kind: "allocate" },
  "turn-tcp": { protocol: "STUN", kind: "allocate" },
  wireguard: { protocol: "WireGuard", encrypted: true, confidence: "certain" },
  quic: {
    protocol: "QUIC",
    encrypted: true,
    version: "1",
    serverName: "www.example.org",
    alpn: ["h3", "echo"],
  },
  "syslog-rfc5424": { protocol: "Syslog" },
  "syslog-rfc3164": { protocol: "Syslog" },
  "syslog-tcp": { protocol: "Syslog" },
  mysql: { protocol: "MySQL", encrypted: false, user: "root" },
  "mysql-tls": { protocol: "MySQL", encrypted: true, layers: ["MySQL", "TLS"] },
  amqp: { protocol: "AMQP", version: "0-9-1" },
  kerberos: { protocol: "Kerberos", kind: "AS-REQ" },
  "kerberos-tcp": { protocol: "Kerberos", kind: "AS-REQ" },
  nfs3: { protocol: "NFS", version: "3" },
  nfs4: { protocol: "NFS", version: "4" },
  telnet: { protocol: "Telnet" },
  vnc: { protocol: "VNC", version: "003.008" },
  socks4a: { protocol: "SOCKS", version: "4", encrypted: true, layers: ["SOCKS", "TLS"] },
  "socks5-hostname": { protocol: "SOCKS", version: "5", encrypted: true, layers: ["SOCKS", "TLS"] },
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`recognises the programs of ${name}.pcap`, () => {
    const { flows, fault } = inspectCapture([readFileSync(new URL(`${name}.pcap`, CAPTURES))]);
    assert.equal(fault, undefined);
    for (const [index, wanted] of [expected].flat().entries()) {
      const report = flows[index];
      assert.ok(report !== undefined, `flow ${index + 1}`);
      for (const [field, value] of Object.entries(wanted)) {
        assert.deepEqual(report[field as keyof FlowReport], value, field);
      }
    }
  });
}

/** The flows of a capture of which only some packets were seen. */
function inspectSome(name: string, isSeen: (packet: Packet, index: number) => boolean): FlowReport[] {
  const reader = new CaptureReader();
  const inspector = new Inspector();
  const packet = new Packet();
  reader.push(readFileSync(new URL(`${name}.pcap`, CAPTURES)));
  let index = 0;
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    if (decodeRecord(packet, record) && isSeen(packet, index)) inspector.push(packet, record.timestampMs);
    index += 1;
  }
  return inspector.finish();
}

const portOf = (end: string): number => Number(end.slice(end.lastIndexOf(":") + 1));

/** What a session protected by TLS may be taken for when the words that led to it were not seen. */
const TLS_INSIDE: readonly string[] = [
  "mysql-tls",
  "postgresql-tls",
  "ldap-starttls",
  "socks4a",
  "socks5-hostname",
];

/** Answers of RPC do not name the program. */
const ANONYMOUS: readonly string[] = ["nfs3", "nfs4"];

/** Captures of which one side alone tells nothing that another protocol could not say as well. */
const SILENT: Readonly<Record<"client" | "server", readonly string[]>> = {
  client: [],
  server: ["redis", "socks4a", "socks5-hostname", "syslog-tcp", "syslog-rfc3164", "syslog-rfc5424"],
};

for (const name of Object.keys(EXPECTED)) {
  test(`one side of ${name}.pcap alone, and its middle, are the same protocol`, () => {
    const [whole] = inspectSome(name, () => true);
    assert.ok(whole !== undefined);
    const port = portOf(whole.server);
    const seen = {
      client: inspectSome(name, (packet) => packet.destinationPort === port),
      server: inspectSome(name, (packet) => packet.sourcePort === port),
    };
    for (const side of ["client", "server"] as const) {
      const protocol = seen[side][0]?.protocol ?? null;
      if (SILENT[side].includes(name)) assert.equal(protocol, null, side);
      else
        assert.equal(protocol, side === "server" && ANONYMOUS.includes(name) ? "RPC" : whole.protocol, side);
    }
    for (const first of [1, 3, 6, 10]) {
      const protocol = inspectSome(name, (packet, index) => index >= first)[0]?.protocol ?? null;
      const possible = [whole.protocol, null, ...(TLS_INSIDE.includes(name) ? ["TLS"] : [])];
      if (name !== "sip-rtp") assert.ok(possible.includes(protocol), `from packet ${first}: ${protocol}`);
    }
  });
}

/** The bytes of the first connection of a capture, turn by turn, as they were handed over. */
class Turns implements StreamConsumer {
  readonly turns: (readonly [StreamDirection, Uint8Array])[] = [];

  receive(direction: StreamDirection, bytes: DataView, at: number, end: number): number {
    this.turns.push([direction, new Uint8Array(bytes.buffer, bytes.byteOffset + at, end - at).slice()]);
    return end - at;
  }

  datagram(): void {}
  gap(): void {}
  finish(): void {}
}

function turnsOf(name: string): Turns["turns"] {
  const reader = new CaptureReader();
  const packet = new Packet();
  const first = new Turns();
  const table = new StreamTable({ open: (_packet, flow) => (flow.number === 1 ? first : new Turns()) });
  reader.push(readFileSync(new URL(`${name}.pcap`, CAPTURES)));
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    if (decodeRecord(packet, record)) table.push(packet, 0);
  }
  table.clear();
  return first.turns;
}

const recognisers = new RecogniserSet();

/** What the turns are recognised as when they come in pieces of so many bytes. */
function recogniseInPieces(turns: Turns["turns"], pieceBytes: number): Recognition | undefined {
  const flow = new FlowRecognition(recognisers, "TCP", 40_000, 40_001);
  const held: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];
  for (const [direction, bytes] of turns) {
    for (let at = 0; at < bytes.length && !flow.settled; at += pieceBytes) {
      const more = bytes.subarray(at, at + pieceBytes);
      const joined = new Uint8Array(held[direction].length + more.length);
      joined.set(held[direction]);
      joined.set(more, held[direction].length);
      const released = flow.receive(direction, new DataView(joined.buffer), 0, joined.length);
      held[direction] = released < 0 ? new Uint8Array(0) : joined.slice(released);
    }
  }
  flow.finish();
  return flow.result;
}

for (const name of Object.keys(EXPECTED)) {
  const turns = turnsOf(name);
  if (turns.length === 0) continue;
  test(`${name}.pcap in pieces of any size is the same, in all that is learnt`, () => {
    const whole = recogniseInPieces(turns, Number.MAX_SAFE_INTEGER);
    assert.ok(whole !== undefined);
    for (const pieceBytes of [1, 2, 7, 100]) {
      assert.deepEqual(recogniseInPieces(turns, pieceBytes), whole, `pieces of ${pieceBytes}`);
    }
  });
}

test("HASSH belongs to the side that sent it, whichever side was seen", () => {
  const [whole] = inspectSome("ssh", () => true);
  const port = portOf(whole?.server ?? "");
  const [server] = inspectSome("ssh", (packet) => packet.sourcePort === port);
  const [answered] = inspectSome("ssh", (_packet, index) => index >= 1);
  assert.equal(server?.hasshServer, whole?.hasshServer);
  assert.equal(server?.hasshClient, undefined);
  assert.equal(answered?.hasshServer, whole?.hasshServer);
  assert.equal(answered?.hasshClient, whole?.hasshClient);
  assert.equal(answered?.server, whole?.server);
});

test("every capture of a program has its expectation", () => {
  const captures = readdirSync(CAPTURES).filter((file) => file.endsWith(".pcap"));
  assert.deepEqual(
    captures.map((file) => file.slice(0, -".pcap".length)).sort(),
    Object.keys(EXPECTED).sort(),
  );
});
