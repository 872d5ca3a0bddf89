/**
 * A policy in force in a real kernel, asked packet by packet: our table with the plan of the policy, a queue
 * in this process with an engine behind it, and a table of the test's own that notes which packets came
 * through.
 *
 * Packets are sent by hand, each with a number (IPv4 identification, IPv6 flow label), and end behind our
 * table, so that no host answers. Time is the test's: the engine is told it with each packet.
 */
import assert from "node:assert/strict";
import {
  DEFAULT_PRIORITY,
  type KernelPlan,
  KernelRules,
  planPolicy,
  probeKernel,
  requireQueueExpression,
} from "#backend";
import {
  CONNTRACK_MARK,
  CONNTRACK_STATES,
  type ConntrackState,
  conntrackStateOf,
  FirewallError,
  HOOK_NAMES,
  type HookName,
  type VerdictName,
  VERDICT,
} from "#base";
import { SEAL } from "#engine";
import type { Namespace, Topology } from "#lab";
import { DEFAULT_MARK_MASK, REJECT_KIND, RejectMarks, SEAL_GENERATIONS } from "#netlink";
import type { Policy } from "#policy";
import { Conntrack, inNamespace, Nftables, QueueSocket, RawSocket } from "#system";
import { decodePacket, Packet } from "#wire";
import { type JudgedPacket, LOCAL, numberOf, REMOTE, TIME_TO_LIVE } from "./packets.ts";
import { type Reference, referenceEngine } from "./reference.ts";

type Hosts = Topology<"client" | "firewall" | "server">;

const TABLE = "judge";

const CONNECTION_MARK_MASK = 0x7f00_0000;

const QUEUE = {
  queue: 0,
  copyRangeBytes: 65_535,
  queuePackets: 16_384,
  batchPackets: 256,
  receiveBufferBytes: 16_777_216,
  failOpen: false,
  wholeSuperPackets: true,
  acceptUnanswered: false,
  wakeFd: -1,
};

/**
 * Behind all other hooks of the same place. Connection tracking takes a connection up with this priority too;
 * of two that are equal the kernel asks the younger first, so the witness must be there before.
 */
const LAST_PRIORITY = 2_147_483_647;

/** Notes what comes through, and ends it there. What is refused is noted in our own table. */
function witnessText(): string {
  const set = (name: string): string =>
    [4, 6]
      .map((family) => {
        const field = family === 4 ? "ip id" : "ip6 flowlabel";
        return `set ${name}-${family} { typeof ${field}; flags dynamic; size 65535; }\n`;
      })
      .join("");
  // A forwarded packet has lost one hop.
  const hops = `${TIME_TO_LIVE - 1}-${TIME_TO_LIVE}`;
  const chain = (hook: "input" | "postrouting"): string =>
    `chain ${hook} { type filter hook ${hook} priority ${LAST_PRIORITY};
      ip ttl ${hops} update @passed-4 { ip id } drop
      ip6 hoplimit ${hops} update @passed-6 { ip6 flowlabel } drop
    }\n`;
  return `table inet witness {\n${set("passed")}${chain("input")}${chain("postrouting")}}\n`;
}

/** Notes the state of each packet in the kernel's connection tracking, in front of our table. */
function statesText(): string {
  const sets = CONNTRACK_STATES.flatMap((state) => [
    `set ${state}-4 { typeof ip id; flags dynamic; size 65535; }`,
    `set ${state}-6 { typeof ip6 flowlabel; flags dynamic; size 65535; }`,
  ]);
  const notes = CONNTRACK_STATES.flatMap((state) => [
    `ct state ${state} update @${state}-4 { ip id }`,
    `ct state ${state} update @${state}-6 { ip6 flowlabel }`,
  ]);
  const chains = HOOK_NAMES.map((hook) => {
    const name = hook.toLowerCase();
    return `chain ${name} { type filter hook ${name} priority 0;\n${notes.join("\n")}\n}`;
  });
  return `table inet states {\n${[...sets, ...chains].join("\n")}\n}\n`;
}

const REFUSALS = ["refuse-reset", "refuse-port", "refuse-host", "refuse-prohibited"];

/** Notes what is refused, or sent up, at the head of those chains of our table. */
function insiderText(): string {
  const sets = ["refused", "queued"].flatMap((name) => [
    `add set inet ${TABLE} ${name}-4 { typeof ip id; flags dynamic; size 65535; }`,
    `add set inet ${TABLE} ${name}-6 { typeof ip6 flowlabel; flags dynamic; size 65535; }`,
  ]);
  const notes = [...REFUSALS, "to-userspace"].flatMap((chain) => {
    const name = chain === "to-userspace" ? "queued" : "refused";
    return [
      `insert rule inet ${TABLE} ${chain} update @${name}-4 { ip id }`,
      `insert rule inet ${TABLE} ${chain} update @${name}-6 { ip6 flowlabel }`,
    ];
  });
  return `${[...sets, ...notes].join("\n")}\n`;
}

