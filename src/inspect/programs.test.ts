/** Captures of real programs, on ports that say nothing (captures/programs/README.md). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type FlowReport, inspectCapture } from "./index.ts";

const CAPTURES = new URL("../../captures/programs/", import.meta.url);

const NAMES = ["server.example.org", "alias.example.org"];

/** What the first flow of each capture is, and what must be known of it. */
const EXPECTED: Readonly<Record<string, Partial<FlowReport>>> = {
  tls12: {
    protocol: "TLS",
    encrypted: true,
    serverName: "www.example.org",
    certificateNames: NAMES,
    tlsVersion: 0x0303,
  },
  tls13: { protocol: "TLS", encrypted: true, serverName: "www.example.org", tlsVersion: 0x0304 },
  "tls-resumed": { protocol: "TLS", serverName: "www.example.org" },
  dtls12: { protocol: "DTLS", encrypted: true, serverName: "www.example.org" },
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
  smtp: { protocol: "SMTP", encrypted: false, serverName: "mail.example.org" },
  "smtp-starttls": { protocol: "TLS", encrypted: true, layers: ["SMTP", "TLS"] },
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`recognises the programs of ${name}.pcap`, () => {
    const { flows, fault } = inspectCapture([readFileSync(new URL(`${name}.pcap`, CAPTURES))]);
    assert.equal(fault, undefined);
    const report: Partial<FlowReport> = flows[0] ?? {};
    for (const [field, value] of Object.entries(expected)) {
      assert.deepEqual(report[field as keyof FlowReport], value, field);
    }
  });
}
