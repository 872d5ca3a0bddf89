/** Policies under test: packets built as bytes, decoded as on the packet path, and judged. */
import assert from "node:assert/strict";
import {
  type ConntrackState,
  conntrackStateNumber,
  HOOK,
  type Hook,
  type Milliseconds,
  type TcpState,
  tcpStateIndex,
  verdictName,
} from "../base/index.ts";
import {
  allocateMemory,
  type CompileOptions,
  compilePolicy,
  Evaluator,
  type ExplainStep,
  explainPacket,
  FLOW,
  formatProblem,
  type Policy,
  type RuleContext,
  type RuleLogLevel,
  type RuleMemory,
  type RuleReport,
} from "../policy/index.ts";
import { buildPacket, decodePacket, Packet, type PacketFields } from "../wire/index.ts";

/** A packet as tests write it: what is on the wire, and what the kernel says of it. */
export interface ProbePacket extends PacketFields {
  /** Default INPUT. */
  readonly hook?: Hook;
  readonly inInterface?: number;
  readonly outInterface?: number;
  readonly userId?: number;
  readonly groupId?: number;
  /** The kernel's packet mark; default 0. */
  readonly mark?: number;
  /** The packet's state in the kernel's connection tracking; by default the kernel has told none. */
  readonly conntrack?: ConntrackState;
  /** State of the connection; default CLOSED. */
  readonly state?: TcpState;
  /** What is known of the flow, see FLOW; default new. */
  readonly flow?: number;
  /** Bytes of the built packet that are really there; default all. */
  readonly cutTo?: number;
}

/** Builds a packet and decodes it into a record. */
export function decodeBuilt(fields: ProbePacket, packet: Packet = new Packet()): Packet {
  const built = buildPacket(fields);
  const end = fields.cutTo ?? built.length;
  packet.hook = fields.hook ?? HOOK.INPUT;
  packet.inInterface = fields.inInterface ?? 0;
  packet.outInterface = fields.outInterface ?? 0;
  packet.userId = fields.userId ?? -1;
  packet.groupId = fields.groupId ?? -1;
  packet.mark = fields.mark ?? 0;
  packet.conntrackState = fields.conntrack === undefined ? 0 : conntrackStateNumber(fields.conntrack);
  decodePacket(packet, new DataView(built.buffer, built.byteOffset, built.length), 0, end, built.length);
  return packet;
}

/** Keeps what rules say. */
export class ReportProbe implements RuleReport {
  printing = true;
  readonly lines: string[] = [];
  readonly logged: { prefix: string; source: string; level: RuleLogLevel; suppressed: number }[] = [];
  readonly errors: { chain: string; rule: number; error: unknown; suppressed: number }[] = [];

  print(line: string): void {
    this.lines.push(line);
  }

  log(prefix: string, packet: Packet, level: RuleLogLevel, suppressed: number): void {
    this.logged.push({ prefix, source: packet.sourceText, level, suppressed });
  }

  ruleError(chain: string, rule: number, error: unknown, suppressed: number): void {
    this.errors.push({ chain, rule, error, suppressed });
  }

  /** The lines so far, which are then forgotten. */
  takeLines(): string[] {
    return this.lines.splice(0);
  }
}

/** What a rule may know, set by hand. */
export class ContextProbe implements RuleContext {
  readonly packet: Packet = new Packet();
  now: Milliseconds = 1_000_000;
  wallClock: Milliseconds | undefined = undefined;
  tcpState = 0;
  flow: number = FLOW.NEW;
  readonly interfaces = new Map<number, string>();
  readonly report: ReportProbe = new ReportProbe();

  interfaceName(index: number): string {
    return this.interfaces.get(index) ?? "";
  }
}

/** A policy file as an object, or as its text. */
export type PolicySource = string | { readonly [name: string]: unknown };

/** The text of a policy source. */
export function policyText(source: PolicySource): string {
  return typeof source === "string" ? source : JSON.stringify(source, null, 2);
}

/** Compiles what must be valid; warnings are allowed. */
export function compileValid(source: PolicySource, options: Partial<CompileOptions> = {}): Policy {
  const { policy, problems } = compilePolicy(policyText(source), { file: "policy.json", ...options });
  assert.ok(policy, problems.map(formatProblem).join("\n"));
  return policy;
}

/** A policy, its evaluator and a context. */
export class PolicyProbe {
  readonly policy: Policy;
  readonly memory: RuleMemory;
  readonly evaluator: Evaluator;
  readonly context: ContextProbe = new ContextProbe();

  constructor(source: PolicySource, options: Partial<CompileOptions> = {}, memory?: RuleMemory) {
    this.policy = compileValid(source, options);
    this.memory = memory ?? allocateMemory(this.policy);
    this.evaluator = new Evaluator(this.policy, this.memory);
  }

  get report(): ReportProbe {
    return this.context.report;
  }

  /** Judges a packet; the name of the verdict. */
  judge(fields: ProbePacket): string {
    this.#set(fields);
    return verdictName(this.evaluator.evaluate(this.context));
  }

  /** Where the verdict came from: `CHAIN[RULE] REASON`, the rule being `-` for a default. */
  judgeAt(fields: ProbePacket): string {
    const verdict = this.judge(fields);
    const { chain, rule, reason } = this.evaluator;
    const name = this.policy.chains[chain]?.name ?? "-";
    return `${verdict} ${name}[${rule < 0 ? "-" : rule}] ${reason}`;
  }

  /** Explains a packet. */
  explain(fields: ProbePacket): ExplainStep[] {
    this.#set(fields);
    return explainPacket(this.policy, this.memory, this.context);
  }

  #set(fields: ProbePacket): void {
    decodeBuilt(fields, this.context.packet);
    this.context.tcpState = tcpStateIndex(fields.state ?? "CLOSED");
    this.context.flow = fields.flow ?? FLOW.NEW;
  }
}
