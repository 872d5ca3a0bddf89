/** The explanation of a live flow: how it is named on the command line, and told to people. */
import { formatAddress } from "../base/index.ts";
import type { FlowCause, FlowJudge, FlowReport, FlowRule, RuleHits } from "../client/index.ts";
import { endsText, protocolName, sizeText, spanText } from "../view/index.ts";
import { alignTable, type Output, paint } from "./output.ts";
import { parsePacketWords } from "./packet-words.ts";

/** A flow written as a packet of it is for `postern explain`, or as a list of states has it. */
const ENDS =
  /^(?:(?:in|input|out|output|forward)\s+)?(?<ends>[a-z][a-z0-9]*\s+\S*[.:]\S*\s+-?>\s+\S*[.:]\S*)$/i;

/**
 * The filter of states that a person's words for a flow mean. Either end may have spoken first.
 *
 * @param words - an id, a filter, or `tcp 192.0.2.1:40000 > 198.51.100.7:443`
 * @throws {FirewallError} `PACKET_WORDS`, pointing at the place
 */
export function flowFilter(words: string): string {
  const ends = ENDS.exec(words.trim())?.groups?.["ends"];
  if (ends === undefined) return words.trim();
  const { protocol, source, sourcePort, destination, destinationPort } = parsePacketWords(
    `in ${ends.replace(/\s->\s/, " > ")}`,
  );
  const one = `${formatAddress(source.family, source.words)}${sourcePort === 0 ? "" : ` port ${sourcePort}`}`;
  const other = `${formatAddress(destination.family, destination.words)}${
    destinationPort === 0 ? "" : ` port ${destinationPort}`
  }`;
  return `${protocolName(protocol)} and ((from ${one} to ${other}) or (from ${other} to ${one}))`;
}

/** What a rule has judged, in words. */
export function hitsText({ kernel, userspacePackets }: RuleHits): string {
  return `${kernel.packets} packets (${sizeText(kernel.bytes, 1024)}) in the kernel, ${userspacePackets} in userspace`;
}

const JUDGES: Readonly<Record<FlowJudge, string>> = {
  userspace: "userspace, packet by packet: later ones may meet other rules",
  sealed: "the kernel, as userspace said for all its packets",
  kernel: "the kernel alone, by the rule's own line in our table",
};

const EVIDENCE: Readonly<Record<FlowCause["evidence"], string>> = {
  noted: "noted when it let the flow in, or ended it",
  waiting: "it waits for bytes of the flow, or did when the flow began; what passes is accepted meanwhile",
  proven: "asked anew: its packets differ in nothing that the rules on their way read",
  possible: "asked anew: rules on the way read more than the flow's ends, so it may be this one",
  unknown: "nothing is noted of it",
};

function ruleText({ chain, rule, name, file, line, comment }: FlowRule): string {
  if (chain === "") return `no chain for this hook in ${file}: packets are tracked, not filtered`;
  if (rule === null) return `default_chain at the end of ${chain}, ${file}`;
  return `${chain} rule ${rule} ${name}, ${file}:${line}${comment === undefined ? "" : `  # ${comment}`}`;
}

function rulesText({ rules }: FlowCause): string {
  return rules.length === 0 ? "unknown" : rules.map(ruleText).join("\n  or ");
}

function trafficText({ packets, bytes }: FlowReport["state"]): string {
  if (packets === null || bytes === null) return "not counted by the kernel (postern states accounting)";
  const [there, back] = [0, 1].map((at) => `${packets[at]} packets, ${sizeText(bytes[at] ?? 0, 1024)}`);
  return `${there} there; ${back} back`;
}

/** A report for people. */
export function flowText(output: Output, report: FlowReport): string {
  const { state, verdict, judge, generation, cause, answers, hits } = report;
  const colour = verdict === "ACCEPT" ? "green" : "red";
  const seal = generation === null ? "" : `: sealed in generation ${generation}`;
  const rows = [
    ["rule", rulesText(cause)],
    ["known", EVIDENCE[cause.evidence]],
    ...(answers === null ? [] : [["answers", rulesText(answers)]]),
    ["judged by", `${JUDGES[judge]}${seal}`],
    ["since", state.ageMs === null ? "not known to the kernel" : `${spanText(state.ageMs)} ago`],
    ["traffic", trafficText(state)],
    ...(hits === null ? [] : [["rule's hits", hitsText(hits)]]),
  ];
  const head = `${state.protocolName} ${endsText(state)}  (${state.id})`;
  return `${paint(output, "bold", head)}\n${paint(output, colour, verdict ?? "not judged yet")}\n${alignTable(rows)}`;
}
