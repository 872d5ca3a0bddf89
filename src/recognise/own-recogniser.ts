/**
 * Recognisers that somebody else wrote: checked when they are registered, and watched while they judge.
 *
 * A recogniser of one's own runs for every flow, beside those that ship, and must not be able to spoil what
 * they find. So whatever it throws, answers or writes that it may not is a *failure*: for this flow it then
 * counts as not asked, the failure is told to whoever listens, and a recogniser that fails too often is asked
 * no more. One that cannot make up its mind is asked a bounded number of times, so that a peer that sends its
 * bytes one by one cannot make it look at all of them again and again.
 */
import { FirewallError } from "../base/index.ts";
import type { Candidate, Evidence } from "./evidence.ts";
import {
  type Answer,
  CONFIDENCE,
  type Confidence,
  HANDED_OVER,
  NO_MATCH,
  OTHER_SIDE,
  type Recogniser,
  type Transport,
} from "./recogniser.ts";

/** Looks at one flow after which an undecided recogniser is asked no more. */
export const OWN_LOOKS_MAX = 64;
/** Failures after which a recogniser is asked no more, until it is registered anew. */
export const OWN_FAILURES_MAX = 100;

const NAME_MAX = 64;
const FACT_TEXT_MAX = 1024;
const FACT_ITEMS_MAX = 256;
const BYTE_MAX = 255;

/**
 * Told of a failure: which protocol's recogniser, what was thrown, and whether it was the last one before it
 * is switched off.
 */
export type RecogniserFailure = (protocol: string, error: unknown, isOff: boolean) => void;

const TRANSPORTS: readonly unknown[] = ["TCP", "UDP"] satisfies readonly Transport[];

function isByte(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= BYTE_MAX;
}

function isListOf(value: unknown, isGood: (each: unknown) => boolean): value is readonly unknown[] {
  return Array.isArray(value) && value.every(isGood);
}

function isName(value: unknown): boolean {
  const isText = typeof value === "string" && value.length <= NAME_MAX;
  return isText && /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value);
}

/** What keeps a value from being a recogniser; modules in JavaScript have no compiler that would say so. */
function recogniserFault(value: Recogniser): string | undefined {
  if (typeof value !== "object" || value === null) return "a recogniser is an object";
  const { protocol, transports, encrypted, firstBytes } = value;
  if (!isName(protocol)) return `"protocol" must be a name of 1 to ${NAME_MAX} printable ASCII characters`;
  if (!isListOf(transports, (each) => TRANSPORTS.includes(each)) || transports.length === 0)
    return '"transports" must be a list of "TCP", "UDP" or both';
  if (typeof encrypted !== "boolean") return '"encrypted" must say whether the protocol hides its payload';
  if (firstBytes !== undefined && !isListOf(firstBytes, isByte))
    return '"firstBytes" must be a list of numbers from 0 to 255, or absent';
  return typeof value.judge === "function"
    ? undefined
    : '"judge" must be a function that looks at the evidence';
}

/**
 * Checks what a module registers.
 *
 * @throws {FirewallError} `RECOGNISER_DEFINITION` when it is no recogniser
 */
export function checkRecogniser(value: Recogniser): void {
  const fault = recogniserFault(value);
  if (fault === undefined) return;
  const name = typeof value?.protocol === "string" ? ` "${value.protocol}"` : "";
  throw new FirewallError("RECOGNISER_DEFINITION", `recogniser${name}: ${fault}`);
}

function isScalar(value: unknown): boolean {
  if (typeof value === "string") return value.length <= FACT_TEXT_MAX;
  return typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
}

/** Kinds of values that facts with one meaning for all protocols have; the rules rely on them. */
const TEXT_FACTS: readonly string[] = ["serverName", "ja3", "ja4", "hasshClient", "hasshServer"];

