/** Tests on real traffic: each in a laboratory of its own, skipped with a reason where none can be made. */
import { existsSync } from "node:fs";
import { test } from "node:test";
import { laboratoryObstacle, type Topology, type TopologyPlan, withTopology } from "../lab/index.ts";

/** Longest time one such test may take, in milliseconds. */
const TIMEOUT_MS = 300_000;

/** Longest time a test of a file `*.long.test.ts` may take, in milliseconds. */
const LONG_TIMEOUT_MS = 3_600_000;

const PROGRAM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Why a program cannot be used here; `undefined` when it can. */
function missingProgram(programs: readonly string[]): string | undefined {
  const missing = programs.find(
    (program) => !PROGRAM_FOLDERS.some((folder) => existsSync(`${folder}/${program}`)),
  );
  return missing === undefined ? undefined : `the program \`${missing}\` is not installed`;
}

/**
 * Declares a test that runs in network namespaces made for it.
 *
 * Belongs in files named `*.netns.test.ts`. Others run at the same time in namespaces of theirs.
 *
 * @param title - what holds, as a sentence
 * @param plan - the hosts it needs, such as `HOST_PAIR` or `GATEWAY`
 * @param body - the test
 * @param programs - that it needs besides; without one of them it is skipped, and the reason is printed
 */
export function netnsTest<Name extends string>(
  title: string,
  plan: TopologyPlan<Name>,
  body: (hosts: Topology<Name>) => Promise<void>,
  programs: readonly string[] = [],
): void {
  const skip = laboratoryObstacle() ?? missingProgram(programs) ?? false;
  void test(title, { skip, timeout: TIMEOUT_MS }, () => withTopology(plan, body));
}

/**
 * Declares a test that runs for minutes in network namespaces made for it.
 *
 * Belongs in files named `*.netns.long.test.ts`.
 *
 * @param title - what holds, as a sentence
 * @param plan - the hosts it needs
 * @param body - the test
 */
export function longNetnsTest<Name extends string>(
  title: string,
  plan: TopologyPlan<Name>,
  body: (hosts: Topology<Name>) => Promise<void>,
): void {
  const skip = laboratoryObstacle() ?? false;
  void test(title, { skip, timeout: LONG_TIMEOUT_MS }, () => withTopology(plan, body));
}
