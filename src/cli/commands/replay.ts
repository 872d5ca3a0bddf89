/** `postern replay`: what would this policy have done with that traffic? */
import { type Command, InvalidArgumentError } from "commander";
import { hookName, Prefix, type VerdictName, verdictName } from "../../base/index.ts";
import { filledMemory, loadPolicy, readPolicySource } from "../../daemon/index.ts";
import type { Engine } from "../../engine/index.ts";
import type { RuleReport } from "../../policy/index.ts";
import { openOutput, type Output, paint } from "../output.ts";
import { type ReplayListener, replayCapture } from "../replay.ts";
import { verdictReason } from "../verdict-words.ts";

interface ReplayFlags {
  local?: Prefix[];
  json?: boolean;
}

/** One line of the answer. */
interface ReplayLine {
  readonly packet: number;
  readonly hook: string | null;
  readonly verdict: VerdictName;
  readonly chain: string | null;
  readonly rule: number | null;
  readonly reason: string;
}

function addPrefix(text: string, before: readonly Prefix[] = []): Prefix[] {
  const prefix = Prefix.parse(text);
  if (prefix === undefined)
    throw new InvalidArgumentError("It takes an address or a network such as 192.0.2.0/24.");
  return [...before, prefix];
}

function writeLine(output: Output, line: ReplayLine, packetWords: string): void {
  if (output.json) {
    output.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const colour = line.verdict === "ACCEPT" ? "green" : "red";
  const verdict = paint(output, colour, line.verdict.padEnd(6));
  const place =
    line.chain === null ? "" : ` (${line.chain}${line.rule === null ? "" : ` rule ${line.rule}`})`;
  output.write(`${String(line.packet).padStart(6)}  ${verdict}  ${packetWords}  ${line.reason}${place}\n`);
}

/** Lines of rules go to standard error: standard output is the answer. */
const REPORT: RuleReport = {
  printing: true,
  print: (line) => process.stderr.write(`${line}\n`),
  log: (prefix, packet, level) =>
    process.stderr.write(`[${level}] ${prefix} ${packet.sourceText} > ${packet.destinationText}\n`),
  ruleError: (chain, rule, error) =>
    process.stderr.write(`rule ${rule} of chain ${chain} failed: ${String(error)}\n`),
};

function recogniserFailed(protocol: string, error: unknown): void {
  process.stderr.write(`the recogniser of ${protocol} failed: ${String(error)}\n`);
}

/** What is known of the bytes of the packet's flow: ` [TLS www.example.org]`. */
function contentWords({ content }: Engine): string {
  if (content === undefined || content.protocol === "") return "";
  const { layers, facts } = content;
  return ` [${layers.join(" > ")}${facts.serverName === undefined ? "" : ` ${facts.serverName}`}]`;
}

function createListener(output: Output): ReplayListener {
  return {
    judged(number, packet, engine) {
      const { evaluator } = engine;
      const { chain, rule, verdict, policy } = evaluator;
      const line: ReplayLine = {
        packet: number,
        hook: hookName(packet.hook) ?? null,
        verdict: verdictName(verdict),
        chain: policy.chains[chain]?.name ?? null,
        rule: rule < 0 ? null : rule,
        reason: verdictReason(evaluator, packet) + contentWords(engine),
      };
      const words = output.json ? "" : `${line.hook ?? ""} ${packet.sourceText} > ${packet.destinationText}`;
      writeLine(output, line, words);
    },
    passedBy(number) {
      const line: ReplayLine = {
        packet: number,
        hook: null,
        verdict: "ACCEPT",
        chain: null,
        rule: null,
        reason: "no IP packet: no hook sees it",
      };
      writeLine(output, line, "-");
    },
  };
}

async function replay(policyFile: string, capture: string, flags: ReplayFlags): Promise<void> {
  const output = openOutput({ json: flags.json, jsonWhenPiped: true });
  const { policy } = await loadPolicy(readPolicySource(policyFile));
  const memory = filledMemory(policy);
  await replayCapture(
    { policy, memory, capture, local: flags.local ?? [], report: REPORT, recogniserFailed },
    createListener(output),
  );
}

/** Adds `postern replay`. */
export function addReplayCommand(program: Command): void {
  program
    .command("replay")
    .summary("judge every packet of a capture")
    .description(
      "Judges every packet of a pcap or pcapng by a policy, with the capture's own clock; needs no root and no " +
        "kernel. A packet to a --local address meets INPUT, from one OUTPUT, any other FORWARD. One JSON object a " +
        "line unless a person looks on.",
    )
    .argument("<policy>", "the policy file")
    .argument("<capture>", "a pcap or pcapng file")
    .option(
      "--local <cidr>",
      "an address or network of the host the policy is for; may be repeated",
      addPrefix,
    )
    .option("--json", "one JSON object a line, also for a person")
    .action(replay);
}
