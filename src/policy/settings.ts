/**
 * The `settings` object of a policy file: declared once, for the validator, the JSON Schema and the manual.
 */
import {
  CONNTRACK_MARK,
  defaultLimits,
  HOUR,
  LIMITS,
  type LimitName,
  type LimitValues,
  QUEUE_CLASSES,
  type QueueClass,
  PINHOLE_MARK,
  SECOND,
  TIMEOUT_MEANINGS,
  type TimeoutName,
  type TimeoutValues,
  type VerdictName,
} from "../base/index.ts";
import {
  type Argument,
  type ArgumentSet,
  type ArgumentValues,
  choice,
  decimal,
  flag,
  integer,
  listOf,
  optional,
  type Reading,
  reportWrongType,
  text,
  type ValueType,
  withDefault,
} from "./argument.ts";
import { objectOf } from "./argument-set.ts";
import type { JsonValue } from "./document.ts";
import {
  checkTables,
  declareTables,
  namedTables,
  type TableDeclaration,
  tablesArgument,
} from "./table-declaration.ts";

/** Whether a file means what PyWall's documentation says, or what PyWall does. */
export type Compatibility = "strict" | "pywall";

/** What becomes of packets in a situation of overload: they pass, or they are dropped. */
export type FailMode = "open" | "closed";

/** What the kernel does by itself. */
export type Offload = "full" | "flows" | "rules" | "none";

const TIMEOUT_NAMES = Object.keys(TIMEOUT_MEANINGS) as TimeoutName[];

/** Numbers of flows between which timeouts shrink; they stand among the timeouts, as in pf. */
const ADAPTIVE = {
  "adaptive.start": "Flows in a worker's table from which on all timeouts shrink; 0 switches that off.",
  "adaptive.end": "Flows at which timeouts would be nothing; above adaptive.start.",
} as const;
const ADAPTIVE_NAMES = Object.keys(ADAPTIVE) as (keyof typeof ADAPTIVE)[];

/** Bits that a packet's mark needs for all forms of refusal and for seals. */
const PACKET_MARK_BITS = 3;
/** Bits that a connection's mark needs: one for dropped flows, six for the generation of seals. */
const CONNECTION_MARK_BITS = 7;
const verdictWord: ValueType<"ACCEPT" | "DROP"> = choice(["ACCEPT", "DROP"]);

/** True when the set bits of a 32-bit word stand side by side and are at least so many. */
function isMarkMask(mask: number, bits: number): boolean {
  const lowest = (mask & -mask) >>> 0;
  const width = mask / lowest;
  return (width & (width + 1)) >>> 0 === 0 && width >= 2 ** bits - 1;
}

/**
 * A 32-bit mask of adjacent bits; JSON has no hexadecimal numbers, so `"0x70000000"` is read too.
 *
 * @param bits - how many it needs
 * @param example - one that will do
 * @param taken - bits that it must not have
 */
function maskOf(bits: number, example: string, taken = 0): ValueType<number> {
  const outside = taken === 0 ? "" : ` outside 0x${taken.toString(16).padStart(8, "0")}`;
  const words = `a 32-bit mask of at least ${bits} adjacent bits${outside}, such as "${example}"`;
  return {
    words,
    schema: {
      anyOf: [
        { type: "integer", minimum: 2 ** bits - 1, maximum: 0xffff_ffff },
        { type: "string", pattern: "^0x[0-9a-fA-F]{1,8}$" },
      ],
    },
    read(value: JsonValue, reading: Reading) {
      const { scalar } = value;
      const mask =
        typeof scalar === "string" && /^0x[0-9a-fA-F]{1,8}$/.test(scalar) ? Number(scalar) : scalar;
      const valid = typeof mask === "number" && Number.isInteger(mask) && mask > 0 && mask <= 0xffff_ffff;
      if (!valid || !isMarkMask(mask, bits) || (mask & taken) !== 0)
        return reportWrongType(value, words, reading);
      return mask;
    },
  };
}

const OUTCOMES = {
  malformed: withDefault(
    verdictWord,
    "DROP",
    "Packets that cannot be read to the end of their transport header.",
  ),
  ruleError: withDefault(verdictWord, "DROP", "Packets for which a rule threw."),
};

