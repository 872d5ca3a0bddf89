import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateMemory } from "../../policy/index.ts";
import { compileValid } from "../../testing/policy-probe.ts";
import { planPolicy } from "./kernel-plan.ts";

type Rules = readonly Record<string, unknown>[];

const V4 = { name: "SourceIPRule", cidr_range: "10.0.0.0/8" };
const SSH = { name: "PortRule", protocol: "TCP", dst_port: 22 };
const SLOW = { name: "LimitRule", rate: 3, action: "DROP" };
const EACH = { ...SLOW, by: "source" };
const PASS = { name: "TrueRule", action: "ACCEPT" };
const UP = { name: "PrintRule" };
const ASKING = { name: "FlowRule", is: "new", action: "DROP" };
const NARROW = [{ ...V4, action: "near" }];

/** Chains: near for some sources, ssh for their port, and what else is named. */
function chains(ssh: Rules, more: Readonly<Record<string, Rules>> = {}): Record<string, Rules> {
  return { INPUT: NARROW, near: [{ ...SSH, action: "ssh" }], ssh, ...more };
}

/** Where each rule of a kind is judged, and why not in the kernel. */
function placesOf(
  policy: object,
  options = { tracksConnections: true, logsDrops: true },
  name = "LimitRule",
): string[] {
  const compiled = compileValid({ settings: { compatibility: "strict" }, ...policy });
  const plan = planPolicy(compiled, allocateMemory(compiled), options);
  return plan.places
    .filter(({ chain, rule }) => compiled.chains[chain]?.rules[rule]?.name === name)
    .map(({ place, reasons }) => `${place}: ${reasons.join()}`);
}

const MAY = /userspace: it counts every packet, and some may go to userspace in /;
const UNVOUCHED = /userspace: it counts every packet, and IPv6 packets with extension headers go /;

test("a limit stands in the kernel where none of its packets goes up", () => {
  const table: readonly [words: string, policy: object, wanted: RegExp][] = [
    ["nothing goes up", chains([SLOW, PASS]), /^kernel: $/],
    [
      "another port is asked about flows behind it",
      chains([SLOW, PASS], { INPUT: [...NARROW, ASKING] }),
      MAY,
    ],
    ["what goes up comes from elsewhere", chains([SLOW], { INPUT: [...NARROW, { ...UP }] }), /^kernel: $/],
    ["all goes up before it", chains([SLOW], { INPUT: [UP, ...NARROW] }), MAY],
    ["all goes up behind it", chains([SLOW, UP]), MAY],
    [
      "its packets come back, and go up",
      chains([SLOW, { name: "ReturnRule" }], { near: [{ ...SSH, action: "ssh" }, UP] }),
      MAY,
    ],
    ["at another hook they go up", chains([SLOW], { FORWARD: [UP, { ...V4, action: "near" }] }), MAY],
    [
      "at another hook others go up",
      chains([SLOW], { FORWARD: [{ name: "UDPRule", action: "DROP" }, UP] }),
      /^kernel: $/,
    ],
    ["IPv6", { INPUT: [{ ...SSH, action: "ssh" }], ssh: [SLOW] }, UNVOUCHED],
    ["all of IPv4", { INPUT: NARROW, near: [SLOW] }, /^kernel: $/],
    ["OUTPUT", { OUTPUT: NARROW, near: [SLOW] }, /^kernel: $/],
    [
      "each source",
      { INPUT: [{ ...SSH, action: "ssh" }], ssh: [EACH] },
      /^both: it has a limit for each IPv6 source/,
    ],
    ["in the shadow", chains([{ ...SLOW, shadow: true }]), /^userspace: it stands in the shadow/],
    [
      "too fast",
      chains([{ ...SLOW, rate: 600_000_000 }]),
      /^userspace: the kernel cannot count at this rate/,
    ],
    ["too long", chains([{ ...EACH, per: "hour", burst: 1_000_000_000 }]), /^userspace: its burst is/],
  ];
  for (const [words, policy, wanted] of table) {
    for (const place of placesOf(policy)) assert.match(place, wanted, words);
    assert.ok(placesOf(policy).length > 0, words);
  }
});

