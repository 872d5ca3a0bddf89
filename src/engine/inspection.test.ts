/** Rules about the bytes of flows, through the engine: recognised, pending, cut for good, in the shadow. */
import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { HOOK, type Hook, PINHOLE_MARK, PROTOCOL, TCP_FLAG, VERDICT, verdictName } from "../base/index.ts";
import {
  allocateMemory,
  compilePolicy,
  createRegistry,
  formatProblem,
  type Recogniser,
  type RuleRegistry,
  type RuleReport,
} from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import {
  buildPacket,
  CaptureReader,
  decodePacket,
  decodeRecord,
  Packet,
  type PacketFields,
} from "../wire/index.ts";
import { COUNTERS, Engine, notedProtocol } from "./index.ts";

const CLIENT = { source: "192.0.2.9", destination: "192.0.2.1", sourcePort: 40_000 };
const SEGMENT_BYTES = 1460;

/** An engine with a policy, and what it said. */
class Bench implements RuleReport {
  readonly printing = false;
  readonly engine: Engine;
  readonly logged: string[] = [];
  readonly #packet = new Packet();
  now = 0;
  /** Of the packets that are judged next. */
  mark = 0;

  constructor(policy: object, registry: RuleRegistry = createRegistry()) {
    const compilation = compilePolicy(JSON.stringify(policy), { file: "test.json", registry });
    assert.ok(compilation.policy, compilation.problems.map(formatProblem).join("\n"));
    this.engine = new Engine({
      initial: { policy: compilation.policy, memory: allocateMemory(compilation.policy), revision: 1 },
      tracker: new Tracker({ capacity: 1024, removed: (slot) => this.engine.removed(slot) }),
      report: this,
      interfaceName: () => "",
      counters: new Float64Array(COUNTERS.length),
    });
  }

  print(): void {}

  log(prefix: string): void {
    this.logged.push(prefix);
  }

  ruleError(_chain: string, _rule: number, error: unknown): void {
    throw error;
  }

  judge(fields: PacketFields, hook: Hook = HOOK.INPUT): string {
    const built = buildPacket(fields);
    const packet = this.#packet;
    packet.hook = hook;
    packet.mark = this.mark;
    decodePacket(packet, new DataView(built.buffer, built.byteOffset, built.length), 0, built.length);
    this.now += 1;
    return verdictName(this.engine.judge(packet, this.now));
  }

  /** Judges a capture's packets: those to the first packet's destination meet INPUT, the others OUTPUT. */
  replay(name: string): string[] {
    const reader = new CaptureReader();
    reader.push(readFileSync(new URL(`../../captures/programs/${name}.pcap`, import.meta.url)));
    const packet = new Packet();
    const verdicts: string[] = [];
    let server: string | undefined;
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      if (!decodeRecord(packet, record)) continue;
      const to = packet.destinationText;
      server ??= to;
      packet.hook = to === server ? HOOK.INPUT : HOOK.OUTPUT;
      this.now += 1;
      verdicts.push(verdictName(this.engine.judge(packet, this.now)));
    }
    return verdicts;
  }
}

/** A TCP connection to the host under test. */
class Connection {
  readonly #bench: Bench;
  readonly #ends: typeof CLIENT & { destinationPort: number };
  #sequence = 1000;
  #answer = 5000;

  constructor(bench: Bench, destinationPort: number, sourcePort = 40_000) {
    this.#bench = bench;
    this.#ends = { ...CLIENT, sourcePort, destinationPort };
  }

  open(): string[] {
    const syn = this.send(TCP_FLAG.SYN);
    this.#sequence += 1;
    const synAck = this.receive(TCP_FLAG.SYN | TCP_FLAG.ACK);
    this.#answer += 1;
    return [syn, synAck, this.send(TCP_FLAG.ACK)];
  }

