/** What tests ask for: the media of a call, and the end of an attack. */
import type { PinholeSpec } from "../../pinhole/index.ts";

/** Media of a call, from one port to another. */
export const AUDIO: PinholeSpec = {
  kind: "permit",
  internal: { family: 4, address: "10.1.0.1", ports: [5004, 5004] },
  external: { family: 4, address: "198.51.100.1", ports: [6004, 6004] },
  protocol: 17,
  direction: "both",
  lifetime: 60,
};

/** The same to another internal port. */
export function audio(port: number, changes: Partial<PinholeSpec> = {}): PinholeSpec {
  return { ...AUDIO, internal: { family: 4, address: "10.1.0.1", ports: [port, port] }, ...changes };
}

/** Nothing comes from a host any more, nor goes there. */
export const ATTACKER: PinholeSpec = {
  kind: "block",
  internal: { family: 4 },
  external: { family: 4, address: "198.51.100.1" },
  protocol: 0,
  lifetime: 60,
};
