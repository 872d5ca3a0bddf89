/**
 * What is asked of every contender. Each workload takes the hosts and how long to measure, and returns
 * figures whose names say their unit.
 */
import { deliveredUdp, node, pause } from "../measure.mjs";
import { PORTS } from "./policy.mjs";

const SETTLE_MS = 300;
const ROUND_TRIPS = 10_000;
/** Connections that wrk keeps at a time: enough to keep two processors busy, few enough not to queue. */
const WEB_CONNECTIONS = 32;

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
  const finished = await client.run(["iperf3", ...words, "-J"], limit);
  await server.stop("SIGTERM");
  const report = JSON.parse(finished.output);
  return { gigabits: (report.end?.sum_received?.bits_per_second ?? Number.NaN) / 1e9 };
}

async function web({ client, firewall }, seconds, words) {
  const command = ["wrk", "-t", "1", "-c", String(WEB_CONNECTIONS), "-d", `${seconds}s`, ...words];
  const finished = await client.run(
    [...command, `http://${firewall.ipv4}:${PORTS.web}/`],
    1000 * (seconds + 30),
  );
  const found = /Requests\/sec:\s*([\d.]+)/.exec(finished.output);
  return { perSecond: found === null ? Number.NaN : Number(found[1]) };
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
  await sent;
  await sink.stop("SIGTERM");
  return { perSecond: (1000 * (after.packets - before.packets)) / (after.atMs - before.atMs) };
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
    figures: [["gigabits", "", 2]],
    needs: "iperf3",
    run: (hosts, seconds) => stream(hosts, seconds, 1),
  },
  {
    name: "streams",
    title: "8 TCP streams, Gbit/s",
    figures: [["gigabits", "", 2]],
    needs: "iperf3",
    run: (hosts, seconds) => stream(hosts, seconds, 8),
  },
  {
    name: "connections",
    title: "short connections/s",
    figures: [["perSecond", "", 0]],
    needs: "wrk",
    run: (hosts, seconds) => web(hosts, seconds, ["-H", "Connection: close"]),
  },
  {
    name: "requests",
    title: "HTTP requests/s",
    figures: [["perSecond", "", 0]],
    needs: "wrk",
    run: (hosts, seconds) => web(hosts, seconds, []),
  },
  {
    name: "flood",
    title: "64-byte UDP packets/s",
    figures: [["perSecond", "", 0]],
    run: flood,
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
