/** What programs seldom do, made by hand, a segment at a time, in our table and in the kernel's. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { Crafter } from "./crafter.ts";
import { Ledger } from "./ledger.ts";

/** One connection; the words are those of crafted-connection.ts. */
interface Scenario {
  readonly name: string;
  readonly words: string;
  /** Both tables' states in the end, ours first. */
  readonly end: string;
  /** Names under which both differ on the way. */
  readonly differs?: readonly string[];
  /** Only strict tracking answers so. */
  readonly strict?: true;
}

const OPENED = "c:S s:SA c:A";

const SCENARIOS: readonly Scenario[] = [
  { name: "opened", words: OPENED, end: "ESTABLISHED/ESTABLISHED" },
  { name: "SYN and SYN-ACK again", words: "c:S c:~ s:SA s:~ c:A", end: "ESTABLISHED/ESTABLISHED" },
  { name: "data in place of the last ACK", words: "c:S s:SA c:PA+10", end: "ESTABLISHED/ESTABLISHED" },
  { name: "a FIN in place of the last ACK", words: "c:S s:SA c:FA s:A", end: "CLOSE_WAIT2/CLOSE_WAIT" },
  {
    name: "closed by the client",
    words: `${OPENED} c:FA s:A s:FA c:A`,
    end: "CLOSED/TIME_WAIT",
    differs: ["closed-by-last-ack"],
  },
  { name: "closed by the server", words: `${OPENED} s:FA c:A c:FA s:A`, end: "TIME_WAIT/TIME_WAIT" },
  { name: "closed in three segments", words: `${OPENED} s:FA c:FA s:A`, end: "TIME_WAIT/TIME_WAIT" },
  {
    name: "half-closed, with data the other way",
    words: `${OPENED} c:FA s:A s:PA+100 c:A s:PA+100 c:A`,
    end: "CLOSE_WAIT2/CLOSE_WAIT",
  },
  {
    name: "the FIN sent again while one half is open",
    words: `${OPENED} c:FA s:A c:~ s:A s:PA+100 c:A`,
    end: "CLOSE_WAIT2/TIME_WAIT",
    differs: ["any-ack-for-a-fin", "fin-again"],
  },
  {
    name: "data that crosses a FIN is no acknowledgement of it",
    words: `${OPENED} c:FA! s:PA+100 c:A`,
    end: "CLOSE_WAIT1/CLOSE_WAIT",
    differs: ["any-ack-for-a-fin"],
  },
  {
    name: "both close at once",
    words: `${OPENED} c:FA! s:FA! c:A#1 s:A#1`,
    end: "TIME_WAIT/TIME_WAIT",
    differs: ["both-fins-under-way"],
  },
  {
    name: "both open at once",
    words: "c:S s:S c:SA s:SA",
    end: "ESTABLISHED/SYN_RECV",
    differs: ["both-syns-under-way", "simultaneous-open"],
  },
  {
    name: "both open at once, and speak",
    words: "c:S s:S c:SA s:SA c:PA+10 s:A",
    end: "ESTABLISHED/ESTABLISHED",
    differs: ["both-syns-under-way", "simultaneous-open"],
  },
  { name: "refused", words: "c:S s:RA", end: "CLOSED/absent", differs: ["refused-and-forgotten"] },
  {
    name: "refused, tried again, accepted",
    words: "c:S s:RA c:~ s:SA c:A",
    end: "ESTABLISHED/ESTABLISHED",
    differs: ["refused-and-forgotten"],
  },
  { name: "asked, and the answer refused", words: "c:S s:SA c:R", end: "CLOSED/CLOSE" },
  { name: "reset by the next number", words: `${OPENED} c:PA+10 s:A c:R`, end: "CLOSED/CLOSE" },
  { name: "reset behind data", words: `${OPENED} c:PA+10 c:RA`, end: "CLOSED/CLOSE" },
  { name: "reset in answer to a segment", words: `${OPENED} c:PA+10 s:R`, end: "CLOSED/CLOSE" },
  {
    name: "reset behind data in flight",
    words: `${OPENED} s:PA+100 c:~ s:RA`,
    end: "CLOSED/ESTABLISHED",
    differs: ["reset-behind-data-in-flight"],
  },
  {
    name: "a RST in the window, but not the next",
    words: `${OPENED} c:R@50`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  { name: "a RST before the window", words: `${OPENED} c:R@-100000`, end: "ESTABLISHED/ESTABLISHED" },
  { name: "a RST beyond the window", words: `${OPENED} c:R@100000`, end: "ESTABLISHED/ESTABLISHED" },
  {
    name: "a RST with an acknowledgement that was never sent",
    words: `${OPENED} c:RA#1000 c:RA#-1000000`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  {
    name: "a challenged RST, sent again with the right number",
    words: `${OPENED} c:R@50 s:A c:R`,
    end: "CLOSED/CLOSE",
  },
  {
    name: "a SYN on a connection that stands",
    words: `${OPENED} c:S@5000 s:A`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  {
    name: "a SYN on a connection that stands, challenged: the client has begun anew",
    words: `${OPENED} c:S@5000 s:A c:R`,
    end: "CLOSED/CLOSE",
  },
  { name: "kept alive", words: `${OPENED} c:A@-1 s:A c:A@-1 s:A`, end: "ESTABLISHED/ESTABLISHED" },
  {
    name: "a window of zero, probed and opened",
    words: `${OPENED} c:PA+100 s:A%0 c:PA+1@0! s:A%0 c:A@-1 s:A%0 s:A c:PA+100 s:A`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  {
    name: "retransmitted and out of order",
    words: `${OPENED} c:PA+100! c:PA+100! s:A c:PA+100@-200 c:PA+100@-100 s:A#0`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  { name: "picked up in the middle", words: "c:PA+100 s:A c:PA+100 s:A", end: "ESTABLISHED/ESTABLISHED" },
  {
    name: "the tuple used again out of TIME_WAIT",
    words: `${OPENED} s:FA c:A c:FA s:A c:S@100000 s:SA#100001`,
    end: "SYN_RCVD2/SYN_RECV",
  },
  {
    name: "a RST in TIME_WAIT",
    words: `${OPENED} s:FA c:A c:FA s:A c:R`,
    end: "TIME_WAIT/CLOSE",
    differs: ["reset-in-time-wait"],
  },
  {
    name: "forged data beyond the window",
    words: `${OPENED} c:PA+100@1000000 s:A c:PA+100 s:A`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  {
    name: "a forged FIN beyond the window",
    words: `${OPENED} c:FA@1000000`,
    end: "ESTABLISHED/ESTABLISHED",
    strict: true,
  },
  {
    name: "a forged FIN that acknowledges what was never sent",
    words: `${OPENED} c:FA#100000`,
    end: "ESTABLISHED/ESTABLISHED",
  },
  {
    name: "a RST out of nowhere",
    words: "c:R c:RA s:RA",
    end: "absent/absent",
  },
];

for (const strict of [false, true]) {
  netnsTest(
    `crafted connections end as listed in both tables, and differ under listed names only (${strict ? "strict" : "liberal"})`,
    GATEWAY,
    async (hosts) => {
      const crafter = await Crafter.open(hosts, strict);
      const scenarios = SCENARIOS.filter((scenario) => strict || scenario.strict !== true);
      for (const [at, { name, words, end, differs = [] }] of scenarios.entries()) {
        // Every fourth port is one of IPv6, see the crafter.
        for (const port of [4000 + 4 * at, 4001 + 4 * at]) {
          const ledger = new Ledger();
          const last = crafter.play(words.split(" "), port, ledger);
          assert.deepEqual(ledger.failures, [], name);
          assert.equal(last, end, name);
          assert.deepEqual([...ledger.named.keys()].sort(), [...differs].sort(), name);
        }
      }
      crafter.close();
    },
  );
}
