/**
 * Nothing stays behind: every namespace that this process makes is removed when its work is done, when the
 * process ends, and when a signal ends it. What a killed process could not remove, the next laboratory
 * removes.
 *
 * A namespace is named `postern-PID-START-NUMBER-HOST`. PID and the start time of that process (in clock
 * ticks since boot, proc(5)) tell for certain whether its maker still lives, also after process ids have been
 * used again.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const NAMESPACE_FOLDER = "/run/netns";
const NAME = /^postern-(\d+)-(\d+)-\d+-[a-z0-9-]+$/;

/**
 * Position of the start time among the fields behind the program's name in /proc/PID/stat (field 22 of all).
 */
const START_TIME_FIELD = 19;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const owned = new Set<string>();
let nextNumber = 1;
let isWatching = false;

/** Start time of a process in clock ticks since boot; undefined when there is no such process. */
function startTimeOf(pid: number | string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name stands in parentheses and may hold anything, also spaces and parentheses.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME_FIELD];
  } catch {
    return undefined;
  }
}

function ip(...words: string[]): string {
  try {
    return execFileSync("ip", words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    // Somebody else removed it first, which is what we wanted.
    return "";
  }
}

/**
 * Removes a namespace and ends whatever still runs in it.
 *
 * @param fullName - its name on this machine
 */
export function removeNamespace(fullName: string): void {
  for (const pid of ip("netns", "pids", fullName).split("\n")) {
    if (pid !== "" && Number(pid) !== process.pid) kill(Number(pid));
  }
  ip("netns", "delete", fullName);
  owned.delete(fullName);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

function removeOwned(): void {
  for (const fullName of owned) removeNamespace(fullName);
}

function onSignal(signal: NodeJS.Signals): void {
  removeOwned();
  // Die of the signal, as if it had not been caught: whoever started us must be able to tell.
  for (const name of SIGNALS) process.off(name, onSignal);
  process.kill(process.pid, signal);
}

/** Names of namespaces whose maker is gone. */
export function findLeftovers(): string[] {
  let names: string[];
  try {
    names = readdirSync(NAMESPACE_FOLDER);
  } catch {
    return [];
  }
  return names.filter((name) => {
    const match = NAME.exec(name);
    return match !== null && startTimeOf(match[1] ?? "") !== match[2];
  });
}

/**
 * Chooses names for the namespaces of one laboratory and promises to remove them when this process ends.
 *
 * @param hosts - names of the hosts
 * @param keepSignals - true when the caller ends the process itself on SIGINT, SIGTERM and SIGHUP
 * @returns the full name for each host, in the same order
 */
export function claimNames(hosts: readonly string[], keepSignals: boolean): string[] {
  if (!isWatching) {
    isWatching = true;
    process.once("exit", removeOwned);
    if (!keepSignals) for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  const prefix = `postern-${process.pid}-${startTimeOf(process.pid) ?? "0"}-${nextNumber++}`;
  const names = hosts.map((host) => `${prefix}-${host}`);
  for (const name of names) owned.add(name);
  return names;
}
