/**
 * Packets that userspace must not miss: those of flows that some rule can ask about.
 *
 * The state table is fed by accepted packets, and what is known of a flow's bytes by all. A rule that asks
 * about a flow sees only packets that come to its chain and pass its gate, but the flow is made by the
 * packets of both its directions. So a region holds each match of such packets as it is and with source and
 * destination exchanged. It may hold too much, never too little.
 *
 * An ICMP error is asked about as a packet of the flow that it quotes, which may be any. A rule that can meet
 * one asks about every flow.
 */
import { PROTOCOL } from "../../base/index.ts";
import type { KernelTest, Match } from "./kernel-test.ts";
import { areApart, implies } from "./match-relation.ts";
import { MatchUnion } from "./match-union.ts";

/** How the packets that fit a match lie to a region. */
export type Overlap = "outside" | "across" | "inside";

/** Messages that may quote a packet of another flow. */
export const QUOTING: Match = [
  { field: "protocol", protocols: [PROTOCOL.ICMP, PROTOCOL.ICMPV6], negated: false },
];

const EXCHANGED = {
  source: "destination",
  destination: "source",
  sourcePort: "destinationPort",
  destinationPort: "sourcePort",
} as const;

function exchangedTest(test: KernelTest): KernelTest {
  switch (test.field) {
    case "source":
    case "destination":
      return { ...test, field: EXCHANGED[test.field] };
    case "sourcePort":
    case "destinationPort":
      return { ...test, field: EXCHANGED[test.field] };
    default:
      return test;
  }
}

/** See above. */
export class FlowRegion {
  readonly #union = new MatchUnion();

  /**
   * @param asked - packets that rules are asked about, by tests that hold for all packets of a flow and
   *   direction
   */
  constructor(asked: readonly Match[]) {
    for (const match of asked) {
      if (this.#union.has(match)) continue;
      this.#union.add(areApart(match, QUOTING) ? match : []);
      this.#union.add(match.map(exchangedTest));
    }
  }

  /** Puts packets into it that count by themselves, in neither direction of a flow. */
  add(match: Match): void {
    this.#union.add(match);
  }

  /** Matches of which every packet of the region fits one. */
  get parts(): readonly Match[] {
    return this.#union.parts;
  }

  /** True when no packet lies in it. */
  get isEmpty(): boolean {
    return this.parts.length === 0;
  }

  /** How the packets that fit a match lie to the region. */
  overlap(match: Match): Overlap {
    let overlap: Overlap = "outside";
    for (const part of this.parts) {
      if (implies(match, part)) return "inside";
      if (!areApart(match, part)) overlap = "across";
    }
    return overlap;
  }
}
