/**
 * What a worker has to say about packets, as lines: PyWall's verdicts (ACCEPT at DEBUG, DROP at INFO) and
 * tracker transitions (DEBUG; those that no state provides for at ERROR), what rules print and log, and rules
 * that threw.
 */
import {
  formatEndpoint,
  HOOK,
  hookName,
  type Milliseconds,
  TCP_FLAG,
  TCP_STATES,
  VERDICT,
  verdictName,
} from "../base/index.ts";
import { type Engine, type EngineObserver, NOT_TRACKED } from "../engine/index.ts";
import { networkLine, type RuleLogLevel, type RuleReport, transportLine } from "../policy/index.ts";
import { COMMIT } from "../state/index.ts";
import type { Packet } from "../wire/index.ts";
import type { LineBuffer } from "./line-buffer.ts";
import { LOG_LEVELS, type LogFacts, type LogLevel } from "./log.ts";

/**
 * The rule that gave the last verdict, such as `INPUT rule 2`, `INPUT default`, or, of a policy that was
 * replaced while the packet waited, `INPUT rule 2 of policy revision 1`.
 */
function ruleWords(engine: Engine): string {
  const { rule, reason } = engine.evaluator;
  const name = chainName(engine);
  if (name === undefined) return reason;
  const revision = engine.adopted?.revision ?? engine.revision;
  const of = revision === engine.revision ? "" : ` of policy revision ${revision}`;
  return `${name} ${rule < 0 ? reason : `rule ${rule}`}${of}`;
}

/** Name of the chain that gave the last verdict; `undefined` when none did. */
function chainName({ adopted, evaluator }: Engine): string | undefined {
  return (adopted?.policy ?? evaluator.policy).chains[evaluator.chain]?.name;
}

function packetFacts(packet: Packet): LogFacts {
  return {
    hook: hookName(packet.hook) ?? packet.hook,
    source: packet.sourceText,
    destination: packet.destinationText,
    protocol: packet.protocol,
    bytes: packet.wireBytes,
    ...(packet.fault === undefined ? {} : { fault: packet.fault }),
  };
}

function verdictFacts(packet: Packet, engine: Engine): LogFacts {
  const { verdict, rule, reason } = engine.evaluator;
  return {
    event: "verdict",
    verdict: verdictName(verdict),
    chain: chainName(engine) ?? null,
    rule: rule < 0 ? null : rule,
    reason,
    ...(engine.adopted?.policy === undefined ? {} : { revision: engine.adopted.revision }),
    ...contentFacts(engine),
    ...packetFacts(packet),
  };
}

/** What is known of the flow's bytes. */
function contentFacts({ content }: Engine): LogFacts {
  if (content === undefined || content.protocol === "") return {};
  const { protocol: application, facts } = content;
  return facts.serverName === undefined ? { application } : { application, serverName: facts.serverName };
}

/** PyWall's connection tuple: the remote end first. */
function tupleWords(packet: Packet): string {
  if (packet.family === 0) return "?";
  const source = formatEndpoint(packet.family, packet.source, packet.sourcePort);
  const destination = formatEndpoint(packet.family, packet.destination, packet.destinationPort);
  return packet.hook === HOOK.OUTPUT ? `${destination}, ${source}` : `${source}, ${destination}`;
}

function flag(packet: Packet, name: "SYN" | "ACK" | "FIN"): number {
  return (packet.tcpFlags & TCP_FLAG[name]) === 0 ? 0 : 1;
}

/** `RCV (remote, local) (ESTABLISHED) syn=0 ack=1 fin=1 => CLOSE_WAIT1`. */
function transitionLine(packet: Packet, engine: Engine): string {
  const way = packet.hook === HOOK.OUTPUT ? "SND" : "RCV";
  const flags = `syn=${flag(packet, "SYN")} ack=${flag(packet, "ACK")} fin=${flag(packet, "FIN")}`;
  const before = TCP_STATES[engine.stateBefore] ?? "?";
  const { flows, slot } = engine.tracker;
  const after = slot < 0 ? before : (TCP_STATES[flows.state(slot)] ?? "?");
  const undefinedMark = (engine.transition & COMMIT.UNDEFINED) === 0 ? "" : " (UNDEFINED TRANSITION)";
  return `${way} (${tupleWords(packet)}) (${before}) ${flags} => ${after}${undefinedMark}`;
}

