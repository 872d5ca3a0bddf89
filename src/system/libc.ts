/**
 * The functions of the C library that Postern calls, and nothing else: the only place where its signatures
 * stand.
 *
 * Memory that the kernel keeps writing to must live as long as the kernel may write. An `ArrayBuffer` never
 * moves, so its address may be handed over, but it is freed when nothing holds it: whoever takes
 * {@link addressOf} keeps the buffer in a field for as long as the address is in use.
 */
/* oxlint-disable max-params -- the signatures are C's */
import koffi from "koffi";

const library = koffi.load(null);

/** Memory that a call reads or writes while it lasts. */
export type Memory = ArrayBuffer | Uint8Array;

/** `socket(2)`. Returns a file descriptor or -1. */
export const socket: (domain: number, type: number, protocol: number) => number = library.func(
  "int socket(int domain, int type, int protocol)",
);

/** `socketpair(2)`; writes two file descriptors of 32 bits each. Returns 0 or -1. */
export const socketpair: (domain: number, type: number, protocol: number, pair: Memory) => number =
  library.func("int socketpair(int domain, int type, int protocol, void *pair)");

/** `bind(2)`. Returns 0 or -1. */
export const bind: (fd: number, address: Memory, bytes: number) => number = library.func(
  "int bind(int fd, void *address, uint bytes)",
);

/** `getsockname(2)`; writes the address, and its length over `bytes`. Returns 0 or -1. */
export const getsockname: (fd: number, address: Memory, bytes: Memory) => number = library.func(
  "int getsockname(int fd, void *address, void *bytes)",
);

/** `setsockopt(2)`. Returns 0 or -1. */
export const setsockopt: (fd: number, level: number, option: number, value: Memory, bytes: number) => number =
  library.func("int setsockopt(int fd, int level, int option, void *value, uint bytes)");

/** `getsockopt(2)`; writes the value, and its length over `bytes`. Returns 0 or -1. */
export const getsockopt: (fd: number, level: number, option: number, value: Memory, bytes: Memory) => number =
  library.func("int getsockopt(int fd, int level, int option, void *value, void *bytes)");

