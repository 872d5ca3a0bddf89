/**
 * Our table in nftables' language.
 *
 * For each hook there are two base chains, one just behind the other:
 *
 * - the *judging* chain clears our bits of the mark, so that nobody else's mark can be taken for ours (a
 *   packet that passes a queue without a listener would be refused), and goes on to the chains of a plan (see
 *   plan/), or without one to `queueing` and `to-userspace`, whose one rule sends packets up. That rule is
 *   not written here: see nftables-batch.ts in the netlink layer. While the chain is empty nothing is queued,
 *   so everything can be put in place before the first packet is queued, for all hooks at once, and taken out
 *   again before the queues close.
 * - the *late* chain sees packets with their verdict and refuses those that carry our bits.
 *
 * What the kernel answers for a refused packet is not queued, see answer-text.ts.
 */
import {
  CONNTRACK_MARK,
  CONNTRACK_STATES,
  type ConntrackState,
  conntrackMark,
  FirewallError,
  HOOK_NAMES,
  type HookName,
  QUEUE_CLASSES,
} from "../base/index.ts";
import { REJECT_KIND, type RejectKind, RejectMarks } from "../netlink/index.ts";
import { ANSWER_CHAINS, ANSWER_SETS, PASSED_ANSWERS } from "./answer-text.ts";
import { hexadecimal } from "./hexadecimal.ts";
import { type HookEntry, QUEUEING_CHAIN, USERSPACE_CHAIN } from "./plan/plan-text.ts";
import { isTableName } from "./table-name.ts";
import { SEALING_RULES, type SealForm, sealChains, sealVerdicts } from "./seal-text.ts";

/**
 * How packets are told apart that go up: by what the kernel's tracker knows of their flow and by protocol, or
 * by protocol alone where connections are not tracked.
 */
export type QueueClassing = "state" | "protocol";

/**
 * The chain before the last: where a policy asks for them, it notes states of connection tracking in the
 * mark.
 */
const TELLING_CHAIN = "telling";

/** What the table is made from. */
export interface TablePlan {
  /** Name of the table: letters, digits, `-`, `_`, `.`. */
  readonly table: string;
  /** Hooks whose packets are judged. */
  readonly hooks: readonly HookName[];
  /** Priority of the queueing chains; the late chains have the next. nftables' filter chains have 0. */
  readonly priority: number;
  /** Bits of the packet mark that are ours. */
  readonly markMask: number;
  /** Whether packets that go up tell their state in the kernel's connection tracking; false when absent. */
  readonly tellsStates?: boolean;
  /** Present when packets of each class have queues of their own. */
  readonly classing?: QueueClassing | undefined;
  /** Present when flows may be sealed, see seal-text.ts. */
  readonly seals?: SealForm | undefined;
}

/**
 * The rules that refuse in one form, first clearing our bits: an answer may inherit the mark
 * (fwmark_reflect).
 */
function refusalChain(name: string, clear: string, code: string): string {
  return `	chain ${name} {
		${clear}
		jump expect-unreachable
		reject with icmpx type ${code}
	}`;
}

function refusalChains(marks: RejectMarks, seals: SealForm | undefined): string {
  const clear = `meta mark set meta mark & ${hexadecimal(~marks.mask)}`;
  const bits = (kind: RejectKind): string => hexadecimal(marks.bits(kind));
  return `${seals === undefined ? "" : `${sealChains(seals, marks)}\n`}${refusalChain("refuse-port", clear, "port-unreachable")}
${refusalChain("refuse-host", clear, "host-unreachable")}
${refusalChain("refuse-prohibited", clear, "admin-prohibited")}
	chain refuse-reset {
		meta l4proto != tcp goto refuse-port
		${clear}
		jump expect-reset
		reject with tcp reset
	}
	chain late {
		meta mark & ${hexadecimal(marks.mask)} vmap { ${bits(REJECT_KIND.RESET)} : goto refuse-reset, \
${bits(REJECT_KIND.HOST_UNREACHABLE)} : goto refuse-host, \
${bits(REJECT_KIND.ADMIN_PROHIBITED)} : goto refuse-prohibited, \
${bits(REJECT_KIND.PORT_UNREACHABLE)} : goto refuse-port${seals === undefined ? "" : sealVerdicts(marks)} }
		${clear}
	}`;
}

/**
 * Rules of a hook's chain; first our bits of the mark are cleared, also of packets that have come back. Only
 * datagrams of IPv4 come back: whatever else bears that mark has it of somebody else, and is vouched for.
 *
 * @param next - where the plan judges; when absent everything goes up
 */
function hookRules(hook: HookName, mask: number, next?: HookEntry): string[] {
  const ours = `meta mark & ${hexadecimal(mask)}`;
  const clear = `meta mark set meta mark & ${hexadecimal(~mask)}`;
  const clearAll = `${ours} != 0 ${clear}`;
  if (next === undefined) return [clearAll, ...PASSED_ANSWERS[hook], `goto ${QUEUEING_CHAIN}`];
  const { chain, readable } = next;
  const bits = hexadecimal(new RejectMarks(mask).bits(REJECT_KIND.VOUCHED));
  const datagram = "meta nfproto ipv4 meta l4proto { udp, udplite }";
  const back = readable === undefined ? [] : [`${ours} == ${bits} ${datagram} ${clear} goto ${readable}`];
  return [...back, clearAll, `goto ${chain}`];
}

