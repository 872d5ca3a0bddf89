/** JA3 and JA4 against the values that their makers publish. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHROME_HELLO, CHROME_JA4, clientHello } from "../../testing/samples/index.ts";
import { windowOver } from "../byte-window.ts";
import { nodeCryptography } from "../crypto.ts";
import { type ClientHello, readClientHello } from "./client-hello.ts";
import { ja3Text, ja4, ja4Parts } from "./fingerprint.ts";

const EMPTY: ClientHello = {
  version: 769,
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

test("JA3 equals the examples of its description", () => {
  const full: ClientHello = {
    ...EMPTY,
    ciphers: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
    extensions: [0, 10, 11],
    groups: [23, 24, 25],
    pointFormats: [0],
  };
  assert.equal(ja3Text(full), "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
  assert.equal(nodeCryptography.md5(ja3Text(full)), "ada70206e40642a3e4461f35503241d5");
  const bare: ClientHello = { ...EMPTY, ciphers: [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99] };
  assert.equal(ja3Text(bare), "769,4-5-10-9-100-98-3-6-19-18-99,,,");
  assert.equal(nodeCryptography.md5(ja3Text(bare)), "de350869b8c85de67a350c8d186f11e6");
});

test("JA4 equals the example of its specification", () => {
  const message = clientHello(CHROME_HELLO);
  const hello = readClientHello(windowOver(message), 4, message.length, false);
  assert.ok(hello !== undefined);
  assert.equal(ja4(hello, "t", nodeCryptography), CHROME_JA4);
  assert.equal(
    ja4Parts(hello, "t")[2],
    "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_" +
      "0403,0804,0401,0503,0805,0501,0806,0601",
  );
});

test("JA4 writes what is missing as the specification says", () => {
  // "If there are no ciphers/extensions in the sorted list, then the value is set to 000000000000."
  assert.equal(
    ja4({ ...EMPTY, ciphers: [0x0a0a] }, "d", nodeCryptography),
    "d10i000000_000000000000_000000000000",
  );
  const [head] = ja4Parts({ ...EMPTY, version: 0xfefd, alpn: ["\xab\xcd"], extensions: [0x0a0a] }, "d");
  assert.equal(head, "dd2i0000ad");
});
