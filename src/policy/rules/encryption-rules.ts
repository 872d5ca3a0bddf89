/**
 * EntropyRule and EncryptedRule: flows whose bytes look encrypted although no allowed protocol explains it.
 */
import { PROTOCOL } from "../../base/index.ts";
import {
  ENTROPY_GATE,
  FALSE_POSITIVE_BUDGET,
  hedge,
  HEDGE_GAMMA,
  shannonEntropy,
} from "../../classify/index.ts";
import type { Packet } from "../../wire/index.ts";
import { decimal, integer, listOf, optional, withDefault } from "../argument.ts";
import {
  ANSWER,
  type Answer,
  CONTENT,
  type ContentClasses,
  type ContentDirection,
  ContentRule,
  type FlowContent,
} from "../content.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { type Gate, makeGate } from "../rule.ts";
import { protocol, protocolWords, speaks } from "./recognition-rules.ts";

const DIRECTIONS: readonly ContentDirection[] = [0, 1];

/** Confidence from which on a protocol counts as recognised, as {@link FlowContent.confidence} has it. */
const LIKELY = 2;
const CERTAIN = 3;

/** Bytes of a direction that HEDGE is shown. */
const HEDGE_BYTES = 8192;
/** Most bytes of a direction that rules are shown as they are. */
export const SAMPLE_BYTES_MAX = 16_384;

class EntropyRule extends ContentRule {
  override readonly isPure: boolean = true;
  readonly wants: number = CONTENT.PROTOCOL | CONTENT.SAMPLE;
  override readonly gate: Gate = makeGate({ protocol: PROTOCOL.TCP });
  readonly #allowed: ReadonlySet<string>;
  readonly #entropy: number;
  readonly #gamma: number;
  readonly #bytes: number;

  constructor(values: { allow: readonly string[]; entropy: number; gamma: number; bytes: number }) {
    super();
    this.#allowed = new Set(values.allow);
    this.#entropy = values.entropy;
    this.#gamma = values.gamma;
    this.#bytes = values.bytes;
  }

