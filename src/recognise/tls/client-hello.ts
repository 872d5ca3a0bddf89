/** The ClientHello of TLS, DTLS and QUIC: what a client offers, in full and in the clear. */
import type { ByteWindow } from "../byte-window.ts";

// Lengths of the fixed fields (RFC 8446 section 4.1.2).
const VERSION_BYTES = 2;
const RANDOM_BYTES = 32;

/** Extension code points (IANA TLS ExtensionType Values). */
export const EXTENSION = {
  SERVER_NAME: 0x0000,
  SUPPORTED_GROUPS: 0x000a,
  EC_POINT_FORMATS: 0x000b,
  SIGNATURE_ALGORITHMS: 0x000d,
  ALPN: 0x0010,
  SUPPORTED_VERSIONS: 0x002b,
  ENCRYPTED_CLIENT_HELLO: 0xfe0d,
  ENCRYPTED_SERVER_NAME: 0xffce,
} as const;

/** Type and length of an extension. */
const EXTENSION_HEADER_BYTES = 4;

/** Name type "host_name" (RFC 6066 section 3). */
const HOST_NAME = 0;

/** Longest name that DNS allows, in bytes; longer ones are no names. */
const NAME_BYTES_MAX = 255;

/** A ClientHello, read. Lists hold code points in the order of the wire, GREASE included. */
export interface ClientHello {
  version: number;
  ciphers: number[];
  extensions: number[];
  groups: number[];
  pointFormats: number[];
  signatureAlgorithms: number[];
  versions: number[];
  alpn: string[];
  serverName: string | undefined;
  echOffered: boolean;
}

/** True for the values that clients send to keep servers tolerant (RFC 8701). */
export function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
}

/** Numbers of `width` bytes between two positions. */
function readList(window: ByteWindow, from: number, to: number, width: 1 | 2): number[] {
  const list: number[] = [];
  for (let position = from; position + width <= to; position += width) {
    list.push(width === 1 ? window.u8(position) : window.u16(position));
  }
  return list;
}

function readServerName(window: ByteWindow, from: number, to: number): string | undefined {
  // struct { NameType name_type; HostName<1..2^16-1> } in a list with a length of its own (RFC 6066 section
  // 3).
  const typeAt = from + 2;
  const length = window.u16(typeAt + 1);
  const nameAt = typeAt + 3;
  if (window.u8(typeAt) !== HOST_NAME || length < 1 || length > NAME_BYTES_MAX || nameAt + length > to)
    return undefined;
  return window.name(nameAt, nameAt + length);
}

function readAlpn(window: ByteWindow, from: number, to: number): string[] {
  const names: string[] = [];
  let position = from + 2;
  while (position < to) {
    const length = window.u8(position);
    if (length < 1 || position + 1 + length > to) break;
    names.push(window.text(position + 1, position + 1 + length));
    position += 1 + length;
  }
  return names;
}

/** Reads the body [from, to) of the extension whose type and length stand before it. */
function readExtension(hello: ClientHello, window: ByteWindow, from: number, to: number): void {
  switch (window.u16(from - EXTENSION_HEADER_BYTES)) {
    case EXTENSION.SERVER_NAME:
      hello.serverName = readServerName(window, from, to);
      break;
    case EXTENSION.SUPPORTED_GROUPS:
      hello.groups = readList(window, from + 2, to, 2);
      break;
    case EXTENSION.EC_POINT_FORMATS:
      hello.pointFormats = readList(window, from + 1, to, 1);
      break;
    case EXTENSION.SIGNATURE_ALGORITHMS:
      hello.signatureAlgorithms = readList(window, from + 2, to, 2);
      break;
    case EXTENSION.ALPN:
      hello.alpn = readAlpn(window, from, to);
      break;
    case EXTENSION.SUPPORTED_VERSIONS:
      hello.versions = readList(window, from + 1, to, 2);
      break;
    case EXTENSION.ENCRYPTED_CLIENT_HELLO:
    case EXTENSION.ENCRYPTED_SERVER_NAME:
      hello.echOffered = true;
      break;
    default:
  }
}

function readExtensions(hello: ClientHello, window: ByteWindow, from: number, to: number): void {
  let position = from;
  while (position + EXTENSION_HEADER_BYTES <= to) {
    const type = window.u16(position);
    const length = window.u16(position + 2);
    const dataAt = position + EXTENSION_HEADER_BYTES;
    if (length < 0 || dataAt + length > to) return;
    hello.extensions.push(type);
    readExtension(hello, window, dataAt, dataAt + length);
    position = dataAt + length;
  }
}

function emptyHello(version: number): ClientHello {
  return {
    version,
    ciphers: [],
    extensions: [],
    groups: [],
    pointFormats: [],
    signatureAlgorithms: [],
    versions: [],
    alpn: [],
    serverName: undefined,
    echOffered: false,
  };
}

/**
 * Reads the body of a ClientHello.
 *
 * @param window - bytes
 * @param from - position just behind the handshake header
 * @param to - position just past the message
 * @param datagram - true for DTLS, whose hello carries a cookie (RFC 6347 section 4.2.1)
 * @returns the hello, or `undefined` when its lengths contradict each other
 */
export function readClientHello(
  window: ByteWindow,
  from: number,
  to: number,
  datagram: boolean,
): ClientHello | undefined {
  const hello = emptyHello(window.u16(from));
  let position = from + VERSION_BYTES + RANDOM_BYTES;
  position += 1 + window.u8(position);
  if (datagram) position += 1 + window.u8(position);
  const cipherBytes = window.u16(position);
  const compressionAt = position + 2 + cipherBytes;
  if (cipherBytes < 2 || cipherBytes % 2 !== 0 || compressionAt >= to) return undefined;
  hello.ciphers = readList(window, position + 2, compressionAt, 2);
  const extensionsAt = compressionAt + 1 + window.u8(compressionAt);
  if (extensionsAt > to) return undefined;
  if (extensionsAt + 2 <= to) {
    const extensionsEnd = extensionsAt + 2 + window.u16(extensionsAt);
    readExtensions(hello, window, extensionsAt + 2, Math.min(extensionsEnd, to));
  }
  return hello;
}

/** The versions a hello offers: its list, or else its legacy field (RFC 8446 section 4.2.1). */
export function offeredVersions(hello: ClientHello): number[] {
  const listed = hello.versions.filter((version) => !isGrease(version));
  return listed.length > 0 ? listed : [hello.version];
}
