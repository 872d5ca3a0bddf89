/**
 * What rules may know of the bytes of a packet's flow, and the base class of rules that ask for it.
 *
 * Bytes come one packet at a time, so a rule may have to say: not yet. The evaluator then goes on as if the
 * rule had not matched, and lets the packet wait for the rule's answer only where that answer could change
 * what becomes of it (see Evaluator).
 */
import type { Packet } from "../wire/index.ts";
import { type ForesightContext, NEEDS, Rule, type RuleContext } from "./rule.ts";

/** What a rule wants to be looked at; bits. An engine does only what some rule of the policy wants. */
export const CONTENT = {
  NOTHING: 0,
  /** The protocol and what can be learnt of it. */
  PROTOCOL: 1,
  /** Whether the bytes look encrypted. */
  CLASSES: 2,
  /** The first bytes themselves. */
  SAMPLE: 4,
} as const;

/** Directions of a flow's bytes: from the side that was seen first, and from the other. */
export type ContentDirection = 0 | 1;

/** What is learnt of a flow; fields are there only when they were seen. */
export interface ContentFacts {
  readonly serverName?: string;
  readonly ja3?: string;
  readonly ja4?: string;
  readonly hasshClient?: string;
  readonly hasshServer?: string;
}

/** What the bytes of one direction look like, as far as they were seen. */
export interface ContentClasses {
  /** Bytes taken into account. */
  readonly bytes: number;
  /** Probability that they are encrypted, from 0 to 1. */
  readonly probability: number;
  /** @param budget - share of flows that are not encrypted and may be called encrypted, from 0 to 1 */
  verdict(budget: number): "encrypted" | "compressed" | "plain" | "undecided";
}

/** What is known of the bytes of a flow. Valid while a packet of it is judged. */
export interface FlowContent {
  /** Name of the protocol recognised so far, `""` when none. */
  readonly protocol: string;
  /** All protocols seen in the flow, outermost first. */
  readonly layers: readonly string[];
  /** How sure the protocol is: 0 unknown, 1 guessed by its port, 2 likely, 3 certain. */
  readonly confidence: number;
  /** True when the protocol hides its payload by design. */
  readonly isEncrypted: boolean;
  /** True when no further byte will change the protocol. */
  readonly isSettled: boolean;
  /** True when the beginning of the flow was not seen. */
  readonly isMidStream: boolean;
  /**
   * True when the bounds of `settings.pending` are reached, or the flow is over: what is unknown stays so.
   */
  readonly isClosed: boolean;
  readonly facts: ContentFacts;
  /**
   * What the bytes of a direction look like; `undefined` before its first byte, and when no rule wants it.
   */
  classes(direction: ContentDirection): ContentClasses | undefined;
  /** The first bytes of a direction, in order; none when no rule wants them. */
  sample(direction: ContentDirection): Uint8Array;
  /** What {@link FlowContent.remember} was told by the same rule about this flow. */
  recall(rule: object): number | undefined;
  /** Keeps a number for a rule until the flow ends. */
  remember(rule: object, value: number): void;
  /** @returns false when a rule in the shadow has already been reported for this flow */
  noteShadow(rule: object): boolean;
  /** Says that the rule being asked needs bytes not yet seen. */
  wait(): void;
  /** True since the rule asked last has called {@link FlowContent.wait}; asking clears it. */
  takeWait(): boolean;
}

/** What a rule makes of the bytes seen so far. */
export const ANSWER = { NO: 0, YES: 1, WAIT: 2 } as const;

/** A value of {@link ANSWER}. */
export type Answer = (typeof ANSWER)[keyof typeof ANSWER];

/** A rule about the bytes of flows. */
export abstract class ContentRule extends Rule {
  /** Bits of {@link CONTENT}. */
  abstract readonly wants: number;
  override readonly needs: number = NEEDS.TRANSPORT;

  /** What the flow's bytes say. The same duties as {@link Rule.match}. */
  abstract judge(content: FlowContent, packet: Packet): Answer;

  /** What {@link ContentRule.explain} says of a flow. */
  abstract describe(content: FlowContent): string;

  match(packet: Packet, context: RuleContext): boolean {
    const { content } = context;
    if (content === undefined) return false;
    const answer = this.judge(content, packet);
    if (answer === ANSWER.WAIT && !content.isClosed) content.wait();
    return answer === ANSWER.YES;
  }

  /** The protocol is settled, and the rule waits for nothing more. */
  override foresee(packet: Packet, { content }: ForesightContext): boolean | undefined {
    if (content?.isSettled !== true) return undefined;
    const answer = this.judge(content, packet);
    if (answer === ANSWER.WAIT) return content.isClosed ? false : undefined;
    return answer === ANSWER.YES;
  }

  override explain(_packet: Packet, context: RuleContext): string {
    const { content } = context;
    return content === undefined ? "the bytes of its flow are not known" : this.describe(content);
  }
}

/** Bits of {@link CONTENT} that a rule wants; a module may bring its own copy of the class. */
export function wantedContent(rule: Rule): number {
  const { wants } = rule as Partial<ContentRule>;
  return typeof wants === "number" ? wants : CONTENT.NOTHING;
}
