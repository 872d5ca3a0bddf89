/**
 * Memory of this process: a firewall runs for months, and what only its start needed goes back to the system.
 *
 * V8 lets garbage lie while there is room: reading a policy of ten thousand rules leaves a hundred megabytes
 * of it in each thread. The C library gives each thread an arena of its own, which keeps what the thread
 * frees.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import koffi from "koffi";

/** M_ARENA_MAX of `malloc.h`. */
const M_ARENA_MAX = -8;
/** Arenas of the C library: nothing is taken from them for a packet, so threads may share. */
const ARENAS = 2;

/** Calls a function that only the GNU C library has. */
function callGnu(declaration: string, ...values: readonly number[]): void {
  try {
    koffi.load(null).func(declaration)(...values);
  } catch {
    // Another C library keeps house in its own way.
  }
}

/** Lets the threads of this process share what they take. Call it before they start. */
export function keepMemorySmall(): void {
  callGnu("int mallopt(int parameter, int value)", M_ARENA_MAX, ARENAS);
  setFlagsFromString("--semi-space-growth-factor=1");
}

/**
 * Collects this thread's garbage and gives free memory back to the system. It takes tens of milliseconds,
 * more with a large policy, so call it where nobody waits.
 */
export function releaseMemory(): void {
  setFlagsFromString("--expose-gc");
  // The flag gives new contexts the function; this one is for its sake alone.
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--compact-on-every-full-gc");
  collect();
  setFlagsFromString("--no-compact-on-every-full-gc");
  callGnu("int malloc_trim(size_t pad)", 0);
}
