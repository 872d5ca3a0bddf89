/** Protocols over datagrams. */
import { ascii, ber, big, bytes, counted, hex, noise, type ProtocolSample } from "./sample.ts";
import { CHROME_HELLO, clientHello } from "./tls-samples.ts";

const QUESTION = bytes(counted(1, "www"), counted(1, "Example"), counted(1, "org"), 0, hex("0001 0001"));
const QUERY = bytes(hex("1234 0100 0001 0000 0000 0000"), QUESTION);
const ANSWER = bytes(
  hex("1234 8180 0001 0001 0000 0000"),
  QUESTION,
  hex("c00c 0001 0001 0000003c 0004 c0000201"),
);
const MULTICAST = bytes(
  hex("0000 0000 0001 0000 0000 0000"),
  counted(1, "_ipp"),
  counted(1, "_tcp"),
  counted(1, "local"),
  0,
  hex("000c 0001"),
);

const COOKIE = hex("2112a442");
const BINDING = bytes(hex("0001 0000"), COOKIE, noise(12));
const BINDING_ANSWER = bytes(hex("0101 000c"), COOKIE, noise(12), hex("0020000800011111 22223333"));

const rtp = (sequence: number): Uint8Array =>
  bytes(0x80, 0, big(sequence, 2), big(160 * sequence, 4), hex("cafebabe"), noise(160, sequence + 1));

const DTLS_BODY = clientHello({ ...CHROME_HELLO, version: 0xfefd, datagram: true }).slice(4);
const dtlsRecord = (payload: Uint8Array, sequence: number): Uint8Array =>
  bytes(22, hex("fefd 0000"), big(sequence, 6), counted(2, payload));
const dtlsFragment = (from: number, to: number): Uint8Array =>
  bytes(1, big(DTLS_BODY.length, 3), big(0, 2), big(from, 3), big(to - from, 3), DTLS_BODY.slice(from, to));

const SESSION_CLIENT = hex("0102030405060708");
const SESSION_SERVER = hex("1112131415161718");

const WIREGUARD_INITIATION = bytes(1, 0, 0, 0, hex("11223344"), noise(140));
const WIREGUARD_RESPONSE = bytes(2, 0, 0, 0, hex("55667788 11223344"), noise(80));

const IKE = bytes(noise(8), new Uint8Array(8), hex("21 20 22 08 00000000"), big(28 + 20, 4), noise(20));

const utp = (type: number, connection: number, sequence: number): Uint8Array =>
  bytes(
    (type << 4) | 1,
    0,
    big(connection, 2),
    big(1_000_000 + sequence, 4),
    big(0, 4),
    big(65_536, 4),
    big(sequence, 2),
    big(0, 2),
  );

const DHCP = bytes(
  hex("01010600 12345678 0000 0000"),
  new Uint8Array(16),
  noise(16),
  new Uint8Array(192),
  hex("63825363"),
  hex("350101"),
  12,
  counted(1, "Laptop"),
  255,
);

