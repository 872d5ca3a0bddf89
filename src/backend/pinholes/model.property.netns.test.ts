import assert from "node:assert/strict";
import fc from "fast-check";
import { formatAddress, PROTOCOL } from "../../base/index.ts";
import { forwardPacket, type PacketFacts, type Passage } from "../../pinhole/index.ts";
import { Conntrack, inNamespace } from "../../system/index.ts";
import {
  BORDER,
  HistoryWorld,
  histories,
  netnsTest,
  PacketProbe,
  packets,
  packetsToLeases,
  WORLD,
} from "../../testing/index.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";
import { SimulatedPinholes } from "./simulator.ts";

/** Leases outlast the test, because the kernel's clock is not the model's. */
const SHAPE = { lifetimes: [1000, 5000], pauseMaxMs: 500_000, stepsMax: 12 } as const;

function ends({ family, protocol, source, sourcePort, destination, destinationPort }: PacketFacts): string[] {
  const from = `${protocol} ${formatAddress(family, source)} ${sourcePort}`;
  const to = `${formatAddress(family, destination)} ${destinationPort}`;
  return [from, to];
}

/** Packets that begin connections of their own: an answer goes the way of what it answers. */
function beginnings(shown: readonly PacketFacts[], passages: readonly Passage[]): number[] {
  const taken = new Set<string>();
  return shown.flatMap((packet, index) => {
    const own = ends(packet).join(" ");
    if (taken.has(own)) return [];
    const left = passages[index]?.packet ?? packet;
    // The kernel translates an ICMP message only when it makes sense, and these are bare headers.
    if (packet.protocol === PROTOCOL.ICMP && ends(left).join(" ") !== own) return [];
    const back: PacketFacts = {
      ...left,
      source: left.destination,
      sourcePort: left.destinationPort,
      destination: left.source,
      destinationPort: left.sourcePort,
    };
    // Connections must be told apart by their packets and by their answers: of two that cannot, the kernel
    // drops the second, or gives it another port.
    const answer = ends(back).join(" ");
    if (taken.has(answer)) return [];
    taken.add(own).add(answer);
    return [index];
  });
}

const REACHABLE: ReadonlySet<string> = new Set(
  Object.values(WORLD).flatMap(({ ours, theirs }) => [...ours, ...theirs]),
);

/** What the model expects to see on the other side; undefined for nothing. */
function expected({ judgement, packet }: Passage): string | undefined {
  const isReachable = REACHABLE.has(formatAddress(packet.family, packet.destination));
  return judgement === "permit" && isReachable ? ends(packet).join(" ") : undefined;
}

netnsTest(
  "model, simulator and nftables agree about real packets after any history, deaths and translations among it",
  BORDER,
  async (hosts) => {
    const probe = await PacketProbe.open(hosts);
    const [kernel, tracker] = inNamespace(hosts.firewall.fullName, () => {
      const plan = { table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" } as const;
      return [NftablesPinholes.open(plan), Conntrack.open()] as const;
    });
    const seen = { passed: 0, stopped: 0, blocked: 0, translated: 0 };
    try {
      await fc.assert(
        fc.asyncProperty(
          histories(SHAPE),
          fc.array(packets(), { minLength: 100, maxLength: 100 }),
          async (history, random) => {
            const simulator = new SimulatedPinholes();
            const world = new HistoryWorld([simulator, kernel]);
            await world.begin();
            for (const step of history) {
              await world.step(step);
              tracker.flush();
              const pinholes = [...world.store.all()];
              const all = [...pinholes.flatMap(packetsToLeases), ...random];
              const own = new Set(
                beginnings(
                  all,
                  all.map((packet) => forwardPacket(pinholes, packet)),
                ),
              );
              const shown = all.filter((_, index) => own.has(index));
              const arrived = await probe.send(shown);
              for (const [index, packet] of shown.entries()) {
                const passage = forwardPacket(pinholes, packet);
                const { verdict, packet: simulated } = simulator.forward(packet, world.moment.now);
                const real = arrived[index];
                seen[real === undefined ? "stopped" : "passed"] += 1;
                if (passage.judgement === "block") seen.blocked += 1;
                assert.equal(verdict === "accept", passage.judgement === "permit", "simulator and model");
                assert.deepEqual(simulated, passage.packet, "simulator and model");
                const wanted = expected(passage);
                assert.equal(
                  real === undefined ? undefined : ends(real).join(" "),
                  wanted,
                  "kernel and model",
                );
                if (wanted !== undefined && wanted !== ends(packet).join(" ")) seen.translated += 1;
              }
            }
            await world.audit();
          },
        ),
        // Shrinking would show thousands of histories to the kernel.
        { numRuns: 40, endOnFailure: true },
      );
    } finally {
      probe.close();
      tracker.close();
      await kernel.close();
    }
    assert.ok(seen.passed > 300 && seen.blocked > 50 && seen.translated > 100, JSON.stringify(seen));
  },
);
