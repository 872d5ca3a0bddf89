/** How both suites try a port: a server listens there for the one attempt, and tells what it heard. */
import type { Namespace } from "#lab";
import { PATIENCE_MS, SILENCE_MS } from "#testing";
import { UNREGISTERED, type UnregisteredEnd } from "./policies.ts";

/** What every attempt says; a server that heard just this was reached. */
export const SAID = "knock-knock";

/** The protocols that every scenario is tried with. */
export const PROTOCOLS = ["TCP", "UDP"] as const;

/** One attempt to reach a port. */
export interface Trial {
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly address: string;
  readonly port: number;
  /** Source port; the system's choice when absent. */
  readonly localPort?: number | undefined;
}

/**
 * Tries to reach a server that listens for this attempt alone.
 *
 * @param from - the host that speaks
 * @param to - the host that has the address
 * @param trial - protocol, address and ports
 * @param passes - whether the server is expected to be reached
 * @returns what the server heard, a text for each connection or datagram; empty when it was not reached
 */
export async function deliver(
  from: Namespace,
  to: Namespace,
  trial: Trial,
  passes: boolean,
): Promise<string[]> {
  const { protocol, address, port, localPort } = trial;
  const server =
    protocol === "TCP" ? await to.traffic.listenTcp({ port }) : await to.traffic.listenUdp({ port });
  const destination = {
    address,
    port,
    timeoutMs: passes ? PATIENCE_MS : SILENCE_MS,
    say: SAID,
    ...(localPort === undefined ? {} : { localPort }),
  };
  if (protocol === "TCP") await from.traffic.connectTcp(destination);
  else await from.traffic.sendUdp(destination);
  const heard = await server.heard();
  await server.close();
  return heard.map(({ text }) => text);
}

/** A pair of ports, and whether a policy of {@link UnregisteredEnd} lets it pass. */
export interface SideControl {
  readonly title: string;
  readonly localPort: number;
  readonly port: number;
  readonly passes: boolean;
}

/**
 * Every combination of a registered and an unregistered port on the two sides, next to the bound of the
 * range: a rule that looked at the wrong side, or at both, would judge one of them otherwise.
 *
 * @param end - which side the policy looks at
 */
export function sideControls(end: UnregisteredEnd): SideControl[] {
  const { lo } = UNREGISTERED;
  return [false, true].flatMap((source) =>
    [false, true].map((destination) => ({
      title: `${source ? "un" : ""}registered source, ${destination ? "un" : ""}registered destination`,
      // The ports differ between the sides: on one host a port has one owner.
      localPort: source ? lo + 1 : lo - 1,
      port: destination ? lo : lo - 2,
      passes: !((source && end !== "dst") || (destination && end !== "src")),
    })),
  );
}