const HIGHEST_COUNT = 1_000_000;

const PENDING = {
  mode: withDefault(
    choice(["pass", "hold"]),
    "pass",
    'What becomes of packets while a rule waits for bytes: they pass ("pass"), or those with payload are ' +
      'dropped until the verdict, so that a TCP sender repeats them ("hold").',
  ),
  packets: withDefault(
    integer({ min: 1, max: HIGHEST_COUNT }, "packets"),
    64,
    "Packets with payload of a flow, both directions, after which no rule waits any more: what is unknown then " +
      "does not match.",
  ),
  bytes: withDefault(
    integer({ min: 1, max: 1_073_741_824 }, "bytes"),
    32_768,
    "Bytes of payload of a flow, both directions, after which no rule waits any more.",
  ),
};

/** What becomes of the packets of flows that rules cannot judge yet. */
export interface PendingSettings {
  readonly mode: "pass" | "hold";
  readonly packets: number;
  readonly bytes: number;
}

const PENDING_DEFAULT: PendingSettings = {
  mode: "pass",
  packets: PENDING.packets.fallback ?? 0,
  bytes: PENDING.bytes.fallback ?? 0,
};

const QUEUE_MEANINGS: Readonly<Record<QueueClass, string>> = {
  known: "packets of flows that have been answered",
  tcp: "other TCP",
  other: "everything else, such as UDP that nobody has answered",
};

/** What a policy may say of the queues of one class of packets. */
function queueArguments(of: QueueClass) {
  const { min, max } = LIMITS.queuePackets;
  return {
    packets: optional(
      integer({ min, max }, "packets"),
      `Most waiting packets in each queue for ${QUEUE_MEANINGS[of]} (default \`limits.queuePackets\`).`,
    ),
    failMode: optional(
      choice(["open", "closed"]),
      `When such a queue or its buffer is full (default \`failMode\`).`,
    ),
  };
}

const QUEUES = {
  known: optional(objectOf(queueArguments("known"), "queue setting"), `Queues for ${QUEUE_MEANINGS.known}.`),
  tcp: optional(objectOf(queueArguments("tcp"), "queue setting"), `Queues for ${QUEUE_MEANINGS.tcp}.`),
  other: optional(objectOf(queueArguments("other"), "queue setting"), `Queues for ${QUEUE_MEANINGS.other}.`),
};

/** How the queues of one class of packets are. */
export interface QueueSettings {
  /** Most packets that wait in one of them. */
  readonly packets: number;
  readonly failMode: FailMode;
}

function limitArguments(): { [Name in LimitName]: Argument<number | undefined> } {
  const set: Partial<Record<LimitName, Argument<number | undefined>>> = {};
  for (const name of Object.keys(LIMITS) as LimitName[]) {
    const { min, max, unit, meaning } = LIMITS[name];
    set[name] = optional(integer({ min, max }, unit), `${meaning} (default ${LIMITS[name].default}).`);
  }
  return set as { [Name in LimitName]: Argument<number | undefined> };
}

const LONGEST_OBJECTIVE_MS = 60_000;
const LONGEST_TIMEOUT = (30 * 24 * HOUR) / SECOND;

function timeoutArguments(): { [Name in keyof TimeoutValues]: Argument<number | undefined> } {
  const set: Partial<Record<keyof TimeoutValues, Argument<number | undefined>>> = {};
  for (const name of TIMEOUT_NAMES) {
    const summary = `Seconds that a flow may be silent: ${TIMEOUT_MEANINGS[name]}.`;
    set[name] = optional(decimal({ min: 0.1, max: LONGEST_TIMEOUT }, "seconds"), summary);
  }
  for (const name of ADAPTIVE_NAMES) {
    set[name] = optional(integer({ min: 0, max: 2 * LIMITS.flows.max }, "flows"), ADAPTIVE[name]);
  }
  return set as { [Name in keyof TimeoutValues]: Argument<number | undefined> };
}

const LIMIT_ARGUMENTS = limitArguments();
const TIMEOUT_ARGUMENTS = timeoutArguments();

