/**
 * Writes docs/TCP-STATES.md from the tables of src/state, so that page and code can't drift. A test compares.
 *
 * Usage: npm run build && node tools/tcp-states.mjs
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { TIMEOUT_MEANINGS } from "../dist/base/index.js";
import { DATAGRAM_LEVELS, DATAGRAM_STATES, DATAGRAM_TABLE } from "../dist/state/datagram-machine.js";
import { DATAGRAM_STAGES, TCP_STAGES } from "../dist/state/flow-stage.js";
import { NEXT_STATE, stepSegment, UNDEFINED } from "../dist/state/tcp-machine.js";
import { EXTENSION_TABLE, PYWALL_TABLE, RESET_TABLE } from "../dist/state/tcp-table.js";
import { DATAGRAM_TIMEOUTS, defaultTimeouts, PROFILES, TCP_TIMEOUTS } from "../dist/state/timeout.js";

const STATES = Object.keys(TCP_TIMEOUTS);
const FLOWING = ["received", "sent"];
const SEGMENTS = ["–", "F", "S", "S F", "A", "A F", "S A", "S A F"];

const words = (text) => text.toLowerCase().replaceAll("_", "-");

/** A Markdown table. */
function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The cells of one row in words. */
function cellText(cells) {
  const parts = Object.entries(cells).map(([pattern, to]) => {
    const left = pattern === "any" ? "any" : pattern.replaceAll("&", " ");
    return `${left} → ${to}`;
  });
  return parts.length === 0 ? "" : parts.join("<br>");
}

function literalTable(literal) {
  const rows = Object.entries(literal).map(([state, { received, sent }]) => [
    state,
    cellText(received),
    cellText(sent),
  ]);
  return table(["State", "Received", "Sent"], rows);
}

/** Each state, direction and set of control bits: what the flattened machine does. */
function matrix() {
  const rows = STATES.flatMap((state, row) =>
    FLOWING.map((name, flowing) => {
      const cells = SEGMENTS.map((_, segment) => {
        const cell = stepSegment(row, flowing, segment);
        if ((cell & UNDEFINED) !== 0) return "";
        const next = STATES[cell & NEXT_STATE];
        return next === state ? "·" : next;
      });
      return [flowing === 0 ? state : "", name, ...cells];
    }),
  );
  return table(["State", "", ...SEGMENTS], rows);
}

/** The changes of state that one row of a table makes, as arrows. */
function arrows(state, literal, name) {
  return Object.entries(literal[name])
    .filter(([pattern, to]) => {
      const extended = EXTENSION_TABLE[state]?.[name][pattern];
      return to !== "stay" && to !== state && (extended === undefined || extended === to);
    })
    .map(([pattern, to]) => `  ${state} --> ${to}: ${name} ${pattern.replaceAll("&", " ")}`);
}

/** The changes of state as a diagram. CLOSED is where connections end; where they begin has no state. */
function diagram() {
  const rows = [PYWALL_TABLE, EXTENSION_TABLE].flatMap((literal) => Object.entries(literal));
  const lines = rows
    .filter(([state]) => state !== "CLOSED")
    .flatMap(([state, row]) => FLOWING.flatMap((name) => arrows(state, row, name)));
  const begin = ["SYN_RCVD1: received S", "SYN_SENT1: sent S", "ESTABLISHED: !S (adopted)"];
  const first = begin.map((to) => `  [*] --> ${to}`);
  return ["```mermaid", "stateDiagram-v2", ...first, ...lines, "```"].join("\n");
}

function stateTable() {
  const seconds = defaultTimeouts(1);
  const rows = STATES.map((state) => {
    const timeout = TCP_TIMEOUTS[state];
    return [
      state,
      words(TCP_STAGES[state]),
      `\`${timeout}\``,
      `${seconds[timeout] / 1000} s`,
      RESET_TABLE[state],
    ];
  });
  return table(["State", "Stage", "Timeout", "Default", "After a believed RST"], rows);
}

function datagramTable() {
  const rows = DATAGRAM_STATES.map((state) => [
    state,
    DATAGRAM_LEVELS[state].join(" : "),
    DATAGRAM_TABLE[state].original,
    DATAGRAM_TABLE[state].reply,
    words(DATAGRAM_STAGES[state]),
    ...Object.values(DATAGRAM_TIMEOUTS).map((timeouts) => `\`${timeouts[state]}\``),
  ]);
  const head = ["State", "Levels", "Original packet", "Reply", "Stage", "UDP", "ICMP echo", "Others"];
  return table(head, rows);
}

function timeoutTable() {
  const seconds = defaultTimeouts(1);
  const rows = Object.entries(TIMEOUT_MEANINGS).map(([name, meaning]) => [
    `\`${name}\``,
    ...Object.values(PROFILES).map((profile) => profile[name] ?? seconds[name] / 1000),
    meaning,
  ]);
  return table(["Timeout", ...Object.keys(PROFILES), "Bounds"], rows);
}

/** The page. */
export function render() {
  return `# The states of connections

<!-- Made by tools/tcp-states.mjs from src/state. Change the tables there, then run it. -->

Postern follows each connection with its own tracker. Rules ask for its states by name
(\`TCPStateRule\`); they see the state *before* the packet they judge, and CLOSED for a connection
that is not known. The states describe what the firewall has seen of the connection, looking at the
*local* end: this host at INPUT and OUTPUT, the responder at FORWARD. *Received* means towards that
end, *sent* means away from it.

Letters stand for the control bits of a segment: S for SYN, A for ACK, F for FIN; \`!S\` means that
S is clear. Bits that are not named do not matter.

## How the next state is found

1. A RST that can be believed goes by the last column of *States and timeouts*. One that can't
   changes nothing.
2. Where the extension has a cell that fits, it decides. Otherwise PyWall's table does.
3. Where neither has one the segment is *undefined*: the state stays, and the segment is counted.
4. A SYN without ACK on CLOSED or TIME_WAIT begins another connection; rules see it as CLOSED.
5. While a connection closes, and its sequence numbers are known, A means that the segment
   acknowledges *everything* the other end has sent. An acknowledgement of older data is not taken
   for that of a FIN.

${diagram()}

## PyWall's table

All 15 states, 2 directions and 8 sets of control bits: 240 cases. Cells that are not listed are
undefined. CLOSED stands for a connection that is not known.

${literalTable(PYWALL_TABLE)}

## The extension

What PyWall's table lacks: segments sent again, half-closed connections (RFC 1122 section 4.2.2.13),
simultaneous open and close in any order, TIME_WAIT. *stay* keeps the state and is no error. CLOSED
here is a connection that has ended and is remembered for a while, so that its late segments are not
adopted as another one.

${literalTable(EXTENSION_TABLE)}

## The whole machine

Every case after both tables. A dot keeps the state; an empty cell is undefined.

${matrix()}

## States and timeouts

A connection that is silent for its timeout is forgotten. When the table is full the oldest
*half-open* flow gives way, then the oldest *closing* one; an *established* one never does. An
adopted connection counts as half-open, with \`tcp.first\`, until both ends have been seen.

${stateTable()}

## Other protocols

UDP, UDP-Lite, ICMP echo, SCTP and all others have no handshake to follow. Their machine counts who
has spoken; levels are pf's, of the end that spoke first and of the other one.

${datagramTable()}

## Timeouts

In seconds, under pf's names, for each optimisation profile. While the table fills from
\`adaptive.start\` flows (60 % of the limit) to \`adaptive.end\` (120 %) all timeouts shrink by the
same factor, from one to nothing.

${timeoutTable()}
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL("../docs/TCP-STATES.md", import.meta.url), render());
}
