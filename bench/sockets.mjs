/** Sockets by the C library's own calls, and UDP packets whose source is anybody. */
import koffi from "koffi";

export const AF_INET = 2;
export const ADDRESS_BYTES = 16;

const SOCK_RAW = 3;
const IPPROTO_RAW = 255;

const IP_FIRST_OCTET = 0x45;
const HOPS = 64;
const PROTOCOL_UDP = 17;
const IP_BYTES = 20;
const UDP_BYTES = 8;
const HEADER_BYTES = IP_BYTES + UDP_BYTES;

export const library = koffi.load(null);
export const socket = library.func("int socket(int domain, int type, int protocol)");
export const sendto = library.func(
  "long sendto(int fd, void *bytes, size_t count, int flags, void *address, uint length)",
);

/** An IPv4 address as a number of 32 bits. */
export function addressNumber(address) {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** struct sockaddr_in. */
export function socketAddress(address, port) {
  const view = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  view.setUint32(4, addressNumber(address));
  return view.buffer;
}

/** Sends UDP packets to one host from any source, through a raw socket: IP makes checksum and length. */
export class ForgedUdp {
  /** What the next packet says: a view to be written to. */
  payload;
  #fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  #packet;
  #target;

  constructor(destination, payloadBytes = 0) {
    if (this.#fd < 0) throw new Error("no raw socket: root is needed");
    const bytes = new ArrayBuffer(HEADER_BYTES + payloadBytes);
    const packet = new DataView(bytes);
    packet.setUint8(0, IP_FIRST_OCTET);
    packet.setUint8(8, HOPS);
    packet.setUint8(9, PROTOCOL_UDP);
    packet.setUint32(16, addressNumber(destination));
    packet.setUint16(24, UDP_BYTES + payloadBytes);
    this.payload = new DataView(bytes, HEADER_BYTES);
    this.#packet = packet;
    this.#target = socketAddress(destination, 0);
  }

  /** Sends one packet from an address, given as a number. Returns false when the system has no room. */
  send(source, sourcePort, destinationPort) {
    const packet = this.#packet;
    packet.setUint32(12, source);
    packet.setUint16(20, sourcePort);
    packet.setUint16(22, destinationPort);
    const { buffer } = packet;
    return sendto(this.#fd, buffer, buffer.byteLength, 0, this.#target, ADDRESS_BYTES) > 0;
  }
}
