/** What the benchmarks with real traffic share: programs beside us, medians, the machine in words. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { laboratoryObstacle, startFirewall } from "../dist/lab/index.js";
import { kernelRelease } from "../dist/system/index.js";

/** The path of a file in this folder. */
export const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The command that runs a program of this folder. */
export const node = (name, ...words) => [process.execPath, here(name), ...words.map(String)];

export const pause = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

/** A sentence for the person at the terminal; figures alone go to standard output. */
export const say = (sentence) => process.stderr.write(`${sentence}\n`);

export function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value below which a share of all lie, from 0 to 1. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Medians of samples, figure by figure. @param samples - objects whose members are numbers */
export function medians(samples) {
  const figures = [...new Set(samples.flatMap((sample) => Object.keys(sample)))];
  return Object.fromEntries(figures.map((key) => [key, median(samples.map((sample) => sample[key]))]));
}

/** Compiles the loop in C. Returns the program's path, or undefined when there is no compiler. */
export function compileReference(folder) {
  const program = join(folder, "accept-all");
  for (const compiler of ["cc", "gcc", "clang"]) {
    try {
      execFileSync(compiler, ["-O2", "-o", program, here("accept-all.c")], { stdio: "ignore" });
      return program;
    } catch {
      // The next one, or none.
    }
  }
  say("No C compiler: the loop in C is left out (Debian: apt-get install gcc libc6-dev).");
  return undefined;
}

/** Ends the program with status 3 where no network namespaces can be made, and says why. */
export function requireLaboratory() {
  const obstacle = laboratoryObstacle();
  if (obstacle === undefined) return;
  say(`The benchmark cannot run: ${obstacle}.`);
  process.exit(3);
}

/** True when a program can be run; otherwise says what is left out. */
export function hasProgram(name, leftOut, words = ["--version"]) {
  try {
    execFileSync(name, words, { stdio: "ignore" });
    return true;
  } catch (error) {
    if (error.code !== "ENOENT") return true;
    say(`No ${name}: ${leftOut} is left out (Debian: apt-get install ${name}).`);
    return false;
  }
}

/** Length of a tick in /proc/PID/stat: USER_HZ is 100 on every platform that Node runs on. */
const MILLISECONDS_PER_TICK = 10;

/**
 * Processor time so far, in milliseconds, in user and kernel mode.
 *
 * @param pid - of which process
 * @param of - "itself" with all its threads, or its "children", those that have ended and were waited for
 */
export function processorMs(pid, of = "itself") {
  // proc(5): fields 14 and 15 are the process' own ticks, 16 and 17 the children's; counted here behind the
  // program's name, which may hold anything.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const first = of === "itself" ? 11 : 13;
  return (Number(fields[first]) + Number(fields[first + 1])) * MILLISECONDS_PER_TICK;
}

/**
 * UDP datagrams that have reached sockets of a host, and those that found the sockets' buffers full: both are
 * behind every rule.
 */
export async function deliveredUdp(host) {
  const output = await host.must(["cat", "/proc/net/snmp"]);
  const [names, values] = output.split("\n").filter((line) => line.startsWith("Udp:"));
  const column = (name) => Number(values.split(" ")[names.split(" ").indexOf(name)]);
  return { read: column("InDatagrams"), spilt: column("InErrors") };
}

/**
 * From "ready": a second later the firewall collects what reading its policy has left, on the main thread.
 */
const COLLECTED_MS = 3000;

/** Runs a firewall that judges every packet itself while `measure` runs, which is given its program. */
export async function withFirewall({ firewall, policy }, measure) {
  // With its rules in the kernel there would be no way through the queue.
  const running = await startFirewall(firewall, { policy, words: ["--no-offload"] });
  try {
    await pause(COLLECTED_MS);
    return await measure(running.program);
  } finally {
    await running.stop();
  }
}

/** Starts a loop that answers queue 0, and sends the packets of hooks to it while `measure` runs. */
export async function withQueueLoop({ firewall, command, hooks = "INPUT,OUTPUT" }, measure) {
  const loop = firewall.start(command);
  await loop.waitForLine(/ready/);
  const installed = await firewall.run(node("rules.mjs", "install", hooks));
  if (installed.status !== 0) throw new Error(installed.output);
  try {
    return await measure(loop);
  } finally {
    await firewall.run(node("rules.mjs", "remove"));
    await loop.stop("SIGTERM");
  }
}

export function describeMachine() {
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: kernelRelease(),
    node: process.version,
    processors: cpus().length,
    processor: cpus()[0]?.model ?? "unknown",
  };
}

/** The machine and the day, for below a table. */
export function machineWords({ date, kernel, node: version, processors, processor }) {
  return `${date}, kernel ${kernel}, Node ${version}, ${processors} × ${processor}`;
}
