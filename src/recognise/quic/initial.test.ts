/** QUIC's Initial packets against the worked example of RFC 9001 appendix A. */
import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { big, bytes, clientHello, CHROME_HELLO, hex } from "../../testing/samples/index.ts";
import { nodeCryptography } from "../crypto.ts";
import { CONFIDENCE, FlowRecognition, type Recognition, RecogniserSet } from "../index.ts";
import { clientKeys, openInitial } from "./initial.ts";
import { type QuicVersion, quicVersion } from "./version.ts";

const CONNECTION_ID = hex("8394c8f03e515708");

/** CRYPTO frame of RFC 9001 appendix A.2. */
const CRYPTO_FRAME = hex(`
  060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868
  04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578
  616d706c652e636f6dff01000100000a00080006001d00170018001000070005
  04616c706e000500050100000000003300260024001d00209370b2c9caa47fba
  baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400
  0d0010000e0403050306030203080408050806002d00020101001c00024001ff
  a500320408ffffffffffffffff05048000ffff07048000ffff08011001048000
  75300901100f088394c8f03e51570806048000ffff`);

function versionOf(value: number): QuicVersion {
  const version = quicVersion(value);
  assert.ok(version !== undefined);
  return version;
}

/** Seals frames as the client's Initial packet, packet number 2 in four bytes. */
function seal(
  versionNumber: number,
  frames: Uint8Array,
  version: QuicVersion = versionOf(versionNumber),
  salt: string = version.salts[0] ?? "",
): Uint8Array {
  const padTo = 1162;
  const keys = clientKeys(nodeCryptography, version, salt, CONNECTION_ID);
  const plain = new Uint8Array(Math.max(padTo, frames.length));
  plain.set(frames);
  const first = 0xc3 | (version.initialType << 4);
  const header = bytes(
    first,
    big(versionNumber, 4),
    // Up to draft 21 both lengths in one byte, three less than they are.
    version.packedLengths ? 0x50 : 8,
    CONNECTION_ID,
    ...(version.packedLengths ? [] : [0]),
    0,
    big(0x4000 + plain.length + 20, 2),
    big(2, 4),
  );
  const numberAt = header.length - 4;
  const nonce = keys.nonce.slice();
  nonce[11] = (nonce[11] ?? 0) ^ 2;
  const cipher = createCipheriv("aes-128-gcm", keys.key, nonce).setAAD(header);
  const sealed = bytes(cipher.update(plain), cipher.final(), cipher.getAuthTag());
  const mask = nodeCryptography.aes128Block(keys.header, sealed.slice(0, 16));
  const packet = bytes(header, sealed);
  packet[0] = first ^ ((mask[0] ?? 0) & 0x0f);
  for (let index = 0; index < 4; index += 1)
    packet[numberAt + index] = (packet[numberAt + index] ?? 0) ^ (mask[1 + index] ?? 0);
  return packet;
}

function recognise(...datagrams: readonly Uint8Array[]): Recognition | undefined {
  const flow = new FlowRecognition(new RecogniserSet(), "UDP", 40_000, 40_001);
  for (const datagram of datagrams) {
    const { length } = datagram;
    flow.datagram(0, {
      bytes: new DataView(datagram.buffer),
      payloadAt: 0,
      end: length,
      datagramBytes: length,
    });
  }
  return flow.result;
}

test("keys are those of appendix A.1", () => {
  const keys = clientKeys(nodeCryptography, versionOf(1), versionOf(1).salts[0] ?? "", CONNECTION_ID);
  assert.deepEqual(Uint8Array.from(keys.key), hex("1f369613dd76d5467730efcbe3b1a22d"));
  assert.deepEqual(Uint8Array.from(keys.nonce), hex("fa044b2f42a3fd3b46fb255c"));
  assert.deepEqual(Uint8Array.from(keys.header), hex("9f50449e04a0e810283a1e9933adedd2"));
});

