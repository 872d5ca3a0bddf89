/** An engine as a worker has it, with a policy written as an object. */
import { COUNTERS, Engine, type EngineObserver } from "../engine/index.ts";
import { allocateMemory, compilePolicy, type RuleReport } from "../policy/index.ts";
import { Tracker, type TrackerOptions } from "../state/index.ts";

/** Nobody listens. */
export const SILENT_REPORT: RuleReport = {
  printing: false,
  print: () => undefined,
  log: () => undefined,
  ruleError: () => undefined,
};

/** What a sample engine may differ in. */
export interface SampleEngineOptions {
  readonly tracker?: TrackerOptions;
  readonly observer?: EngineObserver;
}

/**
 * Makes an engine.
 *
 * @param policy - the policy, as JSON would have it
 * @param options - tracker and observer
 */
export function sampleEngine(policy: object, options: SampleEngineOptions = {}): Engine {
  const compiled = compilePolicy(JSON.stringify(policy), { file: "sample.json" });
  if (compiled.policy === undefined) throw new TypeError(JSON.stringify(compiled.problems));
  return new Engine({
    initial: { policy: compiled.policy, memory: allocateMemory(compiled.policy), revision: 1 },
    tracker: new Tracker(options.tracker),
    report: SILENT_REPORT,
    interfaceName: () => "",
    counters: new Float64Array(COUNTERS.length),
    ...(options.observer === undefined ? {} : { observer: options.observer }),
  });
}
