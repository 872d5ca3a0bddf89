/**
 * How the packets of two matches lie to each other, as far as their tests tell.
 *
 * Both questions may be answered with no though yes were right, never the other way round: who asks them errs
 * on the side of caution.
 */
import { type Family, familyBits, type Prefix } from "../../base/index.ts";
import type { KernelTest, Match } from "./kernel-test.ts";
import { wordsToNumber } from "./line-run.ts";

/** Family of the packets that meet a test; `undefined` when they may be of both. */
function familyOf(test: KernelTest): Family | undefined {
  if (test.field === "family" || test.field === "table") return test.family;
  return "prefix" in test ? test.prefix.family : undefined;
}

/** Values that a test holds for, as a range, and whether it holds for all others instead. */
interface Values {
  readonly low: bigint;
  readonly high: bigint;
  readonly negated: boolean;
}

function prefixValues({ family, words, length }: Prefix, negated: boolean): Values {
  const low = wordsToNumber(family, words);
  return { low, high: low + (1n << BigInt(familyBits(family) - length)) - 1n, negated };
}

function valuesOf(test: KernelTest): Values | undefined {
  if ("prefix" in test) return prefixValues(test.prefix, test.negated);
  if ("low" in test) return { low: BigInt(test.low), high: BigInt(test.high), negated: test.negated };
  if (!("value" in test) && !("id" in test)) return undefined;
  const value = BigInt("value" in test ? test.value : test.id);
  return { low: value, high: value, negated: test.negated };
}

function isWithin(one: Values, other: Values): boolean {
  return one.low >= other.low && one.high <= other.high;
}

function rangesApart(one: Values, other: Values): boolean {
  if (one.negated && other.negated) return false;
  if (one.negated) return isWithin(other, one);
  if (other.negated) return isWithin(one, other);
  return one.high < other.low || other.high < one.low;
}

function rangeImplies(one: Values, other: Values): boolean {
  if (one.negated) return other.negated && isWithin(other, one);
  if (other.negated) return one.high < other.low || other.high < one.low;
  return isWithin(one, other);
}

/** Values one by one, and whether a test holds for all others instead. */
interface Listed {
  readonly list: readonly unknown[];
  readonly negated: boolean;
}

function listsApart(one: Listed, other: Listed): boolean {
  if (one.negated && other.negated) return false;
  if (one.negated) return other.list.every((value) => one.list.includes(value));
  return one.list.every((value) => other.list.includes(value) === other.negated);
}

/** Values of a test that names them one by one. */
function listOf(test: KernelTest): Listed | undefined {
  if ("protocols" in test) return { list: test.protocols, negated: test.negated };
  return "states" in test ? { list: test.states, negated: test.negated } : undefined;
}

/** A test as one text, without its sign. */
function question(test: KernelTest): string {
  const { negated: _, ...rest } = { negated: false, ...test };
  return JSON.stringify("prefix" in rest ? { ...rest, prefix: rest.prefix.toString() } : rest);
}

function isNegated(test: KernelTest): boolean {
  return test.field !== "family" && test.negated;
}

function testsApart(one: KernelTest, other: KernelTest): boolean {
  const [oneFamily, otherFamily] = [familyOf(one), familyOf(other)];
  if (oneFamily !== undefined && otherFamily !== undefined && oneFamily !== otherFamily) return true;
  if (one.field !== other.field) return false;
  const [lists, others] = [listOf(one), listOf(other)];
  if (lists !== undefined && others !== undefined) return listsApart(lists, others);
  const [values, otherValues] = [valuesOf(one), valuesOf(other)];
  if (values !== undefined && otherValues !== undefined) return rangesApart(values, otherValues);
  return question(one) === question(other) && isNegated(one) !== isNegated(other);
}

function testImplies(one: KernelTest, other: KernelTest): boolean {
  if (other.field === "family") return familyOf(one) === other.family;
  if (one.field !== other.field) return false;
  const [lists, others] = [listOf(one), listOf(other)];
  if (lists !== undefined && others !== undefined) {
    const { list, negated } = lists;
    if (negated) return others.negated && others.list.every((value) => list.includes(value));
    return list.every((value) => others.list.includes(value) !== others.negated);
  }
  const [values, otherValues] = [valuesOf(one), valuesOf(other)];
  if (values !== undefined && otherValues !== undefined) {
    return familyOf(one) === familyOf(other) && rangeImplies(values, otherValues);
  }
  return question(one) === question(other) && isNegated(one) === isNegated(other);
}

/** True when surely no packet fits both. */
export function areApart(one: Match, other: Match): boolean {
  return one.some((test) => other.some((each) => testsApart(test, each)));
}

/** True when every packet that fits the first surely fits the second. */
export function implies(one: Match, other: Match): boolean {
  return other.every((each) => one.some((test) => testImplies(test, each)));
}
