/** `postern states`: the state table, listed, shown, watched, killed and cleared. */
import { type Command, Option } from "commander";
import { FirewallError } from "../../base/index.ts";
import {
  connect,
  DEFAULT_SOCKET,
  type FirewallClient,
  type KillAnswer,
  type TableSource,
} from "../../client/index.ts";
import { KernelTable } from "../../daemon/index.ts";
import {
  chapterLines,
  listingLines,
  parseStateId,
  SORT_KEYS,
  type SortKey,
  type State,
  StateFilter,
  sortStates,
  verboseLines,
} from "../../view/index.ts";
import { enableConntrackAccounting, readConntrackAccounting, resolveUser } from "../../system/index.ts";
import { EXIT } from "../exit.ts";
import { openOutput, type Output } from "../output.ts";
import { parseCount } from "../numbers.ts";
import { watchScreen } from "../state-screen.ts";
import { eventText } from "../state-text.ts";

interface TableFlags {
  socket: string;
  source: TableSource;
  json?: boolean;
}

interface ListFlags extends TableFlags {
  sort?: SortKey;
  top?: number;
  verbose?: boolean;
  chapter?: boolean;
}

interface KillFlags extends TableFlags {
  reset?: boolean;
}

/** Without a running firewall only the kernel's table can be asked, with root's rights. */
function statesOf(flags: TableFlags, filter: string): AsyncIterable<State> {
  checkFilter(filter);
  if (flags.source === "kernel") return new KernelTable(0).list(filter);
  return client(flags).getStates({ filter, source: flags.source });
}

/** Complains about a filter before anybody is asked. @throws {FirewallError} `FILTER_INVALID` */
function checkFilter(filter: string): void {
  StateFilter.parse(filter, { user: resolveUser });
}

function client(flags: TableFlags): FirewallClient {
  return connect({ socket: flags.socket });
}

function asText(states: readonly State[], flags: ListFlags, output: Output): string[] {
  if (flags.verbose === true) return states.flatMap(verboseLines);
  if (flags.chapter === true) return states.flatMap(chapterLines);
  return listingLines(states, { colour: output.colour });
}

/** Says on standard error what a list lacks because the kernel does not keep it. */
function adviseAccounting({ source }: TableFlags): void {
  if (source === "own") return;
  const { counters, timestamps } = readConntrackAccounting();
  const missing = [...(counters ? [] : ["packets and bytes"]), ...(timestamps ? [] : ["age"])];
  if (missing.length === 0) return;
  const words = `the kernel keeps no ${missing.join(", and no ")} of connections`;
  process.stderr.write(`${words}; postern states accounting tells how to change that\n`);
}

/** A list that is neither sorted nor aligned is written as it comes, however long it is. */
async function list(words: readonly string[], flags: ListFlags): Promise<void> {
  const output = openOutput(flags);
  const found = statesOf(flags, words.join(" "));
  if (output.json && flags.sort === undefined && flags.top === undefined) {
    for await (const state of found) output.write(`${JSON.stringify(state)}\n`);
    return;
  }
  const states: State[] = [];
  for await (const state of found) states.push(state);
  const { sort = "bytes", top } = flags;
  const chosen = sortStates(states, sort, top);
  if (!output.json && states.some(({ kernel }) => kernel !== null)) adviseAccounting(flags);
  if (output.json) for (const state of chosen) output.write(`${JSON.stringify(state)}\n`);
  else for (const line of asText(chosen, flags, output)) output.write(`${line}\n`);
}

async function show(id: string, flags: TableFlags): Promise<void> {
  const output = openOutput(flags);
  if (parseStateId(id) === undefined) {
    throw new FirewallError(
      "USAGE",
      `"${id}" is no id of a state: 16 hexadecimal digits, as a list with -v has`,
    );
  }
  const state =
    flags.source === "kernel" ? await new KernelTable(0).get(id) : await client(flags).getState(id);
  if (state === undefined) throw new FirewallError("STATE_GONE", `state ${id} is gone, or never was`);
  if (output.json) output.write(`${JSON.stringify(state)}\n`);
  else for (const line of verboseLines(state)) output.write(`${line}\n`);
}

async function watch(words: readonly string[], flags: TableFlags): Promise<void> {
  const output = openOutput({ ...flags, live: true });
  const filter = words.join(" ");
  checkFilter(filter);
  if (!output.json && process.stdout.isTTY) {
    await watchScreen(() => statesOf(flags, filter), output.colour);
    return;
  }
  const events =
    flags.source === "kernel"
      ? new KernelTable(0).events(filter)
      : client(flags).watchStates({ filter, source: flags.source });
  for await (const event of events) {
    output.write(output.json ? `${JSON.stringify(event)}\n` : `${eventText(event)}\n`);
  }
}