test("of two limits that packets meet the one whose packets may go up takes the other with it", () => {
  assert.deepEqual(placesOf(chains([SLOW, { ...SLOW, rate: 5 }])), ["kernel: ", "kernel: "]);
  const [first, second] = placesOf(chains([SLOW, EACH]));
  assert.match(first ?? "", MAY, "a source without room goes up");
  assert.match(second ?? "", /^userspace: /, "to the first, and past it");
});

test("without connection tracking fragments go up, and no limit stands in the kernel", () => {
  const options = { tracksConnections: false, logsDrops: false };
  assert.match(placesOf(chains([SLOW, PASS]), options)[0] ?? "", /fragments/);
});

const KNOCK = {
  name: "PortKnocking",
  mode: "strict",
  protocol: "TCP",
  port: 2222,
  doors: [
    ["TCP", 1001],
    ["TCP", 1002],
  ],
};
const WHOLLY = /^kernel: $/;
const FOR_IPV4 = /^both: it remembers IPv6 sources in userspace: the kernel does not vouch for datagrams/;
const KNOCK_MAY = /^userspace: it remembers every knock, and some may go to userspace in /;

test("knocks are remembered in the kernel where none of them goes up", () => {
  const table: readonly [words: string, policy: object, wanted: RegExp][] = [
    ["nothing goes up", { INPUT: [KNOCK] }, WHOLLY],
    ["others go up", { INPUT: [{ name: "UDPRule", action: "udp" }, KNOCK], udp: [UP] }, WHOLLY],
    [
      "another port is asked about flows",
      { INPUT: [{ ...SSH, action: "ssh" }, KNOCK], ssh: [UP, PASS] },
      WHOLLY,
    ],
    ["all goes up before it", { INPUT: [UP, KNOCK] }, /^userspace: every packet has gone to userspace/],
    ["all goes up behind it", { INPUT: [KNOCK, UP] }, KNOCK_MAY],
    ["its flows are asked about", { INPUT: [KNOCK, ASKING] }, KNOCK_MAY],
    [
      "sources without room go up before it",
      { INPUT: [{ ...EACH, action: "ACCEPT" }, KNOCK] },
      /^userspace: /,
    ],
    ["what this host sends", { OUTPUT: [KNOCK] }, WHOLLY],
    ["UDP doors", { INPUT: [{ ...KNOCK, doors: [["UDP", 1001]] }] }, FOR_IPV4],
    ["a UDP port", { INPUT: [{ ...KNOCK, protocol: "UDP", port: 1001 }] }, FOR_IPV4],
    ["in the shadow", { INPUT: [{ ...KNOCK, shadow: true }] }, /^userspace: it stands in the shadow/],
    [
      "the port is a door",
      { INPUT: [{ ...KNOCK, port: 1001 }] },
      /^userspace: the protected port is one of its doors$/,
    ],
    [
      "attempts in too long a time",
      { INPUT: [{ ...KNOCK, attempt_window: 1_000_000 }] },
      /^userspace: the kernel cannot count at this rate/,
    ],
    ["compatible mode", { INPUT: [{ ...KNOCK, mode: "compatible", src_port: 9 }] }, /in compatible mode/],
  ];
  for (const [words, policy, wanted] of table) {
    const [place, ...others] = placesOf(policy, undefined, "PortKnocking");
    assert.match(place ?? "", wanted, words);
    assert.deepEqual(others, []);
  }
});

test("of strict knocks in userspace only what goes to a door or the port comes up", () => {
  const compiled = compileValid({ INPUT: [{ ...KNOCK, port: 1001 }, PASS] });
  const plan = planPolicy(compiled, allocateMemory(compiled));
  assert.equal(plan.places.find(({ rule }) => rule === 1)?.place, "kernel");
  assert.equal(plan.knocks.length, 0);
});
