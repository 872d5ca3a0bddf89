// Compares recognition with the labels of another inspection engine, flow by flow, over a corpus of captures
// that lies beside the repository (../shared/captures/ndpi) and is no part of it.
//
// node tools/corpus.mjs [--corpus DIR] [--list PROTOCOL] [--names] [--fingerprints] [--capture NAME]
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { inspectCapture } from "../dist/inspect/index.js";
import { say } from "./classifier/say.mjs";

const { values: options } = parseArgs({
  options: {
    corpus: { type: "string" },
    list: { type: "string" },
    capture: { type: "string" },
    names: { type: "boolean" },
    fingerprints: { type: "boolean" },
    all: { type: "boolean" },
  },
});

const here = dirname(fileURLToPath(import.meta.url));
const corpus =
  options.corpus ??
  [join(here, "../../shared/captures/ndpi"), join(here, "../../../shared/captures/ndpi")].find(existsSync) ??
  "";
if (!existsSync(join(corpus, "labels.tsv"))) {
  say("corpus: no labelled captures at ../shared/captures/ndpi; skipped");
  process.exit(0);
}

/** Our name for each label that is in the list of protocols. */
const NAMES = new Map(
  `TLS SMTPS:TLS IMAPS:TLS POPS:TLS FTPS:TLS QUIC DTLS SSH OpenVPN WireGuard IPSec:IPsec HTTP HTTP_Proxy:HTTP HTTP_Connect:HTTP HTTP2
  WebSocket DNS MDNS:mDNS LLMNR DHCP DHCPV6:DHCPv6 NTP STUN RTP SRTP:RTP RTCP SIP SMTP IMAP POP3 FTP_CONTROL:FTP MySQL PostgreSQL Redis
  MongoDB MQTT AMQP Kafka LDAP Kerberos SMBv1:SMB SMBv23:SMB NFS RDP VNC SNMP Syslog RTSP BitTorrent Telnet SOCKS
  Memcached:memcached ICMP ICMPV6:ICMPv6`
    .split(/\s+/)
    .map((entry) => entry.split(":"))
    .map(([label, name]) => [label, name ?? label]),
);

const FIELDS = ["capture", "flow", "l4", "a", "b", "protocol", "encryption", "confidence"];
FIELDS.push("serverName", "ja3", "ja4", "hasshClient", "hasshServer");

function readLabels() {
  const lines = readFileSync(join(corpus, "labels.tsv"), "utf8").trim().split("\n").slice(1);
  return lines.map((line) => {
    const parts = line.split("\t");
    return Object.fromEntries(FIELDS.map((field, index) => [field, parts[index] ?? ""]));
  });
}

// One form for an IPv6 address, whoever wrote it: the URL parser compresses as RFC 5952 says.
const canonical = (end) => {
  const [, address, port] = /^\[(.*)\]:(\d+)$/.exec(end) ?? [];
  if (address === undefined || !URL.canParse(`http://[${address}]/`)) return end;
  return `${new URL(`http://[${address}]/`).hostname}:${port}`;
};
const byText = (a, b) => (a < b ? -1 : 1);
const keyOf = (l4, a, b) => [l4, ...[canonical(a), canonical(b)].sort(byText)].join(" ");
const withPort = (text) =>
  /\]:\d+$|^[\d.]+:\d+$/.test(text) ? text : text.includes(":") ? `[${text}]:0` : `${text}:0`;

function inspect(capture) {
  const result = inspectCapture([readFileSync(join(corpus, capture))]);
  const flows = new Map();
  for (const flow of result.flows)
    flows.set(keyOf(flow.l4, withPort(flow.client), withPort(flow.server)), flow);
  return flows;
}

/**
 * A JA4 without the characters in which the labels depart from its specification: they always say "d" (a name
 * was sent) unless the name is an address, take the first two characters of the ALPN value instead of the
 * first and the last, and hash an empty list (docs/RECOGNITION.md).
 */
const comparableJa4 = (text) =>
  `${text.slice(0, 3)}?${text.slice(4, 8)}??${text.slice(10)}`.replace("e3b0c44298fc", "000000000000");

const percent = (part, whole) => (whole === 0 ? "    –" : `${((100 * part) / whole).toFixed(2)}`.padStart(6));

/** What is counted of each protocol. */
const table = new Map();

function row(name) {
  if (!table.has(name)) table.set(name, { labelled: 0, found: 0, said: 0, right: 0, everywhere: 0 });
  return table.get(name);
}

/** Values that are equal, and those that both sides have. */
const agreement = {
  serverName: [0, 0],
  ja3: [0, 0],
  ja4: [0, 0],
  hasshClient: [0, 0],
  hasshServer: [0, 0],
};

/** The same for JA4 where the labels follow its specification. */
const ja4Hashes = [0, 0];