/**
 * The transaction that leads the hooks to other chains.
 *
 * @param nextOf - where the plan judges a hook's packets; `undefined` when everything goes up
 */
export function switchText(plan: TablePlan, nextOf: (hook: HookName) => HookEntry | undefined): string {
  const lines = plan.hooks.flatMap((hook) => {
    const chain = `inet ${plan.table} ${hook.toLowerCase()}`;
    const rules = hookRules(hook, new RejectMarks(plan.markMask).mask, nextOf(hook));
    return [`flush chain ${chain}`, ...rules.map((rule) => `add rule ${chain} ${rule}`)];
  });
  return `${lines.join("\n")}\n`;
}

/** Rules of the chain that packets pass on their way up. */
function tellingRules(isTelling: boolean): string[] {
  const rest = hexadecimal(~CONNTRACK_MARK);
  const next = `goto ${USERSPACE_CHAIN}`;
  const tell = (state: ConntrackState): string =>
    `ct state ${state} meta mark set meta mark & ${rest} | ${hexadecimal(conntrackMark(state))} ${next}`;
  return [...(isTelling ? CONNTRACK_STATES.map(tell) : []), next];
}

/** Rules of a hook's late chain. What was told ends here, whether the packet went up or not. */
function lateRules(isTelling: boolean, mask: number): string[] {
  const [bits, rest] = [CONNTRACK_MARK, ~CONNTRACK_MARK].map(hexadecimal);
  const forget = isTelling ? [`meta mark & ${bits} != 0 meta mark set meta mark & ${rest}`] : [];
  return [...forget, `meta mark & ${hexadecimal(mask)} != 0 goto late`];
}

/** The transaction that makes packets tell their state from now on, or no longer. */
export function tellingText(plan: TablePlan, isTelling: boolean): string {
  const { mask } = new RejectMarks(plan.markMask);
  const chains: readonly (readonly [string, readonly string[]])[] = [
    [TELLING_CHAIN, tellingRules(isTelling)],
    ...plan.hooks.map((hook) => [`${hook.toLowerCase()}-late`, lateRules(isTelling, mask)] as const),
  ];
  const lines = chains.flatMap(([name, rules]) => {
    const chain = `inet ${plan.table} ${name}`;
    return [`flush chain ${chain}`, ...rules.map((rule) => `add rule ${chain} ${rule}`)];
  });
  return `${lines.join("\n")}\n`;
}

function chainText(name: string, rules: readonly string[]): string {
  return `	chain ${name} {\n${rules.map((rule) => `		${rule}\n`).join("")}	}`;
}

function hookChains(hook: HookName, plan: TablePlan, mask: number): string {
  const name = hook.toLowerCase();
  const rules = hookRules(hook, plan.markMask);
  return `	chain ${name} {
		type filter hook ${name} priority ${plan.priority}; policy accept;
${rules.map((rule) => `		${rule}\n`).join("")}	}
	chain ${name}-late {
		type filter hook ${name} priority ${plan.priority + 1}; policy accept;
${lateRules(plan.tellsStates === true, mask)
  .map((rule) => `		${rule}\n`)
  .join("")}	}`;
}

function checkName(table: string): void {
  if (isTableName(table)) return;
  const message = `"${table}" is no name for a table: use a letter, then letters, digits, "-", "_" or ".".`;
  throw new FirewallError("TABLE_NAME_INVALID", message, { details: { table } });
}

/**
 * The chains that send packets up: a queueing rule stands in each of {@link queueChains}, and where there are
 * several, the way to them here.
 */
function userspaceChains(classing: QueueClassing | undefined): string {
  if (classing === undefined) return chainText(USERSPACE_CHAIN, []);
  const known = "ct state established,related goto up-known";
  const ways = [...(classing === "state" ? [known] : []), "meta l4proto tcp goto up-tcp", "goto up-other"];
  return [...queueChains(classing).map((name) => chainText(name, [])), chainText(USERSPACE_CHAIN, ways)].join(
    "\n",
  );
}

/** Names of the chains that hold nothing but a queueing rule each, in the order of {@link QUEUE_CLASSES}. */
export function queueChains(classing: QueueClassing | undefined): readonly string[] {
  return classing === undefined ? [USERSPACE_CHAIN] : QUEUE_CLASSES.map((each) => `up-${each}`);
}

/**
 * The transaction that makes our table, in place of one that a crashed run may have left.
 *
 * @throws {FirewallError} `TABLE_NAME_INVALID` or `MARK_MASK_INVALID`
 */
export function tableText(plan: TablePlan): string {
  checkName(plan.table);
  const marks = new RejectMarks(plan.markMask);
  const seal = plan.seals === undefined ? [] : SEALING_RULES;
  const hooks = HOOK_NAMES.filter((hook) => plan.hooks.includes(hook));
  return `table inet ${plan.table}
delete table inet ${plan.table}
table inet ${plan.table} {
${ANSWER_SETS}
${ANSWER_CHAINS}
${refusalChains(marks, plan.seals)}
${userspaceChains(plan.classing)}
${chainText(TELLING_CHAIN, tellingRules(plan.tellsStates === true))}
${chainText(QUEUEING_CHAIN, [...seal, `goto ${TELLING_CHAIN}`])}
${hooks.map((hook) => hookChains(hook, plan, marks.mask)).join("\n")}
}
`;
}
