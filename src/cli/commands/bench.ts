/** `postern bench`: the measurements of docs/PERFORMANCE.md, on this machine. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Argument, type Command } from "commander";

/** What can be measured, and the program that does it. */
const BENCHES = {
  queue: "the way through the kernel's queue, beside no firewall and beside a loop in C",
  peers: "one policy beside no firewall, nftables, iptables, a loop in C, and PyWall's design in Python",
  state: "the state table at a thousand, a hundred thousand and a million flows",
  policy: "the evaluation of policies, rule by rule",
} as const;

type BenchName = keyof typeof BENCHES;

function run(name: BenchName, words: readonly string[]): Promise<number> {
  const program = fileURLToPath(new URL(`../../../bench/${name}.mjs`, import.meta.url));
  const child = spawn(process.execPath, [program, ...words], { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (status) => resolve(status ?? 1));
  });
}

async function bench(name: BenchName | undefined, _flags: unknown, command: Command): Promise<void> {
  const names = name === undefined ? (Object.keys(BENCHES) as BenchName[]) : [name];
  const words = command.args.slice(name === undefined ? 0 : 1);
  for (const each of names) {
    process.stdout.write(`\n${each}: ${BENCHES[each]}\n\n`);
    const status = await run(each, words);
    if (status !== 0) {
      process.exitCode = status;
      return;
    }
  }
}

/** Adds `postern bench`. */
export function addBenchCommand(program: Command): void {
  program
    .command("bench")
    .summary("measure on this machine")
    .description(
      `Measures, always beside a reference in the same run:\n${Object.entries(BENCHES)
        .map(([name, what]) => `  ${name}: ${what}`)
        .join("\n")}\n\nWords after the name go to the measurement, such as --json or --rounds 5.`,
    )
    .addArgument(
      new Argument("[name]", "what to measure; everything when absent").choices(Object.keys(BENCHES)),
    )
    .allowUnknownOption()
    .allowExcessArguments()
    .action(bench);
}
