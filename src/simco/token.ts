/**
 * How an agent and a middlebox prove to each other who they are, without TLS.
 *
 * RFC 4540 carries challenges and tokens and does not say what is in them. Here a token says who sends it,
 * and proves it with HMAC-SHA-256 over its role, its name, the other's challenge and, under TLS, the
 * connection itself. The role keeps a token from being sent back to where it came from; a challenge is used
 * once.
 */
import { decodeText, encodeText } from "./text.ts";

/** HMAC-SHA-256 of data under a key: 32 octets. */
export type Mac = (key: Uint8Array, data: Uint8Array) => Uint8Array;

/** Who sends a token. */
export const ROLE = { AGENT: 1, MIDDLEBOX: 2 } as const;

/** What a token proves. */
export interface Claim {
  /** One of {@link ROLE}. */
  readonly role: number;
  /** Name of the sender. */
  readonly identity: string;
  /** What the other side sent. */
  readonly challenge: Uint8Array;
  /** What only the two ends of this connection know (RFC 9266); empty without TLS. */
  readonly binding: Uint8Array;
}

// Offsets within a token.
const PROFILE = 0;
const IDENTITY_LENGTH = 1;
const IDENTITY = 2;

const PROFILE_NUMBER = 1;
const MAC_OCTETS = 32;
const LENGTH_OCTETS = 2;

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function lengthOf(octets: Uint8Array): Uint8Array {
  const length = new Uint8Array(LENGTH_OCTETS);
  new DataView(length.buffer).setUint16(0, octets.length);
  return length;
}

function provenBy({ role, identity, challenge, binding }: Claim): Uint8Array {
  const name = encodeText(identity);
  const head = Uint8Array.of(role, name.length);
  return joined(head, name, lengthOf(challenge), challenge, lengthOf(binding), binding);
}

/**
 * Makes a token.
 *
 * @param key - that both sides share
 */
export function makeToken(claim: Claim, key: Uint8Array, mac: Mac): Uint8Array {
  const name = encodeText(claim.identity);
  return joined(Uint8Array.of(PROFILE_NUMBER, name.length), name, mac(key, provenBy(claim)));
}

/** Who a token claims to be from; undefined when it is no token of this kind. */
export function claimedIdentity(token: Uint8Array): string | undefined {
  const length = token[IDENTITY_LENGTH];
  if (token[PROFILE] !== PROFILE_NUMBER || length === undefined || length === 0) return undefined;
  if (token.length !== IDENTITY + length + MAC_OCTETS) return undefined;
  return decodeText(token.subarray(IDENTITY, IDENTITY + length));
}

/**
 * True when a token proves a claim. Takes as long for a wrong token as for a right one.
 *
 * @param key - that both sides share
 */
export function isProof(token: Uint8Array, claim: Claim, key: Uint8Array, mac: Mac): boolean {
  const expected = makeToken(claim, key, mac);
  if (token.length !== expected.length) return false;
  let difference = 0;
  for (const [index, octet] of expected.entries()) difference |= octet ^ (token[index] ?? 0);
  return difference === 0;
}
