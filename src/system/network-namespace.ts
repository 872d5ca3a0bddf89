/**
 * Network namespaces. A namespace belongs to a thread: what a thread opens after it entered one lives there,
 * and other threads notice nothing.
 */
import { close, open, setns, unshare } from "./libc.ts";
import { expectSuccess } from "./system-error.ts";

const CLONE_NEWNET = 0x40000000;
const O_RDONLY_CLOEXEC = 0x80000;
const OWN = "/proc/thread-self/ns/net";

function openNamespace(path: string): number {
  return expectSuccess(
    open(path, O_RDONLY_CLOEXEC),
    "NAMESPACE_REFUSED",
    `Cannot open the namespace ${path}`,
  );
}

/**
 * Moves the calling thread into a network namespace, for good.
 *
 * @param name - as `ip netns` knows it, or a path
 * @throws {FirewallError} `NAMESPACE_REFUSED`
 */
export function enterNamespace(name: string): void {
  const fd = openNamespace(name.includes("/") ? name : `/run/netns/${name}`);
  try {
    expectSuccess(setns(fd, CLONE_NEWNET), "NAMESPACE_REFUSED", `Cannot enter the namespace ${name}`);
  } finally {
    close(fd);
  }
}

/**
 * Does synchronous work in a network namespace of its own, which vanishes with all that was made in it.
 *
 * @throws {FirewallError} `NAMESPACE_REFUSED` when no namespace can be made (CAP_SYS_ADMIN is needed)
 */
export function inFreshNamespace<Result>(work: () => Result): Result {
  const home = openNamespace(OWN);
  try {
    expectSuccess(unshare(CLONE_NEWNET), "NAMESPACE_REFUSED", "Cannot make a network namespace");
    try {
      return work();
    } finally {
      expectSuccess(setns(home, CLONE_NEWNET), "NAMESPACE_REFUSED", "Cannot return from a network namespace");
    }
  } finally {
    close(home);
  }
}

/**
 * Does synchronous work in a network namespace and comes back. Sockets that were opened there stay there.
 *
 * @param name - as `ip netns` knows it, or a path
 * @throws {FirewallError} `NAMESPACE_REFUSED`
 */
export function inNamespace<Result>(name: string, work: () => Result): Result {
  const home = openNamespace(OWN);
  try {
    enterNamespace(name);
    try {
      return work();
    } finally {
      expectSuccess(setns(home, CLONE_NEWNET), "NAMESPACE_REFUSED", "Cannot return from a network namespace");
    }
  } finally {
    close(home);
  }
}
