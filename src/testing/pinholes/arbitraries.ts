/** Pinholes, operations and packets by chance, in a world small enough for them to meet. */
import fc from "fast-check";
import { type Family, type Port, parseAddress, PROTOCOL } from "../../base/index.ts";
import type { EndpointSpec, PacketFacts, PinholeSpec } from "../../pinhole/index.ts";

/** Hosts on our side and on the other, by family. */
export const WORLD: Readonly<Record<Family, { readonly ours: string[]; readonly theirs: string[] }>> = {
  4: {
    ours: ["10.1.0.1", "10.1.0.2", "10.1.1.1"],
    theirs: ["203.0.113.1", "203.0.113.2", "198.18.7.9"],
  },
  6: {
    ours: ["fd01::1", "fd01::2", "fd01:0:0:1::1"],
    theirs: ["2001:db8:100::1", "2001:db8:100::2", "2001:db8:113::9"],
  },
};

/** Ports that packets use and at which ranges begin and end. */
const PORTS: readonly Port[] = [5000, 5001, 5002, 5003, 5010, 6000, 6100];

const PROTOCOLS = [PROTOCOL.UDP, PROTOCOL.TCP, PROTOCOL.ICMP, 0] as const;

const PORTLESS: readonly number[] = [PROTOCOL.ICMP, PROTOCOL.ICMPV6, 0];

function prefixesOf(family: Family): readonly (number | undefined)[] {
  return family === 4
    ? [undefined, undefined, undefined, 24, 31, 0]
    : [undefined, undefined, undefined, 64, 127, 0];
}

const portRange: fc.Arbitrary<readonly [number, number] | null> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...PORTS).map((port): [number, number] => [port, port]) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...PORTS), fc.constantFrom(...PORTS))
      .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]),
  },
  { weight: 1, arbitrary: fc.constant(null) },
);

function endpoint(family: Family, hosts: readonly string[]): fc.Arbitrary<EndpointSpec> {
  return fc
    .record({
      address: fc.constantFrom(...hosts),
      prefix: fc.constantFrom(...prefixesOf(family)),
      ports: portRange,
    })
    .map(({ address, prefix, ports }) => ({
      family,
      address,
      ports,
      ...(prefix === undefined ? {} : { prefix }),
    }));
}

/** Ranges that go together first with first are of equal width. */
function fitRanges(spec: PinholeSpec): PinholeSpec {
  const { internal, external, protocol } = spec;
  if (internal === undefined || external === undefined) return spec;
  if (PORTLESS.includes(protocol)) {
    const bare = ({ family, address, prefix }: EndpointSpec): EndpointSpec => ({
      family,
      ...(address === undefined ? {} : { address }),
      ...(prefix === undefined ? {} : { prefix }),
    });
    return { ...spec, internal: bare(internal), external: bare(external) };
  }
  const [inner, outer] = [internal.ports ?? null, external.ports ?? null];
  if (spec.portMode !== "pairwise" || inner === null || outer === null) return spec;
  const width = Math.min(inner[1] - inner[0], 15);
  return {
    ...spec,
    internal: { ...internal, ports: [inner[0], inner[0] + width] },
    external: { ...external, ports: [outer[0], outer[0] + width] },
  };
}

function specOf(family: Family, [min, max]: readonly [number, number]): fc.Arbitrary<PinholeSpec> {
  return fc
    .record({
      kind: fc.constantFrom("permit", "permit", "permit", "permit", "block"),
      internal: endpoint(family, WORLD[family].ours),
      external: endpoint(family, WORLD[family].theirs),
      protocol: fc.constantFrom(...PROTOCOLS),
      direction: fc.constantFrom("in", "out", "both"),
      portMode: fc.constantFrom("pairwise", "product"),
      lifetime: fc.integer({ min, max }),
    })
    .map((spec) => fitRanges(spec as PinholeSpec));
}

/** What pinholes by chance shall be like. */
export interface SpecShape {
  readonly families: readonly Family[];
  /** Shortest and longest lease, in seconds. */
  readonly lifetimes: readonly [number, number];
}

/** A pinhole that can be asked for. */
export function pinholeSpecs({ families, lifetimes }: SpecShape): fc.Arbitrary<PinholeSpec> {
  return fc.constantFrom(...families).chain((family) => specOf(family, lifetimes));
}

/** A packet between the two sides, in either direction. */
export function packets(families: readonly Family[] = [4, 6]): fc.Arbitrary<PacketFacts> {
  return fc
    .record({
      family: fc.constantFrom(...families),
      inbound: fc.boolean(),
      ours: fc.nat(2),
      theirs: fc.nat(2),
      ourPort: fc.constantFrom(...PORTS, 4999, 5004, 6001),
      theirPort: fc.constantFrom(...PORTS, 4999, 5004, 6001),
      protocol: fc.constantFrom(PROTOCOL.UDP, PROTOCOL.TCP, PROTOCOL.ICMP),
      opensTcp: fc.boolean(),
    })
    .map(({ family, inbound, ours, theirs, ourPort, theirPort, protocol, opensTcp }) => {
      const near = { address: addressOf(WORLD[family].ours[ours]), port: ourPort };
      const far = { address: addressOf(WORLD[family].theirs[theirs]), port: theirPort };
      const [source, destination] = inbound ? [far, near] : [near, far];
      const hasPorts = protocol !== PROTOCOL.ICMP;
      return {
        family,
        protocol,
        source: source.address,
        destination: destination.address,
        sourcePort: hasPorts ? source.port : 0,
        destinationPort: hasPorts ? destination.port : 0,
        opensTcp: protocol === PROTOCOL.TCP && opensTcp,
      };
    });
}

function addressOf(text: string | undefined): PacketFacts["source"] {
  return parseAddress(text ?? "")?.words ?? new Uint32Array(4);
}