/** The members of `settings`. */
export const SETTING_ARGUMENTS = {
  compatibility: withDefault(
    choice(["strict", "pywall"]),
    "strict",
    "What the rules of PyWall mean: what its " +
      'documentation says ("strict") or what the program does ("pywall").',
  ),
  modules: withDefault(
    listOf(text(4096), { max: 256 }),
    [],
    "Modules with rules and recognisers of your own, relative to the policy file.",
  ),
  failMode: withDefault(
    choice(["open", "closed"]),
    "closed",
    "When a queue or a buffer is full: let packets pass unseen (open) or drop them (closed).",
  ),
  queues: optional(
    objectOf(QUEUES, "class of packets"),
    "Queues class by class; a flood of one class does not keep the others waiting.",
  ),
  queueWaitObjectiveMs: optional(
    integer({ min: 1, max: LONGEST_OBJECTIVE_MS }, "milliseconds"),
    "Longest wait in a queue that 99 of 100 packets should not exceed. Past it, flows of which no byte can change " +
      "what becomes of them are sealed without waiting for what their bytes would tell; without an objective never.",
  ),
  queueBypass: withDefault(
    flag,
    false,
    "While nobody listens to the queue: let packets pass (true) or drop them (false).",
  ),
  outcomes: optional(
    objectOf(OUTCOMES, "outcome"),
    "What becomes of packets that no rule can judge, cause by cause.",
  ),
  pending: optional(
    objectOf(PENDING, "pending setting"),
    "What becomes of packets while a rule needs bytes of their flow that have not come yet.",
  ),
  workers: optional(
    integer({ min: 1, max: 256 }, "threads"),
    "Worker threads, each with kernel queues of its own, one for each class of packets; by default one per processor.",
  ),
  limits: optional(objectOf(LIMIT_ARGUMENTS, "limit"), "Limits by name."),
  timeouts: optional(objectOf(TIMEOUT_ARGUMENTS, "timeout"), "Idle times of flows by state, in seconds."),
  tables: tablesArgument,
  strictTcp: withDefault(
    flag,
    false,
    "Segments that no state allows get the state INVALID instead of keeping the old one.",
  ),
  markMask: withDefault(
    maskOf(PACKET_MARK_BITS, "0x70000000", PINHOLE_MARK | CONNTRACK_MARK),
    0x7000_0000,
    "Bits of the packet mark that belong to Postern; all others are left alone.",
  ),
  connectionMarkMask: withDefault(
    maskOf(CONNECTION_MARK_BITS, "0x7f000000"),
    0x7f00_0000,
    "Bits of the connection mark that belong to Postern, for flows whose fate is sealed; all others are left alone.",
  ),
  offload: withDefault(
    choice(["full", "flows", "rules", "none"]),
    "full",
    'What the kernel does by itself. "full": it judges by the rules it can, and carries flows whose fate is ' +
      'sealed; what it accepts is in its own state table, not in ours, unless a rule asks for states. "flows": ' +
      'the same, but every accepted flow begins in userspace and is in our state table. "rules": it judges by ' +
      'rules and carries no sealed flows. "none": every packet is judged in userspace.',
  ),
} satisfies ArgumentSet;

/** A policy's settings with all defaults filled in. */
export interface Settings {
  readonly compatibility: Compatibility;
  /** True when the file states its compatibility. */
  readonly compatibilityStated: boolean;
  /** As the file writes them. */
  readonly modules: readonly string[];
  readonly failMode: FailMode;
  readonly queues: Readonly<Record<QueueClass, QueueSettings>>;
  /** `undefined` for none, 1 to 60,000. */
  readonly queueWaitObjectiveMs: number | undefined;
  readonly queueBypass: boolean;
  readonly outcomes: { readonly [Cause in keyof typeof OUTCOMES]: Exclude<VerdictName, "REJECT"> };
  readonly pending: PendingSettings;
  /** Worker threads, each with a kernel queue of its own; `undefined`: one per processor. */
  readonly workers: number | undefined;
  readonly limits: LimitValues;
  /** Timeouts that the file changes, in milliseconds; `adaptive.start` and `adaptive.end` in flows. */
  readonly timeouts: Partial<TimeoutValues>;
  /** Address tables in the order of the file. */
  readonly tables: readonly TableDeclaration[];
  readonly strictTcp: boolean;
  /** 32 bits, unsigned. */
  readonly markMask: number;
  /** 32 bits, unsigned. */
  readonly connectionMarkMask: number;
  readonly offload: Offload;
}

