/**
 * Where the time goes when very many pinholes are loaded, and when eight change beside them: the kernel
 * alone, with messages that are ready, and the service of pinholes in this process, part by part.
 *
 *   node bench/pinhole-load.mjs [--json] [--pinholes 100000] [--at-once 4000] [--commits 400]
 *
 * In a network namespace of its own, with the journal on the disk. Needs root.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions } from "./options.mjs";
import { NftablesPinholes } from "../dist/backend/index.js";
import { defaultLimits } from "../dist/base/index.js";
import { DiskJournal, PinholeService } from "../dist/daemon/index.js";
import { GATEWAY, withTopology } from "../dist/lab/index.js";
import { MESSAGE_FLAG, SetBatch, TABLE_FAMILY } from "../dist/netlink/index.js";
import { ADMINISTRATOR_PROFILE, PinholeStore } from "../dist/pinhole/index.js";
import {
  inNamespace,
  machineBootId,
  machineMoment,
  NETLINK_PROTOCOL,
  NetlinkSocket,
  Nftables,
} from "../dist/system/index.js";
import { PINHOLES_PER_CALL, ports } from "./calls/layout.mjs";
import { describeMachine, machineWords, processorMs, quantile, requireLaboratory, say } from "./measure.mjs";

const NEAR = "10.1.0.2";
const FAR = "10.2.0.2";
const LEASE_SECONDS = 3600;
/** Commits after which nearly all that they need is machine code. */
const COMPILED_AFTER = 3000;

const UDP = 17;
const REQUEST_MAX_BYTES = 1 << 28;
const KEY_BYTES = 20;

/** Runs something; how long it took, and how much of that this process was at work. */
async function timed(work) {
  const [began, before] = [performance.now(), processorMs(process.pid)];
  await work();
  return { ms: performance.now() - began, processorMs: processorMs(process.pid) - before };
}

/** The address and ports of the nth pinhole as nftables has them. */
function keyOf(index) {
  const { internal, external } = ports(Math.floor(index / PINHOLES_PER_CALL), index % PINHOLES_PER_CALL);
  const near = [...NEAR.split(".").map(Number), internal >> 8, internal & 255, 0, 0];
  const far = [...FAR.split(".").map(Number), external >> 8, external & 255, 0, 0];
  return Uint8Array.from([...(index % 2 === 0 ? [...near, ...far] : [...far, ...near]), UDP, 0, 0, 0]);
}

function elementsFrom(first, count) {
  return Array.from({ length: count }, (_, at) => ({
    key: keyOf(first + at).subarray(0, KEY_BYTES),
    timeoutMs: LEASE_SECONDS * 1000,
  }));
}

/** What the kernel takes by itself: transactions whose messages are ready. */
class BareKernel {
  #nftables = Nftables.open();
  #socket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
  #set = { table: { family: TABLE_FAMILY.INET, name: "bare" }, name: "s" };

  constructor(counter) {
    this.#socket.allowRequests(REQUEST_MAX_BYTES);
    const type = "ipv4_addr . inet_service . ipv4_addr . inet_service . inet_proto";
    this.#nftables.run(`table inet bare {
	set s { type ${type}; flags timeout; ${counter} }
	chain forward {
		type filter hook forward priority 0;
		ip saddr . udp sport . ip daddr . udp dport . meta l4proto @s accept
	}
}
`);
  }

  put(elements) {
    const batch = new SetBatch(1);
    batch.put(this.#set, elements, MESSAGE_FLAG.ACK);
    return batch.end();
  }

  delete(elements) {
    const batch = new SetBatch(1);
    batch.delete(this.#set, elements, MESSAGE_FLAG.ACK);
    return batch.end();
  }

  send(request) {
    this.#socket.request(request, "Cannot change the set");
  }

  close() {
    this.#nftables.run("delete table inet bare");
    this.#nftables.close();
    this.#socket.close();
  }
}

async function measureKernel(open, { pinholes, atOnce, commits }) {
  const kernel = open();
  const requests = [];
  for (let first = 0; first < pinholes; first += atOnce) {
    requests.push(kernel.put(elementsFrom(first, Math.min(atOnce, pinholes - first))));
  }
  const load = await timed(() => requests.forEach((request) => kernel.send(request)));
  const changes = Array.from({ length: commits / 2 }, (_, call) => {
    const elements = elementsFrom(pinholes + call * PINHOLES_PER_CALL, PINHOLES_PER_CALL);
    return [kernel.put(elements), kernel.delete(elements)];
  }).flat();
  const times = [];
  const change = await timed(() => {
    for (const request of changes) {
      const began = performance.now();
      kernel.send(request);
      times.push(performance.now() - began);
    }
  });
  kernel.close();
  return {
    loadMs: load.ms,
    loadProcessorMs: load.processorMs,
    commitP50Ms: quantile(times, 0.5),
    commitP99Ms: quantile(times, 0.99),
    commitProcessorMs: change.processorMs / times.length,
  };
}

/** Adds up how long calls of a method take, by the clock. */
function meter(object, name, { parts, part }) {
  const method = object[name];
  parts[part] ??= 0;
  object[name] = function metered(...values) {
    const began = performance.now();
    const result = method.apply(this, values);
    const add = () => {
      parts[part] += performance.now() - began;
    };
    if (result instanceof Promise) result.then(add, add);
    else add();
    return result;
  };
}

/** The service of pinholes without doors. */
class Alone {
  parts = {};
  #agent = { name: "root", profile: ADMINISTRATOR_PROFILE };
  #service;
  #keys = 0;

  async start(folder, openBackend) {
    const limits = defaultLimits();
    const store = new PinholeStore({ limits, expansionMax: 128, entropy: (bytes) => randomBytes(bytes) });
    const journal = new DiskJournal(folder, machineBootId());
    const backend = openBackend();
    const { parts } = this;
    meter(store, "prepare", { parts, part: "decided" });
    meter(journal, "append", { parts, part: "written" });
    meter(backend, "prepare", { parts, part: "prepared" });
    meter(backend, "commit", { parts, part: "inForce" });
    const clock = { moment: machineMoment, bootId: machineBootId() };
    this.#service = await PinholeService.start({
      store,
      journal,
      backend,
      ...clock,
      eventsKept: limits.pinholeEvents,
    });
  }

  apply(operations) {
    this.#keys += 1;
    return this.#service.apply(this.#agent, operations, { idempotencyKey: `k${this.#keys}` });
  }

