/** What the commands that run a daemon have in common: log, socket, and the signal that ends them. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { FirewallError } from "../base/index.ts";
import { LOG_LEVELS, Log, type LogLevel } from "../daemon/log.ts";
import type { SocketPlace } from "../daemon/socket-place.ts";
import { resolveGroup } from "../system/index.ts";

/** How a daemon logs. */
export interface LogFlags {
  logLevel: LogLevel;
  logFile?: string;
  logDir?: string;
  logJson?: boolean;
}

/** Where a daemon's socket is. */
export interface SocketFlags {
  socket: string;
  socketMode: number;
  socketGroup?: string;
}

function parseMode(text: string): number {
  if (!/^[0-7]{3,4}$/.test(text)) throw new InvalidArgumentError("It takes an octal mode such as 660.");
  return Number.parseInt(text, 8);
}

function groupId(name: string): number {
  const id = resolveGroup(name);
  if (id === undefined) throw new FirewallError("USAGE", `there is no group "${name}"`);
  return id;
}

/** Resolves with the name of the signal that asks the daemon to end. */
export function untilSignal(): Promise<string> {
  return new Promise((done) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => done(signal));
  });
}

/** Opens the log. @throws {FirewallError} `LOG_FILE` */
export function openLog(flags: LogFlags): Log {
  const { logLevel, logJson = false, logFile, logDir } = flags;
  const file = logFile === undefined ? {} : { file: logFile };
  const folder = logDir === undefined ? {} : { folder: logDir };
  return new Log({ level: logLevel, json: logJson, ...file, ...folder });
}

/** Adds the flags of {@link LogFlags}. */
export function addLogFlags(command: Command): Command {
  return command
    .addOption(
      new Option("-l, --log-level <level>", "least urgent lines to log").choices(LOG_LEVELS).default("INFO"),
    )
    .option("-f, --log-file <file>", "log to this file too; it is truncated first")
    .addOption(
      new Option(
        "--log-dir <folder>",
        "log to a file of each day in this folder too; the newest 20 are kept",
      ).conflicts("logFile"),
    )
    .option("--log-json", "log one JSON object a line");
}

/** Adds the flags of {@link SocketFlags} but `--socket` itself. */
export function addSocketFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--socket-mode <mode>", "its permissions, octal").argParser(parseMode).default(0o600, "600"),
    )
    .option("--socket-group <group>", "the group that owns it");
}

/**
 * Where the socket shall be.
 *
 * @throws {FirewallError} `USAGE` when there is no such group
 */
export function socketPlace({ socket, socketMode, socketGroup }: SocketFlags): SocketPlace {
  const group = socketGroup === undefined ? {} : { groupId: groupId(socketGroup) };
  return { path: resolve(socket), mode: socketMode, ...group };
}