/** Most lists of one set until two say the same. */
const LISTS_MAX = 10;

interface SetListing {
  readonly nftables: readonly {
    readonly set?: { readonly elem?: readonly (number | { readonly elem: { readonly val: number } })[] };
  }[];
}

/** Does what the kernel may not allow. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof FirewallError) || error.code !== "RAW_SEND_FAILED") throw error;
  }
}

/** How a policy is put in force. */
export interface LoadOptions {
  /** Whether the plan may ask the kernel's tracker; without it fragments stay fragments. */
  readonly tracksConnections: boolean;
  /** Whether flows are sealed. */
  readonly seals: boolean;
}

/** What became of the packets of one round. */
export interface Outcome {
  readonly verdict: VerdictName;
  /** True when the packet came to userspace. */
  readonly wasQueued: boolean;
  /** Its state in the kernel's connection tracking; absent where the policy does not ask for it. */
  readonly conntrack?: ConntrackState;
}

/** Names of a host's interfaces by their indices. */
async function interfacesOf(host: Namespace): Promise<ReadonlyMap<number, string>> {
  const script = "cd /sys/class/net && for i in *; do echo $i $(cat $i/ifindex); done";
  const lines = (await host.must(["sh", "-c", script])).trim().split("\n");
  return new Map(
    lines.map((line): [number, string] => {
      const [name = "", index = "0"] = line.split(" ");
      return [Number(index), name];
    }),
  );
}

/** See above. */
export class KernelJudge {
  readonly #hosts: Hosts;
  readonly #queue: QueueSocket;
  readonly #rules: KernelRules;
  readonly #nftables: Nftables;
  readonly #conntrack: Conntrack;
  #generation = 1;
  #isNotingStates = false;
  readonly #outside: Readonly<Record<4 | 6, RawSocket>>;
  readonly #inside: Readonly<Record<4 | 6, RawSocket>>;
  readonly #packet = new Packet();
  readonly #marks = new RejectMarks(DEFAULT_MARK_MASK);
  readonly #interfaces: ReadonlyMap<number, string>;
  #reference: Reference | undefined;
  #policy: Policy | undefined;
  /** The plan in force. */
  plan: KernelPlan | undefined;
  /** Flows that were sealed so far. */
  sealed = 0;
  /** Connections that the kernel carried so far. */
  carried = 0;
  /** Packets that came back to the kernel, since they could be read, so far. */
  sentBack = 0;

  private constructor(hosts: Hosts, interfaces: ReadonlyMap<number, string>) {
    const open = (): Readonly<Record<4 | 6, RawSocket>> => ({ 4: RawSocket.open(4), 6: RawSocket.open(6) });
    const expression = requireQueueExpression(probeKernel());
    const queues = { first: QUEUE.queue, count: 1, bypass: false };
    const seals = { connectionMarkMask: CONNECTION_MARK_MASK, generation: 1 };
    const plan = {
      seals,
      table: TABLE,
      hooks: HOOK_NAMES,
      priority: DEFAULT_PRIORITY,
      markMask: DEFAULT_MARK_MASK,
      queues,
    };
    this.#hosts = hosts;
    this.#interfaces = interfaces;
    this.#outside = inNamespace(hosts.client.fullName, open);
    const inside = inNamespace(hosts.firewall.fullName, () => {
      const nftables = Nftables.open();
      nftables.run(witnessText());
      return {
        sockets: open(),
        queue: QueueSocket.open(QUEUE),
        rules: KernelRules.install(plan, expression),
        nftables,
        conntrack: Conntrack.open(),
      };
    });
    this.#inside = inside.sockets;
    this.#queue = inside.queue;
    this.#rules = inside.rules;
    this.#nftables = inside.nftables;
    this.#conntrack = inside.conntrack;
    this.#nftables.run(insiderText());
  }

