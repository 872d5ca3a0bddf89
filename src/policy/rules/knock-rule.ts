/**
 * PortKnocking: a port that opens, for one source, after packets to a list of other ports in their order.
 *
 * The ports of the list are *doors*, a packet to the next one is a *knock*. What is known of a source (the
 * next door, the time of its last knock) lives in a table that all workers share, so that a TCP knock and a
 * UDP knock count together. This file holds what both modes have in common and the definition; `compatible`
 * is PyWall's behaviour to the letter, `strict` is for a hostile network, see strict-knocks.ts.
 */
import { type Milliseconds, PROTOCOL, SECOND } from "../../base/index.ts";
import {
  type ArgumentValues,
  choice,
  decimal,
  integer,
  listOf,
  optional,
  pairOf,
  required,
  withDefault,
} from "../argument.ts";
import { defineRule, type RuleCheck, type RuleDefinition } from "../registry.ts";
import { SourceTable } from "../source-table.ts";
import { exactPort, port, portProtocol } from "../value-types.ts";
import { COMPATIBLE_WIDTH, CompatibleKnocks } from "./compatible-knocks.ts";
import type { Door, KnockPlan } from "./knock-plan.ts";
import { StrictKnocks } from "./strict-knocks.ts";

const LONGEST: Milliseconds = 366 * 24 * 3600;
const seconds = decimal({ min: 0.001, max: LONGEST }, "seconds");

const KNOCK_ARGUMENTS = {
  protocol: required(portProtocol, "Protocol of the protected port."),
  port: optional(port, "The protected port. Without it nothing ever opens."),
  src_port: optional(
    port,
    "Source port that every knock must come from. " +
      "Compatible mode needs it; strict mode takes any when absent.",
  ),
  timeout: withDefault(
    seconds,
    60,
    "Seconds that may pass between two knocks, and that the port stays open after the last one.",
  ),
  doors: required(
    listOf(pairOf(portProtocol, exactPort), { min: 1, max: 64 }),
    'The doors in their order, each a pair such as ["TCP", 49001].',
  ),
  mode: withDefault(
    choice(["compatible", "strict"]),
    "compatible",
    "PyWall's behaviour, or the stricter one.",
  ),
  deadline: optional(seconds, "Strict mode: seconds from the first knock to the last; by default `timeout`."),
  attempts: withDefault(
    integer({ min: 1, max: 1_000_000 }),
    5,
    "Strict mode: times a source may begin at once, and in `attempt_window` on average.",
  ),
  attempt_window: withDefault(seconds, 60, "Strict mode: seconds in which it gets as many attempts back."),
};

type KnockValues = ArgumentValues<typeof KNOCK_ARGUMENTS>;

/** A port that no packet has. */
const NEVER = Number.NaN;

function toPlan(values: KnockValues): KnockPlan {
  const timeout = values.timeout * SECOND;
  return {
    protocol: PROTOCOL[values.protocol],
    port: values.port ?? NEVER,
    sourcePort: values.src_port,
    timeout,
    doors: values.doors.map(
      ([protocol, doorPort]): Door => ({ protocol: PROTOCOL[protocol], port: doorPort }),
    ),
    deadline: values.deadline === undefined ? timeout : values.deadline * SECOND,
    attempts: values.attempts,
    attemptWindow: values.attempt_window * SECOND,
  };
}

function checkPorts(values: KnockValues, check: RuleCheck): void {
  const missing = (message: string): void => {
    if (check.compatibility === "pywall") check.warning(undefined, `${message} (as in PyWall)`);
    else check.error(undefined, message);
  };
  if (values.port === undefined) missing('"port" is missing: without a protected port nothing ever opens');
  if (values.src_port === undefined && values.mode === "compatible") {
    missing(
      '"src_port" is missing: no knock ever counts; give the source port of the knocks, or "mode": "strict"',
    );
  }
}

/** `PortKnocking`. */
export const portKnocking: RuleDefinition = defineRule({
  summary:
    "Accepts packets to a protected port from sources that " +
    "have knocked on a list of doors in order; drops the knocks " +
    "themselves; leaves everything else to the next rule.",
  arguments: KNOCK_ARGUMENTS,
  action: "own",
  ignored: {
    action: "it accepts, drops or passes on by itself, in PyWall too",
    body:
      "PyWall reads it under a misspelt name and never " +
      "looks at it: the content of a knock does not count",
  },
  difference:
    "Compatible mode is PyWall's behaviour, the printed " +
    "messages included; PyWall remembers sources without end, here " +
    "`limits.knockSources` bounds them, and IPv6 sources " +
    "knock like IPv4 sources. `action` and `body` have no effect, " +
    "as in PyWall, and are named in a warning.",
  check: checkPorts,
  memoryBytes: ({ mode }, { knockSources }) =>
    mode === "strict" ? StrictKnocks.bytes(knockSources) : SourceTable.bytes(knockSources, COMPATIBLE_WIDTH),
  create(values, { memory, limits: { knockSources } }) {
    const plan = toPlan(values);
    if (values.mode === "strict") return new StrictKnocks(plan, memory, knockSources);
    return new CompatibleKnocks(plan, new SourceTable(memory, knockSources, COMPATIBLE_WIDTH));
  },
});
