/**
 * Answers to refused packets, in nftables' language.
 *
 * What the kernel answers for a refused packet, a TCP reset or an ICMP unreachable, leaves through OUTPUT
 * and, for a local sender, comes in by the loopback interface. Nothing on it says that it is ours. So each
 * refusal is remembered for a moment in a set, and answers that match are not queued: a policy cannot drop
 * its own refusals, and no refusal can cause another. When a set is full its answers are judged like any
 * packet.
 *
 * Nearly no packet is an answer, and every packet of these hooks that is not of a sealed flow is asked. So
 * what it is asked first tells most others apart: the protocol, then flags and numbers, then the sets.
 */
import type { HookName } from "../base/index.ts";
import { type ExpectedReset, QUESTION_NUMBERS } from "./ended-text.ts";

/** How long an answer to a refused packet is awaited. It is made before the rule has ended. */
const ANSWER_SECONDS = 1;

/** Answers that are awaited at a time, for each form and family. */
const ANSWERS_MAX = 65_536;

/** A set of answers to come; what it holds is in its type. */
function answerSet(name: string, type: string): string {
  return `	set ${name} {
		type ${type}
		size ${ANSWERS_MAX}
		flags dynamic,timeout
		timeout ${ANSWER_SECONDS}s
		gc-interval ${ANSWER_SECONDS}s
	}`;
}

/** Sets of answers to come. */
export const ANSWER_SETS: string = [
  answerSet("resets-v4", "ipv4_addr . inet_service . ipv4_addr . inet_service"),
  answerSet("resets-v6", "ipv6_addr . inet_service . ipv6_addr . inet_service"),
  answerSet("unreachables-v4", "ipv4_addr"),
  answerSet("unreachables-v6", "ipv6_addr"),
].join("\n");

/** Questions to the ends of a connection whose answers are to be refused, see ended-text.ts. */
const QUESTIONS = `{ ${QUESTION_NUMBERS.join(", ")} }`;

/** Chains that remember a refusal, and those that let its answer pass. */
export const ANSWER_CHAINS = `	chain expect-reset {
		update @resets-v4 { ip saddr . tcp sport . ip daddr . tcp dport }
		update @resets-v6 { ip6 saddr . tcp sport . ip6 daddr . tcp dport }
	}
	chain expect-unreachable {
		update @unreachables-v4 { ip saddr }
		update @unreachables-v6 { ip6 saddr }
	}
	chain pass-resets {
		ip daddr . tcp dport . ip saddr . tcp sport @resets-v4 accept
		ip6 daddr . tcp dport . ip6 saddr . tcp sport @resets-v6 accept
	}
	chain pass-segments {
		tcp flags & rst == rst goto pass-resets
		tcp flags == ack tcp sequence ${QUESTIONS} goto pass-resets
	}
	chain pass-errors {
		icmp type destination-unreachable ip daddr @unreachables-v4 accept
		icmpv6 type destination-unreachable ip6 daddr @unreachables-v6 accept
	}
	chain pass-answers {
		meta l4proto vmap { tcp : goto pass-segments, icmp : goto pass-errors, icmpv6 : goto pass-errors }
	}`;

/** Rules for packets that are not judged at a hook: answers to refusals, where they can occur. */
export const PASSED_ANSWERS: Readonly<Record<HookName, readonly string[]>> = {
  INPUT: ['iifname "lo" jump pass-answers'],
  OUTPUT: ["jump pass-answers"],
  FORWARD: [],
};

/**
 * The command that makes a reset pass; sets hold the ends of what a reset answers, so the other way round.
 */
export function expectedResetText(table: string, reset: ExpectedReset): string {
  const { source, sourcePort, destination, destinationPort } = reset;
  const set = source.includes(":") ? "resets-v6" : "resets-v4";
  const element = `${destination} . ${destinationPort} . ${source} . ${sourcePort}`;
  return `add element inet ${table} ${set} { ${element} timeout ${ANSWER_SECONDS}s }`;
}
