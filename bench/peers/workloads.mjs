/**
 * What is asked of every contender. Each workload takes the hosts and how long to measure, and returns
 * figures whose names say their unit; most also `units`, how many of what they count there were, and
 * `workMs`, the processor time of client and server. What the kernel does with a packet between the two is
 * in theirs: a packet is sent, judged and delivered within a system call of one of them.
 */
import { deliveredUdp, node, pause, processorMs } from "../measure.mjs";
import { converse } from "./conversation.mjs";
import { PORTS } from "./policy.mjs";

const SETTLE_MS = 300;
const ROUND_TRIPS = 10_000;
/** Connections that wrk keeps at a time: enough to keep two processors busy, few enough not to queue. */
const WEB_CONNECTIONS = 32;

/** Runs programs to their end. Returns their processor time beside what `work` returned. */
async function timed(work) {
  const before = processorMs(process.pid, "children");
  const done = await work();
  return { done, workMs: processorMs(process.pid, "children") - before };
}

async function stream({ client, firewall }, seconds, streams) {
  const server = firewall.start(["iperf3", "-s", "-1", "--forceflush", "-p", String(PORTS.stream)]);
  await server.waitForLine(/listening/);
  const words = [
    "-c",
    firewall.ipv4,
    "-p",
    String(PORTS.stream),
    "-t",
    String(seconds),
    "-P",
    String(streams),
  ];
  const limit = 1000 * (seconds + 30);
  const { done, workMs } = await timed(async () => {
    const finished = await client.run(["iperf3", ...words, "-J"], limit);
    await server.stop("SIGTERM");
    return finished;
  });
  const received = JSON.parse(done.output).end?.sum_received;
  const [speed = Number.NaN, bytes = Number.NaN] = [received?.bits_per_second, received?.bytes];
  return { gigabits: speed / 1e9, units: (8 * bytes) / 1e6, workMs };
}

async function web({ client, firewall, web: server }, seconds, words) {
  const command = ["wrk", "-t", "1", "-c", String(WEB_CONNECTIONS), "-d", `${seconds}s`, ...words];
  const url = `http://${firewall.ipv4}:${PORTS.web}/`;
  const before = processorMs(server.pid);
  const { done, workMs } = await timed(() => client.run([...command, url], 1000 * (seconds + 30)));
  const found = (pattern) => Number(pattern.exec(done.output)?.[1] ?? Number.NaN);
  return {
    perSecond: found(/Requests\/sec:\s*([\d.]+)/),
    units: found(/(\d+) requests in/),
    workMs: workMs + processorMs(server.pid) - before,
  };
}

async function packetsBehindRules(firewall) {
  const { read, spilt } = await deliveredUdp(firewall);
  return { packets: read + spilt, atMs: performance.now() };
}

async function flood(hosts, seconds) {
  const { client, firewall } = hosts;
  const sink = firewall.start(node("traffic.mjs", "sink", PORTS.flood));
  await sink.waitForLine(/ready/);
  const lasts = 1000 * seconds + 4 * SETTLE_MS;
  const sent = client.run(node("traffic.mjs", "flood", firewall.ipv4, PORTS.flood, lasts), lasts + 30_000);
  await pause(3 * SETTLE_MS);
  const before = await packetsBehindRules(firewall);
  await pause(1000 * seconds);
  const after = await packetsBehindRules(firewall);
  const { packets, processorMs: workMs } = JSON.parse((await sent).output);
  await sink.stop("SIGTERM");
  const perSecond = (1000 * (after.packets - before.packets)) / (after.atMs - before.atMs);
  return { perSecond, units: packets, workMs };
}

async function roundTrips({ client, firewall }) {
  const echo = firewall.start(node("traffic.mjs", "pong", PORTS.echo));
  await echo.waitForLine(/ready/);
  const finished = await client.run(
    node("traffic.mjs", "ping", firewall.ipv4, PORTS.echo, ROUND_TRIPS),
    60_000,
  );
  await echo.stop("SIGTERM");
  const { p50Us, p99Us, p999Us } = JSON.parse(finished.output);
  return { p50Us, p99Us, p999Us };
}

/** The workloads in the order of the table: title, figures with title and digits, and what to run. */
export const WORKLOADS = [
  {
    name: "stream",
    title: "one TCP stream, Gbit/s",
    figures: [
      ["gigabits", "", 2],
      ["eachUs", "processor time, µs a Mbit", 2],
    ],
    needs: "iperf3",
    run: (hosts, seconds) => stream(hosts, seconds, 1),
  },
  {
    name: "streams",
    title: "8 TCP streams, Gbit/s",
    figures: [
      ["gigabits", "", 2],
      ["eachUs", "processor time, µs a Mbit", 2],
    ],
    needs: "iperf3",
    run: (hosts, seconds) => stream(hosts, seconds, 8),
  },
  {
    name: "connections",
    title: "short connections/s",
    figures: [
      ["perSecond", "", 0],
      ["eachUs", "processor time, µs each", 2],
    ],
    needs: "wrk",
    run: (hosts, seconds) => web(hosts, seconds, ["-H", "Connection: close"]),
  },
  {
    name: "requests",
    title: "HTTP requests/s",
    figures: [
      ["perSecond", "", 0],
      ["eachUs", "processor time, µs each", 2],
    ],
    needs: "wrk",
    run: (hosts, seconds) => web(hosts, seconds, []),
  },
  {
    name: "flood",
    title: "64-byte UDP packets/s",
    figures: [
      ["perSecond", "", 0],
      ["eachUs", "processor time, µs each", 2],
    ],
    run: flood,
  },
  {
    name: "conversation",
    title: "request and answer on a TCP connection, processor time, ns",
    figures: [["leastNs", "", 0]],
    lowerIsBetter: true,
    run: converse,
  },
  {
    name: "latency",
    title: "UDP round trip, µs",
    figures: [
      ["p50Us", "p50", 1],
      ["p99Us", "p99", 1],
      ["p999Us", "p99.9", 1],
    ],
    lowerIsBetter: true,
    run: roundTrips,
  },
];
