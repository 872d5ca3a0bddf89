/** Lines about packets that the kernel has judged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HOOK, PROTOCOL, VERDICT } from "../base/index.ts";
import { judgedPlace } from "../netlink/index.ts";
import { COUNTERS, Engine } from "../engine/index.ts";
import { allocateMemory } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import { compileValid, decodeBuilt } from "../testing/policy-probe.ts";
import { LineBuffer } from "./line-buffer.ts";
import { RuleBook } from "./rule-book.ts";
import { VerdictReporter } from "./verdict-reporter.ts";
import type { WorkerLine } from "./worker-protocol.ts";

/** A policy that drops pings in a chain of this name. */
function enginePolicy(chain: string, revision: number): ConstructorParameters<typeof Engine>[0]["initial"] {
  const policy = compileValid({
    settings: { compatibility: "strict" },
    INPUT: [{ name: "ICMPRule", protocol: "ICMP", type: "echo-request", action: chain }],
    [chain]: [{ name: "TrueRule", action: "DROP" }],
  });
  return { policy, memory: allocateMemory(policy), revision };
}

const PING = decodeBuilt({
  source: "192.0.2.1",
  destination: "198.51.100.7",
  protocol: PROTOCOL.ICMP,
  icmpType: 8,
  hook: HOOK.INPUT,
});

/** The first chain of one's own and its first rule, in a policy of the second revision. */
const PRIORITY = (3 << 27) | (1 << 16) | 1;

test("what the kernel dropped by a policy that was replaced meanwhile has the rule of that policy", () => {
  const lines: WorkerLine[] = [];
  const buffer = new LineBuffer({ pending: 16, perSecond: 16 }, (sent) => lines.push(...sent));
  const first = enginePolicy("pings", 2);
  const engine = new Engine({
    initial: first,
    tracker: new Tracker({ capacity: 16 }),
    report: new VerdictReporter(buffer, "INFO", () => 0),
    observer: new VerdictReporter(buffer, "INFO", () => 0),
    interfaceName: () => "",
    counters: new Float64Array(COUNTERS.length),
  });
  const book = new RuleBook();
  book.add(first);
  const adopt = (priority: number): void => {
    const place = judgedPlace(priority >>> 0, engine.revision);
    engine.adopt(PING, 0, VERDICT.DROP, { ...place, policy: book.policy(place.revision) });
  };
  adopt(PRIORITY);
  const next = enginePolicy("echoes", 3);
  book.add(next);
  engine.swap(next);
  adopt(PRIORITY);
  // Where queues tell no priority.
  adopt(0);
  engine.judge(PING, 0);
  buffer.flush();
  assert.deepEqual(
    lines.map(({ message }) => message.replace(/^.*, /, "")),
    ["pings rule 0", "pings rule 0 of policy revision 2", "untold", "echoes rule 0"],
  );
  assert.deepEqual(
    lines.map(({ facts }) => [facts?.["chain"], facts?.["rule"], facts?.["revision"]]),
    [
      ["pings", 0, 2],
      ["pings", 0, 2],
      [null, null, undefined],
      ["echoes", 0, undefined],
    ],
  );
});
