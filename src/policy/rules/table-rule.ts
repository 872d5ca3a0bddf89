/**
 * TableRule: an address is in a table.
 *
 * What is in the table may change at any time, by commands or by entries that end by themselves; rules see it
 * with their next packet. Packets that met the rule are counted in the table once their verdict is known.
 */
import { formatAddress, HOOK, invariant } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { type AddressTable, formatEntry } from "../../tables/index.ts";
import { choice, required, withDefault } from "../argument.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { Rule, type RuleContext } from "../rule.ts";
import { tableName } from "../table-declaration.ts";

/** Directions as a table counts them. */
const IN = 0;
const OUT = 1;

/** Sides of a packet in the order in which they are looked up. */
const SIDES = {
  source: ["source"],
  destination: ["destination"],
  either: ["source", "destination"],
} as const;

/** Whose address is looked up. */
type TableSide = keyof typeof SIDES;

function explainSide(
  packet: Packet,
  side: "source" | "destination",
  table: AddressTable,
  context: RuleContext,
): string {
  const { family } = packet;
  if (family === 0) return `${side} ? is not in table ${table.name}`;
  const words = packet[side];
  const found = table.find(family, words, context);
  const entry = found < 0 ? undefined : table.entry(found);
  const inside = entry !== undefined && !entry.negated;
  const why = entry === undefined ? "" : ` (${formatEntry(entry)})`;
  return `${side} ${formatAddress(family, words)} is ${inside ? "in" : "not in"} table ${table.name}${why}`;
}

class TableRule extends Rule {
  override readonly isPure: boolean = true;
  override readonly asksFlow: boolean = false;
  readonly #table: AddressTable;
  readonly #side: TableSide;
  readonly #bySource: boolean;
  readonly #byDestination: boolean;

  constructor(table: AddressTable, side: TableSide) {
    super();
    this.#table = table;
    this.#side = side;
    this.#bySource = side !== "destination";
    this.#byDestination = side !== "source";
  }

  override match(packet: Packet, context: RuleContext): boolean {
    const { family } = packet;
    if (family === 0) return false;
    const table = this.#table;
    return (
      (this.#bySource && table.contains(family, packet.source, context)) ||
      (this.#byDestination && table.contains(family, packet.destination, context))
    );
  }

  override peek(packet: Packet, context: RuleContext): boolean {
    return (
      (this.#bySource && this.#covers(this.#find(packet, true, context))) ||
      (this.#byDestination && this.#covers(this.#find(packet, false, context)))
    );
  }

  /** Entries change only by request; but some end by themselves. */
  override foresee(packet: Packet, context: RuleContext): boolean | undefined {
    const first = this.#find(packet, this.#bySource, context);
    const second = this.#bySource && this.#byDestination ? this.#find(packet, false, context) : -1;
    if (this.#table.mayEnd(first) || this.#table.mayEnd(second)) return undefined;
    return this.#covers(first) || this.#covers(second);
  }

  override settle(packet: Packet, context: RuleContext, passed: boolean): void {
    const first = this.#find(packet, this.#bySource, context);
    const both = this.#bySource && this.#byDestination;
    const entry = both && !this.#covers(first) ? this.#find(packet, false, context) : first;
    this.#table.count(entry, packet.hook === HOOK.OUTPUT ? OUT : IN, passed, packet.wireBytes);
  }

  override explain(packet: Packet, context: RuleContext): string {
    return SIDES[this.#side].map((side) => explainSide(packet, side, this.#table, context)).join(", ");
  }

  /** The entry that decides about one of the packet's addresses, -1 for none. */
  #find(packet: Packet, source: boolean, context: RuleContext): number {
    if (packet.family === 0) return -1;
    return this.#table.find(packet.family, source ? packet.source : packet.destination, context);
  }

  #covers(entry: number): boolean {
    return entry >= 0 && !this.#table.isNegated(entry);
  }
}

/** `TableRule`. */
export const tableRule: RuleDefinition = defineRule({
  summary:
    "Matches packets whose address is in an address table; the longest entry that covers the address decides.",
  arguments: {
    table: required(tableName, "Name of a table in `settings.tables`."),
    address: withDefault(
      choice(["source", "destination", "either"]),
      "source",
      "Which of the packet's addresses is looked up.",
    ),
  },
  action: "required",
  notes:
    "The table counts the packets that met the rule (with `not`: those that are not in it) by what became of " +
    "them in the end: blocked, passed, or, under *xpass*, passed although the address is not in the table. " +
    "Packets of OUTPUT count as out, all others as in.",
  create(values, setup) {
    const table = setup.tables.get(values.table);
    invariant(table !== undefined, "the table of a rule is declared");
    return new TableRule(table, values.address);
  },
});
