import assert from "node:assert/strict";
import { Prefix } from "../../base/index.ts";
import { GATEWAY, type Namespace } from "../../lab/index.ts";
import { Endpoint, makeElement, type StandingElement, type StandingLimits } from "../../pinhole/index.ts";
import { inNamespace } from "../../system/index.ts";
import { netnsTest } from "../../testing/index.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";

const TABLE = "inet postern-pinholes";
const EXACT = "pass-limited-v4-saddr.sport.daddr.dport.proto";
const LIMITS = { pps: 10, quotaBytes: 1_000_000 };
const NOTHING = { put: [], remove: [], putLimits: [], removeLimits: [] };

function openIn(host: Namespace): NftablesPinholes {
  const plan = {
    table: "postern-pinholes",
    chain: "pinholes",
    hooks: ["FORWARD"],
    otherwise: "drop",
  } as const;
  return inNamespace(host.fullName, () => NftablesPinholes.open(plan));
}

function endpoint(address: string, low: number, high = low): Endpoint {
  const prefix = Prefix.parse(address);
  assert.ok(prefix !== undefined);
  return new Endpoint(prefix, { low, high });
}

/** What a pinhole with limits needs; every hundredth is a wide range. */
function limited(number: number): StandingElement {
  const isWide = number % 100 === 0;
  const source = isWide ? endpoint(`10.2.0.${number / 100}`, 10_000, 20_000) : endpoint("10.1.0.7", number);
  const box = { protocol: 17, source, destination: endpoint("198.51.100.9", 6004) };
  return { ...makeElement("pass-limited", box), deadline: 600_000, limiter: number };
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => first + at);
}

function limitsOf(numbers: readonly number[]): StandingLimits[] {
  return numbers.map((number) => ({ number, limits: LIMITS }));
}

/** All limits, what leads to them, and the rules that ask, in the words of nft. */
async function held(firewall: Namespace): Promise<string[]> {
  const { output } = await firewall.run([
    "nft",
    "-n",
    "list",
    "table",
    TABLE.split(" ")[0] ?? "",
    "postern-pinholes",
  ]);
  const words = output.match(
    /[\d.]+ \. [\d-]+ \. [^,}\n]* : "pinholes[^"]*"|(limit|quota) pinholes\S*|@pinholes-(pps|quota)\S*/g,
  );
  return [...(words ?? [])].sort();
}

netnsTest(
  "limits are audited beside plans, and what is right stays as it is",
  GATEWAY,
  async ({ firewall }) => {
    const backend = openIn(firewall);
    const began = performance.now();
    const clock = (): number => performance.now() - began;
    const numbers = range(100, 1001);
    await backend.restore({ now: clock(), generation: 1, elements: [], limits: [] });
    const [put, putLimits] = [numbers.map(limited), limitsOf(numbers)];
    await backend.commit(backend.prepare({ ...NOTHING, generation: 2, now: clock(), put, putLimits }));
    assert.deepEqual(await backend.audit(clock), {
      found: 2,
      held: 1001,
      added: [],
      renewed: [],
      removed: [],
    });
    const before = await held(firewall);
    assert.ok(before.length > 4 * 1001, "a limit, and what leads to it, for each kind");

    const key = (port: number): string => `10.1.0.7 . ${port} . 198.51.100.9 . 6004 . udp`;
    const quotas = `${TABLE} pinholes-quota-${EXACT}`;
    const tamper = [
      `flush map ${TABLE} pinholes-pps-${EXACT}`,
      `delete limit ${TABLE} pinholes-101-pps`,
      `add limit ${TABLE} pinholes-9-pps { rate 1/second }`,
      `add element ${quotas} { ${key(9)} : "pinholes-105-quota" }`,
      `delete element ${quotas} { ${key(102)} }`,
      `add element ${quotas} { ${key(102)} : "pinholes-103-quota" }`,
      `flush map ${TABLE} pinholes-pps-pass-limited-v4-ports-1`,
      `flush chain ${TABLE} pinholes-v4-limited`,
    ];
    for (const command of tamper) await firewall.must(["nft", command]);
    const order: string[] = [];
    const audit = backend.audit(clock).then((restoration) => {
      order.push("audited");
      return restoration;
    });
    const [come, gone] = [range(2001, 5), range(111, 5)];
    const plan = {
      generation: 3,
      now: clock(),
      put: come.map(limited),
      remove: gone.map(limited),
      putLimits: limitsOf(come),
      removeLimits: gone,
    };
    await backend.commit(backend.prepare(plan));
    order.push("committed");
    const restoration = await audit;
    assert.deepEqual(order, ["committed", "audited"]);
    const [added, removed] = [restoration?.added ?? [], restoration?.removed ?? []];
    // Every entry of the first map but those that left, and what is made anew of the others.
    assert.equal(added.filter((name) => name.startsWith("pps of ")).length, 1001 - 5);
    assert.deepEqual(
      added.filter((name) => !name.startsWith("pps of ")),
      ["limit pinholes-101-pps"],
    );
    assert.deepEqual([...removed].sort(), [
      "limit pinholes-9-pps",
      `quota of pass-limited 17 10.1.0.7/32:102 198.51.100.9/32:6004`,
      `quota of pass-limited 17 10.1.0.7/32:9 198.51.100.9/32:6004`,
    ]);

    const back = { put: gone.map(limited), putLimits: limitsOf(gone) };
    const away = { remove: come.map(limited), removeLimits: come };
    await backend.commit(backend.prepare({ generation: 4, now: clock(), ...back, ...away }));
    assert.deepEqual(await held(firewall), before);
    await backend.close();

    const next = openIn(firewall);
    await next.restore({ now: clock(), generation: 4, elements: put, limits: putLimits });
    assert.deepEqual(await held(firewall), before);
    assert.deepEqual(await next.audit(clock), { found: 4, held: 1001, added: [], renewed: [], removed: [] });
    await firewall.must(["nft", `flush map ${TABLE} pinholes-pps-${EXACT}`]);
    assert.equal((await next.audit(clock))?.added.length, 1001 - 11, "what was found right is known too");
    await next.close();
  },
);
