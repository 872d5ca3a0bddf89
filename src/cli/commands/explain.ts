/** `postern explain`: which rules would a packet meet, and why; which rule is behind a live flow? */
import type { Command } from "commander";
import { conntrackStateNumber, FirewallError, TCP_FLAG, tcpStateIndex } from "../../base/index.ts";
import { connect, DEFAULT_SOCKET, type RuleHits, type RuleReport } from "../../client/index.ts";
import {
  filledMemory,
  loadPolicy,
  type PolicySource,
  policyChecksum,
  readPolicySource,
} from "../../daemon/index.ts";
import { type ExplainStep, explainPacket, type RuleContext } from "../../policy/index.ts";
import { buildPacket, decodePacket, NO_USER, Packet } from "../../wire/index.ts";
import { flowFilter, flowText, hitsText } from "../flow-text.ts";
import { openOutput, type Output, paint } from "../output.ts";
import { type PacketWords, parsePacketWords } from "../packet-words.ts";

interface ExplainFlags {
  socket: string;
  flow?: string;
  json?: boolean;
}

/** A step, and what its rule has judged where a firewall runs by the policy. */
type CountedStep = ExplainStep & { readonly hits?: RuleHits };

/** Index of the interface a packet comes in by, and of the one it leaves by, while it is explained. */
const IN_INTERFACE = 1;
const OUT_INTERFACE = 2;

function toPacket(words: PacketWords): Packet {
  const bytes = buildPacket({
    source: words.source,
    destination: words.destination,
    protocol: words.protocol,
    sourcePort: words.sourcePort,
    destinationPort: words.destinationPort,
    flags: words.tcpFlags,
    ...((words.tcpFlags & TCP_FLAG.ACK) === 0 ? {} : { acknowledgement: 1 }),
    icmpType: words.icmpType,
    icmpCode: words.icmpCode,
    timeToLive: words.timeToLive,
    payload: new Uint8Array(words.payloadBytes),
  });
  const packet = new Packet();
  decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength);
  packet.hook = words.hook;
  packet.inInterface = words.inInterface === "" ? 0 : IN_INTERFACE;
  packet.outInterface = words.outInterface === "" ? 0 : OUT_INTERFACE;
  packet.userId = words.userId ?? NO_USER;
  packet.groupId = words.groupId ?? NO_USER;
  packet.mark = words.mark;
  packet.conntrackState = words.conntrack === undefined ? 0 : conntrackStateNumber(words.conntrack);
  return packet;
}

function toContext(words: PacketWords): RuleContext {
  const nothing = (): void => undefined;
  return {
    packet: toPacket(words),
    now: 0,
    tcpState: tcpStateIndex(words.tcpState),
    interfaceName: (index) =>
      index === IN_INTERFACE ? words.inInterface : index === OUT_INTERFACE ? words.outInterface : "",
    report: { printing: false, print: nothing, log: nothing, ruleError: nothing },
  };
}

/**
 * Rules of the running firewall when it runs by this very policy, by chain and index; empty otherwise: to
 * explain a packet needs no firewall.
 */
async function runningRules(
  socket: string,
  { file, text }: PolicySource,
): Promise<ReadonlyMap<string, RuleReport>> {
  try {
    const firewall = connect({ socket });
    const { policy, pf } = await firewall.getStatus();
    if (policy.file !== file || pf.checksum !== policyChecksum(text)) return new Map();
    const { rules } = await firewall.getRules();
    return new Map(rules.map((rule) => [`${rule.chain} ${rule.rule}`, rule]));
  } catch (error) {
    if (error instanceof FirewallError) return new Map();
    throw error;
  }
}

function counted(step: ExplainStep, rules: ReadonlyMap<string, RuleReport>): CountedStep {
  const rule = step.kind === "rule" ? rules.get(`${step.chain} ${step.rule}`) : undefined;
  if (rule === undefined) return step;
  const { kernel, userspacePackets } = rule;
  return { ...step, hits: { kernel, userspacePackets } };
}

function stepText(output: Output, step: CountedStep): string {
  switch (step.kind) {
    case "chain":
      return `${paint(output, "bold", `chain ${step.chain}`)}  (${step.reason})\n`;
    case "rule": {
      const sign = step.matched ? paint(output, "green", "yes") : paint(output, "grey", "no ");
      const comment = step.comment === undefined ? "" : `  # ${step.comment}`;
      const hits = step.hits === undefined ? "" : `\n      ${paint(output, "grey", hitsText(step.hits))}`;
      const target = step.target === "next" ? "" : ` -> ${step.target}`;
      return `  ${sign} rule ${step.rule} ${step.name} (line ${step.line})${target}: ${step.reason}${comment}${hits}\n`;
    }
    case "verdict": {
      const verdict = paint(output, step.verdict === "ACCEPT" ? "green" : "red", step.verdict);
      const answer = step.rejectWith === undefined ? "" : ` with ${step.rejectWith}`;
      return `${verdict}${answer}: ${step.reason}\n`;
    }
  }
}

async function explain(policyFile: string, packetWords: string, flags: ExplainFlags): Promise<void> {
  const output = openOutput(flags);
  const words = parsePacketWords(packetWords);
  const source = readPolicySource(policyFile);
  const { policy } = await loadPolicy(source);
  const rules = await runningRules(flags.socket, source);
  for (const step of explainPacket(policy, filledMemory(policy), toContext(words))) {
    const line = counted(step, rules);
    output.write(output.json ? `${JSON.stringify(line)}\n` : stepText(output, line));
  }
}

async function explainFlow(words: string, flags: ExplainFlags): Promise<void> {
  const output = openOutput(flags);
  const report = await connect({ socket: flags.socket }).explainFlow(flowFilter(words));
  output.write(output.json ? `${JSON.stringify(report)}\n` : flowText(output, report));
}

/** A packet of a policy, or a flow of the running firewall. */
async function run(
  policyFile: string | undefined,
  packetWords: string | undefined,
  flags: ExplainFlags,
): Promise<void> {
  if (flags.flow !== undefined && policyFile === undefined) return explainFlow(flags.flow, flags);
  if (flags.flow === undefined && policyFile !== undefined && packetWords !== undefined)
    return explain(policyFile, packetWords, flags);
  const message =
    "say a policy and a packet, or --flow and a live flow, and not both; see postern explain --help";
  throw new FirewallError("USAGE", message);
}

/** Adds `postern explain`. */
export function addExplainCommand(program: Command): void {
  program
    .command("explain")
    .summary("every rule a packet would meet, and why; or the rule behind a live flow")
    .description(
      "Takes a packet in words, walks it through the policy and says of every rule tried why it matched or not, " +
        "and what it has judged so far where a firewall runs by this policy.\n" +
        'Example: postern explain policy.json "in tcp 192.0.2.1:40000 > 198.51.100.7:22 syn"\n\n' +
        "After the two ends may stand: TCP flags by name, state NAME, type N, code N, iif NAME, oif NAME, user ID, " +
        "group ID, ct STATE, mark N, ttl N, bytes N.\n\n" +
        "With --flow it asks the running firewall about a live flow: which rule is behind it, who judges its " +
        "packets now, since when, and how many they are. A flow is named by its ends, by the id that " +
        "postern states list -v shows, or by a filter of states that chooses it alone.\n" +
        'Example: postern explain --flow "tcp 192.0.2.1:40000 > 198.51.100.7:22"',
    )
    .argument("[policy]", "the policy file")
    .argument("[packet]", "the packet in words")
    .option("--flow <flow>", "explain this live flow")
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object a line for each step; for a flow, one")
    .action(run);
}
