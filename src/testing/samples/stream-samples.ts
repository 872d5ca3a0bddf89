/** Protocols over streams with binary messages. */
import { ascii, ber, big, bytes, counted, hex, little, noise, type ProtocolSample } from "./sample.ts";

/** Algorithm lists of OpenSSH 7.9's client, whose HASSH is published as ec7378c1a92f5a8dde7e8b7a1ddf33d1. */
const KEX_LISTS: readonly string[] = [
  "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521," +
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512," +
    "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,ext-info-c",
  "ssh-ed25519",
  "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com,aes128-ctr",
  "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com," +
    "hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1",
  "umac-64@openssh.com",
  "none,zlib@openssh.com,zlib",
  "none,zlib@openssh.com",
  "",
  "",
];

/** MD5 of kex, ciphers, MACs and compression to the client, joined with semicolons. */
const HASSH_CLIENT = "ec7378c1a92f5a8dde7e8b7a1ddf33d1";

const KEXINIT_BODY = bytes(20, noise(16), ...KEX_LISTS.map((list) => counted(4, list)), 0, big(0, 4));
const KEXINIT = bytes(big(KEXINIT_BODY.length + 1 + 6, 4), 6, KEXINIT_BODY, new Uint8Array(6));

const SESSION_CLIENT = hex("0102030405060708");
const SESSION_SERVER = hex("1112131415161718");
const OPENVPN_CLIENT_RESET = counted(2, 0x38, SESSION_CLIENT, 0, big(0, 4));
const OPENVPN_SERVER_RESET = counted(2, 0x40, SESSION_SERVER, 1, big(0, 4), SESSION_CLIENT, big(0, 4));

const MYSQL_GREETING = bytes(
  10,
  "8.0.36\0",
  little(9, 4),
  noise(8),
  0,
  hex("ffff ff 0200 ffdf 15"),
  new Uint8Array(10),
  noise(12),
  0,
  "caching_sha2_password\0",
);

