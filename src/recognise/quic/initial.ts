/**
 * Opening of QUIC Initial packets (RFC 9001 section 5): "Initial packets are protected with keys derived from
 * the Destination Connection ID", so that whoever sees the first packet can read it.
 */
import type { Cryptography } from "../crypto.ts";
import type { QuicVersion } from "./version.ts";

const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const SECRET_BYTES = 32;
/** Bytes sampled for header protection, taken as if the packet number had four (RFC 9001 section 5.4.2). */
const SAMPLE_BYTES = 16;
const PACKET_NUMBER_BYTES_MAX = 4;

/**
 * Bits of the first byte under header protection in long headers, and those that count packet number bytes.
 */
const PROTECTED_BITS = 0x0f;
const PACKET_NUMBER_LENGTH_BITS = 0x03;

/** Keys of one direction. */
export interface InitialKeys {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly header: Uint8Array;
}

const fromHex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** HKDF-Expand-Label for one block of output (RFC 8446 section 7.1, RFC 5869 section 2.3). */
function expandLabel(
  cryptography: Cryptography,
  secret: Uint8Array,
  label: string,
  bytes: number,
): Uint8Array {
  const full = `tls13 ${label}`;
  const info = new Uint8Array(4 + full.length + 1);
  info[1] = bytes;
  info[2] = full.length;
  for (let index = 0; index < full.length; index += 1) info[3 + index] = full.charCodeAt(index);
  info[info.length - 1] = 1;
  return cryptography.hmacSha256(secret, info).subarray(0, bytes);
}

/**
 * Keys of the client's Initial packets.
 *
 * @param version - gives the labels
 * @param salt - one of the version's salts, in hexadecimal
 * @param connectionId - Destination Connection ID of the client's first packet
 */
export function clientKeys(
  cryptography: Cryptography,
  version: QuicVersion,
  salt: string,
  connectionId: Uint8Array,
): InitialKeys {
  const initial = cryptography.hmacSha256(fromHex(salt), connectionId);
  const secret = expandLabel(cryptography, initial, "client in", SECRET_BYTES);
  const { labelPrefix } = version;
  return {
    key: expandLabel(cryptography, secret, `${labelPrefix}key`, KEY_BYTES),
    nonce: expandLabel(cryptography, secret, `${labelPrefix}iv`, NONCE_BYTES),
    header: expandLabel(cryptography, secret, `${labelPrefix}hp`, KEY_BYTES),
  };
}

/**
 * Removes header protection and opens the packet.
 *
 * @param packet - the whole packet, unchanged afterwards
 * @param numberAt - where the packet number begins
 * @returns the frames, or `undefined` when the keys do not fit
 */
export function openInitial(
  cryptography: Cryptography,
  keys: InitialKeys,
  packet: Uint8Array,
  numberAt: number,
): Uint8Array | undefined {
  const sampleAt = numberAt + PACKET_NUMBER_BYTES_MAX;
  if (sampleAt + SAMPLE_BYTES > packet.length) return undefined;
  const mask = cryptography.aes128Block(keys.header, packet.subarray(sampleAt, sampleAt + SAMPLE_BYTES));
  const first = (packet[0] ?? 0) ^ ((mask[0] ?? 0) & PROTECTED_BITS);
  const numberBytes = (first & PACKET_NUMBER_LENGTH_BITS) + 1;
  const header = packet.slice(0, numberAt + numberBytes);
  const nonce = keys.nonce.slice();
  header[0] = first;
  for (let index = 0; index < numberBytes; index += 1) {
    const plain = (header[numberAt + index] ?? 0) ^ (mask[1 + index] ?? 0);
    header[numberAt + index] = plain;
    const at = NONCE_BYTES - numberBytes + index;
    nonce[at] = (nonce[at] ?? 0) ^ plain;
  }
  return cryptography.openAes128Gcm(keys.key, nonce, header, packet.subarray(numberAt + numberBytes));
}