/** See the head of this file. */
export const datagramSamples: readonly ProtocolSample[] = [
  {
    name: "DNS",
    transport: "UDP",
    turns: [
      [0, QUERY],
      [1, ANSWER],
    ],
    protocol: "DNS",
    confidence: "certain",
    facts: { serverName: "www.example.org" },
  },
  {
    name: "mDNS",
    transport: "UDP",
    port: 5353,
    turns: [[0, MULTICAST]],
    protocol: "mDNS",
    facts: { serverName: "_ipp._tcp.local" },
  },
  { name: "LLMNR", transport: "UDP", port: 5355, turns: [[0, QUERY]], protocol: "LLMNR" },
  {
    name: "DHCP",
    transport: "UDP",
    turns: [[0, DHCP]],
    protocol: "DHCP",
    facts: { kind: "DISCOVER", serverName: "laptop" },
  },
  {
    name: "NTP",
    transport: "UDP",
    port: 123,
    turns: [[0, bytes(0x23, 0, 6, 0xe9, new Uint8Array(44))]],
    protocol: "NTP",
    facts: { version: "4" },
  },
  {
    name: "STUN",
    transport: "UDP",
    turns: [
      [0, BINDING],
      [1, BINDING_ANSWER],
    ],
    protocol: "STUN",
    confidence: "certain",
  },
  {
    name: "RTP",
    transport: "UDP",
    turns: [1, 2, 3, 4, 5].map((sequence) => [0, rtp(sequence)] as const),
    protocol: "RTP",
    confidence: "certain",
  },
  {
    name: "media behind STUN",
    transport: "UDP",
    turns: [[0, BINDING], ...[1, 2, 3, 4].map((sequence) => [0, rtp(sequence)] as const)],
    protocol: "RTP",
    layers: ["STUN", "RTP"],
  },
  {
    name: "RTCP",
    transport: "UDP",
    turns: [[0, bytes(hex("80c80006 cafebabe"), noise(20), hex("81ca0002 cafebabe 01 00 0000"))]],
    protocol: "RTCP",
    confidence: "certain",
  },
  {
    name: "DTLS in two fragments",
    transport: "UDP",
    turns: [
      [0, dtlsRecord(dtlsFragment(0, 100), 0)],
      [0, dtlsRecord(dtlsFragment(100, DTLS_BODY.length), 1)],
    ],
    protocol: "DTLS",
    encrypted: true,
    facts: { serverName: "example.org" },
  },
  {
    name: "WireGuard",
    transport: "UDP",
    turns: [
      [0, WIREGUARD_INITIATION],
      [1, WIREGUARD_RESPONSE],
    ],
    protocol: "WireGuard",
    encrypted: true,
    confidence: "certain",
  },
  {
    name: "IKEv2",
    transport: "UDP",
    turns: [[0, IKE]],
    protocol: "IPsec",
    encrypted: true,
    facts: { kind: "IKEv2" },
  },
  {
    name: "IKEv2 behind a non-ESP marker",
    transport: "UDP",
    turns: [[0, bytes(new Uint8Array(4), IKE)]],
    protocol: "IPsec",
    encrypted: true,
  },
  {
    name: "OpenVPN, plain",
    transport: "UDP",
    turns: [
      [0, bytes(0x38, SESSION_CLIENT, 0, big(0, 4))],
      [1, bytes(0x40, SESSION_SERVER, 1, big(0, 4), SESSION_CLIENT, big(0, 4))],
    ],
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "certain",
    facts: { kind: "plain" },
  },
  {
    name: "OpenVPN, tls-auth",
    transport: "UDP",
    turns: [
      [0, bytes(0x38, SESSION_CLIENT, noise(20), big(1, 4), big(1_700_000_000, 4), 0, big(0, 4))],
      [
        1,
        bytes(
          0x40,
          SESSION_SERVER,
          noise(20, 5),
          big(1, 4),
          big(1_700_000_000, 4),
          1,
          big(0, 4),
          SESSION_CLIENT,
          big(0, 4),
        ),
      ],
    ],
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "certain",
    facts: { kind: "tls-auth" },
  },
  {
    name: "OpenVPN, tls-crypt",
    transport: "UDP",
    turns: [
      [0, bytes(0x38, SESSION_CLIENT, big(1, 4), big(1_700_000_000, 4), noise(32), noise(5, 7))],
      [1, bytes(0x40, SESSION_SERVER, big(1, 4), big(1_700_000_000, 4), noise(32, 8), noise(17, 9))],
    ],
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "likely",
    facts: { kind: "tls-crypt" },
  },
  {
    name: "SNMP 2c",
    transport: "UDP",
    turns: [
      [0, ber(0x30, ber(2, 1), ber(4, "public"), ber(0xa0, ber(2, 1), ber(2, 0), ber(2, 0), ber(0x30)))],
    ],
    protocol: "SNMP",
    facts: { version: "2c" },
  },
  {
    name: "Kerberos",
    transport: "UDP",
    turns: [[0, ber(0x6a, ber(0x30, ber(0xa1, ber(2, 5)), ber(0xa2, ber(2, 10)), ber(0xa4, noise(40))))]],
    protocol: "Kerberos",
  },
  {
    name: "CLDAP",
    transport: "UDP",
    turns: [
      [0, ber(0x30, ber(2, 1), ber(0x63, ber(4), ber(10, 0), ber(10, 0), ber(2, 0), ber(2, 0), ber(1, 0)))],
    ],
    protocol: "LDAP",
  },
  {
    name: "NFS",
    transport: "UDP",
    turns: [
      [
        0,
        bytes(
          big(7, 4),
          big(0, 4),
          big(2, 4),
          big(100_003, 4),
          big(3, 4),
          big(1, 4),
          new Uint8Array(16),
          noise(32),
        ),
      ],
    ],
    protocol: "NFS",
  },
  {
    name: "BitTorrent DHT",
    transport: "UDP",
    turns: [[0, ascii("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe")]],
    protocol: "BitTorrent",
    facts: { kind: "DHT" },
  },
  {
    name: "BitTorrent uTP",
    transport: "UDP",
    turns: [
      [0, utp(4, 1000, 1)],
      [1, utp(2, 1000, 1)],
      [0, utp(2, 1001, 2)],
    ],
    protocol: "BitTorrent",
    confidence: "certain",
    facts: { kind: "uTP" },
  },
  {
    name: "RDP over UDP",
    transport: "UDP",
    turns: [[0, bytes(hex("ffffffff 0040 0001 a1b2c3d4"), big(1232, 2), big(1232, 2), new Uint8Array(1216))]],
    protocol: "RDP",
    encrypted: true,
  },
  {
    name: "memcached datagram",
    transport: "UDP",
    turns: [[0, bytes(hex("0001 0000 0001 0000"), "stats\r\n")]],
    protocol: "memcached",
  },
  {
    name: "Google QUIC",
    transport: "UDP",
    turns: [
      [
        0,
        bytes(
          0x0d,
          noise(8),
          "Q043",
          1,
          noise(12),
          hex("a0010004"),
          "CHLO",
          hex("0100 0000"),
          "SNI\0",
          hex("0b000000"),
          "example.org",
        ),
      ],
    ],
    protocol: "QUIC",
    encrypted: true,
    facts: { serverName: "example.org", version: "Q043" },
  },
];
