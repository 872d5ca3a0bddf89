/** Every policy file in the repository loads, says what it should, and is good by the JSON Schema. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parse } from "jsonc-parser";
import { HOOK, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../testing/policy-probe.ts";
import { SchemaCheck } from "../testing/schema-check.ts";
import {
  compilePolicy,
  createRegistry,
  FLOW,
  formatProblem,
  policyJsonSchema,
  policyModules,
  type RuleRegistry,
  ruleToolkit,
} from "./index.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const users = {
  userId: (name: string) => (name === "nobody" ? 65_534 : undefined),
  groupId: () => undefined,
};

function jsonFiles(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".json"));
  return files.map((entry) => relative(root, join(entry.parentPath, entry.name))).toSorted();
}

/** A registry with the rules of the modules that the file names. */
async function registryFor(file: string, source: string): Promise<RuleRegistry> {
  const registry = createRegistry();
  for (const { path } of policyModules(source)) {
    const address = pathToFileURL(join(root, dirname(file), path)).href;
    const loaded = (await import(address)) as { default: (registry: RuleRegistry) => void };
    loaded.default(registry);
  }
  return registry;
}

async function probe(file: string): Promise<PolicyProbe> {
  const source = readFileSync(join(root, file), "utf8");
  return new PolicyProbe(source, { users, registry: await registryFor(file, source) });
}

describe("every policy file", () => {
  const files = [...jsonFiles("examples"), ...jsonFiles("test/pywall")];
  test("is found", () => assert.ok(files.length >= 28, files.join("\n")));
  for (const file of files) {
    test(`${file} loads`, async () => {
      const source = readFileSync(join(root, file), "utf8");
      const registry = await registryFor(file, source);
      const { policy, problems } = compilePolicy(source, { file, users, registry });
      assert.ok(policy, problems.map(formatProblem).join("\n"));
      // Files of our own give no reason for a warning.
      if (!file.includes("pywall/")) assert.deepEqual(problems.map(formatProblem), []);
      assert.deepEqual(new SchemaCheck(policyJsonSchema(registry)).check(parse(source)), []);
    });
  }
});

const packet: ProbePacket = {
  source: "203.0.113.5",
  destination: "198.51.100.7",
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 80,
};

describe("PyWall's examples", () => {
  const rows: readonly (readonly [string, Partial<ProbePacket>, string])[] = [
    ["example", { state: "CLOSED" }, "DROP"],
    ["example", { state: "SYN_SENT1" }, "ACCEPT"],
    ["example", { protocol: PROTOCOL.UDP }, "ACCEPT"],
    ["conntrack", { state: "CLOSED" }, "DROP"],
    ["addr-port", { source: "172.20.33.164", destinationPort: 2222 }, "DROP"],
    ["addr-port", { source: "172.20.33.165", destinationPort: 2222 }, "ACCEPT"],
    ["addr-port", { source: "172.20.33.164", destinationPort: 2223 }, "ACCEPT"],
    ["src_port_block", { protocol: PROTOCOL.UDP, sourcePort: 53 }, "DROP"],
    ["src_port_block", { sourcePort: 53 }, "ACCEPT"],
    ["src_port_block", { sourcePort: 49_152 }, "DROP"],
    ["src_port_block", { sourcePort: 49_151 }, "ACCEPT"],
    ["dst_port_block", { protocol: PROTOCOL.UDP, destinationPort: 53 }, "DROP"],
    ["dst_port_block", { destinationPort: 65_535 }, "DROP"],
    ["manual", { source: "221.224.1.1", state: "ESTABLISHED" }, "DROP"],
    ["manual", { source: "221.232.0.1", state: "ESTABLISHED" }, "ACCEPT"],
  ];
  for (const [name, changes, verdict] of rows) {
    test(`${name}: ${JSON.stringify(changes)} gives ${verdict}`, async () => {
      const made = await probe(`examples/pywall/${name}.json`);
      assert.equal(made.judge({ ...packet, ...changes }), verdict);
    });
  }

  test("portknock: the doors open port 2222, a session survives by its state", async () => {
    const made = await probe("examples/pywall/portknock.json");
    const door1 = { ...packet, sourcePort: 9001, destinationPort: 49_001 };
    const door2 = { ...door1, protocol: PROTOCOL.UDP, destinationPort: 49_011 };
    const session = { ...packet, destinationPort: 2222 };
    const verdicts = [session, door1, door2, session].map((sent) => made.judge(sent));
    assert.deepEqual(verdicts, ["DROP", "DROP", "DROP", "ACCEPT"]);
    made.context.now += 20_001;
    assert.equal(made.judge({ ...session, state: "ESTABLISHED" }), "ACCEPT");
    assert.equal(made.judge(session), "DROP");
  });

  test("the old names of dst_port_block are named in warnings", () => {
    const file = "examples/pywall/dst_port_block.json";
    const { problems } = compilePolicy(readFileSync(join(root, file), "utf8"), { file: basename(file) });
    const old = problems.filter(({ code }) => code === "old-name").map(formatProblem);
    assert.deepEqual(old, [
      "dst_port_block.json:7:15: warning: PortFilter is an old name: write PortRule ($.INPUT[1].name)",
      "dst_port_block.json:13:15: warning: PortRangeFilter " +
        "is an old name: write PortRangeRule ($.INPUT[2].name)",
    ]);
  });
});

