/** Versions of QUIC on the wire, and what their first packets are sealed with. */

import { charCodes } from "../recogniser.ts";

/** How the first packets of a version look. */
export interface QuicVersion {
  /** Name for people. */
  readonly name: string;
  /** Salts of the initial secret, in hexadecimal, likeliest first; none: the packets are not sealed. */
  readonly salts: readonly string[];
  /** Prefix of the key derivation labels. */
  readonly labelPrefix: "quic " | "quicv2 ";
  /** Value of the two type bits that marks an Initial packet. */
  readonly initialType: number;
  /** True for Google's own handshake, which is not TLS. */
  readonly googleHandshake: boolean;
  /** True when the lengths of both connection ids share one byte (up to draft 21). */
  readonly packedLengths: boolean;
}

// RFC 9001 section 5.2, RFC 9369 section 3.3.1, and the drafts' sections of the same number; each salt has
// the number of the first draft that used it.
const SALT_V1 = "38762cf7f55934b34d179ae6a4c80cadccbb7f0a";
const SALT_V2 = "0dede3def700a6db819381be6e269dcbf9bd2ed9";
const SALT_V2_DRAFT = "a707c203a59b47184a1d62ca570406ea7ae3e5d3";
const SALT_DRAFT_29 = "afbfec289993d24c9e9786f19c6111e04390a899";
const SALT_DRAFT_23 = "c3eef712c72ebb5a11a7d2432bb46365bef9f502";
const SALT_DRAFT_21 = "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a";
const SALT_DRAFT_17 = "ef4fb0abb47470c41befcf8031334fae485e09a0";
// Google's, from its public sources.
const SALT_Q050 = "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45";
const SALT_T050 = "7ff579e5acd072915580304c43a2367c60488310";
const SALT_T051 = "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d";

const ALL_DRAFTS = [SALT_V1, SALT_DRAFT_29, SALT_DRAFT_23, SALT_DRAFT_21];

/** First and last IETF draft with long headers as they are today. */
const DRAFT_FIRST = 17;
const DRAFT_LAST = 34;
/** First draft whose connection ids have a length of their own (draft 22 section 17.2). */
const DRAFT_UNPACKED = 22;

function ietf(name: string, salts: readonly string[]): QuicVersion {
  const googleHandshake = false;
  return { name, salts, labelPrefix: "quic ", initialType: 0, googleHandshake, packedLengths: false };
}

function draftSalts(draft: number): readonly string[] {
  if (draft >= 33) return [SALT_V1];
  if (draft >= 29) return [SALT_DRAFT_29];
  if (draft >= 23) return [SALT_DRAFT_23];
  return draft >= 21 ? [SALT_DRAFT_21] : [SALT_DRAFT_17];
}

const V1 = ietf("1", [SALT_V1]);
const V2: QuicVersion = { ...ietf("2", [SALT_V2, SALT_V2_DRAFT]), labelPrefix: "quicv2 ", initialType: 1 };
/** RFC 9369, and the drafts before it. */
const V2_NUMBERS: readonly number[] = [0x6b3343cf, 0x709a50c4, 0xff020000];
const NEGOTIATION = ietf("negotiation", []);

/** Four ASCII characters as a number. */
const tag = (text: string): number => charCodes(text).reduce((value, code) => value * 256 + code, 0);

/** Google's versions: "Q" and "T" and three digits. */
function googleVersion(value: number): QuicVersion | undefined {
  const letter = value >>> 24;
  const digits = String.fromCharCode((value >>> 16) & 255, (value >>> 8) & 255, value & 255);
  if ((letter !== 0x51 && letter !== 0x54) || !/^0\d\d$/.test(digits)) return undefined;
  const name = String.fromCharCode(letter) + digits;
  const googleHandshake = letter === 0x51;
  if (value === tag("T050")) return { ...ietf(name, [SALT_T050]), googleHandshake };
  if (value === tag("T051")) return { ...ietf(name, [SALT_T051]), googleHandshake };
  const sealed = Number(digits) >= 50;
  return { ...ietf(name, sealed ? [SALT_Q050] : []), googleHandshake, packedLengths: googleHandshake };
}

/** Versions by the bits that a maker set aside for itself. */
function privateVersion(value: number): QuicVersion | undefined {
  // "Versions that follow the pattern 0x?a?a?a?a are reserved for forcing version negotiation" (RFC 9000
  // section 15).
  if ((value & 0x0f0f0f0f) >>> 0 === 0x0a0a0a0a) return ietf("reserved", ALL_DRAFTS);
  if (value >>> 8 === 0xfaceb0) return ietf("mvfst", [SALT_DRAFT_23, SALT_DRAFT_21, SALT_DRAFT_29, SALT_V1]);
  if (value >>> 8 === 0x504351) return ietf("picoquic", ALL_DRAFTS);
  return undefined;
}

/** A version whose number says nothing: an experiment that may be sealed as the standard's are. */
export const UNKNOWN_VERSION: QuicVersion = ietf("private", [SALT_V1, SALT_DRAFT_29]);

/**
 * The version with this number.
 *
 * @param value - the 32-bit version field
 * @returns `undefined` for a number that no QUIC in the wild uses
 */
export function quicVersion(value: number): QuicVersion | undefined {
  if (value === 1) return V1;
  if (V2_NUMBERS.includes(value)) return V2;
  if (value === 0) return NEGOTIATION;
  const draft = value & 0xff;
  if (value >>> 8 === 0xff0000 && draft >= DRAFT_FIRST && draft <= DRAFT_LAST) {
    return { ...ietf(`draft-${draft}`, draftSalts(draft)), packedLengths: draft < DRAFT_UNPACKED };
  }
  return googleVersion(value) ?? privateVersion(value);
}
