/**
 * Work that no signal interrupts.
 *
 * The kernel ends some waiting calls early when a signal comes, and libraries take that for a failure: when
 * they were about to read what became of a change, it was made all the same, and to make it again would
 * double it. A signal that is held back reaches another thread of the process, or this one when the work is
 * done.
 */
import { pthreadSigmask } from "./libc.ts";

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;

/** Size of `sigset_t`. */
const SET_BYTES = 128;

const ALL = new Uint8Array(SET_BYTES).fill(0xff);

/** Does something that is over when it returns, and holds the signals of this thread back meanwhile. */
export function withoutSignals<Result>(work: () => Result): Result {
  const former = new Uint8Array(SET_BYTES);
  pthreadSigmask(SIG_BLOCK, ALL, former);
  try {
    return work();
  } finally {
    pthreadSigmask(SIG_SETMASK, former, null);
  }
}
