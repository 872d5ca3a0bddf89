/**
 * Protocols as they are also met: one side alone, from the middle, old versions, and what their
 * specifications allow besides the usual.
 */
import { ascii, ber, big, bytes, counted, hex, little, noise, type ProtocolSample } from "./sample.ts";
import { CHROME_RECORD, SERVER_HELLO_RECORD } from "./tls-samples.ts";

const REQUEST = "GET /page HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
/** "NODE", blanks, and the kind of name, in first-level encoding (RFC 1002 section 4.1). */
const NETBIOS_NAME = counted(1, `EOEPEEEF${"CA".repeat(11)}AA`);

const MYSQL_LOGIN = bytes(
  hex("85a6ff01"),
  little(0x01000000, 4),
  0x21,
  new Uint8Array(23),
  "alice\0",
  counted(1, noise(20)),
  "mysql_native_password\0",
);
const MYSQL_TLS_REQUEST = bytes(hex("85aeff01"), little(0x01000000, 4), 0x21, new Uint8Array(23));

/** A message of MongoDB's wire protocol: length, request, answer to, kind, and what the kind asks for. */
const mongo = (opcode: number, body: Uint8Array): Uint8Array =>
  bytes(little(16 + body.length, 4), little(1, 4), little(0, 4), little(opcode, 4), body);
const EMPTY_DOCUMENT = hex("0500000000");

const smb2 = (command: number, flags: number, body: Uint8Array): Uint8Array =>
  bytes(
    0,
    counted(
      3,
      "\xfeSMB",
      little(64, 2),
      new Uint8Array(6),
      little(command, 2),
      new Uint8Array(2),
      little(flags, 4),
      new Uint8Array(44),
      body,
    ),
  );

