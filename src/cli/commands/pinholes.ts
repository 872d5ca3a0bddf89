/** `postern pinholes`: pinholes of a running daemon. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { FirewallError } from "../../base/index.ts";
import {
  connectPinholes,
  DEFAULT_PINHOLE_SOCKET,
  endpoint,
  type PinholeClient,
  type PinholeOperation,
  type PinholeQuery,
  type PinholeReport,
  type PinholeWish,
  PROTOCOL_NUMBERS,
  type ProtocolWord,
} from "../../client/index.ts";
import { EXIT } from "../exit.ts";
import { parseHostPort, type HostPort } from "../host-port.ts";
import { readInput } from "../input-file.ts";
import { parseCount } from "../numbers.ts";
import { openOutput, type Output } from "../output.ts";
import { eventText, pinholesText, pinholeStatusText, pinholeText } from "../pinhole-text.ts";

type NatMode = NonNullable<PinholeWish["nat"]>["mode"];
/** What `--lifetime` takes. Null, which says the same on the wire, is no value for a flag. */
type Lifetime = number | "for-ever";
type NatPlace = NonNullable<NonNullable<PinholeWish["nat"]>["outside"]>;

interface PlaceFlags {
  socket: string;
  connect?: HostPort;
  cert?: string;
  key?: string;
  ca?: string;
  json?: boolean;
}

interface ListFlags extends PlaceFlags, Omit<PinholeQuery, "kind"> {
  kind?: NonNullable<PinholeQuery["kind"]>;
}

interface WishFlags extends PlaceFlags {
  internal?: string;
  external?: string;
  protocol: ProtocolWord;
  direction?: "in" | "out" | "both";
  portMode?: "pairwise" | "product";
  lifetime: Lifetime;
  group?: string;
  ports?: number;
  parity?: "any" | "same" | "odd" | "even";
  nat?: NatMode;
  outside?: NatPlace;
  inside?: NatPlace;
  exact?: boolean;
  label?: Record<string, string>;
  pps?: number;
  bps?: number;
  burst?: number;
  newPerSec?: number;
  quotaBytes?: number;
}

interface OpenFlags extends WishFlags {
  id?: string;
  block?: boolean;
  reserve?: boolean;
}

interface ManyFlags extends PlaceFlags {
  group?: string;
}

function readPem(flag: string, file: string | undefined): string {
  if (file === undefined) throw new FirewallError("USAGE", `--connect needs --${flag}`);
  return readInput(`--${flag}`, file).toString("utf8");
}

/** Does something with a daemon, and closes the connection however that ends. */
async function withClient<Result>(
  flags: PlaceFlags,
  work: (client: PinholeClient) => Promise<Result>,
): Promise<Result> {
  const { socket, connect, cert, key, ca } = flags;
  const tls =
    connect === undefined
      ? {}
      : { tls: { ...connect, cert: readPem("cert", cert), key: readPem("key", key), ca: readPem("ca", ca) } };
  const client = connectPinholes({ socket, ...tls, patienceMs: 0 });
  try {
    return await work(client);
  } finally {
    client.end();
  }
}

function writeJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value)}\n`);
}

async function list(flags: ListFlags): Promise<void> {
  const output = openOutput(flags);
  const { owner, group, state, kind, label, traffic } = flags;
  const given = Object.entries({ owner, group, state, kind, label, traffic });
  const query: PinholeQuery = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  await withClient(flags, async (client) => {
    const pinholes: PinholeReport[] = [];
    for await (const pinhole of client.list(query)) {
      if (output.json) writeJson(output, pinhole);
      else pinholes.push(pinhole);
    }
    if (output.json) return;
    output.write(pinholes.length === 0 ? "no pinholes\n" : pinholesText(pinholes, traffic === true));
  });
}

async function show(id: string, flags: PlaceFlags): Promise<void> {
  const output = openOutput(flags);
  const pinhole = await withClient(flags, (client) => client.get(id, true));
  if (output.json) writeJson(output, pinhole);
  else output.write(pinholeText(pinhole));
}

/** The fields that were given, of some. */
function given<Field extends keyof WishFlags>(
  flags: WishFlags,
  fields: readonly Field[],
): Partial<Record<Field, unknown>> {
  const entries = fields.map((field) => [field, flags[field]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Partial<
    Record<Field, unknown>
  >;
}

/** What translation is asked for; undefined for none. */
function natOf({ nat, outside, inside, exact }: WishFlags): PinholeWish["nat"] {
  if (nat === undefined) {
    if (outside === undefined && inside === undefined && exact === undefined) return undefined;
    throw new FirewallError("USAGE", "--outside, --inside and --exact need --nat");
  }
  if (inside !== undefined && nat !== "twice") throw new FirewallError("USAGE", "--inside needs --nat twice");
  return {
    mode: nat,
    ...(outside === undefined ? {} : { outside }),
    ...(inside === undefined ? {} : { inside }),
    ...(exact === undefined ? {} : { exact }),
  };
}

/** Seconds, or null for ever. */
function secondsOf(lifetime: Lifetime): number | null {
  return lifetime === "for-ever" ? null : lifetime;
}

function wishOf(flags: WishFlags): PinholeWish {
  const { protocol, label, ports } = flags;
  const nat = natOf(flags);
  const limit = given(flags, ["pps", "bps", "burst", "newPerSec", "quotaBytes"]);
  return {
    protocol,
    lifetime: secondsOf(flags.lifetime),
    ...given(flags, ["internal", "external", "direction", "portMode", "group", "parity"]),
    ...(label === undefined ? {} : { labels: label }),
    ...(nat === undefined ? {} : { nat }),
    ...(ports === undefined ? {} : { portCount: ports }),
    ...(Object.keys(limit).length === 0 ? {} : { limit: limit as NonNullable<PinholeWish["limit"]> }),
  } as PinholeWish;
}

/** Shows a pinhole that was made or changed: its id alone is what a script wants. */
async function report(output: Output, client: PinholeClient, id: string): Promise<void> {
  const pinhole = await client.get(id);
  if (output.json) writeJson(output, pinhole);
  else output.write(pinholesText([pinhole], false));
}

/** Refuses a pinhole without ends in the words of the command line. @throws {FirewallError} `USAGE` */
function checkEnds({ internal, external }: WishFlags): void {
  const missing = [
    ...(internal === undefined ? ["--internal"] : []),
    ...(external === undefined ? ["--external"] : []),
  ];
  if (missing.length === 0) return;
  throw new FirewallError("USAGE", `${missing.join(" and ")} must be given; * is any address`);
}

async function open(flags: OpenFlags): Promise<void> {
  if (flags.reserve !== true) checkEnds(flags);
  const output = openOutput(flags);
  await withClient(flags, async (client) => {
    const change = client.begin();
    const wish = wishOf(flags);
    if (flags.block === true) change.block(wish, flags.id);
    else if (flags.reserve === true) change.reserve(wish, flags.id);
    else change.open(wish, flags.id);
    const [result] = (await change.commit()).results;
    await report(output, client, result?.id ?? "");
  });
}

async function enable(id: string, flags: WishFlags): Promise<void> {
  checkEnds(flags);
  const output = openOutput(flags);
  await withClient(flags, async (client) => {
    const change = client.begin();
    change.enable(id, wishOf(flags));
    const [result] = (await change.commit()).results;
    await report(output, client, result?.id ?? "");
  });
}

function checkNamed(ids: readonly string[], { group }: ManyFlags): void {
  if (ids.length > 0 !== (group !== undefined)) return;
  throw new FirewallError("USAGE", "name pinholes, or a group with --group, and not both");
}

async function close(ids: readonly string[], flags: ManyFlags): Promise<void> {
  checkNamed(ids, flags);
  const output = openOutput(flags);
  const { group } = flags;
  const answer = await withClient(flags, (client) =>
    group === undefined ? client.apply(ids.map((id) => ({ op: "close", id }))) : client.closeGroup(group),
  );
  if (output.json) writeJson(output, answer);
  else output.write(`${answer.results.length} closed\n`);
}

async function renew(
  ids: readonly string[],
  flags: ManyFlags & { readonly lifetime: Lifetime },
): Promise<void> {
  checkNamed(ids, flags);
  const output = openOutput(flags);
  const { group } = flags;
  const lifetime = secondsOf(flags.lifetime);
  const answer = await withClient(flags, (client) =>
    group === undefined
      ? client.apply(ids.map((id) => ({ op: "renew", id, lifetime })))
      : client.renewGroup(group, lifetime),
  );
  if (output.json) writeJson(output, answer);
  else for (const { id, granted } of answer.results) output.write(`${id} ${granted ?? "for ever"}\n`);
}

async function watch(flags: PlaceFlags & { types?: string; group?: string }): Promise<void> {
  const output = openOutput({ ...flags, live: true });
  const types = flags.types === undefined ? {} : { types: flags.types.split(",") };
  const group = flags.group === undefined ? {} : { group: flags.group };
  await withClient(flags, async (client) => {
    for await (const event of client.watch({ ...types, ...group })) {
      if (output.json) writeJson(output, event);
      else output.write(eventText(event));
    }
  });
}

async function status(flags: PlaceFlags): Promise<void> {
  const output = openOutput(flags);
  const found = await withClient(flags, (client) => client.getStatus());
  if (output.json) writeJson(output, found);
  else output.write(pinholeStatusText(found));
  if (found.backend.isDegraded) process.exitCode = EXIT.NO;
}

function readOperations(file: string): PinholeOperation[] {
  const text = readInput("the operations", file).toString("utf8");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new FirewallError("USAGE", `${file} is no JSON: ${(cause as SyntaxError).message}`, { cause });
  }
  const list =
    typeof document === "object" && document !== null && "operations" in document
      ? document.operations
      : document;
  if (Array.isArray(list)) return list as PinholeOperation[];
  throw new FirewallError("USAGE", `${file} holds no list of operations`);
}

async function apply(
  file: string,
  flags: PlaceFlags & { idempotencyKey?: string; expectGeneration?: number },
): Promise<void> {
  const output = openOutput(flags);
  const operations = readOperations(file);
  const { idempotencyKey, expectGeneration } = flags;
  const answer = await withClient(flags, (client) =>
    client.apply(operations, {
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      ...(expectGeneration === undefined ? {} : { expectGeneration }),
    }),
  );
  if (output.json) writeJson(output, answer);
  else output.write(`generation ${answer.generation}: ${answer.results.length} operations done\n`);
}

/** A protocol by name or number. */
export function parseProtocol(text: string): ProtocolWord {
  const name = text.toLowerCase();
  if (name in PROTOCOL_NUMBERS) return name as keyof typeof PROTOCOL_NUMBERS;
  const number = Number(text);
  if (/^\d{1,3}$/.test(text) && number <= 255) return number;
  throw new InvalidArgumentError(`It takes a number, or ${Object.keys(PROTOCOL_NUMBERS).join(", ")}.`);
}

/** `198.51.100.1`, `198.51.100.1:40000`, `[2001:db8::1]:40000`. */
function parseNatPlace(text: string): NatPlace {
  const { address, prefix, ports } = endpoint(text);
  const [port, last] = ports ?? [];
  if (address === undefined || prefix !== undefined || port !== last || Number.isNaN(port)) {
    throw new InvalidArgumentError("It takes an address, or an address and a port: 198.51.100.1:40000.");
  }
  return { address, ...(port === undefined ? {} : { port }) };
}

function parseLifetime(text: string): Lifetime {
  return text === "for-ever" ? text : parseCount(text);
}

function gatherLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const [name = "", ...value] = text.split("=");
  if (name === "" || value.length === 0) throw new InvalidArgumentError("It takes name=value.");
  return { ...labels, [name]: value.join("=") };
}

/** Adds the flags that say which daemon is meant, and `--json`. */
function addPlace(command: Command): Command {
  return command
    .option("-s, --socket <path>", "path of the daemon's socket", DEFAULT_PINHOLE_SOCKET)
    .option("--connect <address:port>", "connect with TLS instead", parseHostPort)
    .option("--cert <file>", "with --connect: our certificate, PEM")
    .option("--key <file>", "with --connect: its key, PEM")
    .option("--ca <file>", "with --connect: authority of the daemon's certificate, PEM")
    .option("--json", "JSON in place of text");
}

/** Adds the flags that say what a pinhole lets through. */
function addWish(command: Command): Command {
  return command
    .option("--internal <endpoint>", "our side: ADDRESS[/PREFIX][:PORT[-PORT]], * for any address")
    .option("--external <endpoint>", "the other side")
    .option("--protocol <name>", "tcp, udp, any, …, or a number", parseProtocol, "udp")
    .addOption(
      new Option("--direction <word>", "who may send; with TCP, who may set up").choices([
        "in",
        "out",
        "both",
      ]),
    )
    .addOption(new Option("--port-mode <word>", "how ranges go together").choices(["pairwise", "product"]))
    .option("--lifetime <seconds>", "how long; or for-ever, where the profile allows it", parseLifetime, 60)
    .option("--group <group>", "a group to be in")
    .option("--label <name=value>", "a label; may be repeated", gatherLabel)
    .addOption(
      new Option("--nat <mode>", "translate addresses; twice: of both ends").choices([
        "traditional",
        "twice",
      ]),
    )
    .option("--outside <address[:port]>", "with --nat: what shall stand for our side", parseNatPlace)
    .option("--inside <address[:port]>", "with --nat twice: what shall stand for the other", parseNatPlace)
    .option("--exact", "with --outside or --inside: these, or none")
    .addOption(
      new Option("--parity <word>", "with --nat or --reserve: of the first leased port").choices([
        "any",
        "same",
        "odd",
        "even",
      ]),
    )
    .option("--pps <number>", "packets per second, at most", parseCount)
    .option("--bps <number>", "bits per second, at most", parseCount)
    .option("--burst <number>", "packets at once beyond --pps", parseCount)
    .option("--new-per-sec <number>", "new connections per second, at most", parseCount)
    .option("--quota-bytes <number>", "bytes altogether, at most", parseCount);
}

function addReading(pinholes: Command): void {
  addPlace(pinholes.command("list"))
    .description("Lists living pinholes.")
    .option("--owner <owner>", "only of this owner")
    .option("--group <group>", "only of this group")
    .addOption(new Option("--state <state>", "only in this state").choices(["reserved", "enabled"]))
    .addOption(new Option("--kind <kind>", "only of this kind").choices(["permit", "reserve", "block"]))
    .option("--label <name=value>", "only with this label")
    .option("--traffic", "with packets and bytes")
    .action(list);
  addPlace(pinholes.command("show"))
    .description("Shows one pinhole, living or ended a while ago.")
    .argument("<id>", "the daemon's id, or one's own")
    .action(show);
  addPlace(pinholes.command("watch"))
    .description("Tells what happens, as it happens.")
    .option("--types <types>", "only events of these types, with commas between them")
    .option("--group <group>", "only what concerns this group")
    .action(watch);
  addPlace(pinholes.command("status"))
    .description("How the daemon fares. Exits with 1 when the packet filter does not work.")
    .action(status);
}

function addChanging(pinholes: Command): void {
  addWish(addPlace(pinholes.command("open")))
    .description("Opens a pinhole, and shows it. With an id that it has already, renews its lease.")
    .option("--id <id>", "an id of one's own")
    .addOption(new Option("--block", "stop packets instead, whoever permits them").conflicts("reserve"))
    .option("--reserve", "reserve a place instead, for enable")
    .option("--ports <number>", "with --reserve: consecutive ports", parseCount)
    .action(open);
  addWish(addPlace(pinholes.command("enable")))
    .description("Turns a reservation into a pinhole.")
    .argument("<id>", "of the reservation")
    .action(enable);
  addPlace(pinholes.command("close"))
    .description("Ends pinholes, all in one commit.")
    .argument("[ids...]", "the daemon's ids, or one's own")
    .option("--group <group>", "every pinhole of a group")
    .action(close);
  addPlace(pinholes.command("renew"))
    .description("Gives pinholes another lease, counted from now, all in one commit.")
    .argument("[ids...]", "the daemon's ids, or one's own")
    .option("--group <group>", "every pinhole of a group")
    .requiredOption("--lifetime <seconds>", "how long; or for-ever", parseLifetime)
    .action(renew);
  addPlace(pinholes.command("apply"))
    .description("Does everything that a file says in one commit, or nothing of it.")
    .argument("<file>", "JSON: a list of operations, or an object with them; - is standard input")
    .option("--idempotency-key <key>", "the same again has no second effect")
    .option("--expect-generation <number>", "refuse unless this generation is in force", parseCount)
    .action(apply);
}

/** Adds `postern pinholes`. */
export function addPinholesCommand(program: Command): void {
  const pinholes = program
    .command("pinholes")
    .summary("open and close pinholes of a running daemon")
    .description("Opens, closes and shows pinholes of a running daemon (postern pinhold).");
  addReading(pinholes);
  addChanging(pinholes);
}
