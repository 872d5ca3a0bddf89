/** Shapes of `GET /v1/rules`: what each rule of the policy in force has judged, and where. */

/** Packets and bytes. */
export interface TrafficCount {
  readonly packets: number;
  readonly bytes: number;
}

/** What the policy calls a rule, or the end of a chain. */
export interface RuleName {
  /** "" for a hook without a chain. */
  readonly chain: string;
  /** Index in the chain; `null` for its end. */
  readonly rule: number | null;
  /** Kind of the rule; `default` for the end of a chain. */
  readonly name: string;
  /** Line in the policy file; `null` for the end of a chain. */
  readonly line: number | null;
  readonly comment?: string;
}

/** A rule of the policy in force, or the end of a chain. */
export interface RuleReport extends RuleName {
  /** Where the rule is judged. */
  readonly place: "kernel" | "userspace" | "both";
  /** Why not, or not always, in the kernel. */
  readonly reasons: readonly string[];
  /** Packets that met it in the kernel. */
  readonly kernel: TrafficCount;
  /** Packets that met it in userspace; of a chain's end they are not counted. */
  readonly userspacePackets: number;
}

/** Answer of `GET /v1/rules`. */
export interface RulesReport {
  /** True while the kernel judges what it can by itself. */
  readonly kernelJudges: boolean;
  /** What the kernel has judged by itself since the policy came into force, by verdict. */
  readonly kernel: {
    readonly accepted: TrafficCount;
    readonly dropped: TrafficCount;
    readonly rejected: TrafficCount;
  };
  /** In the order of the policy; rules that no packet comes to are left out. */
  readonly rules: readonly RuleReport[];
}
