/**
 * Shows packets to a packet filter in a network namespace, and sees which of them come out on the other side.
 *
 * The packets are real: they are written on one side of the firewall with addresses of hosts that do not
 * exist, routed and filtered by the kernel, and read off the wire on the other side.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ipv4Words, TCP_FLAG } from "../../base/index.ts";
import type { Namespace, Topology, TopologyPlan } from "../../lab/index.ts";
import { HOST_ORDER } from "../../netlink/index.ts";
import type { PacketFacts } from "../../pinhole/index.ts";
import { close, lastErrno, recv, setsockopt, socket } from "../../system/libc.ts";
import { inNamespace, RawSocket, systemError } from "../../system/index.ts";
import { buildPacket } from "../../wire/index.ts";

/** Our side, a firewall, their side; every host of {@link WORLD} has a route to its side. */
export const BORDER: TopologyPlan<"inside" | "firewall" | "outside"> = {
  hosts: ["inside", "firewall", "outside"],
  links: [
    [
      { host: "inside", interface: "to-firewall", addresses: ["192.0.2.2/24", "2001:db8:1::2/64"] },
      { host: "firewall", interface: "to-inside", addresses: ["192.0.2.1/24", "2001:db8:1::1/64"] },
    ],
    [
      { host: "firewall", interface: "to-outside", addresses: ["198.51.100.1/24", "2001:db8:2::1/64"] },
      { host: "outside", interface: "to-firewall", addresses: ["198.51.100.2/24", "2001:db8:2::2/64"] },
    ],
  ],
  routers: ["firewall"],
  defaultRoutes: [
    { host: "inside", via: ["192.0.2.1", "2001:db8:1::1"] },
    { host: "outside", via: ["198.51.100.1", "2001:db8:2::1"] },
  ],
};

/** Where the firewall finds the hosts of {@link WORLD}. */
const ROUTES = [
  ["10.0.0.0/8", "192.0.2.2"],
  ["203.0.113.0/24", "198.51.100.2"],
  ["198.18.0.0/15", "198.51.100.2"],
  ["fd01::/16", "2001:db8:1::2"],
  ["2001:db8:100::/40", "2001:db8:2::2"],
] as const;

const AF_PACKET = 17;
/** Packets without their link layer header, and without waiting (packet(7)). */
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x80000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const RECEIVE_BUFFER_BYTES = 1 << 25;
// Told one of these instead of ETH_P_ALL, the kernel hands over what arrives, and nothing that leaves.
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

/** Every packet ends with this and its number, so that it is known again. */
const SIGNATURE = 0x70696e68;
const SIGNATURE_BYTES = 8;

/** So many packets are sent before the other side is read. */
const PORTION = 256;

/** How long the wires are given to come to rest, in milliseconds. */
const REST_MS = 10;

function networkOrder(protocol: number): number {
  return HOST_ORDER ? ((protocol & 0xff) << 8) | (protocol >> 8) : protocol;
}

function listen(protocol: number): number {
  const fd = socket(AF_PACKET, SOCK_DGRAM_NONBLOCK_CLOEXEC, networkOrder(protocol));
  if (fd < 0) throw systemError("RAW_SOCKET_REFUSED", "Cannot open a packet socket", lastErrno());
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, Int32Array.of(RECEIVE_BUFFER_BYTES).buffer, 4);
  return fd;
}

/** One side of the firewall: writes packets, and reads what comes. */
class Side {
  readonly #senders: Readonly<Record<4 | 6, RawSocket>>;
  readonly #receivers: readonly number[];
  readonly #memory = new ArrayBuffer(65_536);

  constructor(host: Namespace) {
    const open = <Result>(work: () => Result): Result => inNamespace(host.fullName, work);
    this.#senders = open(() => ({ 4: RawSocket.open(4), 6: RawSocket.open(6) }));
    this.#receivers = open(() => [listen(ETH_P_IP), listen(ETH_P_IPV6)]);
  }

  send(packet: PacketFacts, bytes: Uint8Array): void {
    this.#senders[packet.family].send(bytes);
  }