  /** Prepares the hosts: addresses and ways for the packets, neighbours that need not be asked. */
  static async open(hosts: Hosts): Promise<KernelJudge> {
    const { client, firewall } = hosts;
    await firewall.must(["sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"]);
    await firewall.must([
      "sh",
      "-c",
      "for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 > $f; done",
    ]);
    for (const address of LOCAL) {
      const length = address.includes(":") ? 128 : 32;
      await firewall.must([
        "ip",
        "address",
        "add",
        `${address}/${length}`,
        "dev",
        "lo",
        ...(length === 128 ? ["nodad"] : []),
      ]);
    }
    for (const [address, out] of REMOTE) {
      const length = address.includes(":") ? 128 : 32;
      await firewall.must(["ip", "route", "replace", `${address}/${length}`, "dev", out]);
      await firewall.must([
        "ip",
        "neigh",
        "replace",
        address,
        "lladdr",
        "02:00:00:00:00:01",
        "nud",
        "permanent",
        "dev",
        out,
      ]);
    }
    const mac = (await firewall.must(["cat", "/sys/class/net/to-client/address"])).trim();
    for (const address of ["192.0.2.1", "2001:db8:1::1"]) {
      await client.must([
        "ip",
        "neigh",
        "replace",
        address,
        "lladdr",
        mac,
        "nud",
        "permanent",
        "dev",
        "to-firewall",
      ]);
    }
    for (const [address] of [...LOCAL.map((each) => [each]), ...REMOTE]) {
      const via = address?.includes(":") === true ? "2001:db8:1::1" : "192.0.2.1";
      await client.must(["ip", "route", "replace", `${address}`, "via", via]);
    }
    return new KernelJudge(hosts, await interfacesOf(firewall));
  }

  /** Name of an interface of the firewall by its index. */
  interfaceName(index: number): string {
    return this.#interfaces.get(index) ?? "";
  }

