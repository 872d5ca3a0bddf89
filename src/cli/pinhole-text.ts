/** Pinholes as text, for people. */
import {
  type EndpointSpec,
  type PinholeEvent,
  PROTOCOL_NUMBERS,
  type PinholeReport,
  type PinholeStatus,
} from "../client/index.ts";
import { alignTable } from "./output.ts";

/** Why a pinhole ended, for people. */
const END_WORDS: Readonly<Record<NonNullable<PinholeReport["reason"]>, string>> = {
  expired: "its lease ran out",
  deleted: "it was closed",
  conflict: "a block came",
  admin: "an administrator ended it",
  backend: "the packet filter would not have it",
};

const ARROWS = { in: "<-", out: "->", both: "<->" } as const;

function portsText(ports: readonly [number, number] | null | undefined): string {
  if (ports === undefined || ports === null) return "";
  const [low, high] = ports;
  return low === high ? `:${low}` : `:${low}-${high}`;
}

/** `10.1.0.0/16:5000-5010`, as the command line takes it. */
export function endpointText(endpoint: EndpointSpec | undefined): string {
  if (endpoint === undefined) return "*";
  const { family, address = "*", prefix } = endpoint;
  const network = prefix === undefined ? address : `${address}/${prefix}`;
  const ports = portsText(endpoint.ports);
  if (family === 6 && ports !== "" && address !== "*") {
    return `[${address}]${prefix === undefined ? "" : `/${prefix}`}${ports}`;
  }
  return `${network}${ports}`;
}

/** A protocol by its name, or else its number. */
export function protocolText(protocol: number): string {
  const found = Object.entries(PROTOCOL_NUMBERS).find(([, number]) => number === protocol);
  return found?.[0] ?? String(protocol);
}

function leftText(remaining: number | null): string {
  return remaining === null ? "for ever" : `${remaining} s`;
}

/**
 * What a pinhole lets through, in one line: `udp 10.1.0.7:5004 <-> 198.51.100.9:6004`, and with translation
 * ` as 198.51.100.1:40000`.
 */
function flowText({ spec, outside }: PinholeReport): string {
  const { protocol, internal, external, direction = "both", kind } = spec;
  if (kind === "reserve") return `${protocolText(protocol)} ${spec.portCount ?? 1} ports`;
  const arrow = kind === "block" ? "-x-" : ARROWS[direction];
  const flow = `${protocolText(protocol)} ${endpointText(internal)} ${arrow} ${endpointText(external)}`;
  return outside === undefined ? flow : `${flow} as ${leaseText(outside)}`;
}

/** What stands for one end of a pinhole: `198.51.100.1:40000-40001`. */
function leaseText({ address, port, count }: NonNullable<PinholeReport["outside"]>): string {
  if (count === 0) return address;
  const family = address.includes(":") ? 6 : 4;
  return endpointText({ family, address, ports: [port, port + count - 1] });
}

/** When and why a pinhole ended; undefined while it lives. */
function endText({ reason, endedAt }: PinholeReport): string | undefined {
  if (reason === undefined) return undefined;
  const time = endedAt === undefined ? "" : `${new Date(endedAt).toISOString()}, `;
  return `${time}${END_WORDS[reason]}`;
}

function pinholeRow(pinhole: PinholeReport, withTraffic: boolean): string[] {
  const { id, clientId, state, spec, remaining, group, owner, traffic } = pinhole;
  const words = spec.kind === "permit" ? state : `${state} ${spec.kind}`;
  const row = [clientId ?? id, words, flowText(pinhole), leftText(remaining), group, owner];
  if (!withTraffic) return row;
  return [...row, String(traffic?.packets ?? ""), String(traffic?.bytes ?? "")];
}

/** A list of pinholes. */
export function pinholesText(pinholes: readonly PinholeReport[], withTraffic: boolean): string {
  const counts = withTraffic ? ["packets", "bytes"] : [];
  const head = ["id", "state", "flow", "left", "group", "owner", ...counts];
  return alignTable([head, ...pinholes.map((pinhole) => pinholeRow(pinhole, withTraffic))], [3, 6, 7]);
}

/** One pinhole, all of it. */
export function pinholeText(pinhole: PinholeReport): string {
  const { id, pid, clientId, owner, group, state, revision, granted, remaining, reason, traffic } = pinhole;
  const { outside, inside } = pinhole;
  const labels = Object.entries(pinhole.spec.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const limits = Object.entries(pinhole.spec.limit ?? {}).map(([name, value]) => `${name} ${value}`);
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["id", id],
    ["own id", clientId],
    ["number in SIMCO", String(pid)],
    ["owner", owner],
    ["group", group],
    ["state", reason === undefined ? state : `${state} (${reason})`],
    ["ended", endText(pinhole)],
    ["flow", flowText(pinhole)],
    ["outside", outside === undefined ? undefined : leaseText(outside)],
    ["inside", inside === undefined ? undefined : leaseText(inside)],
    ["lease", `${leftText(granted)}, ${leftText(remaining)} left`],
    ["revision", String(revision)],
    ["labels", labels.join(", ")],
    ["limits", limits.join(", ")],
    ["traffic", traffic === undefined ? undefined : `${traffic.packets} packets, ${traffic.bytes} bytes`],
  ];
  const given = rows.filter(([, value]) => value !== undefined && value !== "");
  return alignTable(given.map(([name, value]) => [name, value ?? ""]));
}

/** What happened, in one line. */
export function eventText({ type, at, pinhole, group, text, generation }: PinholeEvent): string {
  const time = at === undefined ? "" : `${new Date(at).toISOString()} `;
  if (pinhole !== undefined) {
    const { id, clientId, reason, owner } = pinhole;
    const why = reason === undefined ? "" : ` (${reason})`;
    const told = text === undefined ? "" : `: ${text}`;
    return `${time}${type} ${clientId ?? id} ${flowText(pinhole)} of ${owner}${why}${told}\n`;
  }
  return `${time}${type} ${text ?? group ?? `generation ${generation}`}\n`;
}

/** How a daemon fares. */
export function pinholeStatusText(status: PinholeStatus): string {
  const { backend, pinholes, generation, pid, uptimeSeconds, counters } = status;
  const health = backend.isDegraded ? `degraded: ${backend.reason}` : "works";
  const head = alignTable([
    ["packet filter", `${backend.name} (${health})`],
    ["pinholes", String(pinholes)],
    ["elements", `${backend.enforced} of ${backend.desired} in force`],
    ["generation", String(generation)],
    ["process", `${pid}, up ${uptimeSeconds} s`],
  ]);
  const rows = Object.entries(counters).map(([name, value]) => [name, String(value)]);
  return `${head}\n${alignTable(rows, [1])}`;
}
