/** The reference tracker's 240 cases, transcribed from its report and not from our tables. */
import { TCP_FLAG, type TcpState } from "../base/index.ts";

/** The reference, row by row as its report prints it: state | received | sent. */
const REFERENCE = `
CLOSED | S→SYN_RCVD1; !S→ESTABLISHED | S→SYN_SENT1; !S→ESTABLISHED
SYN_RCVD1 | always undef | S&A→SYN_RCVD2; else undef
SYN_RCVD2 | A→ESTABLISHED; else undef | F→FIN_WAIT_1; else undef
SYN_SENT1 | S&A→SYN_SENT2; S&!A→SYN_SENT3; !S undef | S→SYN_SENT1; else undef
SYN_SENT2 | always undef | A→ESTABLISHED; else undef
SYN_SENT3 | always undef | A→SYN_RCVD2; else undef
ESTABLISHED | F→CLOSE_WAIT1; else stay | F→FIN_WAIT_1; else stay
CLOSE_WAIT1 | always undef | F&A→LAST_ACK; A&!F→CLOSE_WAIT2; else undef
CLOSE_WAIT2 | always undef | F→LAST_ACK; else undef
LAST_ACK | A→CLOSED; else undef | always undef
FIN_WAIT_1 | F&A→FIN_WAIT_3; A&!F→FIN_WAIT_2; F&!A→CLOSING; else undef | always undef
FIN_WAIT_2 | F→FIN_WAIT_3; else undef | always undef
FIN_WAIT_3 | always undef | A→CLOSED; else undef
CLOSING | A→FIN_WAIT_3; else undef | A→CLOSING2; else undef
CLOSING2 | A→CLOSED; else undef | always undef
`;

/** What the reference does in one case. */
export interface PywallAnswer {
  readonly next: string;
  readonly undefined: boolean;
}

/** Reads one cell of the report for one set of control bits. */
function expectCell(state: string, cell: string, bits: { S: boolean; A: boolean; F: boolean }): PywallAnswer {
  for (const clause of cell.split(";").map((part) => part.trim())) {
    const [condition = "", next] = clause.replace(/ (undef|stay)$/, "→$1").split("→");
    const holds =
      condition === "always" ||
      condition === "else" ||
      condition
        .split("&")
        .every((term) => bits[term.replace("!", "") as "S" | "A" | "F"] !== term.startsWith("!"));
    if (!holds) continue;
    if (next === "undef") return { next: state, undefined: true };
    return { next: next === "stay" ? state : (next ?? ""), undefined: false };
  }
  throw new Error(`the cell "${cell}" has no answer`);
}

/** One case: a state, which way the segment flows (0 received, 1 sent), its control bits. */
export interface PywallCase {
  readonly state: TcpState;
  readonly flowing: number;
  readonly flags: number;
  readonly expected: PywallAnswer;
}

/** All 240 cases. */
export function* pywallCases(): Generator<PywallCase> {
  for (const line of REFERENCE.trim().split("\n")) {
    const [state = "", received = "", sent = ""] = line.split("|").map((part) => part.trim());
    for (const [flowing, cell] of [received, sent].entries()) {
      for (let set = 0; set < 8; set += 1) {
        const bits = { S: (set & 1) !== 0, A: (set & 2) !== 0, F: (set & 4) !== 0 };
        const flags =
          (bits.S ? TCP_FLAG.SYN : 0) |
          (bits.A ? TCP_FLAG.ACK : 0) |
          (bits.F ? TCP_FLAG.FIN : 0) |
          TCP_FLAG.PSH;
        yield { state: state as TcpState, flowing, flags, expected: expectCell(state, cell, bits) };
      }
    }
  }
}
