/** TLS, its handshake built field by field, and what wraps or carries it. */
import { ascii, big, ber, bytes, counted, hex, noise, type ProtocolSample } from "./sample.ts";

/** What a ClientHello offers. */
export interface HelloFields {
  readonly version?: number;
  readonly ciphers: readonly number[];
  /** Extensions in order: type and body. */
  readonly extensions: readonly (readonly [type: number, body: Uint8Array])[];
  /** DTLS has a cookie behind the session id. */
  readonly datagram?: boolean;
}

const list16 = (values: readonly number[]): Uint8Array => counted(2, ...values.map((value) => big(value, 2)));

/** Body of a server_name extension. */
export function serverName(name: string): Uint8Array {
  return counted(2, 0, counted(2, name));
}

/** Body of an ALPN extension. */
export function alpn(...names: readonly string[]): Uint8Array {
  return counted(2, ...names.map((name) => counted(1, name)));
}

/** A ClientHello, handshake header included. */
export function clientHello(fields: HelloFields): Uint8Array {
  const extensions = fields.extensions.map(([type, body]) => bytes(big(type, 2), counted(2, body)));
  const body = bytes(
    big(fields.version ?? 0x0303, 2),
    noise(32),
    counted(1, noise(32, 2)),
    ...(fields.datagram === true ? [counted(1)] : []),
    list16(fields.ciphers),
    counted(1, 0),
    ...(extensions.length > 0 ? [counted(2, ...extensions)] : []),
  );
  return bytes(1, counted(3, body));
}

/** A TLS record. */
export function record(type: number, payload: Uint8Array, version: number = 0x0303): Uint8Array {
  return bytes(type, big(version, 2), counted(2, payload));
}

/** Offer of Chrome that the JA4 specification takes as its example. */
export const CHROME_HELLO: HelloFields = {
  ciphers: [
    0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
    0x009d, 0x002f, 0x0035,
  ],
  extensions: [
    [0x1a1a, new Uint8Array(0)],
    [0x001b, Uint8Array.of(2, 0, 2)],
    [0x0000, serverName("example.org")],
    [0x0033, counted(2, big(0x001d, 2), counted(2, noise(32, 3)))],
    [0x0010, alpn("h2", "http/1.1")],
    [0x4469, alpn("h2")],
    [0x0017, new Uint8Array(0)],
    [0x002d, Uint8Array.of(1, 1)],
    [0x000d, list16([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601])],
    [0x0005, Uint8Array.of(1, 0, 0, 0, 0)],
    [0x0023, new Uint8Array(0)],
    [0x0012, new Uint8Array(0)],
    [0x002b, counted(1, big(0x2a2a, 2), big(0x0304, 2), big(0x0303, 2))],
    [0xff01, Uint8Array.of(0)],
    [0x000b, Uint8Array.of(1, 0)],
    [0x000a, list16([0x3a3a, 0x001d, 0x0017, 0x0018])],
    [0x0015, new Uint8Array(16)],
  ],
};

/** The same with an Encrypted Client Hello (RFC 9849 section 5): kind, suite, configuration, key, payload. */
const ECH_HELLO: HelloFields = {
  ...CHROME_HELLO,
  extensions: [
    ...CHROME_HELLO.extensions,
    [0xfe0d, bytes(0, hex("0001 0001 2a"), counted(2, noise(32, 11)), counted(2, noise(144, 12)))],
  ],
};

/** JA4 that the specification gives for {@link CHROME_HELLO}. */
export const CHROME_JA4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";

/** A ServerHello that chooses one cipher, handshake header included. */
export function serverHello(cipher: number, extensions: Uint8Array = new Uint8Array(0)): Uint8Array {
  return bytes(
    2,
    counted(3, big(0x0303, 2), noise(32, 4), counted(1), big(cipher, 2), 0, counted(2, extensions)),
  );
}

/** A certificate with a common name and alternative names; its keys and signatures are empty. */
export function certificate(commonName: string, names: readonly string[]): Uint8Array {
  const subject = ber(0x30, ber(0x31, ber(0x30, ber(6, "\x55\x04\x03"), ber(0x0c, commonName))));
  const alternatives = ber(0x30, ...names.map((name) => ber(0x82, name)));
  const extension = ber(0x30, ber(6, "\x55\x1d\x11"), ber(4, alternatives));
  const body = ber(
    0x30,
    ber(0xa0, ber(2, 2)),
    ber(2, 1),
    ber(0x30),
    ber(0x30),
    ber(0x30),
    subject,
    ber(0x30),
    ber(0xa3, ber(0x30, extension)),
  );
  return ber(0x30, body, ber(0x30), ber(3, 0));
}

const CERTIFICATE_MESSAGE = bytes(
  11,
  counted(3, counted(3, counted(3, certificate("example.org", ["example.org", "www.example.org"])))),
);

const CHROME = clientHello(CHROME_HELLO);
/** The hello of {@link CHROME_HELLO} as it goes over a stream. */
export const CHROME_RECORD: Uint8Array = record(22, CHROME, 0x0301);
const HELLO_12 = bytes(serverHello(0xc02f), CERTIFICATE_MESSAGE, 14, 0, 0, 0);
/** The answer to it in TLS 1.2, with a certificate. */
export const SERVER_HELLO_RECORD: Uint8Array = record(22, HELLO_12);
const APPLICATION = record(23, noise(300, 9));

const CHROME_FACTS = {
  serverName: "example.org",
  alpn: ["h2", "http/1.1"],
  ja4: CHROME_JA4,
  tlsVersions: [0x0304, 0x0303],
};

