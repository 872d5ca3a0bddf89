/**
 * Where our tracker and the kernel's hold different states of the same connection, and why. Each disagreement
 * has a name; docs/STATE-TABLE.md explains them to users. A pair of states that is not listed here fails.
 *
 * What must never be: an established connection that the other table has closed. {@link breach} says so,
 * whatever is listed.
 */
import { TCP_FLAG } from "#base";
import { COMMIT } from "#state";
import type { Pair, Step } from "./twin-tables.ts";

/** One named disagreement. */
export interface Disagreement {
  readonly name: string;
  /** Why both differ, and who is nearer to the truth. */
  readonly reason: string;
  /** Pairs of states, ours first, in which it shows itself; any when absent. */
  readonly pairs?: readonly (readonly [own: string, kernel: string])[];
  /** What must be true of the step in which it begins, and of the names that the flow had before. */
  readonly begins?: (step: Step, history: ReadonlySet<string>) => boolean;
  /** It may close in one table what is established in the other: the reason says why that is no harm. */
  readonly excused?: true;
}

const { SYN, FIN, RST, ACK } = TCP_FLAG;

/** Seconds that the kernel gives a connection after a RST of which it is not sure (tcp_timeouts, CLOSE). */
const DOOMED_SECONDS = 10;

const has =
  (flags: number) =>
  ({ tcpFlags }: Step): boolean =>
    (tcpFlags & flags) === flags;

/** True when we did not follow the segment. */
function passedOver({ did }: Step): boolean {
  return (did & (COMMIT.INVALID | COMMIT.DISBELIEVED | COMMIT.OUT_OF_WINDOW | COMMIT.UNTRACKED)) !== 0;
}

function kernelStayed({ before, after }: Step): boolean {
  return before?.kernel === after.kernel;
}

/** Every combination. */
function pairs(own: readonly string[], kernel: readonly string[]): [own: string, kernel: string][] {
  return own.flatMap((mine) => kernel.map((theirs): [string, string] => [mine, theirs]));
}

const HALF_OPEN = ["SYN_RCVD1", "SYN_RCVD2", "SYN_SENT1", "SYN_SENT2", "SYN_SENT3"];
const CLOSING = ["FIN_WAIT_1", "FIN_WAIT_2", "FIN_WAIT_3", "CLOSE_WAIT1", "CLOSE_WAIT2", "LAST_ACK"];
const BOTH_CLOSING = ["CLOSING", "CLOSING2"];
const OVER = ["CLOSED", "TIME_WAIT"];
const KERNEL_HALF_OPEN = ["SYN_SENT", "SYN_SENT2", "SYN_RECV"];
const KERNEL_CLOSING = ["FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"];

/** The list; the first that fits gives its name. */
export const DISAGREEMENTS: readonly Disagreement[] = [
  {
    name: "closed-by-last-ack",
    reason:
      "the end that closed second is CLOSED when its FIN is acknowledged, and PyWall's table says so; the kernel speaks of the other end, which is in TIME_WAIT",
    pairs: pairs(["CLOSED"], ["TIME_WAIT"]),
  },
  {
    name: "any-ack-for-a-fin",
    reason:
      "the kernel takes any ACK after a FIN, of either end, for the FIN's acknowledgement; we compare numbers",
    pairs: [
      ...pairs(["FIN_WAIT_1", "CLOSE_WAIT1"], ["CLOSE_WAIT"]),
      ...pairs(["FIN_WAIT_1", "FIN_WAIT_2", "FIN_WAIT_3"], ["TIME_WAIT"]),
      ...pairs(["CLOSE_WAIT1", "CLOSE_WAIT2", "LAST_ACK"], ["TIME_WAIT"]),
    ],
  },
  {
    name: "fin-again",
    reason:
      "the kernel does not note who sent a FIN: the same FIN once more counts as that of the other end, and its connection goes on to LAST_ACK while one half is open",
    pairs: pairs(["FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT1", "CLOSE_WAIT2"], ["LAST_ACK"]),
    begins: has(FIN),
  },
  {
    name: "both-fins-under-way",
    reason: "the kernel has no state for two FINs that cross (RFC 9293: CLOSING)",
    pairs: pairs([...BOTH_CLOSING, "FIN_WAIT_3", ...OVER], KERNEL_CLOSING),
    begins: ({ after }) => BOTH_CLOSING.includes(after.own),
  },
  {
    name: "fin-acknowledges",
    reason: "a FIN that is sent again acknowledges the other FIN; for the kernel it is a FIN only",
    pairs: pairs(OVER, ["LAST_ACK"]),
    begins: has(FIN | ACK),
  },
  {
    name: "refused-and-forgotten",
    reason:
      "the kernel deletes an entry whose only answer is a RST; we remember the tuple for the timeout of closed connections, so that late segments are not taken for a connection",
    pairs: pairs(["CLOSED"], ["absent"]),
    begins: has(RST),
  },
  {
    name: "refusal-without-proof",
    reason:
      "we believe a RST against a SYN when it acknowledges the SYN (RFC 9293 section 3.10.7.3), the kernel believes any",
    pairs: pairs(HALF_OPEN, ["absent", "CLOSE"]),
    begins: has(RST),
  },
  {
    name: "both-syns-under-way",
    reason:
      "of two SYNs that cross, the local end has got the other's; the kernel counts both ends as asking",
    pairs: pairs(["SYN_SENT3", "SYN_SENT2"], ["SYN_SENT2", "SYN_RECV"]),
  },
  {
    name: "simultaneous-open",
    reason:
      "when both ends have acknowledged the other's SYN the connection stands; the kernel waits for another ACK of the end that spoke first, and judges windows by numbers it has not taken down",
    pairs: [
      ...pairs(["ESTABLISHED", ...CLOSING, ...BOTH_CLOSING, ...OVER], KERNEL_HALF_OPEN),
      ...pairs([...CLOSING, ...OVER], ["ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT"]),
    ],
    begins: (_step, history) => history.has("both-syns-under-way"),
    excused: true,
  },
  {
    name: "reset-in-time-wait",
    reason: '"Ignore RST segments in TIME-WAIT state" (RFC 1337 section 4); the kernel closes at once',
    pairs: pairs(["TIME_WAIT"], ["CLOSE"]),
    begins: has(RST),
  },
  {
    name: "reset-behind-data-in-flight",
    reason:
      "a RST that continues its sender's data ends the connection at the receiver; the kernel believes it only when nothing else came between, otherwise it holds the connection for ten seconds, and longer when the end that did not get the RST goes on",
    pairs: pairs(["CLOSED"], ["ESTABLISHED", ...KERNEL_CLOSING]),
    begins: (step) => has(RST)(step) && step.after.timeoutSeconds <= DOOMED_SECONDS,
    excused: true,
  },
];

