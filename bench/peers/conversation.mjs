/**
 * What a packet of an established flow costs, in processor time: one thread holds both ends of a TCP
 * connection, in two namespaces, and sends a few bytes to and fro. Each packet is sent, judged and delivered
 * within the thread's own system calls, nobody is woken and nothing waits; so what other programs do changes
 * the least of many measurements hardly at all.
 */
import { inNamespace } from "../../dist/system/index.js";
import { ADDRESS_BYTES, AF_INET, library, socket, socketAddress } from "../sockets.mjs";
import { PORTS } from "./policy.mjs";

const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SPOKEN_BYTES = 100;
/** Exchanges that the flow is known by, before it is measured; and how long it may take to seal it. */
const WARM_UP = 50;
const SETTLE_MS = 200;
const EXCHANGES = 1000;

const bind = library.func("int bind(int fd, void *address, uint bytes)");
const connect = library.func("int connect(int fd, void *address, uint bytes)");
const listen = library.func("int listen(int fd, int backlog)");
const accept = library.func("int accept(int fd, void *address, void *bytes)");
const close = library.func("int close(int fd)");
const send = library.func("long send(int fd, void *bytes, size_t count, int flags)");
const recv = library.func("long recv(int fd, void *bytes, size_t count, int flags)");
const setsockopt = library.func("int setsockopt(int fd, int level, int option, void *value, uint bytes)");

function must(result, what) {
  if (result < 0) throw new Error(`${what} failed`);
  return result;
}

/** Both ends of a connection between two hosts. */
function open({ client, firewall }) {
  const on = Int32Array.of(1).buffer;
  const listener = inNamespace(firewall.fullName, () => socket(AF_INET, SOCK_STREAM, 0));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, on, 4);
  must(bind(listener, socketAddress("0.0.0.0", PORTS.stream), ADDRESS_BYTES), "bind");
  must(listen(listener, 1), "listen");
  const near = inNamespace(client.fullName, () => socket(AF_INET, SOCK_STREAM, 0));
  must(connect(near, socketAddress(firewall.ipv4, PORTS.stream), ADDRESS_BYTES), "connect");
  const far = must(accept(listener, null, null), "accept");
  close(listener);
  for (const end of [near, far]) setsockopt(end, IPPROTO_TCP, TCP_NODELAY, on, 4);
  return { near, far };
}

/** The least processor time of an exchange, two packets, in nanoseconds. */
export async function converse(hosts, seconds) {
  const { near, far } = open(hosts);
  const spoken = new ArrayBuffer(SPOKEN_BYTES);
  const heard = new ArrayBuffer(SPOKEN_BYTES);
  const exchange = (count) => {
    for (let at = 0; at < count; at += 1) {
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        must(send(from, spoken, SPOKEN_BYTES, 0), "send");
        must(recv(to, heard, SPOKEN_BYTES, 0), "recv");
      }
    }
  };
  try {
    exchange(WARM_UP);
    await new Promise((wake) => setTimeout(wake, SETTLE_MS));
    let leastNs = Number.POSITIVE_INFINITY;
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
      const before = process.cpuUsage();
      exchange(EXCHANGES);
      const { user, system } = process.cpuUsage(before);
      leastNs = Math.min(leastNs, (1000 * (user + system)) / EXCHANGES);
    }
    return { leastNs };
  } finally {
    close(near);
    close(far);
  }
}
