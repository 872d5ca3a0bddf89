/**
 * Packets that userspace must not miss: those of flows that some rule can ask about.
 *
 * The state table is fed by accepted packets, and what is known of a flow's bytes by all. A rule that asks
 * about a flow sees only packets within its gate, but the flow is made by the packets of both its directions.
 * So a region holds each gate as it is and with source and destination exchanged. It may hold too much,
 * never too little.
 */
import type { Gate } from "../../policy/index.ts";
import { type KernelTest, type Match, speakGate } from "./kernel-test.ts";

/** How the packets that fit a match lie to a region. */
export type Overlap = "outside" | "across" | "inside";

/** Parts of a region that are kept apart; beyond that, a region holds everything. */
const PARTS_MAX = 32;

const EVERYTHING: Match = [];

function isProtocolTest(test: KernelTest): test is Extract<KernelTest, { field: "protocol" }> {
  return test.field === "protocol";
}

/** Relation of the protocols of a match to those of a part of a region. */
function protocolOverlap(match: Match, part: Match): Overlap {
  const wanted = part.find(isProtocolTest);
  if (wanted === undefined) return "inside";
  let overlap: Overlap = "across";
  for (const test of match.filter(isProtocolTest)) {
    const common = test.protocols.filter((protocol) => wanted.protocols.includes(protocol));
    if (test.negated) {
      if (common.length === wanted.protocols.length) return "outside";
    } else if (common.length === 0) return "outside";
    else if (common.length === test.protocols.length) overlap = "inside";
  }
  return overlap;
}

function portOverlap(match: Match, part: Match, field: "sourcePort" | "destinationPort"): Overlap {
  const wanted = part.find((test) => test.field === field);
  if (wanted?.field !== field) return "inside";
  const test = match.find((candidate) => candidate.field === field && !candidate.negated);
  if (test?.field !== field) return "across";
  if (test.high < wanted.low || test.low > wanted.high) return "outside";
  return test.low >= wanted.low && test.high <= wanted.high ? "inside" : "across";
}

function partOverlap(match: Match, part: Match): Overlap {
  const all = [
    protocolOverlap(match, part),
    portOverlap(match, part, "sourcePort"),
    portOverlap(match, part, "destinationPort"),
  ];
  if (all.includes("outside")) return "outside";
  return all.includes("across") ? "across" : "inside";
}

function exchanged(gate: Gate): Gate {
  const { protocol, sourceLow, sourceHigh, destinationLow, destinationHigh } = gate;
  return {
    protocol,
    sourceLow: destinationLow,
    sourceHigh: destinationHigh,
    destinationLow: sourceLow,
    destinationHigh: sourceHigh,
  };
}

/** See above. */
export class FlowRegion {
  /** Matches of which every packet of the region fits one. */
  readonly parts: readonly Match[];

  /** @param gates - of the rules that ask about flows */
  constructor(gates: readonly Gate[]) {
    const known = new Map<string, Match>();
    for (const gate of gates.flatMap((each) => [each, exchanged(each)])) {
      const match = speakGate(gate);
      known.set(JSON.stringify(match), match);
    }
    const parts = [...known.values()];
    const isAll = parts.length > PARTS_MAX || parts.some((part) => part.length === 0);
    this.parts = isAll ? [EVERYTHING] : parts;
  }

  /** True when no packet lies in it. */
  get isEmpty(): boolean {
    return this.parts.length === 0;
  }

  /** How the packets that fit a match lie to the region. */
  overlap(match: Match): Overlap {
    let overlap: Overlap = "outside";
    for (const part of this.parts) {
      const one = partOverlap(match, part);
      if (one === "inside") return "inside";
      if (one === "across") overlap = "across";
    }
    return overlap;
  }
}