/** See the head of this file. */
export const streamSamples: readonly ProtocolSample[] = [
  {
    name: "SSH",
    transport: "TCP",
    turns: [
      [1, ascii("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")],
      [0, ascii("SSH-2.0-OpenSSH_7.9\r\n")],
      [0, KEXINIT],
      [1, KEXINIT],
    ],
    protocol: "SSH",
    encrypted: true,
    confidence: "certain",
    facts: {
      version: "2.0",
      clientSoftware: "SSH-2.0-OpenSSH_7.9",
      serverSoftware: "SSH-2.0-OpenSSH_9.2p1 Debian-2",
      hasshClient: HASSH_CLIENT,
    },
  },
  {
    name: "OpenVPN over TCP",
    transport: "TCP",
    turns: [
      [0, OPENVPN_CLIENT_RESET],
      [1, OPENVPN_SERVER_RESET],
    ],
    protocol: "OpenVPN",
    encrypted: true,
    confidence: "certain",
  },
  {
    name: "MySQL",
    transport: "TCP",
    turns: [[1, bytes(little(MYSQL_GREETING.length, 3), 0, MYSQL_GREETING)]],
    protocol: "MySQL",
    confidence: "certain",
    facts: { serverSoftware: "8.0.36" },
  },
  {
    name: "PostgreSQL",
    transport: "TCP",
    turns: [[0, bytes(big(39, 4), big(196_608, 4), "user\0alice\0database\0shop_data\0\0")]],
    protocol: "PostgreSQL",
    confidence: "certain",
    facts: { user: "alice" },
  },
  {
    name: "MongoDB",
    transport: "TCP",
    turns: [
      [0, bytes(little(37, 4), little(1, 4), little(0, 4), little(2013, 4), little(0, 4), 0, noise(16))],
    ],
    protocol: "MongoDB",
    confidence: "certain",
  },
  {
    name: "MQTT 3.1.1",
    transport: "TCP",
    turns: [
      [0, bytes(0x10, 16, counted(2, "MQTT"), 4, 2, big(60, 2), counted(2, "abcd"))],
      [1, hex("20020000")],
    ],
    protocol: "MQTT",
    confidence: "certain",
    facts: { version: "3.1.1" },
  },
  {
    name: "AMQP 0-9-1",
    transport: "TCP",
    turns: [
      [0, hex("414d515000000901")],
      [1, bytes(1, big(0, 2), counted(4, big(10, 2), big(10, 2), noise(20)), 0xce)],
    ],
    protocol: "AMQP",
    facts: { version: "0-9-1" },
  },
  {
    name: "Kafka",
    transport: "TCP",
    turns: [[0, counted(4, big(18, 2), big(3, 2), big(1, 4), counted(2, "console-producer"), 0, noise(8))]],
    protocol: "Kafka",
    facts: { clientSoftware: "console-producer" },
  },
  {
    name: "LDAP bind",
    transport: "TCP",
    turns: [
      [0, ber(0x30, ber(2, 1), ber(0x60, ber(2, 3), ber(4, "cn=admin"), ber(0x80, "secret")))],
      [1, ber(0x30, ber(2, 1), ber(0x61, ber(10, 0), ber(4), ber(4)))],
    ],
    protocol: "LDAP",
    confidence: "certain",
  },
  {
    name: "Kerberos over TCP",
    transport: "TCP",
    turns: [
      [
        0,
        counted(4, ber(0x6a, ber(0x30, ber(0xa1, ber(2, 5)), ber(0xa2, ber(2, 10)), ber(0xa4, noise(40))))),
      ],
    ],
    protocol: "Kerberos",
    facts: { kind: "AS-REQ" },
  },
  {
    name: "SMB 2",
    transport: "TCP",
    turns: [[0, bytes(0, counted(3, "\xfeSMB", noise(100)))]],
    protocol: "SMB",
    facts: { version: "2" },
  },
  {
    name: "SMB behind a NetBIOS session",
    transport: "TCP",
    turns: [
      [0, bytes(0x81, big(68, 3), counted(1, "A".repeat(32)), 0, counted(1, "B".repeat(32)), 0)],
      [1, hex("82000000")],
      [0, bytes(0, counted(3, "\xffSMB", noise(40)))],
    ],
    protocol: "SMB",
    confidence: "certain",
    facts: { version: "1" },
  },
  {
    name: "NFS over TCP",
    transport: "TCP",
    turns: [
      [
        0,
        bytes(
          big(0x80000028, 4),
          big(7, 4),
          big(0, 4),
          big(2, 4),
          big(100_003, 4),
          big(3, 4),
          big(0, 4),
          new Uint8Array(16),
        ),
      ],
    ],
    protocol: "NFS",
    facts: { version: "3" },
  },
  {
    name: "RDP",
    transport: "TCP",
    turns: [
      [
        0,
        bytes(
          3,
          0,
          big(43, 2),
          38,
          0xe0,
          hex("0000000000"),
          "Cookie: mstshash=alice\r\n",
          hex("0100080003000000"),
        ),
      ],
      [1, hex("030000130ed000001234000200080001000000")],
    ],
    protocol: "RDP",
    encrypted: true,
    facts: { user: "alice" },
  },
  {
    name: "BitTorrent peer",
    transport: "TCP",
    turns: [[0, bytes("\x13BitTorrent protocol", noise(48))]],
    protocol: "BitTorrent",
  },
  {
    name: "SOCKS 4a",
    transport: "TCP",
    turns: [
      [0, bytes(4, 1, big(80, 2), 0, 0, 0, 1, "me\0example.org\0")],
      [1, bytes(0, 90, new Uint8Array(6))],
    ],
    protocol: "SOCKS",
    facts: { serverName: "example.org" },
  },
  {
    name: "DNS over TCP",
    transport: "TCP",
    port: 53,
    turns: [
      [
        0,
        counted(
          2,
          hex("1234 0100 0001 0000 0000 0000"),
          counted(1, "www"),
          counted(1, "Example"),
          0,
          hex("0001 0001"),
        ),
      ],
    ],
    protocol: "DNS",
    facts: { serverName: "www.example" },
  },
  {
    name: "STUN over TCP",
    transport: "TCP",
    turns: [[0, bytes(hex("0003 0008 2112a442"), noise(12), hex("0019000411000000"))]],
    protocol: "STUN",
  },
];