/** An element with its length in four octets, as Windows writes them. */
const longBer = (tag: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  bytes(tag, 0x84, counted(4, ...parts));

const OPENVPN_SESSION = hex("0102030405060708");
const OPENVPN_SERVER_SESSION = hex("1112131415161718");

/** Protocols over streams. */
const streamVariants: readonly ProtocolSample[] = [
  {
    name: "HTTP behind empty lines",
    transport: "TCP",
    turns: [[0, ascii(`\r\n\r\n${REQUEST}`)]],
    protocol: "HTTP",
  },
  {
    name: "SIP behind keep-alives",
    transport: "TCP",
    turns: [[0, ascii("\r\n\r\nREGISTER sip:example.org SIP/2.0\r\nUser-Agent: phone\r\n\r\n")]],
    protocol: "SIP",
    facts: { clientSoftware: "phone" },
  },
  {
    name: "SMTP, the server alone",
    transport: "TCP",
    turns: [
      [1, ascii("220 mail.example.org ready\r\n250-mail.example.org\r\n250-PIPELINING\r\n250 DSN\r\n")],
    ],
    protocol: "SMTP",
    confidence: "certain",
  },
  {
    name: "SMTP that says nothing but STARTTLS",
    transport: "TCP",
    turns: [
      [1, ascii("220 ready\r\n")],
      [0, ascii("STARTTLS\r\n")],
      [1, ascii("220 go ahead\r\n")],
    ],
    protocol: "SMTP",
    confidence: "certain",
  },
  {
    name: "FTP, the server alone",
    transport: "TCP",
    turns: [[1, ascii("220 Welcome\r\n331 Please specify the password.\r\n")]],
    protocol: "FTP",
    confidence: "certain",
  },
  {
    name: "MySQL, the client alone",
    transport: "TCP",
    turns: [[0, bytes(little(MYSQL_LOGIN.length, 3), 1, MYSQL_LOGIN)]],
    protocol: "MySQL",
    confidence: "certain",
    facts: { user: "alice" },
  },
  {
    name: "MySQL in TLS, the client alone",
    transport: "TCP",
    turns: [[0, bytes(little(32, 3), 1, MYSQL_TLS_REQUEST, CHROME_RECORD)]],
    protocol: "MySQL",
    encrypted: true,
    layers: ["MySQL", "TLS"],
  },
  {
    name: "PostgreSQL, the server alone",
    transport: "TCP",
    turns: [[1, bytes("R", big(8, 4), big(0, 4), "S", big(21, 4), "client_encoding\0U\0")]],
    protocol: "PostgreSQL",
    confidence: "certain",
  },
  {
    name: "PostgreSQL from the middle",
    transport: "TCP",
    turns: [[0, bytes("Q", big(13, 4), "select 1\0")]],
    protocol: "PostgreSQL",
  },
  {
    name: "PostgreSQL in TLS, the server alone",
    transport: "TCP",
    turns: [[1, bytes("S", SERVER_HELLO_RECORD)]],
    protocol: "PostgreSQL",
    encrypted: true,
    layers: ["PostgreSQL", "TLS"],
  },
  {
    name: "MQTT 5, the server alone",
    transport: "TCP",
    turns: [[1, hex("2009 00 00 06 22 000a 21 0014")]],
    protocol: "MQTT",
  },
  {
    name: "POP3, the client alone",
    transport: "TCP",
    turns: [[0, ascii("CAPA\r\nAUTH PLAIN\r\n")]],
    protocol: "POP3",
  },
  {
    name: "SMB 3.1.1, the server's choice",
    transport: "TCP",
    turns: [
      [0, smb2(0, 0, bytes(little(36, 2), noise(60)))],
      [1, smb2(0, 1, bytes(little(65, 2), little(1, 2), little(0x0311, 2), noise(60)))],
    ],
    protocol: "SMB",
    facts: { version: "3.1.1" },
  },
  {
    name: "SMB, the server of a NetBIOS session alone",
    transport: "TCP",
    turns: [[1, bytes(hex("82000000"), 0, counted(3, "\xffSMB", 0x72, new Uint8Array(4), 0x88, noise(40)))]],
    protocol: "SMB",
    facts: { version: "1" },
  },
  {
    name: "SMB 3, encrypted",
    transport: "TCP",
    turns: [[0, bytes(0, counted(3, "\xfdSMB", noise(100)))]],
    protocol: "SMB",
    encrypted: true,
    facts: { version: "3" },
  },
  {
    name: "RDP with correlation information",
    transport: "TCP",
    turns: [
      [
        0,
        bytes(
          hex("03000037 32 e0 0000 0000 00"),
          hex("01080800 0b000000"),
          hex("06002400"),
          noise(16),
          new Uint8Array(16),
        ),
      ],
    ],
    protocol: "RDP",
    encrypted: true,
    confidence: "certain",
  },
  {
    name: "MongoDB, OP_QUERY",
    transport: "TCP",
    turns: [
      [0, mongo(2004, bytes(little(4, 4), "admin.$cmd\0", little(0, 4), little(1, 4), EMPTY_DOCUMENT))],
    ],
    protocol: "MongoDB",
    confidence: "certain",
  },
  {
    name: "MongoDB, OP_COMPRESSED",
    transport: "TCP",
    turns: [[0, mongo(2012, bytes(little(2013, 4), little(100, 4), 1, noise(60)))]],
    protocol: "MongoDB",
  },
  {
    name: "AMQP 1.0 with SASL",
    transport: "TCP",
    turns: [[0, hex("414d515003010000")]],
    protocol: "AMQP",
    facts: { version: "1.0" },
  },
  {
    name: "AMQP from the middle",
    transport: "TCP",
    turns: [[0, bytes(1, big(1, 2), counted(4, big(60, 2), big(40, 2), noise(20)), 0xce)]],
    protocol: "AMQP",
  },
  {
    name: "MQTT 3.1",
    transport: "TCP",
    turns: [[0, bytes(0x10, 18, counted(2, "MQIsdp"), 3, 2, big(60, 2), counted(2, "abcd"))]],
    protocol: "MQTT",
    facts: { version: "3.1" },
  },
  {
    name: "memcached, binary",
    transport: "TCP",
    turns: [
      [0, bytes(hex("80 00 0003 00 00 0000"), big(3, 4), big(1, 4), new Uint8Array(8), "key")],
      [1, bytes(hex("81 00 0000 04 00 0000"), big(9, 4), big(1, 4), new Uint8Array(8), big(0, 4), "value")],
    ],
    protocol: "memcached",
  },
  {
    name: "LDAP with lengths of four octets",
    transport: "TCP",
    turns: [
      [
        0,
        longBer(
          0x30,
          ber(2, 1),
          longBer(0x63, ber(4), ber(10, 0), ber(10, 0), ber(2, 0), ber(2, 0), noise(20)),
        ),
      ],
    ],
    protocol: "LDAP",
  },
  {
    name: "SOCKS 4",
    transport: "TCP",
    turns: [
      [0, bytes(4, 1, big(80, 2), 192, 0, 2, 1, "me\0")],
      [1, bytes(0, 90, new Uint8Array(6))],
    ],
    protocol: "SOCKS",
    confidence: "certain",
    facts: { version: "4" },
  },
  {
    name: "SOCKS 5 with a password",
    transport: "TCP",
    turns: [
      [0, hex("05020002")],
      [1, hex("0502")],
      [0, bytes(1, counted(1, "alice"), counted(1, "secret"))],
      [1, hex("0100")],
      [0, bytes(5, 1, 0, 3, counted(1, "www.example.org"), big(80, 2))],
      [1, hex("05000001 7f000001 1f90")],
      [0, ascii(REQUEST)],
    ],
    protocol: "SOCKS",
    layers: ["SOCKS", "HTTP"],
    facts: { serverName: "www.example.org", user: "alice" },
  },
  {
    name: "IPsec in TCP",
    transport: "TCP",
    turns: [[0, bytes("IKETCP", counted(2, new Uint8Array(4), noise(60)))]],
    protocol: "IPsec",
    encrypted: true,
  },
  {
    name: "rsync",
    transport: "TCP",
    turns: [
      [1, ascii("@RSYNCD: 31.0 sha512 sha256 md5\n")],
      [0, ascii("@RSYNCD: 31.0\n")],
    ],
    protocol: "rsync",
    facts: { version: "31.0" },
  },
  {
    name: "SSH 1 behind a server's notice",
    transport: "TCP",
    turns: [
      [0, ascii("SSH-1.5-client\r\n")],
      [1, ascii("Authorised users only.\r\nSSH-1.99-server\r\n")],
    ],
    protocol: "SSH",
    encrypted: true,
    facts: { clientSoftware: "SSH-1.5-client", serverSoftware: "SSH-1.99-server" },
  },
  {
    name: "TLS from the server alone, from the middle",
    transport: "TCP",
    turns: [[1, bytes(23, 3, 3, counted(2, noise(40)), 23, 3, 3, counted(2, noise(80, 2)))]],
    protocol: "TLS",
    encrypted: true,
  },
  {
    name: "an SSL 2 hello",
    transport: "TCP",
    turns: [[0, bytes(0x80, 0x2e, 1, 3, 1, big(21, 2), big(0, 2), big(16, 2), noise(21), noise(16))]],
    protocol: "TLS",
    encrypted: true,
    facts: { tlsVersions: [0x0301] },
  },
  {
    name: "RTSP, the server alone",
    transport: "TCP",
    turns: [[1, ascii("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")]],
    protocol: "RTSP",
  },
  {
    name: "Syslog with counted octets",
    transport: "TCP",
    turns: [[0, ascii("52 <34>1 2003-10-11T22:14:15.003Z host su - ID47 - text")]],
    protocol: "Syslog",
    confidence: "certain",
  },
];

/** Protocols over datagrams. */
const datagramVariants: readonly ProtocolSample[] = [
  {
    name: "OpenVPN, tls-auth, by a clock that begins in 1970",
    transport: "UDP",
    turns: [[0, bytes(0x38, OPENVPN_SESSION, noise(32), big(1, 4), big(42, 4), 0, big(0, 4))]],
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "likely",
    facts: { kind: "tls-auth" },
  },
  {
    name: "OpenVPN from the middle, plain",
    transport: "UDP",
    turns: [
      [0, bytes(0x20, OPENVPN_SESSION, 0, big(3, 4), noise(80))],
      [1, bytes(0x28, OPENVPN_SERVER_SESSION, 1, big(3, 4), OPENVPN_SESSION)],
    ],
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "certain",
  },
  {
    name: "OpenVPN's data, from the middle",
    transport: "UDP",
    turns: [7, 8, 9, 11].map((id) => [0, bytes(0x48, big(5, 3), big(id, 4), noise(60, id))] as const),
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "likely",
  },
  {
    name: "IKEv1",
    transport: "UDP",
    turns: [[0, bytes(noise(8), new Uint8Array(8), hex("01 10 02 00 00000000"), big(28 + 20, 4), noise(20))]],
    protocol: "IPsec",
    encrypted: true,
    facts: { kind: "IKEv1" },
  },
  {
    name: "DHCPv6",
    transport: "UDP",
    turns: [
      [
        0,
        bytes(
          1,
          hex("123456"),
          big(8, 2),
          counted(2, big(0, 2)),
          big(1, 2),
          counted(2, hex("00030001"), noise(6)),
        ),
      ],
    ],
    protocol: "DHCPv6",
    facts: { kind: "SOLICIT" },
  },
  {
    name: "NetBIOS names",
    transport: "UDP",
    port: 137,
    turns: [[0, bytes(hex("8001 0110 0001 0000 0000 0000"), NETBIOS_NAME, 0, hex("0020 0001"))]],
    protocol: "NetBIOS",
    facts: { serverName: "node" },
  },
  {
    name: "NetBIOS datagram",
    transport: "UDP",
    port: 138,
    turns: [
      [0, bytes(hex("11 02 0001 c0000201 008a"), big(68, 2), big(0, 2), NETBIOS_NAME, 0, NETBIOS_NAME, 0)],
    ],
    protocol: "NetBIOS",
  },
  {
    name: "TURN",
    transport: "UDP",
    turns: [[0, bytes(hex("0003 0008 2112a442"), noise(12), hex("0019000411000000"))]],
    protocol: "STUN",
    facts: { kind: "allocate" },
  },
  {
    name: "classic STUN with an attribute",
    transport: "UDP",
    turns: [[0, bytes(hex("0001 0008"), noise(16), hex("0003000400000006"))]],
    protocol: "STUN",
    confidence: "certain",
  },
  {
    name: "SNMP 3",
    transport: "UDP",
    turns: [
      [
        0,
        ber(
          0x30,
          ber(2, 3),
          ber(0x30, ber(2, 7), ber(2, hex("0000ffe3")), ber(4, 4), ber(2, 3)),
          ber(4, ber(0x30, ber(4), ber(2, 0), ber(2, 0), ber(4), ber(4), ber(4))),
          noise(20),
        ),
      ],
    ],
    protocol: "SNMP",
    facts: { version: "3" },
  },
  {
    name: "a UDP tracker of BitTorrent",
    transport: "UDP",
    turns: [[0, hex("00000417 27101980 00000000 12345678")]],
    protocol: "BitTorrent",
    facts: { kind: "tracker" },
  },
  {
    name: "WireGuard's data, from the middle",
    transport: "UDP",
    turns: [1, 2, 3, 4].map(
      (count) => [0, bytes(4, 0, 0, 0, hex("11223344"), little(count, 8), noise(48, count))] as const,
    ),
    protocol: "WireGuard",
    encrypted: true,
    confidence: "likely",
  },
  {
    name: "DTLS from the middle",
    transport: "UDP",
    turns: [[1, bytes(23, hex("fefd 0001"), big(7, 6), counted(2, noise(40)))]],
    protocol: "DTLS",
    encrypted: true,
  },
];

/** See the head of this file. */
export const variantSamples: readonly ProtocolSample[] = [...streamVariants, ...datagramVariants];
