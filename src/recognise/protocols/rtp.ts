/**
 * RTP and RTCP (RFC 3550), plain or as SRTP, whose headers are the same (RFC 3711 section 3.1).
 *
 * One RTP header proves nothing: it is a version, a type and random numbers. A run of packets of one source
 * whose sequence numbers follow each other does. RTCP has a mark: types from a small range and lengths that
 * add up.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, byteRange, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// RTP fixed header (RFC 3550 section 5.1).
const PAYLOAD_TYPE = 1;
const SEQUENCE = 2;
const TIMESTAMP = 4;
const SOURCE = 8;
const HEADER_BYTES = 12;
const COUNT_MASK = 0x0f;
const EXTENSION_BIT = 0x10;
const TYPE_MASK = 0x7f;

/** Static types end at 34, dynamic ones begin at 96 (RFC 3551 section 6); 72 to 76 would be RTCP. */
const STATIC_TYPE_MAX = 34;
const DYNAMIC_TYPE_MIN = 77;

/** Packets of a source in a row that make it certain, and likely. */
const RUN_CERTAIN = 4;
const RUN_LIKELY = 3;

/** Sequence numbers may skip what was lost or came by another way. */
const SEQUENCE_STEP_MAX = 16;

/** RTCP types: SR 200, RR, SDES, BYE, APP, RTPFB, PSFB, XR 207 (IANA RTCP Control Packet Types). */
const RTCP_FIRST = 200;
const RTCP_LAST = 207;
const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const SDES = 202;
const BYE = 203;
const RTCP_HEADER_BYTES = 8;

/** Shortest Sender Report: header, source, 20 bytes of sender information. */
const SENDER_REPORT_BYTES = 28;

interface Run {
  source: number;
  sequence: number;
  timestamp: number;
  length: number;
}

const makeRuns = (): [Run, Run] => [
  { source: -1, sequence: 0, timestamp: 0, length: 0 },
  { source: -1, sequence: 0, timestamp: 0, length: 0 },
];

/** True when the fixed header and what it announces fit into the datagram. */
function isRtpHeader(bytes: ByteWindow): boolean {
  const first = bytes.u8(0);
  const type = bytes.u8(PAYLOAD_TYPE) & TYPE_MASK;
  if (bytes.length < HEADER_BYTES || (first & 0xc0) !== 0x80) return false;
  if (type > STATIC_TYPE_MAX && type < DYNAMIC_TYPE_MIN) return false;
  let header = HEADER_BYTES + 4 * (first & COUNT_MASK);
  if ((first & EXTENSION_BIT) !== 0) header += 4 + 4 * bytes.u16(header + 2);
  return header <= bytes.length;
}

/** How far a 16-bit sequence number is ahead of another, 0 to 65535. */
function stepOf(from: number, to: number): number {
  return (to + 0x10000 - from) & 0xffff;
}

/** Adds the packet to its source's run and answers how long the run is. */
function extendRun(evidence: Evidence): number {
  const { bytes } = evidence;
  const run = evidence.state(makeRuns)[evidence.direction];
  const source = bytes.u32(SOURCE);
  const sequence = bytes.u16(SEQUENCE);
  const timestamp = bytes.u32(TIMESTAMP);
  const step = stepOf(run.sequence, sequence);
  // A copy of the packet before, as a capture on two interfaces shows it, says nothing.
  if (source === run.source && step === 0) return run.length;
  const follows = source === run.source && step <= SEQUENCE_STEP_MAX;
  run.length = follows ? run.length + 1 : 1;
  run.source = source;
  run.sequence = sequence;
  run.timestamp = timestamp;
  return run.length;
}

/** See the head of this file. */
export const rtp: Recogniser = {
  protocol: "RTP",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: byteRange(0x80, 0xbf),
  judge(evidence): Answer {
    const { bytes } = evidence;
    const second = bytes.u8(PAYLOAD_TYPE);
    if (second >= RTCP_FIRST && second <= RTCP_LAST) return evidence.candidate === undefined ? NO_MATCH : 1;
    if (!isRtpHeader(bytes)) return evidence.matched ? 1 : NO_MATCH;
    const run = extendRun(evidence);
    const certain = run >= (evidence.behind === undefined ? RUN_CERTAIN : RUN_LIKELY);
    if (run >= RUN_LIKELY) evidence.match(certain ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
    return certain ? DONE : 1;
  },
};

/** True when packet after packet fills the datagram. SRTCP adds an index and a tag behind the last one. */
function isCompound(bytes: ByteWindow): { fits: boolean; packets: number } {
  let position = 0;
  let packets = 0;
  while (position < bytes.length) {
    const type = bytes.u8(position + 1);
    const length = bytes.u16(position + 2);
    const version = bytes.u8(position) >> 6;
    if (version !== 2 || type < RTCP_FIRST || type > RTCP_LAST || length < 0) break;
    position += 4 * (length + 1);
    packets += 1;
  }
  return { fits: position === bytes.length, packets };
}

/** True when the first packet has room for what its type must hold. */
function isShaped(bytes: ByteWindow, fits: boolean): boolean {
  const type = bytes.u8(1);
  if (type === SENDER_REPORT) return 4 * (bytes.u16(2) + 1) >= SENDER_REPORT_BYTES;
  return type === RECEIVER_REPORT || type === SDES || type === BYE || fits;
}

/** See the head of this file. */
export const rtcp: Recogniser = {
  protocol: "RTCP",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: byteRange(0x80, 0xbf),
  judge(evidence): Answer {
    const { bytes } = evidence;
    const type = bytes.u8(1);
    // Beside the checks of ICE, RTCP says no more than that media are to follow.
    if (evidence.behind !== undefined) return NO_MATCH;
    if (type < RTCP_FIRST || type > RTCP_LAST || bytes.length < RTCP_HEADER_BYTES) {
      return evidence.candidate === undefined ? NO_MATCH : 1;
    }
    if (4 * (bytes.u16(2) + 1) > bytes.length) return NO_MATCH;
    const { fits, packets } = isCompound(bytes);
    // "The first RTCP packet in a compound packet must always be a report packet" (RFC 3550 section 6.1).
    if (fits && packets >= 2 && (type === SENDER_REPORT || type === RECEIVER_REPORT)) {
      evidence.match(CONFIDENCE.CERTAIN);
      return DONE;
    }
    if (!isShaped(bytes, fits)) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY);
    return 1;
  },
};