  /** Index of an interface of the firewall by its name. */
  interfaceIndex(name: string): number {
    return [...this.#interfaces].find(([, each]) => each === name)?.[0] ?? 0;
  }

  /** Puts the plan of a policy in force, with a fresh state table behind the queue. */
  load(policy: Policy, { tracksConnections, seals }: LoadOptions): void {
    this.#reference = referenceEngine(policy, (index) => this.interfaceName(index));
    this.#reference.engine.allowSeals({ accepted: seals, dropped: seals });
    const options = { tracksConnections, logsDrops: false };
    const plan = planPolicy(policy, this.#reference.memory, options);
    this.plan = plan;
    this.#policy = policy;
    // A seal of an earlier policy must mean nothing to this one.
    this.#conntrack.flush();
    this.#notesStates(policy.asksConntrack);
    this.#generation = (this.#generation % SEAL_GENERATIONS) + 1;
    inNamespace(this.#hosts.firewall.fullName, () => {
      this.#rules.tellStates(policy.asksConntrack);
      const tables = policy.attachTables(this.#reference?.memory ?? {});
      const contents = tables.map((table) => ({
        name: table.name,
        size: table.size,
        entries: table.show(),
        clock: () => 0,
      }));
      // What an earlier policy has counted counts no more.
      this.#rules.commitPlan();
      this.#rules.preparePlan(plan, { ...options, revision: 1 }, contents);
      this.#rules.commitPlan();
      this.#rules.renewSeals(this.#generation);
    });
  }

  /**
   * Sends packets, one after the other, and lets each come to its end.
   *
   * @returns what became of each
   */
  judge(packets: readonly JudgedPacket[]): Outcome[] {
    this.#flushSets();
    for (const { bytes, hook, now } of packets) {
      this.#send(bytes, hook);
      this.#answer(now);
    }
    const passed = this.#numbers("witness", "passed");
    const refused = this.#numbers(TABLE, "refused");
    const queued = this.#numbers(TABLE, "queued");
    const states = this.#states();
    return packets.map(({ bytes }) => {
      const number = numberOf(bytes);
      const conntrack = states.get(number);
      const verdict = refused.has(number) ? "REJECT" : passed.has(number) ? "ACCEPT" : "DROP";
      return { verdict, wasQueued: queued.has(number), ...(conntrack && { conntrack }) };
    });
  }

  /** Has the states of packets noted, or no longer: asking for them switches connection tracking on. */
  #notesStates(isNoting: boolean): void {
    this.#isNotingStates = isNoting;
    this.#nftables.run(`table inet states\ndelete table inet states\n${isNoting ? statesText() : ""}`);
  }

  /** States of the packets by their numbers. */
  #states(): Map<number, ConntrackState> {
    if (!this.#isNotingStates) return new Map();
    return new Map(
      CONNTRACK_STATES.flatMap((state) =>
        [...this.#numbers("states", state)].map((number) => [number, state] as const),
      ),
    );
  }

  /** Packets that rules which count have met in the kernel, by the plan in force. */
  countedPackets(name: "LimitRule" | "PortKnocking"): number {
    const isCounting = ({ chain, rule }: { readonly chain: number; readonly rule: number }): boolean =>
      this.#policy?.chains[chain]?.rules[rule]?.name === name;
    const counts = inNamespace(this.#hosts.firewall.fullName, () => this.#rules.readCounts());
    return counts.filter(isCounting).reduce((sum, { packets }) => sum + packets, 0);
  }

  close(): void {
    inNamespace(this.#hosts.firewall.fullName, () => {
      this.#rules.stopQueueing();
      this.#rules.remove();
    });
    this.#queue.close();
    this.#nftables.close();
    this.#conntrack.close();
    for (const socket of [...Object.values(this.#inside), ...Object.values(this.#outside)]) socket.close();
  }

  /** Judges what waits. The kernel has finished with a packet when the call that sent it has returned. */
  #answer(now: number): void {
    const queue = this.#queue;
    while (queue.receive(0) > 0) {
      while (queue.next()) {
        const packet = this.#packet;
        const { payloadAt, payloadEnd, wireBytes } = queue.packet;
        queue.packet.describe(packet);
        decodePacket(packet, queue.bytes, payloadAt, payloadEnd, wireBytes);
        assert.ok(this.#reference !== undefined);
        if (packet.fault === undefined && this.#marks.asksIfReadable(packet.mark, packet.protocol)) {
          this.sentBack += 1;
          queue.repeat(packet.mark);
          continue;
        }
        packet.vouched = this.#marks.isVouched(packet.mark);
        packet.carried = this.#marks.isCarried(packet.mark);
        if (packet.vouched) packet.mark = this.#marks.without(packet.mark);
        packet.conntrackState = this.#isNotingStates ? conntrackStateOf(packet.mark) : 0;
        packet.mark &= ~CONNTRACK_MARK;
        const { engine } = this.#reference;
        const verdict = engine.judge(packet, now);
        if (engine.seal !== SEAL.NONE) this.#seal(packet, engine.seal);
        else if (verdict === VERDICT.ACCEPT && packet.carried)
          queue.acceptMarked(this.#marks.apply(packet.mark, REJECT_KIND.VOUCHED));
        else if (verdict === VERDICT.ACCEPT) queue.accept();
        else if (verdict === VERDICT.DROP) queue.drop();
        else queue.acceptMarked(this.#marks.apply(packet.mark, REJECT_KIND.PORT_UNREACHABLE));
      }
      queue.flush();
    }
  }

  /** Answers with the wish that the flow's later packets be judged alike. */
  #seal(packet: Packet, seal: number): void {
    const kind = seal === SEAL.DROP ? REJECT_KIND.SEAL_DROP : REJECT_KIND.SEAL_ACCEPT;
    if (seal === SEAL.ACCEPT && packet.carried) this.carried += 1;
    this.sealed += 1;
    this.#queue.acceptMarked(this.#marks.apply(packet.mark, kind));
  }

  /** A host is told when its own packet is dropped or refused. */
  #send(bytes: Uint8Array, hook: HookName): void {
    const family = (bytes[0] ?? 0) >>> 4 === 6 ? 6 : 4;
    if (hook !== "OUTPUT") this.#outside[family].send(bytes);
    else attempt(() => this.#inside[family].send(bytes));
  }

  #flushSets(): void {
    const names = [
      ["witness", "passed"],
      [TABLE, "refused"],
      [TABLE, "queued"],
    ];
    if (this.#isNotingStates) names.push(...CONNTRACK_STATES.map((state) => ["states", state]));
    const lines = names.flatMap(([table, name]) =>
      [4, 6].map((family) => `flush set inet ${table} ${name}-${family}`),
    );
    this.#nftables.run(`${lines.join("\n")}\n`);
  }

  /**
   * Numbers in a set. While the kernel resizes the set's hash table, which it does in its own time, a list
   * may name elements twice and others not at all: it counts once the next one says the same.
   */
  #numbers(table: string, name: string): Set<number> {
    let numbers = this.#list(table, name);
    for (let lists = 1; lists < LISTS_MAX; lists += 1) {
      const again = this.#list(table, name);
      const isSame = again.size === numbers.size && [...again].every((number) => numbers.has(number));
      if (isSame) return numbers;
      numbers = again;
    }
    return assert.fail(`no two of ${LISTS_MAX} lists of the set ${name} say the same`);
  }

  #list(table: string, name: string): Set<number> {
    const found = [4, 6].flatMap((family) => {
      const text = this.#nftables.run(`list set inet ${table} ${name}-${family}`, { json: true });
      const elements = (JSON.parse(text) as SetListing).nftables.flatMap(({ set }) => set?.elem ?? []);
      return elements.map(
        (element) => (typeof element === "number" ? element : element.elem.val) + family * 0x10_0000,
      );
    });
    return new Set(found);
  }
}
