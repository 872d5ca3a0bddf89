/**
 * Postern beside its peers: one topology, one policy, one run.
 *
 *   node bench/peers.mjs [--json] [--rounds N] [--seconds N] [--rules 10,1000,10000] [--only WORKLOAD,…]
 *                        [--contenders NAME,…] [--flows N,…] [--chart FILE.svg]
 *
 * Each contender (peers/contenders.mjs) has a client and a host of its own, so that nothing that one leaves
 * behind, such as ports in TIME-WAIT, slows another. All stand side by side and are asked in turn, workload
 * by workload (peers/workloads.mjs), every other round in reverse order, so that a slow minute of the machine
 * hits all alike. Tables show medians, and the ratio to no firewall. Processor time is that of client, server
 * and firewall together: other programs change it less than the clock. `--flows` repeats the connections and
 * the round trips, with ten rules, while so many UDP flows are tracked.
 *
 * Needs root; iperf3, nginx and wrk for what they do; a C compiler for the loop in C. What is missing is left
 * out, and said.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions } from "./options.mjs";
import { HOST_PAIR, withTopology } from "../dist/lab/index.js";
import {
  compileReference,
  describeMachine,
  hasProgram,
  machineWords,
  medians,
  node,
  processorMs,
  requireLaboratory,
  say,
} from "./measure.mjs";
import { drawCharts } from "./peers/chart.mjs";
import { contenders } from "./peers/contenders.mjs";
import { PORTS } from "./peers/policy.mjs";
import { WORKLOADS } from "./peers/workloads.mjs";

const CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max";

function nginxConfiguration(folder) {
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000;
  server {
    listen ${PORTS.web} backlog=4096;
    location / { return 200 "postern\\n"; }
  }
}
`;
}

async function startWeb({ client, firewall }, folder) {
  const file = join(folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration(folder));
  const server = firewall.start(["nginx", "-c", file]);
  const url = `http://${firewall.ipv4}:${PORTS.web}/`;
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const answer = await client.run(["wrk", "-t", "1", "-c", "1", "-d", "1s", url]);
    if (/Requests\/sec:\s*[1-9]/.test(answer.output)) return server;
  }
  throw new Error(`nginx does not answer: ${readFileSync(join(folder, "error.log"), "utf8")}`);
}

/** A pair of hosts for each contender, all pairs alike. */
function pairs(contenders) {
  const [link] = HOST_PAIR.links;
  const named = ({ name }, host) => `${name}-${host}`;
  return {
    ...HOST_PAIR,
    hosts: contenders.flatMap((contender) => HOST_PAIR.hosts.map((host) => named(contender, host))),
    links: contenders.map((contender) => link.map((end) => ({ ...end, host: named(contender, end.host) }))),
  };
}

/** Puts all contenders in force, each at its site, and calls `measure` with the program of each. */
async function withAll(contenders, siteOf, measure) {
  const begin = async (at, pids) => {
    const contender = contenders[at];
    if (contender === undefined) return measure(pids);
    say(`Set up: ${contender.title}`);
    return contender.within(siteOf(contender), (pid) => begin(at + 1, [...pids, pid]));
  };
  return begin(0, []);
}

/** Asks one contender. Returns the workload's figures, with the processor time of each thing counted. */
async function ask(workload, hosts, { seconds, pid }) {
  const before = pid === undefined ? 0 : processorMs(pid);
  const { units, workMs, ...figures } = await workload.run(hosts, seconds);
  const judgingMs = pid === undefined ? 0 : processorMs(pid) - before;
  return units === undefined ? figures : { ...figures, eachUs: (1000 * (workMs + judgingMs)) / units };
}

/** Measures workloads with all contenders. Returns medians by workload and contender. */
async function race({ list, folder, hasWeb }, { workloads, rules, rounds, seconds, prepare }) {
  const runners = list.filter(({ rulesMax = rules }) => rules <= rulesMax);
  const samples = new Map();
  await withTopology(pairs(runners), async (all) => {
    const sites = new Map();
    for (const { name } of runners) {
      const hosts = { client: all[`${name}-client`], firewall: all[`${name}-firewall`] };
      const own = mkdtempSync(join(folder, `${name}-`));
      const web = hasWeb ? await startWeb(hosts, own) : undefined;
      sites.set(name, { ...hosts, web, folder: own, rules });
    }
    await withAll(
      runners,
      ({ name }) => sites.get(name),
      async (pids) => {
        const turns = runners.map(({ name }, at) => ({ name, site: sites.get(name), pid: pids[at] }));
        for (let round = 0; round < rounds; round += 1) {
          for (const workload of workloads) {
            say(`${rules} rules, round ${round + 1} of ${rounds}: ${workload.title}`);
            for (const { name, site, pid } of turns) {
              await prepare?.(site);
              const key = `${workload.name} ${name}`;
              const figures = await ask(workload, site, { seconds, pid });
              samples.set(key, [...(samples.get(key) ?? []), figures]);
            }
          }
          turns.reverse();
        }
      },
    );
  });
  return Object.fromEntries(
    workloads.map(({ name }) => [
      name,
      Object.fromEntries(
        runners.map((runner) => [runner.name, medians(samples.get(`${name} ${runner.name}`) ?? [])]),
      ),
    ]),
  );
}

