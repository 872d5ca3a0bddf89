/**
 * What a test file opens and a test that fails does not get to close: a socket that listens would keep the
 * file from ending until the runner loses patience.
 */
import { AsyncResource } from "node:async_hooks";
import { after } from "node:test";

type Closing = () => Promise<void> | void;

/** Hooks that are asked for from here belong to the file, and not to the test that happens to run. */
const file = new AsyncResource("TestFile");

const open = new Set<Closing>();
let isHooked = false;

async function closeRest(): Promise<void> {
  for (const close of open) await close();
}

/**
 * Has something closed when all tests of the file have ended, unless it was closed before.
 *
 * @returns closes it, once
 */
export function closeAtEnd(close: Closing): () => Promise<void> {
  if (!isHooked) file.runInAsyncScope(() => after(closeRest));
  isHooked = true;
  const closeOnce = async (): Promise<void> => {
    if (open.delete(closeOnce)) await close();
  };
  open.add(closeOnce);
  return closeOnce;
}
