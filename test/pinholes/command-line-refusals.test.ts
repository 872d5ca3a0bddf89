/** `postern pinholes` when the answer is no: exit status, and what it says. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openHouse, type TestHouse } from "#testing";
import { type Outcome, runPinholes } from "./people.ts";

let house: TestHouse;
before(async () => {
  house = await openHouse();
});
after(() => house.close());

function pinholes(words: readonly string[]): Promise<Outcome> {
  return runPinholes(house.socket, words);
}

test("a reservation is enabled, and a block stands against what it meets", async () => {
  const reserved = await pinholes(["open", "--reserve", "--ports", "1", "--id", "r"]);
  assert.match(reserved.stdout, /r +reserved reserve +udp 1 ports/);
  const flow = ["--internal", "10.1.0.7:5004", "--external", "198.51.100.9:6004"];
  assert.match((await pinholes(["enable", "r", ...flow])).stdout, /r +enabled +udp/);
  const block = [
    "open",
    "--block",
    "--protocol",
    "any",
    "--internal",
    "*",
    "--external",
    "198.51.100.9",
    "--id",
    "b",
  ];
  assert.match((await pinholes(block)).stdout, /b +enabled block +any \* -x- 198\.51\.100\.9/);
  const against = await pinholes(["open", ...flow]);
  assert.equal(against.status, 1);
  assert.match(against.stderr, /A block stands against it\. \(ph_\w+\) \[CONFLICT\]/);
  await pinholes(["close", "b"]);
});

/** Words, exit status, and what is said. */
const WRONG: readonly (readonly [readonly string[], number, RegExp])[] = [
  [["show", "nix"], 1, /There is no pinhole nix/],
  [["open"], 2, /--internal and --external must be given/],
  [["open", "--block", "--internal", "*"], 2, /^postern: --external must be given/],
  [["enable", "r"], 2, /--internal and --external must be given/],
  [["open", "--internal", "10.1.0.7:70000", "--external", "*"], 2, /is 70000 to 70000.*PORT_ILLEGAL/],
  [["watch", "--types", "pinhole.opened"], 2, /"pinhole.opened" is none of pinhole.reserved, /],
  [["close"], 2, /name pinholes, or a group/],
  [["open", "--internal", "10.1.0.300", "--external", "198.51.100.9"], 2, /ADDRESS_ILLEGAL/],
  [["open", "--protocol", "quic"], 2, /It takes a number, or any, icmp/],
  [["list", "--connect", "127.0.0.1:1"], 2, /needs --cert/],
  [["apply", "/dev/null"], 2, /is no JSON/],
];
for (const [words, status, says] of WRONG) {
  test(`postern pinholes ${words.join(" ")} exits with ${status}, and says why`, async () => {
    const outcome = await pinholes(words);
    assert.equal(outcome.status, status, outcome.stderr);
    assert.match(outcome.stderr, says);
  });
}
