/** `postern simco`: an agent for people, at any middlebox that speaks SIMCO. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { FirewallError } from "../../base/index.ts";
import {
  DEFAULT_SIMCO_PORT,
  PROTOCOL_NUMBERS,
  type ProtocolWord,
  SimcoConnection,
  simcoEnds,
  type SimcoListener,
  type SimcoMiddlebox,
} from "../../client/index.ts";
import { ALL_PORTS_COUNT, IP_VERSION, NAT_MODE, natModeFor, PARITY } from "../../simco/index.ts";
import { EXIT } from "../exit.ts";
import { type HostPort, parseHostPort } from "../host-port.ts";
import { readInput } from "../input-file.ts";
import { parseCount } from "../numbers.ts";
import { openOutput, type Output } from "../output.ts";
import { readSimcoKey } from "../simco-key.ts";
import {
  capabilitiesText,
  DIRECTION_WORDS,
  noticeText,
  PARITY_WORDS,
  type RuleReport,
  ruleReport,
  ruleText,
} from "../simco-words.ts";
import { parseProtocol } from "./pinholes.ts";

interface PlaceFlags {
  connect: HostPort;
  socket?: string;
  ca?: string;
  cert?: string;
  key?: string;
  servername?: string;
  identity?: string;
  secret?: string;
  prove?: boolean;
  json?: boolean;
}

interface ReserveFlags extends PlaceFlags {
  protocol: ProtocolWord;
  ports: number;
  parity: keyof typeof PARITY_WORDS;
  nat: "traditional" | "twice";
  lifetime: number;
  group?: number;
  ipv6?: boolean;
}

interface EndFlags extends PlaceFlags {
  internal: string;
  external: string;
  protocol: ProtocolWord;
  lifetime: number;
}

interface EnableFlags extends EndFlags {
  direction: keyof typeof DIRECTION_WORDS;
  sameParity?: boolean;
  group?: number;
}

function tlsOf({ ca, cert, key, servername }: PlaceFlags): Pick<SimcoMiddlebox, "tls"> {
  if (ca === undefined) {
    if (cert === undefined && key === undefined) return {};
    throw new FirewallError("USAGE", "--cert and --key need --ca");
  }
  return {
    tls: {
      ca: readInput("--ca", ca),
      ...(cert === undefined ? {} : { cert: readInput("--cert", cert) }),
      ...(key === undefined ? {} : { key: readInput("--key", key) }),
      ...(servername === undefined ? {} : { servername }),
    },
  };
}

function proofOf({
  identity,
  secret,
  prove = false,
}: PlaceFlags): Pick<SimcoMiddlebox, "proof" | "demandsProof"> {
  if (identity !== undefined && secret !== undefined) {
    return { proof: { identity, key: readSimcoKey("--secret", secret) }, demandsProof: prove };
  }
  if (identity === undefined && secret === undefined && !prove) return {};
  throw new FirewallError("USAGE", "--identity, --secret and --prove go together");
}

function middleboxOf(flags: PlaceFlags): SimcoMiddlebox {
  if (flags.socket !== undefined) return { socket: flags.socket, ...proofOf(flags) };
  return { ...flags.connect, ...tlsOf(flags), ...proofOf(flags) };
}

/** Works in a session of its own. */
async function inSession(
  flags: PlaceFlags,
  work: (connection: SimcoConnection) => Promise<void>,
  listener: SimcoListener = {},
): Promise<void> {
  const connection = await SimcoConnection.open(middleboxOf(flags), listener);
  try {
    await work(connection);
  } finally {
    await connection.close();
  }
}

function numberOf(protocol: ProtocolWord): number {
  return typeof protocol === "number" ? protocol : PROTOCOL_NUMBERS[protocol];
}

function writeJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value)}\n`);
}

function writeRule(output: Output, report: RuleReport): void {
  if (output.json) writeJson(output, report);
  else output.write(ruleText(report));
}

function session(flags: PlaceFlags): Promise<void> {
  const output = openOutput(flags);
  return inSession(flags, async ({ capabilities }) => {
    if (output.json) writeJson(output, capabilities);
    else output.write(capabilitiesText(capabilities));
    await Promise.resolve();
  });
}

function groupOf({ group }: { readonly group?: number }): { group?: number } {
  return group === undefined ? {} : { group };
}

function reserve(flags: ReserveFlags): Promise<void> {
  const output = openOutput(flags);
  const { ports, parity, nat, lifetime, ipv6 = false } = flags;
  return inSession(flags, async (connection) => {
    const version = ipv6 ? IP_VERSION.V6 : IP_VERSION.V4;
    const mode = nat === "twice" ? NAT_MODE.TWICE : NAT_MODE.TRADITIONAL;
    const wanted = {
      natMode: natModeFor(connection.capabilities, mode),
      parity: PARITY_WORDS[parity],
      insideVersion: version,
      outsideVersion: version,
      protocol: numberOf(flags.protocol),
      count: Math.min(ports, ALL_PORTS_COUNT),
    };
    const reply = await connection.ask({ name: "PRR", reserve: wanted, lifetime, ...groupOf(flags) });
    writeRule(output, ruleReport(reply));
  });
}

function endsOf({ internal, external, protocol }: EndFlags): ReturnType<typeof simcoEnds> {
  return simcoEnds(internal, external, numberOf(protocol));
}

function enable(rule: number | undefined, flags: EnableFlags): Promise<void> {
  const output = openOutput(flags);
  const { direction, sameParity = false, lifetime } = flags;
  const ends = endsOf(flags);
  const wanted = {
    parity: sameParity ? PARITY.SAME : PARITY.ANY,
    direction: DIRECTION_WORDS[direction],
  };
  return inSession(flags, async (connection) => {
    const request = { enable: wanted, ...ends, lifetime };
    const reply =
      rule === undefined
        ? await connection.ask({ name: "PER", ...request, ...groupOf(flags) })
        : await connection.ask({ name: "PEA", ...request, rule });
    writeRule(output, ruleReport(reply));
  });
}

function prohibit(flags: EndFlags): Promise<void> {
  const output = openOutput(flags);
  const { lifetime } = flags;
  const ends = endsOf(flags);
  return inSession(flags, async (connection) => {
    const reply = await connection.ask({ name: "PDR", ...ends, lifetime });
    writeRule(output, ruleReport(reply));
  });
}

function lifetime(rule: number, seconds: number, flags: PlaceFlags): Promise<void> {
  const output = openOutput(flags);
  return inSession(flags, async (connection) => {
    const reply = await connection.ask({ name: "PLC", rule, lifetime: seconds });
    const granted = reply.name === "PLC_REPLY" ? reply.lifetime : 0;
    if (output.json) writeJson(output, { rule, lifetime: granted });
    else output.write(noticeText({ name: "ARE", tid: 0, rule, lifetime: granted }));
  });
}

function status(rule: number, flags: PlaceFlags): Promise<void> {
  const output = openOutput(flags);
  return inSession(flags, async (connection) => {
    writeRule(output, ruleReport(await connection.ask({ name: "PRS", rule })));
  });
}

function list(flags: PlaceFlags & { readonly long?: boolean }): Promise<void> {
  const output = openOutput(flags);
  return inSession(flags, async (connection) => {
    const { rules } = await connection.ask({ name: "PRL" });
    if (rules.length === 0 && !output.json) output.write("no rules\n");
    for (const rule of rules) {
      if (flags.long === true) writeRule(output, ruleReport(await connection.ask({ name: "PRS", rule })));
      else if (output.json) writeJson(output, { rule });
      else output.write(`rule ${rule}\n`);
    }
  });
}

/** Tells what is told, until somebody ends it. */
async function watch(flags: PlaceFlags): Promise<void> {
  const output = openOutput({ ...flags, live: true });
  const ended = new Promise<boolean>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(true));
    const work = async (): Promise<void> => {
      if (!output.json) output.write("listening\n");
      await ended;
    };
    const listener: SimcoListener = {
      onNotice: (notice) => (output.json ? writeJson(output, notice) : output.write(noticeText(notice))),
      onEnd: (reason) => {
        if (reason !== undefined) resolve(false);
      },
    };
    inSession(flags, work, listener).catch((error: unknown) => {
      process.stderr.write(`postern: ${error instanceof Error ? error.message : String(error)}\n`);
      resolve(false);
    });
  });
  if (!(await ended)) process.exitCode = EXIT.REFUSED;
}

/** A number of 32 bits. */
function parseNumber(text: string): number {
  const value = Number(text);
  if (!/^(?:\d+|0x[0-9a-f]+)$/i.test(text) || value > 0xffffffff) {
    throw new InvalidArgumentError("It takes a whole number of at most 32 bits.");
  }
  return value;
}

function addPlace(command: Command): Command {
  return command
    .addOption(
      new Option("--connect <address:port>", "where the middlebox is")
        .argParser(parseHostPort)
        .default({ host: "127.0.0.1", port: DEFAULT_SIMCO_PORT }, `127.0.0.1:${DEFAULT_SIMCO_PORT}`),
    )
    .option("--socket <path>", "connect to its Unix socket instead")
    .option("--ca <file>", "speak TLS; authority of the middlebox's certificate, PEM")
    .option("--cert <file>", "with --ca: our certificate, PEM")
    .option("--key <file>", "with --ca: its key, PEM")
    .option("--servername <name>", "with --ca: name in the middlebox's certificate")
    .option("--identity <name>", "who we are, with --secret")
    .option("--secret <file>", "key that we share with the middlebox, in hexadecimal digits")
    .option("--prove", "the middlebox shall prove with that key who it is")
    .option("--json", "JSON in place of text");
}

function addEnds(command: Command): Command {
  return command
    .requiredOption("--internal <endpoint>", "our side: ADDRESS[/PREFIX][:PORT[-PORT]], * for anybody")
    .requiredOption("--external <endpoint>", "the other side")
    .option("--protocol <name>", "tcp, udp, any, …, or a number", parseProtocol, "udp")
    .option("--lifetime <seconds>", "how long", parseNumber, 60);
}

function addChanging(simco: Command): void {
  addPlace(simco.command("reserve"))
    .description("Reserves a rule (PRR), and on a middlebox that translates, ports and addresses.")
    .option("--protocol <name>", "tcp, udp, any, …, or a number", parseProtocol, "udp")
    .option("--ports <number>", "consecutive ports", parseCount, 1)
    .addOption(
      new Option("--parity <word>", "of the first port").choices(Object.keys(PARITY_WORDS)).default("any"),
    )
    .addOption(
      new Option("--nat <mode>", "how addresses are translated")
        .choices(["traditional", "twice"])
        .default("traditional"),
    )
    .option("--ipv6", "IPv6 on both sides")
    .option("--lifetime <seconds>", "how long", parseNumber, 60)
    .option("--group <number>", "a group to be in", parseNumber)
    .action(reserve);
  addEnds(addPlace(simco.command("enable")))
    .description(
      "Lets packets through (PER); with the number of a reservation, turns that into a rule (PEA).",
    )
    .argument("[rule]", "number of a reservation", parseNumber)
    .addOption(
      new Option("--direction <word>", "who may send; with TCP, who may set up")
        .choices(Object.keys(DIRECTION_WORDS))
        .default("both"),
    )
    .option("--same-parity", "outside ports of the parity of ours")
    .option("--group <number>", "a group to be in", parseNumber)
    .action(enable);
  addEnds(addPlace(simco.command("prohibit")))
    .description("Stops packets, whoever permits them (PDR).")
    .action(prohibit);
  addPlace(simco.command("lifetime"))
    .description("Gives a rule another lifetime, counted from now; 0 ends it (PLC).")
    .argument("<rule>", "its number", parseNumber)
    .argument("<seconds>", "how long", parseNumber)
    .action(lifetime);
}

/** Adds `postern simco`. */
export function addSimcoCommand(program: Command): void {
  const simco = program
    .command("simco")
    .summary("an agent at a middlebox that speaks SIMCO")
    .description(
      "Reserves, enables and prohibits at a middlebox that speaks SIMCO 3.0 (RFC 4540). Rules outlive the " +
        "session, until their lifetimes end. Exits with 1 when the middlebox refuses.",
    );
  addPlace(simco.command("session"))
    .description("Opens a session, shows what the middlebox can do, and ends the session.")
    .action(session);
  addChanging(simco);
  addPlace(simco.command("status"))
    .description("Shows one rule (PRS).")
    .argument("<rule>", "its number", parseNumber)
    .action(status);
  addPlace(simco.command("list"))
    .description("Lists the rules that we may see (PRL).")
    .option("--long", "with the status of each")
    .action(list);
  addPlace(simco.command("watch"))
    .description("Tells of changes of rules as they come, until SIGINT.")
    .action(watch);
}