function quantity(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function reportKill(flags: TableFlags, answer: KillAnswer): void {
  const output = openOutput(flags);
  if (output.json) output.write(`${JSON.stringify(answer)}\n`);
  else {
    const resets = answer.resets === 0 ? "" : `, ${quantity(answer.resets, "reset")} sent`;
    const own = quantity(answer.own, "state");
    output.write(`killed ${own} of the firewall and ${answer.kernel} of the kernel${resets}\n`);
  }
  if (answer.own + answer.kernel === 0) process.exitCode = EXIT.NO;
}

/** Resets are made by the firewall, also those for connections that only the kernel knows. */
async function killIn(flags: KillFlags, filter: string): Promise<KillAnswer> {
  const { source, reset = false } = flags;
  if (source !== "kernel" || reset) return client(flags).killStates({ filter, source, reset });
  return { own: 0, kernel: await new KernelTable(0).kill(filter), resets: 0 };
}

async function kill(words: readonly string[], flags: KillFlags): Promise<void> {
  const filter = words.join(" ");
  checkFilter(filter);
  reportKill(flags, await killIn(flags, filter));
}

async function clear(flags: KillFlags): Promise<void> {
  reportKill(flags, await killIn(flags, ""));
}

interface AccountingFlags {
  enable?: boolean;
  json?: boolean;
}

function accounting(flags: AccountingFlags): void {
  const output = openOutput(flags);
  if (flags.enable === true) enableConntrackAccounting();
  const kept = readConntrackAccounting();
  if (output.json) output.write(`${JSON.stringify(kept)}\n`);
  else {
    const word = (isKept: boolean): string => (isKept ? "yes" : "no");
    output.write(`packets and bytes  ${word(kept.counters)}\n`);
    output.write(`time of beginning  ${word(kept.timestamps)}\n`);
    output.write(`news               ${NEWS_WORDS[kept.news]}\n`);
    for (const line of kept.advice) output.write(`to change it: ${line}\n`);
  }
  if (kept.advice.length > 0) process.exitCode = EXIT.NO;
}

const NEWS_WORDS = {
  all: "of all connections",
  listened: "of connections that begin while somebody watches",
  none: "none",
} as const;

function addTableOptions(command: Command): Command {
  return command
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .addOption(
      new Option("--source <table>", "whose table; kernel works without a running firewall")
        .choices(["own", "kernel", "both"])
        .default("both"),
    )
    .option("--json", "one JSON object a line");
}

const FILTER_HELP = `
A filter is words such as:
  tcp from 10.0.0.0/8 to any port 22
  udp and not port 53
  state ESTABLISHED age > 1h
  in on eth0 user 1000
The answer to a filter that is not understood points at the place.`;

/** Adds `postern states`. */
export function addStatesCommand(program: Command): void {
  const states = program.command("states").summary("the state table: list, show, watch, kill, clear");
  addTableOptions(states.command("list [filter...]", { isDefault: true }))
    .summary("list states")
    .description("Lists states, those of the firewall and of the kernel as one table.")
    .option("-v, --verbose", "pf's verbose form")
    .option("--chapter", "the form of py-pf's manual")
    .addOption(new Option("--sort <key>", "largest first").choices(SORT_KEYS))
    .option("--top <number>", "only the first ones", parseCount)
    .addHelpText("after", FILTER_HELP)
    .action(list);
  addTableOptions(states.command("show <id>"))
    .summary("one state by its id")
    .description("Shows one state with all that is known of it.")
    .action(show);
  addTableOptions(states.command("watch [filter...]"))
    .summary("a live screen; through a pipe, one line an event")
    .description("Watches states with their rates; through a pipe, prints one line an event.")
    .action(watch);
  addTableOptions(states.command("kill <filter...>"))
    .summary("end flows; exit status 1 when there was none")
    .description("Ends flows for good, whoever judges them. Exit status 1 when there was none.")
    .option("--reset", "send a TCP reset to both ends; needs a running firewall")
    .addHelpText("after", FILTER_HELP)
    .action(kill);
  addTableOptions(states.command("clear"))
    .summary("end all flows")
    .description("Ends all flows for good, whoever judges them.")
    .option("--reset", "send a TCP reset to both ends; needs a running firewall")
    .action(clear);
  states
    .command("accounting")
    .summary("what the kernel keeps of connections; exit status 1 when something is off")
    .description("Says what the kernel keeps of connections. Exit status 1 when something is off.")
    .option("--enable", "have it count packets and bytes, note times and send news, from now on")
    .option("--json", "one JSON object")
    .action(accounting);
}