  send(flags: number, payload: Uint8Array = new Uint8Array(0)): string {
    const { destinationPort, ...rest } = this.#ends;
    const verdict = this.#bench.judge({
      ...rest,
      destinationPort,
      protocol: PROTOCOL.TCP,
      flags,
      sequence: this.#sequence,
      acknowledgement: (flags & TCP_FLAG.ACK) === 0 ? 0 : this.#answer,
      payload,
    });
    if (verdict === "ACCEPT") this.#sequence += payload.length;
    return verdict;
  }

  receive(flags: number, payload: Uint8Array = new Uint8Array(0)): string {
    const { source, destination, sourcePort, destinationPort } = this.#ends;
    const verdict = this.#bench.judge(
      {
        source: destination,
        destination: source,
        sourcePort: destinationPort,
        destinationPort: sourcePort,
        protocol: PROTOCOL.TCP,
        flags,
        sequence: this.#answer,
        acknowledgement: this.#sequence,
        payload,
      },
      HOOK.OUTPUT,
    );
    if (verdict === "ACCEPT") this.#answer += payload.length;
    return verdict;
  }

  /** Sends bytes in segments; how many got through before the first that did not. */
  upload(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at += SEGMENT_BYTES) {
      const verdict = this.send(TCP_FLAG.ACK, bytes.subarray(at, at + SEGMENT_BYTES));
      if (verdict !== "ACCEPT") return at;
    }
    return bytes.length;
  }
}

const text = (): Buffer =>
  Buffer.from(Array.from({ length: 30_000 }, (_, at) => `${(at * 7919) % 10_007} is the ${at}th. `).join(""));
const gzip = (): Uint8Array => gzipSync(text()).subarray(0, 60_000);
function aes(key = 7): Uint8Array {
  return createCipheriv("aes-256-ctr", Buffer.alloc(32, key), Buffer.alloc(16)).update(text());
}

const CUT = { INPUT: [{ name: "EncryptedRule", action: "DROP" }] };
const FORK = {
  default_chain: "ACCEPT",
  INPUT: [{ name: "PrintRule" }, { name: "EntropyRule", action: "DROP" }],
};

