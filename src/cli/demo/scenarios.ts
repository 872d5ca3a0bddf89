/** What the demonstration shows: real traffic, what the policy lets one expect of it, and what happened. */
import type { Listener, Namespace, Topology } from "../../lab/index.ts";

/** The hosts of the demonstration. */
export type DemoHosts = Topology<"client" | "firewall" | "server">;

/** The address families, by the word that people use. */
export type FamilyWord = "IPv4" | "IPv6";

/** One thing that is shown. */
export interface Scenario {
  readonly title: string;
  /** The outcome that the policy asks for. */
  readonly expected: string;
  /** Makes the traffic and tells the outcome. */
  run(hosts: DemoHosts, family: FamilyWord): Promise<string>;
}

/** Time after which silence is an answer, in milliseconds. */
const SILENCE_MS = 700;

/** Source port that knocks come from. */
const KNOCK_PORT = 9001;

function addressOf(host: Namespace, family: FamilyWord): string {
  return family === "IPv4" ? host.ipv4 : host.ipv6;
}

/** A TCP attempt from one host to another, with something said and echoed. */
function connect(from: Namespace, to: Namespace, port: number) {
  return async (family: FamilyWord, localPort?: number): Promise<string> => {
    const destination = { address: addressOf(to, family), port, timeoutMs: SILENCE_MS, say: "hello" };
    const source = localPort === undefined ? {} : { localPort };
    const result = await from.traffic.connectTcp({ ...destination, ...source });
    return result.outcome === "connected" && result.heard !== "hello"
      ? "connected, no answer"
      : result.outcome;
  };
}

async function send(from: Namespace, to: Namespace, port: number, family: FamilyWord): Promise<string> {
  const destination = { address: addressOf(to, family), port, timeoutMs: SILENCE_MS };
  return (await from.traffic.sendUdp({ ...destination, say: "hello" })).outcome;
}

async function ping(from: Namespace, to: Namespace, family: FamilyWord): Promise<string> {
  const { status } = await from.run(["ping", "-c", "1", "-W", "1", addressOf(to, family)]);
  return status === 0 ? "answered" : "silent";
}

/** Knocks both doors in order, from the port that the policy names. */
async function knock({ client, firewall }: DemoHosts, family: FamilyWord): Promise<void> {
  await connect(client, firewall, 49_001)(family, KNOCK_PORT);
  const address = addressOf(firewall, family);
  await client.traffic.sendUdp({
    address,
    port: 49_011,
    localPort: KNOCK_PORT,
    say: "knock",
    timeoutMs: 100,
  });
}

/** The demonstration, in its order. */
export const SCENARIOS: readonly Scenario[] = [
  {
    title: "client > firewall, TCP 8080: nobody asked for it",
    expected: "timeout",
    run: ({ client, firewall }, family) => connect(client, firewall, 8080)(family),
  },
  {
    title: "firewall > client, TCP 8080: the replies may come in",
    expected: "connected",
    run: ({ client, firewall }, family) => connect(firewall, client, 8080)(family),
  },
  {
    title: "client > firewall, TCP 2222: before the knock",
    expected: "timeout",
    run: ({ client, firewall }, family) => connect(client, firewall, 2222)(family),
  },
  {
    title: "client > firewall, TCP 2222: after knocking TCP 49001 and UDP 49011",
    expected: "connected",
    run: async (hosts, family) => {
      await knock(hosts, family);
      return connect(hosts.client, hosts.firewall, 2222)(family);
    },
  },
  {
    title: "firewall > client, TCP 25: forbidden, and the program is told at once",
    expected: "refused",
    run: ({ client, firewall }, family) => connect(firewall, client, 25)(family),
  },
  {
    title: "client > server through the firewall, TCP 80",
    expected: "connected",
    run: ({ client, server }, family) => connect(client, server, 80)(family),
  },
  {
    title: "client > server through the firewall, TCP 23: rejected",
    expected: "refused",
    run: ({ client, server }, family) => connect(client, server, 23)(family),
  },
  {
    title: "client > server through the firewall, UDP 53",
    expected: "answered",
    run: ({ client, server }, family) => send(client, server, 53, family),
  },
  {
    title: "client > server through the firewall, UDP 69: dropped",
    expected: "silent",
    run: ({ client, server }, family) => send(client, server, 69, family),
  },
  {
    title: "client pings the server through the firewall",
    expected: "answered",
    run: ({ client, server }, family) => ping(client, server, family),
  },
];

/**
 * Starts the real servers that the scenarios talk to. Each port has a server, so silence is the firewall's.
 */
export async function startServers({ client, firewall, server }: DemoHosts): Promise<Listener[]> {
  return Promise.all([
    ...[8080, 2222].map((port) => firewall.traffic.listenTcp({ port })),
    ...[8080, 25].map((port) => client.traffic.listenTcp({ port })),
    ...[80, 23].map((port) => server.traffic.listenTcp({ port })),
    ...[53, 69].map((port) => server.traffic.listenUdp({ port })),
  ]);
}