test("host.json serves, asks, and is silent otherwise", async () => {
  const made = await probe("examples/host.json");
  made.context.interfaces.set(1, "lo").set(2, "eth0");
  const ssh = { ...packet, destinationPort: 22, inInterface: 2 };
  const out = { ...packet, hook: HOOK.OUTPUT, outInterface: 2 };
  assert.equal(made.judge({ ...packet, inInterface: 2 }), "DROP");
  assert.equal(made.report.logged.length, 1);
  assert.equal(made.judge({ ...packet, inInterface: 1 }), "ACCEPT");
  assert.equal(made.judge({ ...packet, protocol: PROTOCOL.UDP, flow: FLOW.REPLY }), "ACCEPT");
  assert.deepEqual(
    Array.from({ length: 8 }, () => made.judge(ssh)),
    [...Array.from({ length: 6 }, () => "ACCEPT"), "DROP", "DROP"],
  );
  assert.equal(
    made.judge({
      ...packet,
      source: "fe80::1",
      destination: "fe80::2",
      protocol: PROTOCOL.ICMPV6,
      icmpType: 135,
    }),
    "ACCEPT",
  );
  assert.equal(made.judge(out), "ACCEPT");
  assert.equal(made.judge({ ...out, userId: 65_534, groupId: 65_534 }), "REJECT");
  assert.equal(made.judge({ ...out, outInterface: 1, userId: 65_534, groupId: 65_534 }), "ACCEPT");
});

test("gateway.json lets the house out, the world to the server, and knockers in", async () => {
  const made = await probe("examples/gateway.json");
  made.context.interfaces.set(1, "lo").set(2, "wan0").set(3, "lan0").set(4, "dmz0");
  const forward = (from: number, to: number, changes: Partial<ProbePacket> = {}): string =>
    made.judge({ ...packet, hook: HOOK.FORWARD, inInterface: from, outInterface: to, ...changes });
  assert.equal(forward(3, 2), "ACCEPT");
  assert.equal(forward(3, 2, { destinationPort: 25 }), "REJECT");
  assert.equal(forward(3, 4), "ACCEPT");
  assert.equal(forward(3, 1), "REJECT");
  assert.equal(forward(2, 3), "DROP");
  assert.equal(forward(2, 3, { flow: FLOW.REPLY }), "ACCEPT");
  assert.equal(forward(2, 3, { flow: FLOW.REPLY, source: "10.1.1.1" }), "DROP");
  assert.equal(forward(2, 4, { destination: "192.0.2.80", destinationPort: 443 }), "ACCEPT");
  assert.equal(forward(2, 4, { destination: "192.0.2.80" }), "DROP");
  const ssh = { ...packet, inInterface: 2, destinationPort: 22, flags: TCP_FLAG.SYN };
  const knocks = [
    { ...ssh, protocol: PROTOCOL.UDP, destinationPort: 33_123 },
    { ...ssh, destinationPort: 40_417 },
    { ...ssh, protocol: PROTOCOL.UDP, destinationPort: 25_001 },
  ];
  assert.deepEqual(
    [ssh, ...knocks, ssh].map((sent) => made.judge(sent)),
    ["DROP", "DROP", "DROP", "DROP", "ACCEPT"],
  );
  assert.equal(made.judge({ ...ssh, source: "192.168.1.9", inInterface: 3 }), "ACCEPT");
});

test("a module without this package makes its rule from what it is handed", () => {
  const registry = createRegistry();
  const register = (target: RuleRegistry, { Rule, integer, required }: typeof ruleToolkit): void => {
    class HopsRule extends Rule {
      readonly #least: number;
      constructor(least: number) {
        super();
        this.#least = least;
      }
      override match({ timeToLive }: { readonly timeToLive: number }): boolean {
        return timeToLive >= this.#least;
      }
    }
    target.register("HopsRule", {
      summary: "Matches packets that may still cross so many routers.",
      arguments: { least: required(integer({ min: 1, max: 255 }), "Least time to live.") },
      action: "required",
      create: ({ least }) => new HopsRule(least),
    });
  };
  register(registry, ruleToolkit);
  const made = new PolicyProbe({ INPUT: [{ name: "HopsRule", least: 60, action: "DROP" }] }, { registry });
  assert.deepEqual(
    [60, 59].map((timeToLive) => made.judge({ ...packet, timeToLive })),
    ["DROP", "ACCEPT"],
  );
});

test("own-rule: a rule from a module reads the packet's bytes", async () => {
  const made = await probe("examples/own-rule/policy.json");
  const query = (name: string): string => {
    const labels = name.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
    const payload = Uint8Array.from([...new Array<number>(12).fill(0), ...labels, 0, 0, 1, 0, 1]);
    return made.judge({ ...packet, hook: HOOK.OUTPUT, protocol: PROTOCOL.UDP, destinationPort: 53, payload });
  };
  assert.equal(query("telemetry.example"), "REJECT");
  assert.equal(query("a.b.Telemetry.EXAMPLE"), "REJECT");
  assert.equal(query("nottelemetry.example"), "ACCEPT");
  assert.equal(query("telemetry.example.org"), "ACCEPT");
  assert.equal(query("www.ads.example.org"), "REJECT");
  assert.equal(
    made.judge({ ...packet, hook: HOOK.OUTPUT, protocol: PROTOCOL.UDP, destinationPort: 53 }),
    "ACCEPT",
  );
  const wrong = '{"OUTPUT": [{"name": "DnsNameRule", "domains": ["a..b"], "action": "DROP"}]}';
  const registry = await registryFor(
    "examples/own-rule/policy.json",
    '{"settings": {"modules": ' + '["./dns-name-rule.js"]}}',
  );
  const [problem] = compilePolicy(wrong, { file: "p.json", registry }).problems;
  assert.match(problem?.message ?? "", /DnsNameRule cannot be made: "a\.\.b" is no domain name/);
});
