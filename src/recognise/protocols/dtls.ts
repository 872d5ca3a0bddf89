/**
 * DTLS 1.0 to 1.3 (RFC 4347, RFC 6347, RFC 9147), and the version before them that AnyConnect keeps alive.
 *
 * The ClientHello may come in fragments over several datagrams; they are put together like QUIC's.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { CryptoStream } from "../quic/crypto-stream.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";
import { readClientHello } from "../tls/client-hello.ts";
import { learnClientHello, learnServerHello } from "../tls/fingerprint.ts";
import { CONTENT, HANDSHAKE } from "../tls/handshake.ts";
import { readServerHello } from "../tls/server-hello.ts";

// Record header (RFC 6347 section 4.1).
const VERSION = 1;
const EPOCH = 3;
const LENGTH = 11;
const RECORD_HEADER_BYTES = 13;
const RECORD_BYTES_MAX = 16_384 + 2048;

// Handshake header (RFC 6347 section 4.2.2), behind the record's.
const MESSAGE_LENGTH = 1;
const FRAGMENT_OFFSET = 6;
const FRAGMENT_LENGTH = 9;
const HANDSHAKE_HEADER_BYTES = 12;

/** DTLS 1.0 and 1.2 are the ones' complement of TLS 1.1 and 1.2; 0x0100 is OpenSSL's before the standard. */
const VERSIONS: readonly number[] = [0xfeff, 0xfefd, 0xfefc, 0x0100];

/** Epochs that a session reaches: each renegotiation takes one. */
const EPOCH_MAX = 64;

/** Ciphertext with a connection id (RFC 9146 section 4). */
const CONTENT_WITH_CONNECTION_ID = 25;

interface DtlsState {
  hello: CryptoStream | undefined;
}

const makeState = (): DtlsState => ({ hello: undefined });

/** True when a record header stands at `at` and its payload fits. */
function isRecord(bytes: ByteWindow, at: number): boolean {
  const type = bytes.u8(at);
  if (type < CONTENT.CHANGE_CIPHER_SPEC || type > CONTENT_WITH_CONNECTION_ID) return false;
  if (!VERSIONS.includes(bytes.u16(at + VERSION)) || bytes.u16(at + EPOCH) > EPOCH_MAX) return false;
  const length = bytes.u16(at + LENGTH);
  return length > 0 && length <= RECORD_BYTES_MAX;
}

/** Puts the client's hello together from the fragment at `at`. */
function learnClientFragment(evidence: Evidence, state: DtlsState, at: number): void {
  const { bytes, facts, cryptography } = evidence;
  const total = bytes.u24(at + MESSAGE_LENGTH);
  const offset = bytes.u24(at + FRAGMENT_OFFSET);
  const length = bytes.u24(at + FRAGMENT_LENGTH);
  if (facts.ja3 !== undefined || (offset > 0 && state.hello === undefined)) return;
  state.hello ??= new CryptoStream();
  const { window } = state.hello;
  state.hello.add(offset, bytes.view(at + HANDSHAKE_HEADER_BYTES, at + HANDSHAKE_HEADER_BYTES + length));
  if (window.length < total) return;
  const hello = readClientHello(window, 0, total, true);
  state.hello = undefined;
  if (hello !== undefined) learnClientHello(facts, hello, "d", cryptography);
}

/** Reads the handshake fragment at `at`. Answers true when both hellos are known. */
function learnFragment(evidence: Evidence, state: DtlsState, at: number, to: number): boolean {
  const { bytes, facts, cryptography } = evidence;
  const type = bytes.u8(at);
  const total = bytes.u24(at + MESSAGE_LENGTH);
  const offset = bytes.u24(at + FRAGMENT_OFFSET);
  const length = bytes.u24(at + FRAGMENT_LENGTH);
  const bodyAt = at + HANDSHAKE_HEADER_BYTES;
  if (length < 0 || bodyAt + length > to || offset + length > total) return false;
  if (type === HANDSHAKE.CLIENT_HELLO) learnClientFragment(evidence, state, at);
  if (type !== HANDSHAKE.SERVER_HELLO || offset > 0 || length < total) return false;
  const hello = readServerHello(bytes, bodyAt, bodyAt + length);
  if (hello !== undefined) learnServerHello(facts, hello, cryptography);
  return facts.ja3 !== undefined;
}

/** See the head of this file. */
export const dtls: Recogniser = {
  protocol: "DTLS",
  transports: ["UDP"],
  encrypted: true,
  firstBytes: [20, 21, 22, 23, 24, 25],
  judge(evidence): Answer {
    const { bytes } = evidence;
    if (!isRecord(bytes, 0)) return evidence.matched ? 1 : NO_MATCH;
    const firstEnd = RECORD_HEADER_BYTES + bytes.u16(LENGTH);
    if (firstEnd > evidence.wireLength) return evidence.matched ? 1 : NO_MATCH;
    if (firstEnd < bytes.length && !isRecord(bytes, firstEnd) && !evidence.matched) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN);
    const state = evidence.state(makeState);
    for (let at = 0; at < bytes.length && isRecord(bytes, at); ) {
      const end = at + RECORD_HEADER_BYTES + bytes.u16(at + LENGTH);
      const plain = bytes.u8(at) === CONTENT.HANDSHAKE && bytes.u16(at + EPOCH) === 0;
      if (plain && learnFragment(evidence, state, at + RECORD_HEADER_BYTES, end)) return DONE;
      at = end;
    }
    return 1;
  },
};
