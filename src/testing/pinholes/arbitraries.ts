/** Pinholes, operations and packets by chance, in a world small enough for them to meet. */
import fc from "fast-check";
import { type Family, type Port, parseAddress, PROTOCOL } from "../../base/index.ts";
import type {
  EndpointSpec,
  NatMode,
  PacketFacts,
  Pinhole,
  PinholeSpec,
  PortLease,
  TranslationPlan,
} from "../../pinhole/index.ts";

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

/** The same, translated: between hosts, where that must be, and not too many ports. */
function translate(spec: PinholeSpec, mode: NatMode): PinholeSpec {
  const { internal, external } = spec;
  if (spec.kind !== "permit" || internal === undefined || external === undefined) return spec;
  const { prefix: _, ...inner } = narrow(internal);
  const { prefix: __, ...outer } = narrow(external);
  return { ...spec, internal: inner, external: mode === "twice" ? outer : external, nat: { mode } };
}

function narrow(endpoint: EndpointSpec): EndpointSpec {
  const ports = endpoint.ports ?? null;
  return ports === null ? endpoint : { ...endpoint, ports: [ports[0], Math.min(ports[1], ports[0] + 15)] };
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
      nat: fc.constantFrom(undefined, undefined, "traditional", "twice"),
    })
    .map(({ nat, ...spec }) => {
      const fitted = fitRanges(spec);
      return nat === undefined ? fitted : translate(fitted, nat);
    });
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

/** Addresses to translate to. Nobody else has them, and the firewall has no way to them. */
export const POOLS: TranslationPlan = {
  outside: {
    addresses: ["198.51.99.1", "2001:db8:99::1"],
    ports: [40_000, 40_199],
    hosts: ["198.51.99.2", "198.51.99.3", "2001:db8:99::2"],
  },
  inside: {
    addresses: ["172.16.9.1", "2001:db8:9::1"],
    ports: [50_000, 50_199],
    hosts: ["172.16.9.2", "2001:db8:9::2"],
  },
};

/** Packets to the leased addresses and ports of a pinhole, and to the ports beside them. */
export function packetsToLeases({ request, leases }: Pinhole): PacketFacts[] {
  return leases.flatMap((lease) => {
    const from = lease.side === "outside" ? request.external : request.internal;
    const hasPorts = request.hasPorts;
    const protocol = request.protocol === 0 ? PROTOCOL.UDP : request.protocol;
    return leasedPorts(lease).map((port) => ({
      family: from.family,
      protocol,
      source: sourceWithin(lease, from.prefix.words, from.family),
      destination: addressOf(lease.address),
      sourcePort: hasPorts ? Math.max(1, from.ports.low) : 0,
      destinationPort: hasPorts ? port : 0,
      opensTcp: protocol === PROTOCOL.TCP,
    }));
  });
}

function leasedPorts({ port, count }: PortLease): number[] {
  return count === 0 ? [5000] : [port - 1, port, port + count - 1, port + count];
}

/** A host of the world: the first address of a network is none. */
function sourceWithin(
  { side }: PortLease,
  words: PacketFacts["source"],
  family: Family,
): PacketFacts["source"] {
  const hosts = WORLD[family][side === "outside" ? "theirs" : "ours"].map(addressOf);
  return hosts.find((host) => host.every((word, at) => word === words[at])) ?? hosts[0] ?? words;
}