  /** Numbers of the packets that came, and the packets. */
  receive(take: (number: number, packet: DataView) => void): void {
    const view = new DataView(this.#memory);
    for (const fd of this.#receivers) {
      for (;;) {
        const count = recv(fd, this.#memory, this.#memory.byteLength, 0);
        if (count < 0) break;
        const at = count - SIGNATURE_BYTES;
        if (at >= 0 && view.getUint32(at) === SIGNATURE) take(view.getUint32(at + 4), view);
      }
    }
  }

  close(): void {
    for (const fd of this.#receivers) close(fd);
    this.#senders[4].close();
    this.#senders[6].close();
  }
}

// Where addresses and ports stand (RFC 791 section 3.1 without options, RFC 8200 section 3, RFC 768).
const PLACES = {
  4: { source: 12, destination: 16, ports: 20 },
  6: { source: 8, destination: 24, ports: 40 },
} as const;

function readWords(bytes: DataView, at: number, family: 4 | 6): Uint32Array {
  if (family === 4) return ipv4Words(bytes.getUint32(at));
  return Uint32Array.from({ length: 4 }, (_, index) => bytes.getUint32(at + 4 * index));
}

/** A packet that was sent, with the addresses and ports that it has now. */
function asArrived(sent: PacketFacts, bytes: DataView): PacketFacts {
  const { source, destination, ports } = PLACES[sent.family];
  const hasPorts = sent.sourcePort !== 0;
  return {
    ...sent,
    source: readWords(bytes, source, sent.family),
    destination: readWords(bytes, destination, sent.family),
    sourcePort: hasPorts ? bytes.getUint16(ports) : 0,
    destinationPort: hasPorts ? bytes.getUint16(ports + 2) : 0,
  };
}

function encode(packet: PacketFacts, number: number, payloadBytes: number): Uint8Array {
  const payload = new DataView(new ArrayBuffer(Math.max(SIGNATURE_BYTES, payloadBytes)));
  payload.setUint32(payload.byteLength - SIGNATURE_BYTES, SIGNATURE);
  payload.setUint32(payload.byteLength - 4, number);
  return buildPacket({
    source: { family: packet.family, words: packet.source },
    destination: { family: packet.family, words: packet.destination },
    protocol: packet.protocol,
    sourcePort: packet.sourcePort,
    destinationPort: packet.destinationPort,
    flags: packet.opensTcp ? TCP_FLAG.SYN : TCP_FLAG.ACK,
    payload: new Uint8Array(payload.buffer),
  });
}

/** Shows packets to the firewall between two sides. */
export class PacketProbe {
  readonly #inside: Side;
  readonly #outside: Side;
  #next = 1;

  private constructor(inside: Side, outside: Side) {
    this.#inside = inside;
    this.#outside = outside;
  }

  /**
   * Prepares a laboratory that was made after {@link BORDER}.
   *
   * @param hosts - its hosts
   */
  static async open(hosts: Topology<"inside" | "firewall" | "outside">): Promise<PacketProbe> {
    const { inside, firewall, outside } = hosts;
    for (const [network, via] of ROUTES) await firewall.must(["ip", "route", "add", network, "via", via]);
    // Who is asked for once has a neighbour's address; the first packets would wait for it otherwise.
    for (const address of [...inside.addresses, ...outside.addresses]) {
      await firewall.run(["ping", "-c", "1", "-W", "1", address]);
    }
    return new PacketProbe(new Side(inside), new Side(outside));
  }

  /**
   * Sends packets and sees which arrive.
   *
   * @param payloadBytes - of each packet, at least 8
   * @returns for each packet whether it came through
   */
  async show(packets: readonly PacketFacts[], payloadBytes = SIGNATURE_BYTES): Promise<boolean[]> {
    return (await this.send(packets, payloadBytes)).map((arrived) => arrived !== undefined);
  }

  /**
   * Sends packets and sees how they arrive.
   *
   * @param payloadBytes - of each packet, at least 8
   * @returns for each packet how it came through; undefined when it did not
   */
  async send(
    packets: readonly PacketFacts[],
    payloadBytes = SIGNATURE_BYTES,
  ): Promise<(PacketFacts | undefined)[]> {
    const first = this.#next;
    this.#next += packets.length;
    const arrived: (PacketFacts | undefined)[] = packets.map(() => undefined);
    const read = (): void => {
      for (const side of [this.#inside, this.#outside]) {
        side.receive((number, bytes) => {
          const sent = packets[number - first];
          // What comes back to its sender is an error message that quotes the packet.
          const isThrough = sent !== undefined && isOurs(sent) === (side === this.#outside);
          if (isThrough) arrived[number - first] = asArrived(sent, bytes);
        });
      }
    };
    for (const [index, packet] of packets.entries()) {
      const side = isOurs(packet) ? this.#inside : this.#outside;
      side.send(packet, encode(packet, first + index, payloadBytes));
      if (index % PORTION === PORTION - 1) read();
    }
    await delay(REST_MS);
    read();
    return arrived;
  }

  close(): void {
    this.#inside.close();
    this.#outside.close();
  }
}

/** First words of the networks on our side: 10.0.0.0/8 and fd01::/16. */
function isOurs({ family, source }: PacketFacts): boolean {
  return family === 4 ? (source[3] ?? 0) >>> 24 === 10 : (source[0] ?? 0) >>> 16 === 0xfd01;
}