/** Turns what happens to packets into lines. */
export class VerdictReporter implements RuleReport, EngineObserver {
  readonly #lines: LineBuffer;
  readonly #threshold: number;
  /** Lines below it are not made. */
  readonly level: LogLevel;
  readonly #now: () => Milliseconds;

  /**
   * @param lines - where the lines go
   * @param level - lines below it are not made
   * @param now - monotonic time
   */
  constructor(lines: LineBuffer, level: LogLevel, now: () => Milliseconds) {
    this.#lines = lines;
    this.level = level;
    this.#threshold = LOG_LEVELS.indexOf(level);
    this.#now = now;
  }

  /** True when verdicts or transitions can be worth a line at all. */
  get observes(): boolean {
    return this.#enabled("ERROR");
  }

  get printing(): boolean {
    return true;
  }

  print(line: string): void {
    if (this.#lines.admits(this.#now())) this.#lines.add("PRINT", line);
  }

  log(prefix: string, packet: Packet, level: RuleLogLevel, suppressed: number): void {
    if (!this.#enabled(level) || !this.#lines.admits(this.#now())) return;
    const more = suppressed === 0 ? "" : ` (${suppressed} more were not logged)`;
    const words = `${prefix}${prefix === "" ? "" : " "}${networkLine(packet)}, ${transportLine(packet)}${more}`;
    this.#lines.add(level, words, { event: "log", prefix, ...packetFacts(packet) });
  }

  ruleError(chain: string, rule: number, error: unknown, suppressed: number): void {
    if (!this.#enabled("ERROR") || !this.#lines.admits(this.#now())) return;
    const reason = error instanceof Error ? error.message : String(error);
    const more = suppressed === 0 ? "" : ` (${suppressed} more were not reported)`;
    const words = `rule ${rule} of chain ${chain} failed: ${reason}${more}`;
    this.#lines.add("ERROR", words, { event: "rule-error", chain, rule, error: reason });
  }

  /** A recogniser of the policy's own has failed. */
  recogniserError(protocol: string, error: unknown, isOff: boolean): void {
    if (!this.#enabled("ERROR") || !this.#lines.admits(this.#now())) return;
    const reason = error instanceof Error ? error.message : String(error);
    const what = isOff ? "failed too often and is switched off" : "failed";
    const facts = { event: "recogniser-error", protocol, error: reason };
    this.#lines.add("ERROR", `the recogniser of ${protocol} ${what}: ${reason}`, facts);
  }

  /** An error in a promise that a rule has left behind. */
  strayError(error: unknown): void {
    if (!this.#enabled("ERROR") || !this.#lines.admits(this.#now())) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#lines.add("ERROR", `a rule left a promise that failed: ${reason}`, {
      event: "rule-error",
      error: reason,
    });
  }

  judged(packet: Packet, engine: Engine, now: Milliseconds): void {
    const accepted = engine.evaluator.verdict === VERDICT.ACCEPT;
    if (this.#enabled(accepted ? "DEBUG" : "INFO") && this.#lines.admits(now)) {
      const verdict = verdictName(engine.evaluator.verdict);
      const words = `${verdict} ${networkLine(packet)}, ${transportLine(packet)}, ${ruleWords(engine)}`;
      this.#lines.add(accepted ? "DEBUG" : "INFO", words, verdictFacts(packet, engine));
    }
    if (packet.isTcp && engine.transition !== NOT_TRACKED) this.#reportTransition(packet, engine, now);
  }

  #reportTransition(packet: Packet, engine: Engine, now: Milliseconds): void {
    const level = (engine.transition & COMMIT.UNDEFINED) === 0 ? "DEBUG" : "ERROR";
    if (!this.#enabled(level) || !this.#lines.admits(now)) return;
    this.#lines.add(level, transitionLine(packet, engine), { event: "transition", ...packetFacts(packet) });
  }

  #enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= this.#threshold;
  }
}