/** The greeting and commands that lead a mail server to TLS. */
const SMTP_STARTTLS: ProtocolSample = {
  name: "SMTP that turns into TLS",
  transport: "TCP",
  turns: [
    [1, ascii("220 mail.example.org ESMTP ready\r\n")],
    [0, ascii("EHLO client.example.org\r\n")],
    [1, ascii("250-mail.example.org\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")],
    [0, ascii("STARTTLS\r\n")],
    [1, ascii("220 2.0.0 go ahead\r\n")],
    [0, CHROME_RECORD],
    [1, SERVER_HELLO_RECORD],
  ],
  protocol: "TLS",
  encrypted: true,
  layers: ["SMTP", "TLS"],
  facts: { ...CHROME_FACTS, certificateNames: ["example.org", "www.example.org"] },
};

/** See the head of this file. */
export const tlsSamples: readonly ProtocolSample[] = [
  {
    name: "TLS 1.2 with certificate",
    transport: "TCP",
    turns: [
      [0, CHROME_RECORD],
      [1, SERVER_HELLO_RECORD],
      [0, bytes(record(22, noise(70)), record(20, Uint8Array.of(1)), record(22, noise(40)))],
      [1, bytes(record(20, Uint8Array.of(1)), record(22, noise(40)), APPLICATION)],
    ],
    protocol: "TLS",
    encrypted: true,
    confidence: "certain",
    facts: { ...CHROME_FACTS, cipher: 0xc02f, certificateNames: ["example.org", "www.example.org"] },
  },
  {
    name: "TLS hello over three records",
    transport: "TCP",
    turns: [
      [
        0,
        bytes(
          record(22, CHROME.slice(0, 3)),
          record(22, CHROME.slice(3, 100)),
          record(22, CHROME.slice(100)),
        ),
      ],
      [1, bytes(record(22, HELLO_12.slice(0, 60)), record(22, HELLO_12.slice(60)))],
    ],
    protocol: "TLS",
    encrypted: true,
    facts: { ...CHROME_FACTS, certificateNames: ["example.org", "www.example.org"] },
  },
  {
    name: "TLS 1.3",
    transport: "TCP",
    turns: [
      [0, CHROME_RECORD],
      [
        1,
        bytes(
          record(22, serverHello(0x1301, bytes(big(0x002b, 2), counted(2, big(0x0304, 2))))),
          record(20, Uint8Array.of(1)),
          record(23, noise(500)),
        ),
      ],
    ],
    protocol: "TLS",
    encrypted: true,
    facts: { ...CHROME_FACTS, tlsVersion: 0x0304, cipher: 0x1301 },
  },
  {
    name: "TLS with an encrypted hello within the hello",
    transport: "TCP",
    turns: [[0, record(22, clientHello(ECH_HELLO), 0x0301)]],
    protocol: "TLS",
    encrypted: true,
    facts: { serverName: "example.org", echOffered: true },
  },
  {
    name: "TLS seen from the middle",
    transport: "TCP",
    turns: [
      [0, bytes(APPLICATION, APPLICATION)],
      [1, APPLICATION],
    ],
    protocol: "TLS",
    encrypted: true,
  },
  SMTP_STARTTLS,
  {
    name: "IMAP that turns into TLS",
    transport: "TCP",
    turns: [
      [1, ascii("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")],
      [0, ascii("a1 STARTTLS\r\n")],
      [1, ascii("a1 OK begin\r\n")],
      [0, CHROME_RECORD],
    ],
    protocol: "TLS",
    encrypted: true,
    layers: ["IMAP", "TLS"],
    facts: CHROME_FACTS,
  },
  {
    name: "POP3 that turns into TLS",
    transport: "TCP",
    turns: [
      [1, ascii("+OK POP3 server ready\r\n")],
      [0, ascii("STLS\r\n")],
      [1, ascii("+OK begin\r\n")],
      [0, CHROME_RECORD],
    ],
    protocol: "TLS",
    encrypted: true,
    layers: ["POP3", "TLS"],
    facts: CHROME_FACTS,
  },
  {
    name: "FTP that turns into TLS",
    transport: "TCP",
    turns: [
      [1, ascii("220 FTP server ready\r\n")],
      [0, ascii("AUTH TLS\r\n")],
      [1, ascii("234 proceed\r\n")],
      [0, CHROME_RECORD],
    ],
    protocol: "TLS",
    encrypted: true,
    layers: ["FTP", "TLS"],
    facts: CHROME_FACTS,
  },
  {
    name: "SOCKS 5 that carries TLS",
    transport: "TCP",
    turns: [
      [0, Uint8Array.of(5, 1, 0)],
      [1, Uint8Array.of(5, 0)],
      [0, bytes(5, 1, 0, 3, counted(1, "example.org"), big(443, 2))],
      [1, bytes(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)],
      [0, CHROME_RECORD],
      [1, SERVER_HELLO_RECORD],
    ],
    protocol: "SOCKS",
    encrypted: true,
    layers: ["SOCKS", "TLS"],
    facts: CHROME_FACTS,
  },
  {
    name: "HTTP CONNECT that carries TLS",
    transport: "TCP",
    turns: [
      [0, ascii("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")],
      [1, ascii("HTTP/1.1 200 Connection established\r\n\r\n")],
      [0, CHROME_RECORD],
    ],
    protocol: "HTTP",
    encrypted: true,
    layers: ["HTTP", "TLS"],
    facts: CHROME_FACTS,
  },
  {
    name: "PostgreSQL in TLS",
    transport: "TCP",
    turns: [
      [0, bytes(big(8, 4), big(80_877_103, 4))],
      [1, ascii("S")],
      [0, CHROME_RECORD],
    ],
    protocol: "PostgreSQL",
    encrypted: true,
    layers: ["PostgreSQL", "TLS"],
    facts: CHROME_FACTS,
  },
];
