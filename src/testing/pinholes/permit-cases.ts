/** Of what every packet filter must do: what passes, and what does not. */
import { type Family, PROTOCOL } from "../../base/index.ts";
import type { PinholeSpec } from "../../pinhole/index.ts";
import {
  type ComplianceWorld,
  type ComplianceCase,
  flow,
  IN,
  OUT,
  OURS,
  THEIRS,
  type PacketWords,
} from "./compliance-world.ts";

const TCP = PROTOCOL.TCP;

async function tcpDirection(world: ComplianceWorld, direction: "in" | "out" | "both"): Promise<void> {
  const id = await world.open(flow(4, { protocol: TCP, direction }));
  await world.expect([
    [{ ...IN, protocol: TCP, syn: true }, direction !== "out"],
    [{ ...OUT, protocol: TCP, syn: true }, direction !== "in"],
    [{ ...IN, protocol: TCP }, true],
    [{ ...OUT, protocol: TCP }, true],
    [IN, false],
  ]);
  await world.close(id);
}

async function rangeBoundaries(
  world: ComplianceWorld,
  family: Family,
  [low, high]: [number, number],
): Promise<void> {
  const id = await world.open(
    flow(family, {
      internal: { family, address: OURS[family], ports: [low, high] },
      external: { family, address: THEIRS[family], ports: null },
    }),
  );
  const at = (ourPort: number, passes: boolean): [PacketWords, boolean][] => [
    [{ ...IN, family, ourPort, theirPort: 1 }, passes],
    [{ ...OUT, family, ourPort, theirPort: 65_535 }, passes],
  ];
  await world.expect([...at(low - 1, false), ...at(low, true), ...at(high, true), ...at(high + 1, false)]);
  await world.close(id);
}