describe("encrypted and unknown", () => {
  for (const [name, policy] of Object.entries({ EncryptedRule: CUT, EntropyRule: FORK })) {
    test(`${name} cuts ciphertext over plain TCP within its first 16 KB, for good`, () => {
      const bench = new Bench(policy);
      let cut = 0;
      const keys = Array.from({ length: 20 }, (_, at) => at + 1);
      for (const key of keys) {
        const connection = new Connection(bench, 9000, 40_000 + key);
        assert.deepEqual(connection.open(), ["ACCEPT", "ACCEPT", "ACCEPT"]);
        const through = connection.upload(aes(key));
        if (through > 16_384) continue;
        cut += 1;
        assert.equal(connection.send(TCP_FLAG.ACK, Buffer.from("more")), "DROP");
        assert.equal(connection.receive(TCP_FLAG.ACK, Buffer.from("answer")), "DROP");
      }
      // HEDGE lets one piece of ciphertext in fifteen pass for something else.
      assert.ok(cut >= (name === "EncryptedRule" ? 20 : 16), `${cut} of ${keys.length} were cut`);
    });

    test(`${name} lets gzip and text over plain TCP pass`, () => {
      const bench = new Bench(policy);
      for (const [at, bytes] of [gzip(), text()].entries()) {
        const connection = new Connection(bench, 9000, 41_000 + at);
        connection.open();
        assert.equal(connection.upload(bytes), bytes.length);
      }
    });

    for (const capture of [
      "tls12",
      "tls13",
      "ssh",
      "git-over-ssh",
      "openvpn-tcp-plain",
      "openvpn-tcp-tls-crypt",
    ])
      test(`${name} lets ${capture} pass on any port`, () => {
        assert.deepEqual([...new Set(new Bench(policy).replay(capture))], ["ACCEPT"]);
      });
  }

  test("SSH is dropped where it is not allowed", () => {
    const bench = new Bench({ INPUT: [{ name: "EncryptedRule", allow: ["TLS"], action: "DROP" }] });
    assert.ok(bench.replay("ssh").includes("DROP"));
    assert.deepEqual([...new Set(bench.replay("tls13"))], ["ACCEPT"]);
  });

  test("the entropy gate is a setting: above 8 bits nothing is encrypted", () => {
    const rule = { name: "EntropyRule", entropy: 8, action: "DROP" };
    const connection = new Connection(new Bench({ INPUT: [rule] }), 9000);
    connection.open();
    assert.equal(connection.upload(aes()), aes().length);
  });

  test("a connection that was cut may be followed by another on the same ports", () => {
    const bench = new Bench(CUT);
    const first = new Connection(bench, 9000);
    first.open();
    assert.ok(first.upload(aes()) < 16_384);
    bench.now += 200_000;
    bench.engine.expire(bench.now);
    const second = new Connection(bench, 9000);
    assert.deepEqual(second.open(), ["ACCEPT", "ACCEPT", "ACCEPT"]);
    assert.equal(second.upload(gzip()), gzip().length);
  });

  test("a connection met in the middle is left alone", () => {
    const connection = new Connection(new Bench(CUT), 9000);
    assert.equal(connection.upload(aes()), aes().length);
  });

  test("REJECT answers both ends", () => {
    const connection = new Connection(
      new Bench({ INPUT: [{ name: "EncryptedRule", action: "REJECT" }] }),
      9000,
    );
    connection.open();
    connection.upload(aes());
    assert.equal(connection.send(TCP_FLAG.ACK, Buffer.from("x")), "REJECT");
    assert.equal(connection.receive(TCP_FLAG.ACK, Buffer.from("x")), "REJECT");
  });

  for (const [action, verdict] of [
    ["REJECT", "ACCEPT"],
    ["DROP", "DROP"],
  ] as const) {
    test(`of a connection ended by ${action}, resets get the verdict ${verdict}, and nothing in them passes`, () => {
      const bench = new Bench({ INPUT: [{ name: "EncryptedRule", action }] });
      const connection = new Connection(bench, 9000);
      connection.open();
      assert.equal(bench.engine.ended, false);
      let passed = 0;
      for (let at = 0; !bench.engine.ended && at < 20_000; at += 300, passed += 1)
        connection.send(TCP_FLAG.ACK, aes().subarray(at, at + 300));
      assert.ok(passed > 1 && bench.engine.ended);
      assert.equal(connection.receive(TCP_FLAG.RST | TCP_FLAG.ACK), verdict);
      assert.equal(bench.engine.ended, false, "said once");
      assert.equal(connection.send(TCP_FLAG.RST | TCP_FLAG.ACK), verdict);
      assert.equal(connection.send(TCP_FLAG.RST | TCP_FLAG.ACK, Buffer.from("x")), action);
      assert.equal(connection.send(TCP_FLAG.ACK, Buffer.from("x")), action);
    });
  }
});

describe("recognised", () => {
  const only = (protocol: string): object => ({
    default_chain: "DROP",
    INPUT: [{ name: "ProtocolRule", protocols: [protocol], action: "ACCEPT" }],
    OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
  });

  test("ProtocolRule lets a protocol in by its bytes, and only while it waits anything else", () => {
    assert.deepEqual([...new Set(new Bench(only("SSH")).replay("ssh"))], ["ACCEPT"]);
    const verdicts = new Bench(only("SSH")).replay("http1");
    assert.equal(verdicts[0], "ACCEPT");
    assert.ok(verdicts.includes("DROP"));
  });

  test("not inverts only what is known", () => {
    const policy = { INPUT: [{ name: "ProtocolRule", protocols: ["tls"], not: true, action: "DROP" }] };
    assert.deepEqual([...new Set(new Bench(policy).replay("tls13"))], ["ACCEPT"]);
    assert.ok(new Bench(policy).replay("http1").includes("DROP"));
  });

  test("ServerNameRule knows the names of TLS, HTTP and DNS", () => {
    for (const capture of ["tls13", "http1", "dns"]) {
      const named = (name: string): Set<string> =>
        new Set(
          new Bench({ INPUT: [{ name: "ServerNameRule", names: [name], action: "DROP" }] }).replay(capture),
        );
      assert.ok(named("WWW.example.org.").has("DROP"), capture);
      assert.ok(named("*.example.org").has("DROP"), capture);
      assert.ok(!named("*.www.example.org").has("DROP"), capture);
      assert.ok(!named("example.org").has("DROP"), capture);
    }
  });

  test("FingerprintRule knows HASSH", () => {
    const rule = { name: "FingerprintRule", hassh: ["472B5DE333AD665AF5CBF10FF892C4DF"], action: "DROP" };
    assert.ok(new Bench({ INPUT: [rule] }).replay("ssh").includes("DROP"));
    const other = { ...rule, hassh: ["00000000000000000000000000000000"] };
    assert.ok(!new Bench({ INPUT: [other] }).replay("ssh").includes("DROP"));
  });

  test("the state table names the protocol, and the flow's server", () => {
    const bench = new Bench(only("TLS"));
    bench.replay("tls13");
    const { tracker } = bench.engine;
    const found: string[] = [];
    tracker.flows.visit(0, 1024, (slot) => {
      const name = bench.engine.contentOf(tracker.flows.id(slot))?.facts.serverName;
      found.push(`${notedProtocol(tracker.flows.note(slot))} ${name}`);
    });
    assert.deepEqual(found, ["TLS www.example.org"]);
  });
});