  close() {
    return this.#service.close();
  }
}

function operationOf(index) {
  const call = Math.floor(index / PINHOLES_PER_CALL);
  const nth = index % PINHOLES_PER_CALL;
  const { internal, external } = ports(call, nth);
  return {
    op: "open",
    clientId: `c${call}:${nth}`,
    spec: {
      kind: "permit",
      internal: { family: 4, address: NEAR, ports: [internal, internal] },
      external: { family: 4, address: FAR, ports: [external, external] },
      protocol: UDP,
      direction: nth % 2 === 0 ? "out" : "in",
      lifetime: LEASE_SECONDS,
    },
  };
}

/** Opens and closes calls one after the other; how long each commit took. */
async function churn(alone, firstCall, commits) {
  const times = [];
  for (let call = firstCall; call < firstCall + commits / 2; call += 1) {
    const first = call * PINHOLES_PER_CALL;
    const open = Array.from({ length: PINHOLES_PER_CALL }, (_, nth) => operationOf(first + nth));
    const close = open.map(({ clientId }) => ({ op: "close", id: clientId }));
    for (const operations of [open, close]) {
      const began = performance.now();
      await alone.apply(operations);
      times.push(performance.now() - began);
    }
  }
  return times;
}

async function measureChurn(alone, firstCall, commits) {
  let times = [];
  const all = await timed(async () => {
    times = await churn(alone, firstCall, commits);
  });
  const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
  return { p50Ms: p50, p99Ms: p99, processorMs: all.processorMs / times.length };
}

async function measureAlone(openBackend, { pinholes, atOnce, commits }) {
  const folder = mkdtempSync(join(tmpdir(), "postern-load-"));
  const alone = new Alone();
  try {
    await alone.start(folder, openBackend);
    const load = await timed(async () => {
      for (let first = 0; first < pinholes; first += atOnce) {
        const count = Math.min(atOnce, pinholes - first);
        await alone.apply(Array.from({ length: count }, (_, at) => operationOf(first + at)));
      }
    });
    const parts = { ...alone.parts };
    const calls = Math.ceil(pinholes / PINHOLES_PER_CALL);
    const first = await measureChurn(alone, calls, commits);
    await churn(alone, calls, COMPILED_AFTER);
    const later = await measureChurn(alone, calls, commits);
    await alone.close();
    return { load, parts, first, later };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main() {
  const { values } = readOptions({
    options: {
      json: { type: "boolean", default: false },
      pinholes: { type: "string", default: "100000" },
      "at-once": { type: "string", default: "4000" },
      commits: { type: "string", default: "400" },
    },
  });
  requireLaboratory();
  const sizes = {
    pinholes: Number(values.pinholes),
    atOnce: Number(values["at-once"]),
    commits: Number(values.commits),
  };
  const report = await withTopology(GATEWAY, async ({ firewall }) => {
    const inside = (work) => inNamespace(firewall.fullName, work);
    say("the kernel alone, with counters and without");
    const bare = await measureKernel(() => inside(() => new BareKernel("counter;")), sizes);
    const uncounted = await measureKernel(() => inside(() => new BareKernel("")), sizes);
    say("the service alone");
    const plan = { table: "calls", chain: "pinholes", hooks: ["FORWARD"], otherwise: "drop" };
    const service = await measureAlone(() => inside(() => NftablesPinholes.open(plan)), sizes);
    return { ...describeMachine(), ...sizes, figures: { bare, uncounted, ...service } };
  });
  const lines = Object.entries(report.figures).flatMap(([part, figures]) =>
    Object.entries(figures).map(([name, value]) => `${`${part}.${name}`.padEnd(28)} ${value.toFixed(3)}`),
  );
  const text = `${report.pinholes} pinholes\n${lines.join("\n")}\n\n${machineWords(report)}`;
  process.stdout.write(`${values.json ? JSON.stringify(report) : text}\n`);
}

await main();