/** Tests of what passes, and what does not. */
export const PERMIT_CASES: readonly ComplianceCase[] = [
  {
    title: "nothing passes before anything is opened",
    run: async (world) => {
      await world.expect([
        [IN, false],
        [OUT, false],
        [{ ...IN, protocol: TCP, syn: true }, false],
        [{ ...IN, family: 6 }, false],
      ]);
    },
  },
  {
    title: "a direction is for packets of UDP, and closing ends it",
    run: async (world) => {
      for (const family of [4, 6] as const) {
        for (const direction of ["in", "out", "both"] as const) {
          const id = await world.open(flow(family, { direction }));
          await world.expect([
            [{ ...IN, family }, direction !== "out"],
            [{ ...OUT, family }, direction !== "in"],
            [{ ...IN, family, theirPort: 6005 }, false],
          ]);
          await world.close(id);
          await world.expect([
            [{ ...IN, family }, false],
            [{ ...OUT, family }, false],
          ]);
        }
      }
    },
  },
  {
    title: "only the allowed side sets TCP connections up, and then both sides speak",
    run: async (world) => {
      for (const direction of ["in", "out", "both"] as const) await tcpDirection(world, direction);
    },
  },
  {
    title: "ranges of ports end where they end, whether they are small or wide",
    run: async (world) => {
      for (const family of [4, 6] as const) {
        await rangeBoundaries(world, family, [5000, 5003]);
        await rangeBoundaries(world, family, [5000, 9999]);
      }
    },
  },
  {
    title: "networks end where they end, and bits behind the prefix do not count",
    run: async (world) => {
      await world.open(flow(4, { external: { family: 4, address: "203.0.113.77", prefix: 31 } }));
      await world.open(flow(6, { external: { family: 6, address: "2001:db8:100::7", prefix: 127 } }));
      await world.expect([
        [{ ...IN, theirs: "203.0.113.75" }, false],
        [{ ...IN, theirs: "203.0.113.76" }, true],
        [{ ...IN, theirs: "203.0.113.77", theirPort: 1 }, true],
        [{ ...IN, theirs: "203.0.113.78" }, false],
        [{ ...IN, family: 6, theirs: "2001:db8:100::5" }, false],
        [{ ...IN, family: 6, theirs: "2001:db8:100::6" }, true],
        [{ ...OUT, family: 6, theirs: "2001:db8:100::7" }, true],
        [{ ...IN, family: 6, theirs: "2001:db8:100::8" }, false],
      ]);
    },
  },
  {
    title: "the slides' example: networks and ranges of ports on both sides, then others in one transaction",
    run: async (world) => {
      const ports = { internal: [300, 400], external: [100, 200] } as const;
      const [first = ""] = await world.apply([
        {
          op: "open",
          spec: flow(4, {
            internal: { family: 4, address: "10.3.4.5", prefix: 24, ports: ports.internal },
            external: { family: 4, address: "203.0.113.4", prefix: 24, ports: ports.external },
            direction: "in",
          }),
        },
      ]);
      const old = { ...IN, ours: "10.3.4.200", theirs: "203.0.113.99" };
      const next = { ...IN, ours: "10.7.8.1", theirs: "198.18.7.1" };
      await world.expect([
        [{ ...old, ourPort: 300, theirPort: 200 }, true],
        [{ ...old, ourPort: 400, theirPort: 100 }, true],
        [{ ...old, ourPort: 401, theirPort: 100 }, false],
        [{ ...old, ourPort: 300, theirPort: 99 }, false],
        [{ ...next, ourPort: 350, theirPort: 150 }, false],
      ]);
      await world.apply([
        { op: "close", id: first },
        {
          op: "open",
          spec: flow(4, {
            internal: { family: 4, address: "10.7.8.9", prefix: 24, ports: ports.internal },
            external: { family: 4, address: "198.18.7.8", prefix: 24, ports: ports.external },
            direction: "in",
          }),
        },
      ]);
      await world.expect([
        [{ ...old, ourPort: 300, theirPort: 200 }, false],
        [{ ...next, ourPort: 350, theirPort: 150 }, true],
      ]);
    },
  },
  {
    title: "pairwise ranges go port by port, products each with each",
    run: async (world) => {
      const ranges: Partial<PinholeSpec> = {
        internal: { family: 4, address: OURS[4], ports: [5004, 5005] },
        external: { family: 4, address: THEIRS[4], ports: [6004, 6005] },
        direction: "in",
      };
      const pairwise = await world.open(flow(4, { ...ranges, portMode: "pairwise" }));
      await world.expect([
        [{ ...IN, ourPort: 5004, theirPort: 6004 }, true],
        [{ ...IN, ourPort: 5005, theirPort: 6005 }, true],
        [{ ...IN, ourPort: 5004, theirPort: 6005 }, false],
        [{ ...IN, ourPort: 5005, theirPort: 6004 }, false],
      ]);
      await world.close(pairwise);
      await world.open(flow(4, { ...ranges, portMode: "product" }));
      await world.expect([
        [{ ...IN, ourPort: 5004, theirPort: 6005 }, true],
        [{ ...IN, ourPort: 5005, theirPort: 6004 }, true],
        [{ ...IN, ourPort: 5006, theirPort: 6004 }, false],
      ]);
    },
  },
  {
    title: "an open side means every address and port of its family, and nothing else",
    run: async (world) => {
      await world.open(flow(4, { external: { family: 4 }, direction: "in" }));
      await world.expect([
        [{ ...IN, theirs: "198.18.7.9", theirPort: 7 }, true],
        [IN, true],
        [{ ...IN, ourPort: 5005 }, false],
        [OUT, false],
        [{ ...IN, family: 6 }, false],
      ]);
    },
  },
  {
    title: "protocols without ports, and all protocols at once",
    run: async (world) => {
      const hosts = {
        internal: { family: 4, address: OURS[4] },
        external: { family: 4, address: THEIRS[4] },
      } as const;
      const ping = await world.open(flow(4, { ...hosts, protocol: PROTOCOL.ICMP, direction: "out" }));
      await world.expect([
        [{ ...OUT, protocol: PROTOCOL.ICMP }, true],
        [{ ...IN, protocol: PROTOCOL.ICMP }, false],
        [OUT, false],
      ]);
      await world.close(ping);
      await world.open(flow(4, { ...hosts, protocol: 0, direction: "out" }));
      await world.expect([
        [{ ...OUT, protocol: PROTOCOL.ICMP }, true],
        [{ ...OUT, ourPort: 9 }, true],
        [IN, false],
        [{ ...OUT, protocol: TCP, syn: true }, true],
        [{ ...IN, protocol: TCP, syn: true }, false],
        [{ ...IN, protocol: TCP }, true],
      ]);
    },
  },
];