function checkFact(name: string, value: unknown): void {
  const isList = Array.isArray(value) && value.length <= FACT_ITEMS_MAX && value.every(isScalar);
  const isText = typeof value === "string" || !TEXT_FACTS.includes(name);
  if (isText && (isScalar(value) || isList)) return;
  throw new TypeError(`the fact "${name}" must be a short text, a number, true or false, or a list of those`);
}

function checkCandidate({ confidence, facts, protocol }: Candidate, wanted: string): void {
  if (confidence !== CONFIDENCE.NONE && confidence !== CONFIDENCE.LIKELY && confidence !== CONFIDENCE.CERTAIN)
    throw new RangeError("match takes CONFIDENCE.LIKELY or CONFIDENCE.CERTAIN");
  if (protocol !== wanted)
    throw new TypeError(`it matched "${String(protocol)}" under the name of ${wanted}`);
  for (const [name, value] of Object.entries(facts ?? {})) checkFact(name, value);
}

function checkAnswer(answer: unknown, evidence: Evidence): void {
  if (!Number.isSafeInteger(answer) || Number(answer) < HANDED_OVER)
    throw new TypeError(
      "judge must return NO_MATCH, DONE, OTHER_SIDE, what handOver returned, or a number of bytes",
    );
  if (answer !== HANDED_OVER) return;
  const { restart, direction, bytes } = evidence;
  if (evidence.candidate === undefined || evidence.candidate.confidence === CONFIDENCE.NONE)
    throw new TypeError("a protocol hands over after it has matched");
  const isPosition = (at: number): boolean => Number.isSafeInteger(at) && at >= 0;
  if (!restart.every(isPosition) || (restart[direction] ?? 0) > bytes.length)
    throw new RangeError("what follows begins within the bytes that are there");
}

/** One recogniser of somebody else, watched. */
export class OwnRecogniser implements Recogniser {
  readonly protocol: string;
  readonly transports: readonly Transport[];
  readonly encrypted: boolean;
  readonly firstBytes?: readonly number[];
  readonly #own: Recogniser;
  readonly #failed: RecogniserFailure | undefined;
  #failures = 0;

  /**
   * @param own - was checked
   * @param failed - told of failures
   */
  constructor(own: Recogniser, failed: RecogniserFailure | undefined) {
    this.protocol = own.protocol;
    this.transports = [...own.transports];
    this.encrypted = own.encrypted;
    if (own.firstBytes !== undefined) this.firstBytes = [...own.firstBytes];
    this.#own = own;
    this.#failed = failed;
  }

  judge(evidence: Evidence): Answer {
    if (this.#failures >= OWN_FAILURES_MAX) return NO_MATCH;
    const { candidate } = evidence;
    const confidence = candidate?.confidence ?? CONFIDENCE.NONE;
    evidence.restart.fill(0);
    try {
      const answer = this.#own.judge(evidence);
      checkAnswer(answer, evidence);
      if (evidence.candidate !== undefined) checkCandidate(evidence.candidate, this.protocol);
      return this.#limited(answer, evidence);
    } catch (error) {
      undo(evidence, candidate, confidence);
      this.#failures += 1;
      this.#failed?.(this.protocol, error, this.#failures >= OWN_FAILURES_MAX);
      return NO_MATCH;
    }
  }

  /** The answer, unless the recogniser wants to look too often. */
  #limited(answer: Answer, evidence: Evidence): Answer {
    if (answer <= 0 || answer === OTHER_SIDE) return answer;
    const looks = evidence.countLook();
    if (looks < OWN_LOOKS_MAX) return answer;
    return evidence.matched ? OTHER_SIDE : NO_MATCH;
  }
}

/** Takes back what a recogniser has said before it failed. */
function undo(evidence: Evidence, candidate: Candidate | undefined, confidence: Confidence): void {
  evidence.candidate = candidate;
  if (candidate === undefined) return;
  candidate.confidence = confidence;
  candidate.protocol = candidate.recogniser.protocol;
  candidate.facts = undefined;
}