/** Calls a function of C on a thread of its own, so that the event loop goes on meanwhile. */
function later(work: ReturnType<typeof library.func>, ...words: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    work.async(...words, (error: Error | null, result: number) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
}

const pollFunction = library.func("int poll(void *entries, ulong count, int timeout)");

/** `poll(2)`; `timeout` in milliseconds, -1 for ever. Returns how many are ready, or -1. */
export const poll: (entries: Memory, count: number, timeout: number) => number = pollFunction;

/**
 * `poll(2)` on a thread of its own, so that the event loop goes on meanwhile. `entries` must live until the
 * promise is settled. Resolves to how many are ready, or -1.
 */
export function pollLater(entries: Memory, count: number, timeout: number): Promise<number> {
  return later(pollFunction, entries, count, timeout);
}

/** `recvmmsg(2)` without a time limit of its own. Returns how many datagrams came, or -1. */
export const recvmmsg: (fd: number, headers: Memory, count: number, flags: number, timeout: null) => number =
  library.func("int recvmmsg(int fd, void *headers, uint count, int flags, void *timeout)");

const recvFunction = library.func("long recv(int fd, void *memory, size_t bytes, int flags)");

/** `recv(2)`. Returns bytes, or -1. */
export const recv: (fd: number, memory: Memory, bytes: number, flags: number) => number = recvFunction;

/** `recv(2)` as {@link pollLater} does `poll`. Of -1 the error number is not known. */
export function recvLater(fd: number, memory: Memory, bytes: number, flags: number): Promise<number> {
  return later(recvFunction, fd, memory, bytes, flags);
}

const sendFunction = library.func("long send(int fd, void *memory, size_t bytes, int flags)");

/** `send(2)`. Returns bytes, or -1. */
export const send: (fd: number, memory: Memory, bytes: number, flags: number) => number = sendFunction;

/** `send(2)` as {@link pollLater} does `poll`. Of -1 the error number is not known. */
export function sendLater(fd: number, memory: Memory, bytes: number, flags: number): Promise<number> {
  return later(sendFunction, fd, memory, bytes, flags);
}

/** `sendto(2)`. Returns bytes, or -1. */
export const sendto: (
  fd: number,
  memory: Memory,
  bytes: number,
  flags: number,
  address: Memory,
  addressBytes: number,
) => number = library.func(
  "long sendto(int fd, void *memory, size_t bytes, int flags, void *address, uint addressBytes)",
);

/** `eventfd(2)`. Returns a file descriptor, or -1. */
export const eventfd: (initial: number, flags: number) => number = library.func(
  "int eventfd(uint initial, int flags)",
);

/** `open(2)` of a file that is there. Returns a file descriptor, or -1. */
export const open: (path: string, flags: number) => number = library.func("int open(str path, int flags)");

/** `memfd_create(2)`: a file without a name. Returns a file descriptor, or -1. */
export const memfdCreate: (name: string, flags: number) => number = library.func(
  "int memfd_create(str name, uint flags)",
);

/** `read(2)`. Returns bytes, or -1. */
export const read: (fd: number, memory: Memory, bytes: number) => number = library.func(
  "long read(int fd, void *memory, size_t bytes)",
);

/** `write(2)`. Returns bytes, or -1. */
export const write: (fd: number, memory: Memory, bytes: number) => number = library.func(
  "long write(int fd, void *memory, size_t bytes)",
);

/** `flock(2)`. Returns 0 or -1. */
export const flock: (fd: number, operation: number) => number = library.func(
  "int flock(int fd, int operation)",
);

/** `close(2)`. Returns 0 or -1. */
export const close: (fd: number) => number = library.func("int close(int fd)");

/** `if_indextoname(3)`; writes at most 16 bytes. Returns 0n when there is no such interface. */
export const interfaceIndexToName: (index: number, name: Memory) => bigint | null = library.func(
  "void *if_indextoname(uint index, void *name)",
);

/** `if_nametoindex(3)`. Returns 0 when there is no such interface. */
export const interfaceNameToIndex: (name: string) => number = library.func("uint if_nametoindex(str name)");

/** `unshare(2)`, of the calling thread. Returns 0 or -1. */
export const unshare: (flags: number) => number = library.func("int unshare(int flags)");

/** `setns(2)`, of the calling thread. Returns 0 or -1. */
export const setns: (fd: number, type: number) => number = library.func("int setns(int fd, int type)");

/** `pthread_sigmask(3)`, of the calling thread; writes the former mask. Returns 0 or an error number. */
export const pthreadSigmask: (how: number, mask: Memory, former: Memory | null) => number = library.func(
  "int pthread_sigmask(int how, void *mask, void *former)",
);

const strerror: (errno: number) => string = library.func("str strerror(int errno)");

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(koffi.os.errno).map(([name, number]) => [number, name]),
);

/** Error number of the last call on this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Symbolic name of an error number, such as `EPERM`. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
}

/** The system's own words for an error number. */
export function errnoText(errno: number): string {
  return strerror(errno);
}

/** Address of a buffer; see the note on lifetime above. */
export function addressOf(memory: ArrayBuffer): bigint {
  return koffi.address(memory);
}

/** Error numbers that are told apart. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  EBUSY: 16,
  EINVAL: 22,
  EEXIST: 17,
  ERANGE: 34,
  ENOBUFS: 105,
} as const;

// Layouts of the structures that recvmmsg(2) works on.
const IO_VECTOR = koffi.struct({ base: "void *", bytes: "size_t" });
const MESSAGE_HEADER = koffi.struct({
  name: "void *",
  nameBytes: "uint",
  vectors: "void *",
  vectorCount: "size_t",
  control: "void *",
  controlBytes: "size_t",
  flags: "int",
});
const RECEIVED_MESSAGE = koffi.struct({ header: MESSAGE_HEADER, bytes: "uint" });

/** Byte offsets in an entry of the vector that tells recvmmsg(2) where to write (struct iovec). */
export const IO_VECTOR_LAYOUT = {
  SIZE: koffi.sizeof(IO_VECTOR),
  BASE: koffi.offsetof(IO_VECTOR, "base"),
  BYTES: koffi.offsetof(IO_VECTOR, "bytes"),
} as const;

/** Byte offsets in an entry that recvmmsg(2) fills for each datagram (struct mmsghdr). */
export const RECEIVED_LAYOUT = {
  SIZE: koffi.sizeof(RECEIVED_MESSAGE),
  VECTORS: koffi.offsetof(MESSAGE_HEADER, "vectors"),
  VECTOR_COUNT: koffi.offsetof(MESSAGE_HEADER, "vectorCount"),
  FLAGS: koffi.offsetof(MESSAGE_HEADER, "flags"),
  BYTES: koffi.offsetof(RECEIVED_MESSAGE, "bytes"),
} as const;
