/** The ServerHello of TLS and DTLS: what a server chose. */
import type { ByteWindow } from "../byte-window.ts";
import { EXTENSION } from "./client-hello.ts";

// Lengths of the fixed fields (RFC 8446 section 4.1.3).
const VERSION_BYTES = 2;
const RANDOM_BYTES = 32;
const CIPHER_BYTES = 2;
const COMPRESSION_BYTES = 1;

/** A ServerHello, read. */
export interface ServerHello {
  /** The legacy field. */
  version: number;
  /** The version in force. */
  chosenVersion: number;
  cipher: number;
  extensions: number[];
  alpn: string | undefined;
}

/**
 * Reads the body of a ServerHello.
 *
 * @param window - bytes
 * @param from - position just behind the handshake header
 * @param to - position just past the message
 * @returns the hello, or `undefined` when it is cut off
 */
export function readServerHello(window: ByteWindow, from: number, to: number): ServerHello | undefined {
  const version = window.u16(from);
  const sessionAt = from + VERSION_BYTES + RANDOM_BYTES;
  const cipherAt = sessionAt + 1 + window.u8(sessionAt);
  const cipher = window.u16(cipherAt);
  if (cipher < 0 || cipherAt + CIPHER_BYTES > to) return undefined;
  const hello: ServerHello = { version, chosenVersion: version, cipher, extensions: [], alpn: undefined };
  let position = cipherAt + CIPHER_BYTES + COMPRESSION_BYTES + 2;
  while (position + 4 <= to) {
    const type = window.u16(position);
    const length = window.u16(position + 2);
    const dataAt = position + 4;
    if (length < 0 || dataAt + length > to) break;
    hello.extensions.push(type);
    if (type === EXTENSION.SUPPORTED_VERSIONS && length === 2) hello.chosenVersion = window.u16(dataAt);
    if (type === EXTENSION.ALPN && length > 3) hello.alpn = window.text(dataAt + 3, dataAt + length);
    position = dataAt + length;
  }
  return hello;
}
