/** Protocols that speak in lines of text. */
import { ascii, bytes, hex, type ProtocolSample } from "./sample.ts";

const REQUEST =
  "GET /index.html HTTP/1.1\r\nHost: Example.ORG:8080\r\nUser-Agent: test/1.0\r\nAccept: */*\r\n\r\n";
const RESPONSE = "HTTP/1.1 200 OK\r\nServer: demo\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";

/** HPACK block of RFC 7541 appendix C.4.1: GET http://www.example.com/, Huffman-coded. */
const FIRST_REQUEST = hex("828684418cf1e3c2e5f23a6ba0ab90f4ff");

/** See the head of this file. */
export const textSamples: readonly ProtocolSample[] = [
  {
    name: "HTTP/1.1",
    transport: "TCP",
    turns: [
      [0, ascii(REQUEST)],
      [1, ascii(RESPONSE)],
    ],
    protocol: "HTTP",
    confidence: "certain",
    facts: {
      serverName: "example.org",
      kind: "GET",
      path: "/index.html",
      clientSoftware: "test/1.0",
      serverSoftware: "demo",
      status: 200,
      contentType: "text/html",
    },
  },
  {
    name: "HTTP through a proxy",
    transport: "TCP",
    turns: [[0, ascii("POST http://Example.org/a?b HTTP/1.0\r\nHost: example.org\r\n\r\n")]],
    protocol: "HTTP",
    facts: { serverName: "example.org", kind: "POST" },
  },
  {
    name: "WebSocket",
    transport: "TCP",
    turns: [
      [
        0,
        ascii("GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
      ],
      [1, ascii("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")],
    ],
    protocol: "WebSocket",
    facts: { serverName: "example.org", path: "/chat" },
  },
  {
    name: "HTTP/2 with prior knowledge",
    transport: "TCP",
    turns: [
      [
        0,
        bytes(
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
          hex("000006040000000000 000300000064"),
          hex("000011010500000001"),
          FIRST_REQUEST,
        ),
      ],
    ],
    protocol: "HTTP2",
    facts: { serverName: "www.example.com", kind: "GET", path: "/" },
  },
  {
    name: "SMTP",
    transport: "TCP",
    turns: [
      [1, ascii("220 mail.example.org ready\r\n")],
      [0, ascii("HELO client\r\n")],
      [1, ascii("250 mail.example.org\r\n")],
      [0, ascii("MAIL FROM:<a@example.org>\r\n")],
    ],
    protocol: "SMTP",
    confidence: "certain",
  },
  {
    name: "FTP",
    transport: "TCP",
    turns: [
      [1, ascii("220-Welcome\r\n220 to the server\r\n")],
      [0, ascii("USER anonymous\r\n")],
      [1, ascii("331 password please\r\n")],
    ],
    protocol: "FTP",
    confidence: "certain",
    facts: { user: "anonymous" },
  },
  {
    name: "POP3",
    transport: "TCP",
    turns: [
      [1, ascii("+OK ready <1.2@example.org>\r\n")],
      [0, ascii("USER a\r\n")],
      [1, ascii("+OK\r\n")],
    ],
    protocol: "POP3",
    confidence: "certain",
  },
  {
    name: "IMAP",
    transport: "TCP",
    turns: [
      [1, ascii("* OK server ready\r\n")],
      [0, ascii("a001 LOGIN a b\r\n")],
      [1, ascii("a001 OK done\r\n")],
    ],
    protocol: "IMAP",
    confidence: "certain",
  },
  {
    name: "RTSP",
    transport: "TCP",
    turns: [
      [0, ascii("DESCRIBE rtsp://example.org/a RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: player\r\n\r\n")],
      [1, ascii("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")],
    ],
    protocol: "RTSP",
    facts: { kind: "DESCRIBE" },
  },
  {
    name: "Redis",
    transport: "TCP",
    turns: [
      [0, ascii("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n")],
      [1, ascii("+OK\r\n")],
    ],
    protocol: "Redis",
    facts: { kind: "SET" },
  },
  {
    name: "memcached, text",
    transport: "TCP",
    turns: [
      [0, ascii("get key\r\n")],
      [1, ascii("END\r\n")],
    ],
    protocol: "memcached",
  },
  {
    name: "VNC",
    transport: "TCP",
    turns: [
      [1, ascii("RFB 003.008\n")],
      [0, ascii("RFB 003.008\n")],
    ],
    protocol: "VNC",
    facts: { version: "003.008" },
  },
  {
    name: "Telnet",
    transport: "TCP",
    turns: [
      [1, hex("fffd18fffd20fffd23fffd27")],
      [0, hex("fffb18fffc20")],
    ],
    protocol: "Telnet",
    confidence: "certain",
  },
  {
    name: "SIP over TCP",
    transport: "TCP",
    turns: [
      [0, ascii("REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/TCP a\r\nUser-Agent: phone\r\n\r\n")],
    ],
    protocol: "SIP",
    facts: { kind: "REGISTER" },
  },
  {
    name: "SIP over UDP",
    transport: "UDP",
    turns: [
      [0, ascii("INVITE sip:bob@example.org SIP/2.0\r\nUser-Agent: phone\r\n\r\n")],
      [1, ascii("SIP/2.0 100 Trying\r\n\r\n")],
    ],
    protocol: "SIP",
    confidence: "certain",
    facts: { kind: "INVITE", user: "bob", clientSoftware: "phone" },
  },
  {
    name: "Syslog, RFC 5424",
    transport: "UDP",
    turns: [[0, ascii("<34>1 2003-10-11T22:14:15.003Z host su - ID47 - 'su root' failed")]],
    protocol: "Syslog",
    confidence: "certain",
  },
  {
    name: "Syslog, RFC 3164",
    transport: "UDP",
    turns: [[0, ascii("<34>Oct 11 22:14:15 host su: 'su root' failed")]],
    protocol: "Syslog",
    confidence: "certain",
  },
  {
    name: "SSDP",
    transport: "UDP",
    turns: [[0, ascii('M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n\r\n')]],
    protocol: "SSDP",
  },
];
