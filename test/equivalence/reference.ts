/**
 * The engine as a worker has it, with a state table of its own: what all ways of judging are held against.
 */
import { COUNTERS, Engine } from "#engine";
import { allocateMemory, type Policy, type RuleMemory } from "#policy";
import { Tracker } from "#state";
import { SILENT_REPORT } from "#testing";

/** Flows of its state table; more than a test has. */
const FLOWS = 4096;

/** An engine and the memory of its rules. */
export interface Reference {
  readonly engine: Engine;
  readonly memory: RuleMemory;
}

/** Makes an engine that has seen nothing. */
export function referenceEngine(policy: Policy, interfaceName: (index: number) => string): Reference {
  const memory = allocateMemory(policy);
  const engine = new Engine({
    initial: { policy, memory, revision: 1 },
    tracker: new Tracker({ capacity: FLOWS }),
    report: SILENT_REPORT,
    interfaceName,
    counters: new Float64Array(COUNTERS.length),
  });
  return { engine, memory };
}
