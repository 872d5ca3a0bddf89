/** One side of a pinhole: a network and a range of ports. */
import {
  type AddressWords,
  type Family,
  familyBits,
  invariant,
  ipv4Words,
  type Port,
  Prefix,
} from "../base/index.ts";

/** Largest port. */
export const PORT_MAX = 65_535;

/** Ports from `low` to `high`, both included. */
export interface PortRange {
  readonly low: Port;
  readonly high: Port;
}

/** Every port: what a protocol without ports has, and what a wildcard means. */
export const ALL_PORTS: PortRange = { low: 0, high: PORT_MAX };

/** True for {@link ALL_PORTS}. */
export function isAllPorts(ports: PortRange): boolean {
  return ports.low === 0 && ports.high === PORT_MAX;
}

/** How many ports a range has. */
export function portCount(ports: PortRange): number {
  return ports.high - ports.low + 1;
}

/** Every address of a family. */
export function allAddresses(family: Family): Prefix {
  return new Prefix(family, family === 4 ? ipv4Words(0) : new Uint32Array(4), 0);
}

/** Networks by their names, that were read lately: many endpoints lie in few of them. */
const networks = new Map<string, Endpoint>();

const NETWORKS_MAX = 16_384;

function networkNamed(name: string): Endpoint {
  const known = networks.get(name);
  if (known !== undefined) return known;
  const prefix = Prefix.parse(name);
  invariant(prefix !== undefined, "the key of an endpoint names a network");
  const network = new Endpoint(prefix, ALL_PORTS, name);
  if (networks.size >= NETWORKS_MAX) networks.clear();
  networks.set(name, network);
  return network;
}

function portsNamed(name: string): PortRange {
  const dash = name.indexOf("-");
  const low = Number(dash < 0 ? name : name.slice(0, dash));
  return { low, high: dash < 0 ? low : Number(name.slice(dash + 1)) };
}

/** A network and a range of ports. Equal endpoints have equal keys. */
export class Endpoint {
  readonly prefix: Prefix;
  readonly ports: PortRange;
  // Made when somebody asks: the ends of packets are compared by numbers, and are never named.
  #network: string | undefined;
  #key: string | undefined;

  /**
   * @param prefix - the network; all addresses of a family when its length is 0
   * @param ports - {@link ALL_PORTS} where ports do not count
   * @param network - the prefix as text, when the caller has it already
   */
  constructor(prefix: Prefix, ports: PortRange, network?: string) {
    this.prefix = prefix;
    this.ports = ports;
    this.#network = network;
  }

  /** Names the endpoint: `192.0.2.0/24:5004-5005`; `*` stands for all ports. */
  get key(): string {
    return (this.#key ??= `${this.network}:${portsKey(this.ports)}`);
  }

  /** Names the network: `192.0.2.0/24`. */
  get network(): string {
    return (this.#network ??= this.prefix.toString());
  }

  /** The endpoint with a key. */
  static withKey(key: string): Endpoint {
    const colon = key.lastIndexOf(":");
    const network = networkNamed(key.slice(0, colon));
    const ports = key.slice(colon + 1);
    return ports === "*" ? network : network.withPorts(portsNamed(ports));
  }

  get family(): Family {
    return this.prefix.family;
  }

  /** True when it means one address. */
  get isHost(): boolean {
    return this.prefix.length === familyBits(this.prefix.family);
  }

  /** True when it means every address of its family. */
  get isAnyAddress(): boolean {
    return this.prefix.length === 0;
  }

  /** True when every port belongs to it. */
  get isAnyPort(): boolean {
    return isAllPorts(this.ports);
  }

  /** Each of its ports as an endpoint of its own. */
  singlePorts(): Endpoint[] {
    const { low } = this.ports;
    return Array.from({ length: portCount(this.ports) }, (_, index) =>
      this.withPorts({ low: low + index, high: low + index }),
    );
  }

  /** The same network with other ports. */
  withPorts(ports: PortRange): Endpoint {
    return new Endpoint(this.prefix, ports, this.network);
  }
}

/** One address with one port: an end of a packet. */
export function hostEndpoint(family: Family, words: AddressWords, port: Port): Endpoint {
  return new Endpoint(new Prefix(family, words, familyBits(family)), { low: port, high: port });
}

function portsKey(ports: PortRange): string {
  if (isAllPorts(ports)) return "*";
  return ports.low === ports.high ? `${ports.low}` : `${ports.low}-${ports.high}`;
}
