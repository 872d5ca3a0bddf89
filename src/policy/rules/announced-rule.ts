/** A rule that says so when it matches, as PyWall's port rules do on standard output. */
import type { Packet } from "../../wire/index.ts";
import type { RuleSetup } from "../registry.ts";
import { type Gate, Rule, type RuleContext } from "../rule.ts";

class AnnouncedRule extends Rule {
  override readonly asksFlow: boolean = false;
  override readonly needs: number;
  override readonly gate: Gate;
  readonly #rule: Rule;
  readonly #line: string;

  constructor(rule: Rule, line: string) {
    super();
    this.needs = rule.needs;
    this.gate = rule.gate;
    this.#rule = rule;
    this.#line = line;
  }

  override match(packet: Packet, context: RuleContext): boolean {
    if (!this.#rule.match(packet, context)) return false;
    if (context.report.printing) context.report.print(this.#line);
    return true;
  }

  override peek(packet: Packet, context: RuleContext): boolean {
    return this.#rule.peek(packet, context);
  }

  /** What it would say of a match has to be said for each packet. */
  override foresee(packet: Packet, context: RuleContext): boolean | undefined {
    return this.#rule.match(packet, context) ? undefined : false;
  }

  override explain(packet: Packet, context: RuleContext): string {
    return this.#rule.explain(packet, context);
  }
}

/** In PyWall compatibility the rule prints `NAME: ACTION` when it matches; otherwise it stays as it is. */
export function announced(rule: Rule, name: string, setup: RuleSetup): Rule {
  if (setup.compatibility === "strict") return rule;
  return new AnnouncedRule(rule, `${name}: ${setup.action ?? "None"}`);
}