/** What segments bring about that no real end sends at that place. Each may go on in any pair of states. */
export const ODD_DISAGREEMENTS: readonly Disagreement[] = [
  {
    name: "picked-up-by-anything",
    reason:
      "as in PyWall, any segment but a RST makes a connection that is older than the firewall; the kernel takes an ACK or a SYN only",
    begins: ({ after }) => after.own !== "absent" && after.kernel === "absent",
  },
  {
    name: "stray-segment-picked-up",
    reason: "the kernel takes a segment behind the end of a connection for one that is older than itself",
    begins: ({ before, after }) => before?.kernel === "absent" && after.kernel !== "absent",
    excused: true,
  },
  {
    name: "data-before-the-handshake",
    reason: "the kernel takes numbers down only of SYN segments while a connection opens",
    begins: ({ after }) => KERNEL_HALF_OPEN.includes(after.kernel),
  },
  {
    name: "reset-with-an-inexact-number",
    reason:
      "we ask for the very next number of a RST in every state (RFC 5961 section 3.2); the kernel only on an established connection that it has seen begin, and not behind a SYN",
    begins: (step) => has(RST)(step) && passedOver(step) && ["CLOSE", "absent"].includes(step.after.kernel),
    excused: true,
  },
  {
    name: "syn-ack-as-ack",
    reason: "the ACK of a SYN-ACK acknowledges a FIN here; the kernel passes a SYN-ACK over",
    begins: (step) => has(SYN | ACK)(step) && kernelStayed(step),
  },
  {
    name: "reopened-by-a-syn",
    reason:
      "a SYN on an ended connection begins another; the kernel takes it from the end that spoke first or that sent a RST only",
    begins: (step) => has(SYN)(step) && OVER.includes(step.before?.own ?? ""),
  },
  {
    name: "bounds-of-windows",
    reason: "a forged segment lies in the window of one table and outside that of the other",
    begins: (step) => passedOver(step) !== kernelStayed(step),
  },
];

/** True when both tables say the same of both ends. */
export function agree({ own, kernel, ownLevels, kernelLevels }: Pair): boolean {
  if (ownLevels === undefined || kernelLevels === undefined) return own === "absent" && kernel === "absent";
  return ownLevels[0] === kernelLevels[0] && ownLevels[1] === kernelLevels[1];
}

/** Says in what way one table has closed what the other holds as established; `undefined` when it has not. */
export function breach({ own, kernel, timeoutSeconds }: Pair): string | undefined {
  const ended = OVER.includes(own) || own === "absent";
  if (kernel === "ESTABLISHED" && ended && timeoutSeconds > DOOMED_SECONDS)
    return `${own} here, ESTABLISHED there`;
  const endedThere = kernel === "CLOSE" || kernel === "TIME_WAIT";
  return own === "ESTABLISHED" && endedThere ? `ESTABLISHED here, ${kernel} there` : undefined;
}
