/** What a tracker is made with, and whom it asks and tells. */
import type { TimeoutValues } from "../base/index.ts";
import type { RemovalListener } from "./flow-table-options.ts";

/** What a tracker is made with. */
export interface TrackerOptions {
  /** Most flows; the limit `flows` by default. */
  readonly capacity?: number;
  /**
   * Timeouts that differ from pf's profile `normal`, in milliseconds; adaptive.start and adaptive.end in
   * flows.
   */
  readonly timeouts?: Partial<TimeoutValues>;
  /** Segments outside the window are INVALID. */
  readonly strict?: boolean;
  /**
   * Two secret 32-bit words for the hash. Zeros, the default, are for tests and captures, never for
   * strangers.
   */
  readonly seed?: readonly [number, number];
  /**
   * Called with each flow that seems idle and that the kernel judges by itself, and with each connection of
   * which nothing was seen behind the answer to its SYN, again after a while; without it they expire.
   */
  readonly idle?: ((slot: number) => void) | undefined;
  /**
   * Called with each flow that the kernel judges by itself and that leaves or is ended, while it can be read.
   */
  readonly sealLost?: ((slot: number) => void) | undefined;
  /**
   * Called with a connection that the kernel carries, or did, when a SYN may begin another and when its room
   * is wanted: whether the kernel has seen its end. Without it none is over.
   */
  readonly isOver?: ((slot: number) => boolean) | undefined;
  /**
   * Called with a connection that the kernel judges by itself, or did, when the other end's FIN comes for
   * which it vouches, since it vouches for forged ones too that seem delayed to it: whether it has taken one,
   * and one of each end where one has closed already. Without it each is believed.
   */
  readonly hasSeenFin?: ((slot: number) => boolean) | undefined;
  /** Called with each flow that leaves, while its row can be read, and the counter that tells why. */
  readonly removed?: RemovalListener;
}