describe("pending", () => {
  test("what is unknown at the bounds does not match", () => {
    const policy = {
      settings: { pending: { packets: 3 } },
      default_chain: "DROP",
      INPUT: [{ name: "ProtocolRule", protocols: ["SSH"], action: "ACCEPT" }],
      OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
    };
    const connection = new Connection(new Bench(policy), 22);
    connection.open();
    const verdicts = Array.from({ length: 5 }, () => connection.send(TCP_FLAG.ACK, Buffer.from("SS")));
    assert.equal(verdicts[0], "ACCEPT");
    assert.equal(verdicts[4], "DROP");
  });

  test("the rule that accepts a flow is noted with it, once none waits for its bytes any more", () => {
    const policy = {
      default_chain: "DROP",
      INPUT: [
        { name: "ProtocolRule", protocols: ["SSH"], action: "DROP" },
        { name: "PortRule", protocol: "TCP", dst_port: 9000, action: "ACCEPT" },
      ],
      OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
    };
    const bench = new Bench(policy);
    const { tracker } = bench.engine;
    const connection = new Connection(bench, 9000);
    connection.open();
    assert.equal(tracker.flows.rule(tracker.slot), 0);
    connection.send(TCP_FLAG.ACK, Buffer.from("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n"));
    connection.send(TCP_FLAG.ACK);
    assert.equal(bench.engine.evaluator.reason, "rule");
    assert.equal(tracker.flows.rule(tracker.slot), 1);
  });

  test("no packet waits whose verdict is sure", () => {
    const policy = {
      default_chain: "DROP",
      INPUT: [{ name: "ProtocolRule", protocols: ["SSH"], action: "DROP" }],
    };
    assert.equal(new Connection(new Bench(policy), 22).send(TCP_FLAG.SYN), "DROP");
  });

  test("hold keeps payload back until the verdict", () => {
    const policy = { settings: { pending: { mode: "hold" } }, ...CUT };
    const connection = new Connection(new Bench(policy), 9000);
    assert.deepEqual(connection.open(), ["ACCEPT", "ACCEPT", "ACCEPT"]);
    assert.equal(connection.upload(aes()), 0);
  });
});

describe("a pinhole for a flow that a rule has ended for its bytes", () => {
  const cut = { name: "EncryptedRule", action: "DROP" };
  const pinhole = { name: "PinholeRule", action: "ACCEPT" };
  /** Rules, and what becomes of packets that a pinhole permits. */
  const cases: readonly (readonly [title: string, rules: readonly object[], verdict: string])[] = [
    ["frees it where the policy asks pinholes first", [pinhole, cut], "ACCEPT"],
    ["does not free it where the rule comes first", [cut, pinhole], "DROP"],
    [
      "does not free it where nobody asks for pinholes",
      [cut, { name: "TrueRule", action: "ACCEPT" }],
      "DROP",
    ],
  ];
  for (const [title, rules, verdict] of cases) {
    test(title, () => {
      const bench = new Bench({ default_chain: "ACCEPT", INPUT: rules });
      const connection = new Connection(bench, 9000);
      connection.open();
      assert.ok(connection.upload(aes()) < aes().length, "it was ended");
      const more = (mark: number): string => {
        bench.mark = mark;
        return connection.send(TCP_FLAG.ACK, Buffer.from("more"));
      };
      assert.deepEqual(
        [more(0), more(PINHOLE_MARK), more(PINHOLE_MARK), more(0)],
        ["DROP", verdict, verdict, "DROP"],
      );
    });
  }
});