/** Makes that many flows: UDP packets from as many forged sources, all answered by nobody. */
async function track({ client, firewall }, flows) {
  const finished = await client.run(node("traffic.mjs", "flows", firewall.ipv4, PORTS.flood, flows), 120_000);
  if (finished.status !== 0) throw new Error(finished.output);
}

async function benchPeers(options) {
  const folder = mkdtempSync(join(tmpdir(), "postern-peers-"));
  try {
    const all = contenders(compileReference(folder));
    const list = all.filter(
      ({ name }) => options.contenders === undefined || options.contenders.includes(name),
    );
    const hasWeb = hasProgram("wrk", "HTTP") && hasProgram("nginx", "HTTP", ["-v"]);
    const present = { wrk: hasWeb, iperf3: hasProgram("iperf3", "TCP goodput") };
    const workloads = WORKLOADS.filter(
      ({ name, needs }) =>
        present[needs] !== false && (options.only === undefined || options.only.includes(name)),
    );
    const { rounds, seconds } = options;
    const field = { list, folder, hasWeb };
    const byRules = {};
    for (const rules of options.rules) {
      byRules[rules] = await race(field, { workloads, rules, rounds, seconds });
    }
    const byFlows = {};
    const room = Number(readFileSync(CONNTRACK_MAX, "utf8"));
    for (const flows of options.flows) {
      if (flows > room)
        say(`${flows} flows are left out: the kernel tracks at most ${room} (nf_conntrack_max).`);
      else {
        const some = workloads.filter(({ name }) => ["connections", "latency"].includes(name));
        const prepare = (site) => track(site, flows);
        byFlows[flows] = await race(field, { workloads: some, rules: 10, rounds, seconds, prepare });
      }
    }
    return { ...describeMachine(), rounds, seconds, list, byRules, byFlows };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function cell(figure, digits, base) {
  if (figure === undefined || !Number.isFinite(figure)) return "–";
  const ratio = Number.isFinite(base) && base > 0 ? ` (${(figure / base).toFixed(2)})` : "";
  return `${figure.toFixed(digits)}${ratio}`;
}

function formatTable(results, list) {
  const columns = list.filter(({ name }) => Object.values(results).some((row) => row[name] !== undefined));
  const lines = [
    `| | ${columns.map(({ title }) => title).join(" | ")} |`,
    `|---|${"---:|".repeat(columns.length)}`,
  ];
  for (const { name, title, figures } of WORKLOADS) {
    const row = results[name];
    if (row === undefined) continue;
    for (const [figure, words, digits] of figures) {
      const cells = columns.map((column) => cell(row[column.name]?.[figure], digits, row.none?.[figure]));
      lines.push(`| ${[`${title} ${words}`.trim(), ...cells].join(" | ")} |`);
    }
  }
  return lines.join("\n");
}

/** All tables as Markdown; in brackets the ratio to no firewall. */
function formatReport(report) {
  const parts = [
    ...Object.entries(report.byRules).map(([rules, results]) => [`${rules} rules`, results]),
    ...Object.entries(report.byFlows).map(([flows, results]) => [
      `10 rules, ${flows} flows tracked`,
      results,
    ]),
  ];
  const tables = parts.map(([title, results]) => `${title}:\n\n${formatTable(results, report.list)}`);
  return `${tables.join("\n\n")}\n\n${machineWords(report)}; median of ${report.rounds} rounds of ${report.seconds} s.`;
}

function numbers(text) {
  return text === "" ? [] : text.split(",").map(Number);
}

async function main() {
  const { values } = readOptions({
    options: {
      json: { type: "boolean", default: false },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "2" },
      rules: { type: "string", default: "10,1000,10000" },
      flows: { type: "string", default: "10000,1000000" },
      only: { type: "string" },
      contenders: { type: "string" },
      chart: { type: "string" },
    },
  });
  requireLaboratory();
  // Programs that run beside us, and are none of the contenders, shall not decide the race.
  setPriority(constants.priority.PRIORITY_HIGHEST);
  const report = await benchPeers({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    rules: numbers(values.rules),
    flows: numbers(values.flows),
    only: values.only?.split(","),
    contenders: values.contenders?.split(","),
  });
  if (values.chart !== undefined) writeFileSync(values.chart, drawCharts(report));
  process.stdout.write(`${values.json ? JSON.stringify(report) : formatReport(report)}\n`);
}

await main();
