/**
 * Whose limits refused packets.
 *
 * Each flow belongs to as many pinholes as overlap, and an agent may open very many that do. So what one
 * search compares and reads is bounded, and flows of few pinholes come first: who opens very many for one
 * flow hears of them in part, and the others as always.
 */
import type { Overrun } from "./backend.ts";
import { concerns } from "./judgement.ts";
import type { EnforcedLimit } from "./kernel-plan.ts";
import type { LimitLedger } from "./limit-ledger.ts";
import type { Pinhole } from "./pinhole.ts";
import type { Population } from "./population.ts";

/** Pinholes that one search reads, at most. */
const READ_MAX = 1024;

/** Pinholes that one search compares with flows, at most; one counts for each flow. */
const COMPARED_MAX = 65_536;

/** A pinhole whose limits refused packets. */
export interface LimitHit {
  readonly pinhole: Pinhole;
  /** How many, by the limit. */
  readonly refused: Partial<Record<EnforcedLimit, number>>;
}

/** What a search looks at. */
interface Searched {
  readonly population: Population;
  readonly limits: LimitLedger;
}

/** Finds every pinhole that permits refused packets and has the limit that refused them, up to a bound. */
export function findLimitHits(overruns: readonly Overrun[], { population, limits }: Searched): LimitHit[] {
  const hits = new Map<number, LimitHit>();
  const known = new Map<number, Pinhole>();
  const read = (number: number): Pinhole | undefined => {
    const pinhole = known.get(number) ?? (known.size < READ_MAX ? population.byNumber(number) : undefined);
    if (pinhole !== undefined) known.set(number, pinhole);
    return pinhole;
  };
  let compared = 0;
  const weighed = overruns.map((overrun) => ({
    ...overrun,
    weight: population.weigh("permit", overrun.packet),
  }));
  for (const { limit, packet, packets, weight } of weighed.sort((a, b) => a.weight - b.weight)) {
    compared += weight;
    if (compared > COMPARED_MAX) break;
    for (const number of population.numbersAround("permit", packet)) {
      const pinhole = limits.of(number)?.[limit] === undefined ? undefined : read(number);
      if (pinhole === undefined || !concerns(pinhole, packet)) continue;
      const refused = hits.get(number)?.refused ?? {};
      hits.set(number, { pinhole, refused: { ...refused, [limit]: (refused[limit] ?? 0) + packets } });
    }
  }
  return [...hits.values()];
}
