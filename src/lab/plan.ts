/**
 * What a laboratory looks like: which hosts there are and how they are wired.
 *
 * Each host is a network namespace. Addresses come from the ranges kept for documentation (RFC 5737, RFC
 * 3849), so that nothing in a laboratory can be mistaken for a real host.
 */

/** One end of a link: the interface that it becomes in its host. */
export interface LinkEnd<Name extends string> {
  readonly host: Name;
  /** Interface name, at most 15 characters. */
  readonly interface: string;
  /** Addresses with prefix length, such as `192.0.2.1/24`. */
  readonly addresses: readonly string[];
}

/** A default route. */
export interface DefaultRoute<Name extends string> {
  readonly host: Name;
  /** Addresses of the next hop, one per address family. */
  readonly via: readonly string[];
}

/** Hosts, the virtual cables between them, and who forwards packets. */
export interface TopologyPlan<Name extends string> {
  readonly hosts: readonly Name[];
  readonly links: readonly (readonly [LinkEnd<Name>, LinkEnd<Name>])[];
  /** Hosts that forward packets between their interfaces. */
  readonly routers: readonly Name[];
  readonly defaultRoutes: readonly DefaultRoute<Name>[];
}

/** A client and the host that a firewall protects. */
export const HOST_PAIR: TopologyPlan<"client" | "firewall"> = {
  hosts: ["client", "firewall"],
  links: [
    [
      { host: "client", interface: "to-firewall", addresses: ["192.0.2.2/24", "2001:db8:1::2/64"] },
      { host: "firewall", interface: "to-client", addresses: ["192.0.2.1/24", "2001:db8:1::1/64"] },
    ],
  ],
  routers: [],
  defaultRoutes: [],
};

/** A client and a server with a firewall between them that forwards their packets. */
export const GATEWAY: TopologyPlan<"client" | "firewall" | "server"> = {
  hosts: ["client", "firewall", "server"],
  links: [
    [
      { host: "client", interface: "to-firewall", addresses: ["192.0.2.2/24", "2001:db8:1::2/64"] },
      { host: "firewall", interface: "to-client", addresses: ["192.0.2.1/24", "2001:db8:1::1/64"] },
    ],
    [
      { host: "firewall", interface: "to-server", addresses: ["198.51.100.1/24", "2001:db8:2::1/64"] },
      { host: "server", interface: "to-firewall", addresses: ["198.51.100.2/24", "2001:db8:2::2/64"] },
    ],
  ],
  routers: ["firewall"],
  defaultRoutes: [
    { host: "client", via: ["192.0.2.1", "2001:db8:1::1"] },
    { host: "server", via: ["198.51.100.1", "2001:db8:2::1"] },
  ],
};

/**
 * The addresses of a host, without prefix lengths, in the order of the plan.
 *
 * @param plan - the topology
 * @param host - one of its hosts
 * @returns IPv4 and IPv6 addresses of all its interfaces
 */
export function addressesOf<Name extends string>(plan: TopologyPlan<Name>, host: Name): string[] {
  return plan.links
    .flat()
    .filter((end) => end.host === host)
    .flatMap((end) => end.addresses)
    .map((address) => address.replace(/\/.*$/, ""));
}
