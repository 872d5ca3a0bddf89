/** A port that opens to a knock, and the knock itself, as several suites use them. */
import type { Namespace } from "#lab";

/** Protocol and port of one door. */
export type Door = readonly [protocol: "TCP" | "UDP", port: number];

/** The two doors of PyWall's own suite. */
export const TWO_DOORS: readonly Door[] = [
  ["TCP", 49_001],
  ["UDP", 49_011],
];

/** The port behind the doors. */
export const KNOCKED_PORT = 2222;

const SOURCE_PORT = 9001;
/** How long a knock waits for an answer that never comes, in milliseconds. */
const KNOCK_MS = 60;

/** Rules that open {@link KNOCKED_PORT} to who knocked at all doors in their order, and to nobody else. */
export function knockingRules(doors: readonly Door[]): readonly Readonly<Record<string, unknown>>[] {
  const opening = { name: "PortKnocking", protocol: "TCP", port: KNOCKED_PORT, src_port: SOURCE_PORT };
  const closed = { name: "PortRule", protocol: "TCP", dst_port: KNOCKED_PORT, action: "DROP" };
  return [{ ...opening, timeout: 20, doors }, closed];
}

/**
 * Knocks at doors, one after the other.
 *
 * @param from - the host that knocks
 * @param address - where the doors are
 * @param doors - the doors, in the order of the knocks
 */
export async function knock(from: Namespace, address: string, doors: readonly Door[]): Promise<void> {
  for (const [protocol, port] of doors) {
    const destination = { address, port, localPort: SOURCE_PORT, timeoutMs: KNOCK_MS };
    if (protocol === "TCP") await from.traffic.connectTcp(destination);
    else await from.traffic.sendUdp({ ...destination, say: "" });
  }
}