type SettingValues = ArgumentValues<typeof SETTING_ARGUMENTS>;

function fillLimits(values: SettingValues): LimitValues {
  const given = Object.entries(values.limits ?? {}).filter(([, value]) => value !== undefined);
  return { ...defaultLimits(), ...(Object.fromEntries(given) as Partial<LimitValues>) };
}

function fillQueues(values: SettingValues, limits: LimitValues): Settings["queues"] {
  const queueOf = (name: QueueClass): QueueSettings => {
    const given = values.queues?.[name];
    return { packets: given?.packets ?? limits.queuePackets, failMode: given?.failMode ?? values.failMode };
  };
  const queues = QUEUE_CLASSES.map((name) => [name, queueOf(name)] as const);
  return Object.fromEntries(queues) as Record<QueueClass, QueueSettings>;
}

function fillTimeouts(values: SettingValues): Settings["timeouts"] {
  const timeouts: { -readonly [Name in keyof TimeoutValues]?: number } = {};
  for (const name of TIMEOUT_NAMES) {
    const seconds = values.timeouts?.[name];
    if (seconds !== undefined) timeouts[name] = seconds * SECOND;
  }
  for (const name of ADAPTIVE_NAMES) {
    const flows = values.timeouts?.[name];
    if (flows !== undefined) timeouts[name] = flows;
  }
  return timeouts;
}

const settingsType = objectOf(SETTING_ARGUMENTS, "setting");

/** JSON Schema of the `settings` object. */
export const settingsSchema = settingsType.schema;

/** Settings from values; everything that `values` leaves out has its default. */
function fillSettings(values: SettingValues, compatibilityStated: boolean): Settings {
  const limits = fillLimits(values);
  return {
    compatibility: values.compatibility,
    compatibilityStated,
    modules: values.modules,
    failMode: values.failMode,
    queues: fillQueues(values, limits),
    queueWaitObjectiveMs: values.queueWaitObjectiveMs,
    queueBypass: values.queueBypass,
    outcomes: values.outcomes ?? { malformed: "DROP", ruleError: "DROP" },
    pending: values.pending ?? PENDING_DEFAULT,
    workers: values.workers,
    limits,
    timeouts: fillTimeouts(values),
    tables: declareTables(values.tables ?? [], limits),
    strictTcp: values.strictTcp,
    markMask: values.markMask,
    connectionMarkMask: values.connectionMarkMask,
    offload: values.offload,
  };
}

/** The settings of a file that has none. */
export function defaultSettings(): Settings {
  const entries = Object.entries(SETTING_ARGUMENTS) as [string, Argument<unknown>][];
  const values = Object.fromEntries(entries.map(([name, argument]) => [name, argument.fallback]));
  return fillSettings(values as SettingValues, false);
}

/**
 * Reads the `settings` object.
 *
 * @param value - the object, `undefined` when the file has none
 * @param reading - takes the problems
 * @returns the settings; the defaults where something is wrong, so that the rest of the file can be checked
 */
export function readSettings(value: JsonValue | undefined, reading: Reading): Settings {
  if (value === undefined) return defaultSettings();
  const values = settingsType.read(value, reading);
  const member = (name: string): JsonValue | undefined =>
    value.members.find((entry) => entry.name === name)?.value;
  const stated = member("compatibility");
  if (values !== undefined) {
    checkTables(values.tables ?? [], fillLimits(values), reading);
    return fillSettings(values, stated !== undefined);
  }
  const compatibility = stated?.scalar === "pywall" ? "pywall" : "strict";
  const tables = namedTables(member("tables"));
  return { ...defaultSettings(), tables, compatibility, compatibilityStated: stated !== undefined };
}