/** A label beside what we say of its flow. */
function compare(label, flow) {
  const [master] = label.protocol.split(".");
  return {
    label,
    flow,
    wanted: NAMES.get(master),
    said: flow?.protocol ?? "none",
    inspected: label.confidence.startsWith("DPI"),
    where: `${label.capture}#${label.flow} ${label.l4} ${label.a} ${label.b}`,
  };
}

function count({ wanted, said }) {
  if (wanted !== undefined) row(wanted).labelled += 1;
  if (wanted !== undefined && said === wanted) row(wanted).found += 1;
  if (said === "none") return;
  row(said).everywhere += 1;
  if (wanted !== undefined) row(said).said += 1;
  if (said === wanted) row(said).right += 1;
}

function list({ label, flow, wanted, said, inspected, where }) {
  if (![wanted, said, "all"].includes(options.list)) return;
  const isWrong = inspected && label.protocol !== "" && said !== wanted;
  const isListed = isWrong && (wanted !== undefined || said !== "none");
  if (isListed || (options.all && !inspected && said !== "none"))
    say(`${where}: label ${label.protocol} (${label.confidence}), ours ${said} (${flow?.confidence})`);
}

function compareFields({ label, flow, wanted, said, where }) {
  for (const [field, counts] of Object.entries(agreement)) {
    const theirs = label[field];
    const ours = flow?.[field];
    if (theirs === "" || ours === undefined || (field === "serverName" && said !== wanted)) continue;
    counts[1] += 1;
    if (field === "ja4") {
      ja4Hashes[1] += 1;
      if (comparableJa4(theirs) === comparableJa4(ours)) ja4Hashes[0] += 1;
    }
    if (theirs === ours) counts[0] += 1;
    else if (field === "serverName" ? options.names : options.fingerprints)
      say(`${where} ${label.protocol} ${field}: label ${theirs}, ours ${ours}`);
  }
}

/** Precision counts flows whose label is in the list; the last column also those with a label outside it. */
function sayProtocols() {
  say("protocol       flows  recall   said  precision  of all labels");
  for (const [name, counts] of [...table].sort(([a], [b]) => byText(a, b))) {
    const { labelled, found, said, right, everywhere } = counts;
    const recall = `${String(labelled).padStart(5)}  ${percent(found, labelled)}`;
    const precision = `${percent(right, said)}         ${percent(right, everywhere)}`;
    say(`${name.padEnd(14)} ${recall}  ${String(said).padStart(5)}     ${precision}`);
  }
}

function sumOthers() {
  const sum = { labelled: 0, found: 0, said: 0, right: 0 };
  const listed = new Set(NAMES.values());
  for (const [name, counts] of table) {
    if (!listed.has(name) || ["TLS", "SSH", "OpenVPN", "QUIC", "HTTP", "DNS"].includes(name)) continue;
    for (const key of Object.keys(sum)) sum[key] += counts[key];
  }
  return sum;
}

function sayOthers(sum) {
  const recall = percent(sum.found, sum.labelled);
  say(`others in list ${sum.labelled} recall ${recall} precision ${percent(sum.right, sum.said)}`);
}

/** What recognition aims at; a miss is said and ends with status 1. */
function checkAims(others) {
  const misses = [];
  const aim = (name, part, whole, least) => {
    if (whole > 0 && part / whole < least)
      misses.push(`${name}: ${percent(part, whole)} %, aim ${100 * least} %`);
  };
  for (const name of ["TLS", "SSH", "OpenVPN", "QUIC", "HTTP", "DNS"]) {
    const { labelled, found, said, right } = row(name);
    aim(`recall of ${name}`, found, labelled, 0.98);
    aim(`precision of ${name}`, right, said, 0.99);
  }
  aim("recall of the others", others.found, others.labelled, 0.95);
  aim("precision of the others", others.right, others.said, 0.98);
  aim("server names", ...agreement.serverName, 0.99);
  aim("JA3", ...agreement.ja3, 0.99);
  for (const miss of misses) say(`aim missed: ${miss}`);
  if (misses.length > 0 && options.capture === undefined) process.exitCode = 1;
}

function main() {
  let current = "";
  let flows = new Map();
  let missing = 0;
  for (const label of readLabels()) {
    if (options.capture !== undefined && label.capture !== options.capture) continue;
    if (label.capture !== current) {
      current = label.capture;
      flows = inspect(current);
    }
    const flow = flows.get(keyOf(label.l4, label.a, label.b));
    if (flow === undefined) missing += 1;
    const pair = compare(label, flow);
    if (pair.inspected && label.protocol !== "") count(pair);
    list(pair);
    compareFields(pair);
  }
  sayProtocols();
  const others = sumOthers();
  sayOthers(others);
  for (const [field, [equal, both]] of Object.entries(agreement))
    say(`${field}: ${equal} of ${both} equal (${percent(equal, both)} %)`);
  say(`ja4 where labels follow its specification: ${ja4Hashes[0]} of ${ja4Hashes[1]} equal`);
  say(`labelled flows not met: ${missing}`);
  checkAims(others);
}

main();
