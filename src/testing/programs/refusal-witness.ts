/**
 * Tells of every refusal that arrives in the network namespace that it is started in, as it came over the
 * wire: ICMP and ICMPv6 errors, and TCP resets. Reports in lines of JSON, each a {@link Refusal}.
 *
 * Usage: node refusal-witness.js
 */
import { writeSync } from "node:fs";
import { formatAddress, PROTOCOL, TCP_FLAG } from "../../base/index.ts";
import { HOST_ORDER } from "../../netlink/index.ts";
import { lastErrno, poll, recv, socket } from "../../system/libc.ts";
import { systemError } from "../../system/index.ts";
import { decodePacket, decodeQuoted, Packet } from "../../wire/index.ts";
import type { Refusal } from "../refusal.ts";

const STDOUT = 1;
const AF_PACKET = 17;
/** Packets without their link layer header (packet(7)). */
const SOCK_DGRAM_CLOEXEC = 2 | 0x80000;
// Told one of these instead of ETH_P_ALL, the kernel hands over what arrives, and nothing that leaves.
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

// An entry of poll(2) (struct pollfd).
const POLL_BYTES = 8;
const POLL_EVENTS = 4;
const POLL_RETURNED = 6;
const POLLIN = 1;

const memory = new Uint8Array(65_536);
const bytes = new DataView(memory.buffer);
const packet = new Packet();
const quoted = new Packet();

function networkOrder(protocol: number): number {
  return HOST_ORDER ? ((protocol & 0xff) << 8) | (protocol >> 8) : protocol;
}

function listen(protocol: number): number {
  const fd = socket(AF_PACKET, SOCK_DGRAM_CLOEXEC, networkOrder(protocol));
  if (fd < 0) throw systemError("RAW_SOCKET_REFUSED", "Cannot open a packet socket", lastErrno());
  return fd;
}

/** The refusal in `packet`, if it is one; the ports are those of the packet that was refused. */
function readRefusal(): Refusal | undefined {
  if (packet.fault !== undefined || packet.family === 0) return undefined;
  const from = formatAddress(packet.family, packet.source);
  if (packet.protocol === PROTOCOL.TCP) {
    if ((packet.tcpFlags & TCP_FLAG.RST) === 0) return undefined;
    const { sourcePort: port, destinationPort: localPort } = packet;
    return { form: "TCP reset", from, refused: from, protocol: PROTOCOL.TCP, localPort, port };
  }
  if (!decodeQuoted(packet, quoted) || quoted.family === 0) return undefined;
  return {
    form: `${packet.family === 4 ? "ICMP" : "ICMPv6"} ${packet.icmpType}/${packet.icmpCode}`,
    from,
    refused: formatAddress(quoted.family, quoted.destination),
    protocol: quoted.protocol,
    localPort: quoted.sourcePort,
    port: quoted.destinationPort,
  };
}

function tell(message: unknown): void {
  writeSync(STDOUT, `${JSON.stringify(message)}\n`);
}

const sockets = [listen(ETH_P_IP), listen(ETH_P_IPV6)];
const entries = new Uint8Array(sockets.length * POLL_BYTES);
const waiting = new DataView(entries.buffer);
for (const [index, fd] of sockets.entries()) {
  waiting.setInt32(index * POLL_BYTES, fd, HOST_ORDER);
  waiting.setInt16(index * POLL_BYTES + POLL_EVENTS, POLLIN, HOST_ORDER);
}
tell({ ready: true });
// The thread blocks here for good: SIGTERM, which nobody handles, ends the program.
for (;;) {
  poll(entries, sockets.length, -1);
  for (const [index, fd] of sockets.entries()) {
    if (waiting.getInt16(index * POLL_BYTES + POLL_RETURNED, HOST_ORDER) === 0) continue;
    const length = recv(fd, memory, memory.length, 0);
    packet.fault = length < 0 ? undefined : decodePacket(packet, bytes, 0, length);
    const refusal = length < 0 ? undefined : readRefusal();
    if (refusal !== undefined) tell(refusal);
  }
}
