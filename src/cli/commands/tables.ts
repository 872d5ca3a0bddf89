/** `postern tables`: address tables of the running firewall, with pf's verbs. */
import { type Command, InvalidArgumentError } from "commander";
import { FirewallError } from "../../base/index.ts";
import {
  connect,
  DEFAULT_SOCKET,
  type FirewallClient,
  type TableChangeReport,
  type TableCreation,
  type TableEntryReport,
} from "../../client/index.ts";
import { EntryList, formatEntry } from "../../tables/index.ts";
import { EXIT } from "../exit.ts";
import { readInput } from "../input-file.ts";
import { parseCount } from "../numbers.ts";
import { alignTable, openOutput, type Output } from "../output.ts";
import { entriesText, entryText, tablesText } from "../table-text.ts";

interface TableFlags {
  socket: string;
  json?: boolean;
}

interface VerboseFlags extends TableFlags {
  verbose?: boolean;
}

interface ChangeFlags extends VerboseFlags {
  file?: string;
  lifetime?: number;
}

interface CreateFlags extends TableFlags {
  capacity?: number;
  counters?: boolean;
}

function client(flags: TableFlags): FirewallClient {
  return connect({ socket: flags.socket });
}

/** A span of more than nothing. */
function parseSeconds(text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError("It takes a number of seconds above 0.");
  }
  return value;
}

function writeJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value)}\n`);
}

async function list(flags: TableFlags): Promise<void> {
  const output = openOutput(flags);
  const tables = await client(flags).listTables();
  if (output.json) for (const table of tables) writeJson(output, table);
  else if (tables.length === 0) output.write("no tables\n");
  else output.write(tablesText(tables));
}

/** Without details, lines such as a table's file has, written as they come; a table for people otherwise. */
async function show(name: string, flags: VerboseFlags): Promise<void> {
  const output = openOutput(flags);
  const entries: TableEntryReport[] = [];
  for await (const entry of client(flags).showTable(name)) {
    if (output.json) writeJson(output, entry);
    else if (flags.verbose === true) entries.push(entry);
    else output.write(`${entryText(entry)}\n`);
  }
  if (entries.length > 0) output.write(entriesText(entries));
}

/** Entries of a file as a table's file has them; `-` is standard input. */
function readEntries(file: string): string[] {
  const { list: entries, problems } = EntryList.parse(readInput("the addresses", file).toString("utf8"));
  const [first] = problems;
  if (first === undefined) return Array.from(entries, formatEntry);
  const more = problems.length === 1 ? "" : ` (and ${problems.length - 1} more)`;
  throw new FirewallError("TABLE_ENTRY", `${file}: ${first.message}${more}`);
}

function gatherAddresses(words: readonly string[], file: string | undefined): string[] {
  const addresses = [...words, ...(file === undefined ? [] : readEntries(file))];
  if (addresses.length === 0 && file === undefined) {
    throw new FirewallError("USAGE", "name addresses, or a file of them with --file");
  }
  return addresses;
}

/** What pfctl prints for each outcome. */
const OUTCOME_LETTERS = { none: " ", added: "A", deleted: "D", changed: "C", conflict: "X", duplicate: "Y" };

function reportChange(flags: VerboseFlags, addresses: readonly string[], answer: TableChangeReport): void {
  const output = openOutput(flags);
  if (answer.conflicts > 0) process.exitCode = EXIT.NO;
  if (output.json) {
    writeJson(output, answer);
    return;
  }
  for (const [at, outcome] of (answer.outcomes ?? []).entries()) {
    output.write(`${OUTCOME_LETTERS[outcome]} ${addresses[at] ?? ""}\n`);
  }
  const counts = { added: answer.added, deleted: answer.deleted, changed: answer.changed };
  const done = Object.entries(counts).filter(([, count]) => count > 0);
  const words = done.map(([what, count]) => `${count} ${what}`).join(", ") || "nothing changed";
  const conflicts =
    answer.conflicts === 0 ? "" : `; ${answer.conflicts} there with the other sign, left alone`;
  output.write(`${words}${conflicts}\n`);
}

function changer(verb: "addAddresses" | "deleteAddresses" | "setAddresses") {
  return async (name: string, words: readonly string[], flags: ChangeFlags): Promise<void> => {
    const addresses = gatherAddresses(words, flags.file);
    const { lifetime, verbose = false } = flags;
    const answer = await client(flags)[verb](name, {
      addresses,
      verbose,
      ...(lifetime === undefined ? {} : { lifetimeSeconds: lifetime }),
    });
    reportChange(flags, addresses, answer);
    if (verb === "deleteAddresses" && answer.deleted === 0) process.exitCode = EXIT.NO;
  };
}

async function clear(name: string, flags: TableFlags): Promise<void> {
  reportChange(flags, [], await client(flags).clearTable(name));
}

async function expire(name: string, seconds: number, flags: TableFlags): Promise<void> {
  reportChange(flags, [], await client(flags).expireTable(name, seconds));
}

async function remove(name: string, flags: TableFlags): Promise<void> {
  const output = openOutput(flags);
  const answer = await client(flags).removeTable(name);
  if (output.json) writeJson(output, answer);
  else output.write(`table ${name} is gone with ${answer.deleted} entries\n`);
}

async function create(name: string, flags: CreateFlags): Promise<void> {
  const output = openOutput(flags);
  const { capacity, counters = false } = flags;
  const creation: TableCreation = { name, counters, ...(capacity === undefined ? {} : { capacity }) };
  const table = await client(flags).createTable(creation);
  if (output.json) writeJson(output, table);
  else output.write(`table ${table.name} has room for ${table.capacity} entries\n`);
}

async function zero(name: string, flags: TableFlags): Promise<void> {
  const output = openOutput(flags);
  const table = await client(flags).zeroTable(name);
  if (output.json) writeJson(output, table);
  else output.write(`counters of table ${table.name} and of its ${table.entries} entries are zero\n`);
}

async function test(name: string, words: readonly string[], flags: ChangeFlags): Promise<void> {
  const output = openOutput(flags);
  const results = await client(flags).testAddresses(name, gatherAddresses(words, flags.file));
  const matches = results.filter((result) => result.matches).length;
  if (matches < results.length) process.exitCode = EXIT.NO;
  if (output.json) {
    for (const result of results) writeJson(output, result);
    return;
  }
  const rows = results.map((result) => [result.address, result.matches ? "yes" : "no", result.entry ?? ""]);
  output.write(alignTable(rows));
  output.write(`${matches}/${results.length} addresses match\n`);
}

function addFlags(command: Command): Command {
  return command
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object a line");
}

const ENTRY_HELP = `
An entry is an address or a network: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32. One with ! in front takes addresses
out of the table again; the longest entry that covers an address decides. Quote it: '!192.0.2.7'.`;

function addChangeCommands(tables: Command): void {
  const file = ["--file <path>", "more entries from a file, one a line; - is standard input"] as const;
  const verbose = ["-v, --verbose", "what became of each entry"] as const;
  addFlags(tables.command("add <table> [entries...]"))
    .summary("add entries; exit status 1 when one is there with the other sign")
    .option(...file)
    .option("--lifetime <seconds>", "they end by themselves", parseSeconds)
    .option(...verbose)
    .addHelpText("after", ENTRY_HELP)
    .action(changer("addAddresses"));
  addFlags(tables.command("delete <table> [entries...]"))
    .summary("delete entries; exit status 1 when none was there")
    .option(...file)
    .option(...verbose)
    .action(changer("deleteAddresses"));
  addFlags(tables.command("set <table> [entries...]"))
    .summary("make a table hold exactly these entries")
    .option(...file)
    .option(...verbose)
    .action(changer("setAddresses"));
  addFlags(tables.command("clear <table>")).summary("delete all entries").action(clear);
  addFlags(tables.command("expire <table>"))
    .summary("delete entries whose counters began longer ago")
    .argument("<seconds>", "how long ago", parseSeconds)
    .action(expire);
}

/** Adds `postern tables`. */
export function addTablesCommand(program: Command): void {
  const tables = program
    .command("tables")
    .summary("address tables: list, show, add, delete, set, clear, test, zero")
    .description("Shows and changes the address tables of the running firewall. Rules see a change at once.");
  addFlags(tables.command("list", { isDefault: true }))
    .summary("all tables with their counters")
    .action(list);
  addFlags(tables.command("show <table>"))
    .summary("the entries of a table, as a file may have them")
    .option("-v, --verbose", "with age, time left, and packets/bytes when they are counted")
    .action(show);
  addChangeCommands(tables);
  addFlags(tables.command("test <table> [addresses...]"))
    .summary("are these addresses in the table? Exit status 1 unless all are")
    .option("--file <path>", "more addresses from a file, one a line; - is standard input")
    .action(test);
  addFlags(tables.command("zero <table>")).summary("set its counters to zero").action(zero);
  addFlags(tables.command("create <table>"))
    .summary("make a table that no policy declares")
    .option("--capacity <entries>", "most entries; by default the limit table-entries", parseCount)
    .option("--counters", "let each entry count packets")
    .action(create);
  addFlags(tables.command("remove <table>")).summary("remove a table that a command made").action(remove);
}
