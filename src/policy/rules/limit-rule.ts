/** LimitRule and LogRule: what happens only so often. */
import { type AddressWords, type Family, HOUR, MINUTE, SECOND } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { choice, decimal, integer, optional, required, text, withDefault } from "../argument.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { LOG_LEVELS, Rule, type RuleContext, type RuleLogLevel } from "../rule.ts";
import { TokenBuckets } from "../token-buckets.ts";

const PERIODS = { second: SECOND, minute: MINUTE, hour: HOUR } as const;
const MOST = 1_000_000_000;

/** The key of a bucket that all sources share. */
const EVERYBODY: AddressWords = new Uint32Array(4);
const EVERYBODY_FAMILY: Family = 4;
/** Buckets of a rule that counts all sources together. */
const ONE = 1;

class LimitRule extends Rule {
  override readonly asksFlow: boolean = false;
  readonly #buckets: TokenBuckets;
  readonly #bySource: boolean;
  readonly #matchOver: boolean;

  constructor(buckets: TokenBuckets, bySource: boolean, matchOver: boolean) {
    super();
    this.#buckets = buckets;
    this.#bySource = bySource;
    this.#matchOver = matchOver;
  }

  override match(packet: Packet, context: RuleContext): boolean {
    const over =
      this.#bySource && packet.family !== 0
        ? this.#buckets.take(packet.family, packet.source, context) < 0
        : this.#buckets.take(EVERYBODY_FAMILY, EVERYBODY, context) < 0;
    return over === this.#matchOver;
  }

  override peek(packet: Packet, context: RuleContext): boolean {
    return this.#level(packet, context) < 1 === this.#matchOver;
  }

  override explain(packet: Packet, context: RuleContext): string {
    const level = this.#level(packet, context);
    const whose = this.#bySource ? "this source" : "all sources together";
    return (
      `${whose}: ${Math.floor(level)} tokens left, so the ` +
      `packet is ${level < 1 ? "over" : "under"} the limit`
    );
  }

  #level(packet: Packet, context: RuleContext): number {
    if (this.#bySource && packet.family !== 0)
      return this.#buckets.level(packet.family, packet.source, context);
    return this.#buckets.level(EVERYBODY_FAMILY, EVERYBODY, context);
  }
}

/** Buckets that a LimitRule needs. */
function bucketCount(by: "source" | "overall", limitSources: number): number {
  return by === "source" ? limitSources : ONE;
}

/** `LimitRule`. */
export const limitRule: RuleDefinition = defineRule({
  summary:
    "Counts every packet that comes to it with a token " +
    "bucket, and matches those over the limit or those under it. Put " +
    "it into a chain of its own to count only some packets.",
  arguments: {
    rate: required(
      decimal({ min: 0.001, max: MOST }, "packets"),
      "Packets per `per` that are under the limit.",
    ),
    per: withDefault(choice(["second", "minute", "hour"]), "second", "Period that `rate` counts for."),
    burst: optional(
      integer({ min: 1, max: MOST }, "packets"),
      "Packets that may come at once after a pause; by default `rate`, rounded up.",
    ),
    by: withDefault(
      choice(["overall", "source"]),
      "overall",
      "One bucket for all packets, or one for each source address (at most `limits.limitSources`).",
    ),
    match: withDefault(
      choice(["over", "under"]),
      "over",
      "Which packets match: those over the limit (to drop them), or " +
        "those under it (to accept them). A packet over the limit takes " +
        'no token, so "under" passes `rate` on average however much comes.',
    ),
  },
  action: "required",
  notes:
    "The kernel counts by itself where all packets that can meet the rule are judged there; `postern check --plan` " +
    "says where that is so, and why not. For IPv6 it never is, so put a limit that counts all sources together " +
    "behind a SourceIPRule for `0.0.0.0/0`; of one that counts `by` source only the IPv6 sources stay in userspace.",
  memoryBytes: (values, limits) => TokenBuckets.bytes(bucketCount(values.by, limits.limitSources)),
  create(values, setup) {
    const perMillisecond = values.rate / PERIODS[values.per];
    const rate = { perMillisecond, burst: values.burst ?? Math.ceil(values.rate) };
    const buckets = new TokenBuckets(setup.memory, bucketCount(values.by, setup.limits.limitSources), rate);
    return new LimitRule(buckets, values.by === "source", values.match === "over");
  },
});

class LogRule extends Rule {
  override readonly asksFlow: boolean = false;
  readonly #prefix: string;
  readonly #level: RuleLogLevel;
  readonly #buckets: TokenBuckets;

  constructor(prefix: string, level: RuleLogLevel, buckets: TokenBuckets) {
    super();
    this.#prefix = prefix;
    this.#level = level;
    this.#buckets = buckets;
  }

  override match(packet: Packet, context: RuleContext): boolean {
    const suppressed = this.#buckets.take(EVERYBODY_FAMILY, EVERYBODY, context);
    if (suppressed >= 0) context.report.log(this.#prefix, packet, this.#level, suppressed);
    return false;
  }

  override peek(): boolean {
    return false;
  }

  override explain(): string {
    return "logs the packet and never matches";
  }
}

/** `LogRule`. */
export const logRule: RuleDefinition = defineRule({
  summary: "Writes a line about the packet into the log, so many per second at most; never matches.",
  arguments: {
    prefix: withDefault(text(128), "", "Words before the packet."),
    level: withDefault(choice(LOG_LEVELS), "INFO", "How urgent the line is."),
    rate: withDefault(
      decimal({ min: 0.001, max: MOST }, "lines"),
      10,
      "Lines per second, of all workers together.",
    ),
    burst: withDefault(integer({ min: 1, max: MOST }, "lines"), 20, "Lines at once after a pause."),
  },
  action: "none",
  memoryBytes: () => TokenBuckets.bytes(ONE),
  create(values, setup) {
    const rate = { perMillisecond: values.rate / SECOND, burst: values.burst };
    return new LogRule(values.prefix, values.level, new TokenBuckets(setup.memory, ONE, rate));
  },
});
