/**
 * Which flows the rules of a policy can ask about, and which lines of a plan must leave their packets to
 * userspace.
 *
 * A packet that comes to no rule which asks about flows cannot make one answer otherwise, nor can the other
 * packets of its flow: the kernel may judge them alone.
 */
import { type Chain, type Policy, type PolicyRule, type Rule, wantedContent } from "../../policy/index.ts";
import { ChainWays } from "./chain-ways.ts";
import { FlowRegion, type Overlap, QUOTING } from "./flow-region.ts";
import type { LineAction, RegionName } from "./kernel-plan.ts";
import { type Match, speakGate } from "./kernel-test.ts";
import { intersection } from "./match-union.ts";

/** Ways to a chain that its rules are looked at for one by one; beyond that for all packets at once. */
const LINE_WAYS_MAX = 4;

/** A rule that is asked about flows. */
interface Asker {
  readonly rule: Rule;
  readonly row: PolicyRule;
  readonly chain: Chain;
}

/** How the packets of a line lie to the region that counts for its action. */
export interface AskedPackets {
  readonly except: RegionName;
  readonly overlap: Overlap;
  /** Why those inside must go up, for people. */
  readonly reason: string;
}

function askerWords(askers: readonly Asker[]): string {
  const [first] = askers;
  if (first === undefined) return "";
  const more = askers.length > 1 ? ` and ${askers.length - 1} more` : "";
  return `${first.row.name} (${first.chain.name}, line ${first.row.line}${more})`;
}

/** See above. */
export class AskedFlows {
  readonly regions: Readonly<Record<RegionName, FlowRegion>>;
  readonly #ways: ChainWays;
  /** Whether rules ask for the bytes of flows. */
  readonly #inspects: boolean;
  readonly #reasons: Readonly<Record<RegionName, string>>;

  /** @param rules - of the policy */
  constructor(policy: Policy, rules: readonly (readonly Rule[])[]) {
    this.#ways = new ChainWays(policy, rules);
    const askers = this.#askers(policy, rules);
    const inspecting = askers.filter(({ rule }) => wantedContent(rule) !== 0);
    this.#inspects = inspecting.length > 0;
    const tracksAll = policy.settings.offload === "flows";
    this.regions = {
      tracked: tracksAll ? new FlowRegion([[]]) : this.#region(askers),
      inspected: this.#region(inspecting),
    };
    // Where rules end flows for their bytes, messages that quote a packet of such a flow are dropped with it.
    if (this.#inspects) this.regions.tracked.add(QUOTING);
    const tracking = "what it accepts makes flows that";
    this.#reasons = {
      tracked: tracksAll
        ? `${tracking} settings.offload wants in our state table`
        : `${tracking} ${askerWords(askers)} asks about`,
      inspected: `the bytes of its packets count for ${askerWords(inspecting)}`,
    };
  }

  /**
   * How packets that come to a chain and fit a match lie to what rules ask about, if the kernel does this.
   */
  judge(action: LineAction["kind"], chain: number, match: Match): AskedPackets {
    const reason = this.#reasons[action === "accept" ? "tracked" : "inspected"];
    // What is refused may quote a packet of a flow that has ended, and that is dropped.
    const isTracked = action === "accept" || (action === "reject" && this.#inspects);
    const except: RegionName = isTracked ? "tracked" : "inspected";
    return { except, overlap: this.#overlap(chain, match, this.regions[except]), reason };
  }

  #overlap(chain: number, match: Match, region: FlowRegion): Overlap {
    const ways = this.#ways.to(chain);
    if (ways.length > LINE_WAYS_MAX) return region.overlap(match);
    const all = ways.flatMap((way) => {
      const both = intersection(way, match);
      return both === undefined ? [] : [region.overlap(both)];
    });
    const [first = "outside"] = all;
    return all.every((overlap) => overlap === first) ? first : "across";
  }

  /** Rules that may ask about flows and that some packet can come to. */
  #askers(policy: Policy, rules: readonly (readonly Rule[])[]): Asker[] {
    return policy.chains
      .filter(({ index }) => this.#ways.to(index).length > 0)
      .flatMap((chain) =>
        chain.rules.flatMap((row, at) => {
          const rule = rules[chain.index]?.[at];
          return rule !== undefined && rule.condition === undefined && rule.asksFlow
            ? [{ rule, row, chain }]
            : [];
        }),
      );
  }

  /** Flows that rules may ask about. */
  #region(askers: readonly Asker[]): FlowRegion {
    const asked = new Map<string, { readonly chain: Chain; readonly gate: Match }>();
    for (const { rule, row, chain } of askers) {
      const gate = row.not ? [] : speakGate(rule.gate);
      asked.set(`${chain.index} ${JSON.stringify(gate)}`, { chain, gate });
    }
    return new FlowRegion(
      [...asked.values()].flatMap(({ chain, gate }) =>
        this.#ways.to(chain.index).flatMap((way) => {
          const both = intersection(way, gate);
          return both === undefined ? [] : [both];
        }),
      ),
    );
  }
}
