/**
 * The firewall that sees what a plan sends up, and the one that sees every packet: the same verdicts.
 *
 * No kernel takes part, so that many policies can be walked: the plan is executed packet by packet, and what
 * it sends up is judged by an engine whose state table knows nothing else.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planPolicy } from "#backend";
import { HOOK, type HookName, PROTOCOL, verdictName } from "#base";
import { allocateMemory, compilePolicy } from "#policy";
import { leadingPolicies, PlanWalk, policies } from "#testing";
import { buildPacket, decodePacket, Packet } from "#wire";
import { type JudgedPacket, packetRuns } from "./packets.ts";
import { referenceEngine } from "./reference.ts";

const INTERFACES = ["", "eth0", "eth1"];

const UNREACHABLE = {
  4: { protocol: PROTOCOL.ICMP, icmpType: 3 },
  6: { protocol: PROTOCOL.ICMPV6, icmpType: 1 },
};

/** What comes back to the sender of each packet when nobody is there. */
function errorAbout({ bytes, hook, now }: JudgedPacket): JudgedPacket {
  const packet = new Packet();
  decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
  const family = packet.family === 6 ? 6 : 4;
  const back: HookName = hook === "INPUT" ? "OUTPUT" : hook === "OUTPUT" ? "INPUT" : "FORWARD";
  const [source, destination] =
    family === 4 ? ["192.0.2.200", "192.0.2.130"] : ["2001:db8::1", "2001:db8:8000::2"];
  return {
    bytes: buildPacket({ ...UNREACHABLE[family], source, destination, icmpCode: 1, payload: bytes }),
    hook: back,
    now,
    out: back === "INPUT" ? "" : "eth1",
  };
}

/** Follows one packet in three with an error about it. */
function withErrors(run: readonly JudgedPacket[]): JudgedPacket[] {
  return run.flatMap((packet, at) => (at % 3 === 0 ? [packet, errorAbout(packet)] : [packet]));
}

function decodeAt(packet: Packet, { bytes, hook }: JudgedPacket): void {
  packet.hook = HOOK[hook];
  packet.inInterface = hook === "OUTPUT" ? 0 : 1;
  packet.outInterface = hook === "INPUT" ? 0 : 2;
  packet.userId = hook === "OUTPUT" ? 0 : -1;
  packet.groupId = packet.userId;
  packet.conntrackState = 1;
  decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
}

test("an engine that sees what the plan sends up judges it like one that sees every packet", () => {
  const seen = { kernel: 0, up: 0, narrow: 0 };
  const sources = fc.oneof({ weight: 3, arbitrary: leadingPolicies }, policies(5));
  fc.assert(
    fc.property(sources, packetRuns(100).map(withErrors), (source, run) => {
      const text = JSON.stringify(source);
      const { policy } = compilePolicy(text, { file: "policy.json" });
      assert.ok(policy !== undefined, text);
      const memory = allocateMemory(policy);
      const plan = planPolicy(policy, memory);
      const { parts } = plan.regions.tracked;
      const isNarrow = parts.length > 0 && parts.every((part) => part.length > 0);
      const walk = new PlanWalk(plan, policy.attachTables(memory));
      const name = (index: number): string => INTERFACES[index] ?? "";
      const [all, some] = [referenceEngine(policy, name).engine, referenceEngine(policy, name).engine];
      const packet = new Packet();
      for (const [at, judged] of run.entries()) {
        decodeAt(packet, judged);
        const wanted = verdictName(all.judge(packet, judged.now));
        const interfaces = {
          inInterface: name(packet.inInterface),
          outInterface: name(packet.outInterface),
        };
        const { action } =
          packet.fault === undefined ? walk.walk(judged.hook, packet, interfaces) : { action: "userspace" };
        const isUp = action === "userspace";
        seen[isUp ? "up" : "kernel"] += 1;
        if (!isUp && isNarrow) seen.narrow += 1;
        const verdict = isUp ? verdictName(some.judge(packet, judged.now)) : action.toUpperCase();
        assert.equal(verdict, wanted, `packet ${at} at ${judged.hook}, ${action}, ${text}`);
      }
    }),
    { numRuns: 300, endOnFailure: true },
  );
  assert.ok(seen.narrow > 1000 && seen.up > 1000, JSON.stringify(seen));
});
