/** ONC RPC version 2 (RFC 5531), and NFS with its helpers on it (RFC 1813, RFC 8881). */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Call (RFC 5531 section 9): xid, type, RPC version, program, version, procedure, credential, verifier.
const TYPE = 4;
const RPC_VERSION = 8;
const PROGRAM = 12;
const PROGRAM_VERSION = 16;
const PROCEDURE = 20;
const CREDENTIAL = 24;
const CREDENTIAL_LENGTH = 28;
const HEAD_BYTES = 32;

// Reply: xid, type, accepted or denied, verifier.
const REPLY_STATUS = 8;
const VERIFIER = 12;
const VERIFIER_LENGTH = 16;
const REPLY_BYTES = 24;

const CALL = 0;
const REPLY = 1;
const VERSION = 2;
/** "The length of the opaque body is no more than 400 bytes" (RFC 5531 section 8.2). */
const AUTH_BYTES_MAX = 400;
/** NONE, SYS, SHORT, DH, KERB, RSA, RPCSEC_GSS, TLS. */
const FLAVOUR_MAX = 7;

/** Bytes of the record mark on a stream (RFC 5531 section 11), and its bit for the last fragment. */
const MARK_BYTES = 4;
const LAST_FRAGMENT = 0x80000000;

/** Programs around NFS: port mapper, NFS, mount, lock manager, status monitor, ACL (RFC 1833, RFC 1813). */
const NFS_PROGRAMS: readonly number[] = [100000, 100003, 100005, 100021, 100024, 100227];
const PROGRAM_MAX = 0x60000000;
const VERSION_MAX = 64;
const PROCEDURE_MAX = 1024;

function judgeCall(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  if (bytes.u32(at + RPC_VERSION) !== VERSION) return NO_MATCH;
  const program = bytes.u32(at + PROGRAM);
  if (program <= 0 || program > PROGRAM_MAX || bytes.u32(at + PROGRAM_VERSION) > VERSION_MAX) return NO_MATCH;
  if (bytes.u32(at + PROCEDURE) > PROCEDURE_MAX) return NO_MATCH;
  const flavour = bytes.u32(at + CREDENTIAL);
  if (flavour > FLAVOUR_MAX && flavour < 300000) return NO_MATCH;
  if (bytes.u32(at + CREDENTIAL_LENGTH) > AUTH_BYTES_MAX) return NO_MATCH;
  const facts = evidence.match(CONFIDENCE.CERTAIN, NFS_PROGRAMS.includes(program) ? "NFS" : "RPC");
  facts.kind = `program ${program}`;
  facts.version = String(bytes.u32(at + PROGRAM_VERSION));
  return DONE;
}

function judgeReply(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  if (bytes.u32(at + REPLY_STATUS) !== 0 || bytes.u32(at + VERIFIER) > FLAVOUR_MAX) return NO_MATCH;
  if (bytes.u32(at + VERIFIER_LENGTH) > AUTH_BYTES_MAX) return NO_MATCH;
  // The accept status is 0 to 5 (RFC 5531 section 9); which program answers is not said.
  const status = bytes.u32(at + VERIFIER_LENGTH + 4 + bytes.u32(at + VERIFIER_LENGTH));
  if (status < 0 || status > 5) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY, "RPC");
  return 1;
}

/** See the head of this file. */
export const rpc: Recogniser = {
  protocol: "NFS",
  transports: ["UDP", "TCP"],
  encrypted: false,
  judge(evidence) {
    const { bytes } = evidence;
    const stream = evidence.transport === "TCP";
    const at = stream ? MARK_BYTES : 0;
    if (stream) {
      const mark = bytes.u32(0);
      if (bytes.length < MARK_BYTES + HEAD_BYTES)
        return bytes.u8(0) === 0x80 ? MARK_BYTES + HEAD_BYTES : NO_MATCH;
      if (mark < LAST_FRAGMENT || mark - LAST_FRAGMENT < REPLY_BYTES) return NO_MATCH;
    }
    if (bytes.length < at + REPLY_BYTES) return NO_MATCH;
    const type = bytes.u32(at + TYPE);
    if (type === CALL && bytes.length >= at + HEAD_BYTES) return judgeCall(evidence, at);
    return type === REPLY ? judgeReply(evidence, at) : NO_MATCH;
  },
};