  override judge(content: FlowContent, packet: Packet): Answer {
    if (packet.protocol !== PROTOCOL.TCP || content.isMidStream) return ANSWER.NO;
    if (speaks(content, this.#allowed, LIKELY)) return ANSWER.NO;
    const known = content.recall(this) ?? ANSWER.WAIT;
    if (known === ANSWER.YES) return ANSWER.YES;
    // One bit for each direction that was found not to be encrypted.
    let harmless = known === ANSWER.WAIT ? 0 : known >> 2;
    for (const direction of DIRECTIONS) {
      const bit = 1 << direction;
      const sample = content.sample(direction);
      if ((harmless & bit) !== 0 || sample.length < this.#bytes) continue;
      if (this.#isEncrypted(sample.subarray(0, this.#bytes))) {
        content.remember(this, ANSWER.YES);
        return ANSWER.YES;
      }
      harmless |= bit;
      content.remember(this, harmless << 2);
    }
    return harmless === 3 ? ANSWER.NO : ANSWER.WAIT;
  }

  #isEncrypted(sample: Uint8Array): boolean {
    if (shannonEntropy(sample) < this.#entropy) return false;
    return hedge(sample, { gamma: this.#gamma }) === "encrypted";
  }

  override describe(content: FlowContent): string {
    const isEncrypted = content.recall(this) === ANSWER.YES;
    return `${protocolWords(content)}, its bytes ${isEncrypted ? "pass every test" : "did not pass the tests"}`;
  }
}

/**
 * Bytes of a direction at which the classifier is asked: it gets surer, and a flow is cut early or not at
 * all.
 */
const LOOKS: readonly number[] = [1024, 2048, 4096, 6144, 8192, 10_240, 12_288, 14_336, 16_384];

/** What {@link EncryptedRule} asks. */
interface EncryptedQuestion {
  readonly allow: readonly string[];
  readonly budget: number;
  readonly threshold: number | undefined;
}

class EncryptedRule extends ContentRule {
  override readonly isPure: boolean = true;
  readonly wants: number = CONTENT.PROTOCOL | CONTENT.CLASSES;
  readonly #allowed: ReadonlySet<string>;
  readonly #budget: number;
  readonly #threshold: number | undefined;

  constructor({ allow, budget, threshold }: EncryptedQuestion) {
    super();
    this.#allowed = new Set(allow);
    this.#budget = budget;
    this.#threshold = threshold;
  }

  override judge(content: FlowContent): Answer {
    if (speaks(content, this.#allowed, LIKELY)) return ANSWER.NO;
    // A protocol that hides its bytes and is not allowed; one that does not may carry files of any kind.
    if (content.confidence === CERTAIN) return content.isEncrypted ? ANSWER.YES : ANSWER.NO;
    if (content.isMidStream) return ANSWER.NO;
    const looked = content.recall(this) ?? 0;
    if (looked < 0) return ANSWER.YES;
    const look = LOOKS.findLastIndex((bytes) => bytes <= longest(content)) + 1;
    if (look <= looked) return looked >= LOOKS.length ? ANSWER.NO : ANSWER.WAIT;
    const isFound = DIRECTIONS.some((direction) => this.#isEncrypted(content.classes(direction)));
    content.remember(this, isFound ? -1 : look);
    if (isFound) return ANSWER.YES;
    return look >= LOOKS.length ? ANSWER.NO : ANSWER.WAIT;
  }

  #isEncrypted(classes: ContentClasses | undefined): boolean {
    if (classes === undefined || classes.bytes < (LOOKS[0] ?? 0)) return false;
    if (this.#threshold !== undefined) return classes.probability >= this.#threshold;
    // Every look is another chance to be wrong.
    return classes.verdict(this.#budget / LOOKS.length) === "encrypted";
  }

  override describe(content: FlowContent): string {
    const seen = DIRECTIONS.map((direction) => content.classes(direction)?.probability ?? 0);
    return `${protocolWords(content)}, probability of ciphertext ${Math.max(...seen).toFixed(3)}`;
  }
}

/** Bytes seen of the direction of which most was seen. */
function longest(content: FlowContent): number {
  return Math.max(content.classes(0)?.bytes ?? 0, content.classes(1)?.bytes ?? 0);
}

const ALLOWED_BY_FORK = ["TLS", "SSH", "OpenVPN"] as const;
const ALLOWED = ["TLS", "SSH", "OpenVPN", "QUIC", "DTLS", "WireGuard", "IPsec"] as const;

const PENDING_NOTE =
  "Until then the flow is pending, see `settings.pending`. Flows whose beginning was not seen are left alone. " +
  "A verdict that the rule names itself, DROP or REJECT, holds for the rest of the flow; a chain that it leads to " +
  "judges each packet anew.";

/** `EntropyRule`. */
export const entropyRule: RuleDefinition = defineRule({
  summary:
    "Matches TCP flows whose bytes look encrypted by Shannon entropy and HEDGE and that speak no allowed protocol.",
  arguments: {
    allow: withDefault(listOf(protocol), ALLOWED_BY_FORK, "Protocols that may be encrypted."),
    entropy: withDefault(
      decimal({ min: 0, max: 8 }, "bits per byte"),
      ENTROPY_GATE,
      "Below this entropy nothing is called encrypted.",
    ),
    gamma: withDefault(
      decimal({ min: 0.1, max: 10 }),
      HEDGE_GAMMA,
      "HEDGE's γ: how far χ² may lie from its mean, in standard deviations.",
    ),
    bytes: withDefault(
      integer({ min: 32, max: SAMPLE_BYTES_MAX }, "bytes"),
      HEDGE_BYTES,
      "Bytes of a direction that are tested; more tell compressed from encrypted better.",
    ),
  },
  readsBytes: true,
  action: "required",
  notes: `A direction is tested once it has brought that many bytes. ${PENDING_NOTE}`,
  difference:
    "In the fork this rule drops SSH, tells protocols by their ports, looks at single segments, and never acts " +
    "on what is encrypted. Here it does what its documentation says.",
  create: (values) => new EntropyRule(values),
});

/** `EncryptedRule`. */
export const encryptedRule: RuleDefinition = defineRule({
  summary:
    "Matches flows that are encrypted without speaking an allowed protocol, by recognition and the learned classifier.",
  arguments: {
    allow: withDefault(listOf(protocol), ALLOWED, "Protocols that may be encrypted."),
    budget: withDefault(
      decimal({ min: 0.000_001, max: 1 }),
      FALSE_POSITIVE_BUDGET,
      "Share of flows that are not encrypted and may be taken for encrypted ones.",
    ),
    threshold: optional(
      decimal({ min: 0.5, max: 1 }),
      "Probability from which on a flow is taken for encrypted, in place of the budget.",
    ),
  },
  readsBytes: true,
  action: "required",
  notes:
    "The first 16 KiB of each direction are looked at, several times on the way. A protocol that is recognised " +
    "with certainty and not encrypted by design never matches: it may carry encrypted files. " +
    `Docs: CLASSIFIER.md. ${PENDING_NOTE}`,
  create: ({ allow, budget, threshold }) => new EncryptedRule({ allow, budget, threshold }),
});