test("keys of version 2 are those of RFC 9369 appendix A.1", () => {
  const version = versionOf(0x6b3343cf);
  const keys = clientKeys(nodeCryptography, version, version.salts[0] ?? "", CONNECTION_ID);
  assert.deepEqual(Uint8Array.from(keys.key), hex("8b1a0bc121284290a29e0971b5cd045d"));
  assert.deepEqual(Uint8Array.from(keys.nonce), hex("91f73e2351d8fa91660e909f"));
  assert.deepEqual(Uint8Array.from(keys.header), hex("45b95e15235d6f45a6b19cbcb0294ba9"));
});

test("the client's Initial of appendix A.2 is sealed and opened as printed there", () => {
  const packet = seal(1, CRYPTO_FRAME);
  assert.equal(packet.length, 1200);
  const start = hex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b");
  assert.deepEqual(packet.slice(0, start.length), start);
  const keys = clientKeys(nodeCryptography, versionOf(1), versionOf(1).salts[0] ?? "", CONNECTION_ID);
  const frames = openInitial(nodeCryptography, keys, packet, 18);
  assert.deepEqual(frames && Uint8Array.from(frames.subarray(0, CRYPTO_FRAME.length)), CRYPTO_FRAME);
  const found = recognise(packet);
  assert.equal(found?.protocol, "QUIC");
  assert.equal(found.confidence, CONFIDENCE.CERTAIN);
  assert.equal(found.facts.serverName, "example.com");
  assert.deepEqual(found.facts.alpn, ["alpn"]);
});

for (const [name, number] of [
  ["2", 0x6b3343cf],
  ["draft-29", 0xff00001d],
  ["draft-27", 0xff00001b],
  ["draft-22", 0xff000016],
  ["draft-21", 0xff000015],
  ["draft-18", 0xff000012],
  ["2", 0x709a50c4],
] as const) {
  test(`version ${name} is opened`, () => {
    const found = recognise(seal(number, CRYPTO_FRAME));
    assert.equal(found?.facts.version, name);
    assert.equal(found.facts.serverName, "example.com");
  });
}

test("each draft has the salt of its section 5.2", () => {
  const salts = new Map([
    [17, "ef4fb0ab"],
    [20, "ef4fb0ab"],
    [21, "7fbcdb0e"],
    [22, "7fbcdb0e"],
    [23, "c3eef712"],
    [28, "c3eef712"],
    [29, "afbfec28"],
    [32, "afbfec28"],
    [33, "38762cf7"],
  ]);
  for (const [draft, start] of salts) {
    assert.equal(versionOf(0xff000000 + draft).salts[0]?.slice(0, 8), start, `draft ${draft}`);
  }
});

test("version 2 is opened with the salt of its drafts too", () => {
  const version = versionOf(0x709a50c4);
  const found = recognise(
    seal(0x709a50c4, CRYPTO_FRAME, version, "a707c203a59b47184a1d62ca570406ea7ae3e5d3"),
  );
  assert.equal(found?.facts.serverName, "example.com");
});

test("a version that nobody knows is opened where it is sealed as version 1 is", () => {
  const found = recognise(seal(0x12345678, CRYPTO_FRAME, versionOf(1)));
  assert.equal(found?.protocol, "QUIC");
  assert.equal(found.facts.version, "0x12345678");
  assert.equal(found.facts.serverName, "example.com");
  const other = seal(0x12345678, CRYPTO_FRAME, versionOf(1), "00".repeat(20));
  assert.equal(recognise(other), undefined);
});

test("a hello over two packets in the wrong order is put together", () => {
  const hello = clientHello(CHROME_HELLO);
  const frame = (from: number, to: number): Uint8Array =>
    bytes(6, big(0x4000 + from, 2), big(0x4000 + to - from, 2), hello.slice(from, to));
  const found = recognise(seal(1, frame(150, hello.length)), seal(1, bytes(frame(0, 90), 1, frame(90, 150))));
  assert.equal(found?.facts.serverName, "example.org");
  assert.ok(found.facts.ja4?.startsWith("q13d1516h2_"));
});

test("a damaged tag leaves the protocol known and the hello unread", () => {
  const packet = seal(1, CRYPTO_FRAME);
  packet[packet.length - 1] = (packet[packet.length - 1] ?? 0) ^ 1;
  const found = recognise(packet);
  assert.equal(found?.protocol, "QUIC");
  assert.equal(found.facts.serverName, undefined);
});
