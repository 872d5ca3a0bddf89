/** Addresses and ports that are kept for a pinhole, where addresses are translated. */
import type { Port } from "../base/index.ts";

/** Addresses and ports that are kept for a pinhole. */
export interface PortLease {
  /** `outside`: stands for our side in the world. `inside`: stands for the world on our side. */
  readonly side: "outside" | "inside";
  readonly address: string;
  /** IANA number. */
  readonly protocol: number;
  /** First port; 0 when only the address is kept. */
  readonly port: Port;
  /** How many consecutive ports. */
  readonly count: number;
}
