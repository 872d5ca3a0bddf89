/** Tests on real traffic: each in a laboratory of its own, skipped with a reason where none can be made. */
import { test } from "node:test";
import { laboratoryObstacle, type Topology, type TopologyPlan, withTopology } from "../lab/index.ts";

/** Longest time one such test may take, in milliseconds. */
const TIMEOUT_MS = 120_000;

/**
 * Declares a test that runs in network namespaces made for it.
 *
 * Belongs in files named `*.netns.test.ts`, which run one after the other.
 *
 * @param title - what holds, as a sentence
 * @param plan - the hosts it needs, such as `HOST_PAIR` or `GATEWAY`
 * @param body - the test
 */
export function netnsTest<Name extends string>(
  title: string,
  plan: TopologyPlan<Name>,
  body: (hosts: Topology<Name>) => Promise<void>,
): void {
  const skip = laboratoryObstacle() ?? false;
  void test(title, { skip, timeout: TIMEOUT_MS }, () => withTopology(plan, body));
}
