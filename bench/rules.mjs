/**
 * Puts Postern's rules in place in this network namespace (`install HOOKS`), or takes them out (`remove`).
 */
import {
  DEFAULT_PRIORITY,
  DEFAULT_TABLE,
  KernelRules,
  probeKernel,
  removeLeftovers,
  requireQueueExpression,
} from "../dist/backend/index.js";
import { DEFAULT_MARK_MASK } from "../dist/netlink/index.js";

const [, , command, hooks = "INPUT"] = process.argv;
if (command === "install") {
  const plan = {
    table: DEFAULT_TABLE,
    hooks: hooks.split(","),
    priority: DEFAULT_PRIORITY,
    markMask: DEFAULT_MARK_MASK,
    queues: { first: 0, count: 1, bypass: true },
  };
  KernelRules.install(plan, requireQueueExpression(probeKernel()));
} else {
  removeLeftovers();
}