test("a rule in the shadow reports each flow once and does not act", () => {
  const bench = new Bench({ INPUT: [{ name: "EncryptedRule", shadow: true, action: "DROP" }] });
  const connection = new Connection(bench, 9000);
  connection.open();
  assert.equal(connection.upload(aes()), aes().length);
  assert.deepEqual(bench.logged, ["shadow: rule 0 of INPUT (EncryptedRule) would DROP:"]);
});

test("no more flows hold bytes than the limit contentFlows says", () => {
  const bench = new Bench({ settings: { limits: { contentFlows: 16 } }, ...CUT });
  const connections = Array.from({ length: 20 }, (_, at) => new Connection(bench, 9000, 42_000 + at));
  for (const connection of connections) {
    connection.open();
    connection.send(TCP_FLAG.ACK, Buffer.from([1, 2, 3]));
  }
  const through = connections.map((connection) => connection.upload(aes(3)));
  assert.equal(through.filter((bytes) => bytes <= 16_384).length, 16);
});

test("a policy without such rules costs no inspection", () => {
  const bench = new Bench({ INPUT: [{ name: "TrueRule", action: "ACCEPT" }] });
  new Connection(bench, 9000).open();
  assert.equal(bench.engine.content, undefined);
  assert.equal(bench.engine.evaluator.verdict, VERDICT.ACCEPT);
});

describe("recognisers of one's own", () => {
  const hello: Recogniser = {
    protocol: "Hello",
    transports: ["TCP"],
    encrypted: true,
    judge(evidence) {
      if (!evidence.bytes.couldBe("HELLO ")) return -1;
      if (evidence.bytes.length < 6) return 6;
      evidence.match(3);
      return 0;
    },
  };
  const policy = { INPUT: [{ name: "EncryptedRule", allow: ["Hello"], action: "DROP" }] };

  function registryWith(...recognisers: Recogniser[]): RuleRegistry {
    const registry = createRegistry();
    for (const each of recognisers) registry.registerRecogniser(each);
    return registry;
  }

  function open(bench: Bench): Connection {
    const connection = new Connection(bench, 9000);
    connection.open();
    assert.equal(connection.send(TCP_FLAG.ACK, Buffer.from("HELLO ")), "ACCEPT");
    return connection;
  }

  test("what they find is allowed by its name, and noted on the flow", () => {
    const bench = new Bench(policy, registryWith(hello));
    assert.equal(open(bench).upload(aes()), aes().length);
    const { tracker } = bench.engine;
    assert.equal(notedProtocol(tracker.flows.note(0)), "Hello");
  });

  test("a policy read anew with the same recognisers knows its flows still, with others begins afresh", () => {
    for (const [next, isKnown] of [
      [hello, true],
      [{ ...hello }, false],
    ] as const) {
      const bench = new Bench(policy, registryWith(hello));
      open(bench);
      const again = compilePolicy(JSON.stringify(policy), {
        file: "again.json",
        registry: registryWith(next),
      });
      assert.ok(again.policy);
      bench.engine.swap({ policy: again.policy, memory: allocateMemory(again.policy), revision: 2 });
      const id = bench.engine.tracker.flows.id(0);
      assert.equal(bench.engine.contentOf(id)?.protocol, isKnown ? "Hello" : undefined);
      assert.equal(notedProtocol(bench.engine.tracker.flows.note(0)), "Hello", "the flow keeps its name");
    }
  });
});
