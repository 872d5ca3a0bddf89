/**
 * Whole IP packets, header included, sent as they are: resets for connections that shall end, and tests' bad
 * packets.
 */
import type { Family } from "../base/index.ts";
import { HOST_ORDER } from "../netlink/index.ts";
import { close, ERRNO, lastErrno, sendto, socket } from "./libc.ts";
import { expectSuccess, systemError } from "./system-error.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
/** "IPPROTO_RAW": the header is ours (raw(7), ipv6(7)). */
const IPPROTO_RAW = 255;

// Socket addresses (struct sockaddr_in, struct sockaddr_in6): family in host order, then port, then the
// address.
const ADDRESS_FAMILY = 0;
const IPV4_ADDRESS = 4;
const IPV4_ADDRESS_BYTES = 16;
const IPV6_ADDRESS = 8;
const IPV6_ADDRESS_BYTES = 28;

// Where the destination stands in the IP headers (RFC 791 section 3.1, RFC 8200 section 3).
const IPV4_DESTINATION = 16;
const IPV4_HEADER_BYTES = 20;
const IPV6_DESTINATION = 24;
const IPV6_HEADER_BYTES = 40;

/** Sends IP packets of one family. */
export class RawSocket {
  readonly #fd: number;
  readonly #family: Family;
  readonly #address: Uint8Array<ArrayBuffer>;

  private constructor(family: Family, fd: number) {
    this.#family = family;
    this.#fd = fd;
    this.#address = new Uint8Array(family === 4 ? IPV4_ADDRESS_BYTES : IPV6_ADDRESS_BYTES);
    const view = new DataView(this.#address.buffer);
    view.setUint16(ADDRESS_FAMILY, family === 4 ? AF_INET : AF_INET6, HOST_ORDER);
  }

  /**
   * Opens a socket in the network namespace of the calling thread.
   *
   * @throws {FirewallError} `RAW_SOCKET_REFUSED` without CAP_NET_RAW
   */
  static open(family: Family): RawSocket {
    const fd = socket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW_CLOEXEC, IPPROTO_RAW);
    return new RawSocket(family, expectSuccess(fd, "RAW_SOCKET_REFUSED", "Cannot open a raw socket"));
  }

  /**
   * Sends one packet to the destination in its header. Of IPv4 the kernel fills in total length and checksum.
   *
   * @param packet - from the first byte of the IP header; at least a whole header
   * @throws {FirewallError} `RAW_SEND_FAILED` when there is no way to the destination, or the packet is too
   *   large
   */
  send(packet: Uint8Array): void {
    const [from, to, bytes] =
      this.#family === 4
        ? [IPV4_DESTINATION, IPV4_ADDRESS, IPV4_HEADER_BYTES]
        : [IPV6_DESTINATION, IPV6_ADDRESS, IPV6_HEADER_BYTES];
    const length = this.#family === 4 ? 4 : 16;
    if (packet.length < bytes) {
      throw systemError("RAW_SEND_FAILED", `Cannot send a packet of ${packet.length} bytes`, ERRNO.EINVAL);
    }
    this.#address.set(packet.subarray(from, from + length), to);
    const sent = sendto(this.#fd, packet, packet.length, 0, this.#address, this.#address.length);
    if (sent < 0) throw systemError("RAW_SEND_FAILED", "Cannot send a raw packet", lastErrno());
  }

  /** Gives the file descriptor back. */
  close(): void {
    close(this.#fd);
  }
}
