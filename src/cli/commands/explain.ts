/** `postern explain`: which rules would a packet meet, and why? */
import type { Command } from "commander";
import { TCP_FLAG, tcpStateIndex } from "../../base/index.ts";
import { filledMemory, loadPolicy, readPolicySource } from "../../daemon/index.ts";
import { type ExplainStep, explainPacket, type RuleContext } from "../../policy/index.ts";
import { buildPacket, decodePacket, NO_USER, Packet } from "../../wire/index.ts";
import { openOutput, type Output, paint } from "../output.ts";
import { type PacketWords, parsePacketWords } from "../packet-words.ts";

interface ExplainFlags {
  json?: boolean;
}

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

function stepText(output: Output, step: ExplainStep): string {
  switch (step.kind) {
    case "chain":
      return `${paint(output, "bold", `chain ${step.chain}`)}  (${step.reason})\n`;
    case "rule": {
      const sign = step.matched ? paint(output, "green", "yes") : paint(output, "grey", "no ");
      const comment = step.comment === undefined ? "" : `  # ${step.comment}`;
      const target = step.target === "next" ? "" : ` -> ${step.target}`;
      return `  ${sign} rule ${step.rule} ${step.name} (line ${step.line})${target}: ${step.reason}${comment}\n`;
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
  const { policy } = await loadPolicy(readPolicySource(policyFile));
  for (const step of explainPacket(policy, filledMemory(policy), toContext(words))) {
    output.write(output.json ? `${JSON.stringify(step)}\n` : stepText(output, step));
  }
}

/** Adds `postern explain`. */
export function addExplainCommand(program: Command): void {
  program
    .command("explain")
    .summary("every rule a packet would meet, and why")
    .description(
      "Takes a packet in words, walks it through the policy and says of every rule tried why it matched or not.\n" +
        'Example: postern explain policy.json "in tcp 192.0.2.1:40000 > 198.51.100.7:22 syn"\n\n' +
        "After the two ends may stand: TCP flags by name, state NAME, type N, code N, iif NAME, oif NAME, user ID,\n" +
        "group ID, mark N, ttl N, bytes N.",
    )
    .argument("<policy>", "the policy file")
    .argument("<packet>", "the packet in words")
    .option("--json", "one JSON object a line for each step")
    .action(explain);
}
