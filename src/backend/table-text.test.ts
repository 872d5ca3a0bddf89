import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DEFAULT_MARK_MASK, REJECT_KIND, RejectMarks, SealMarks } from "../netlink/index.ts";
import type { HookEntry } from "./plan/plan-text.ts";
import { switchText, tableText } from "./table-text.ts";

const PLAN = { table: "postern", hooks: ["INPUT"], priority: 5, markMask: DEFAULT_MARK_MASK } as const;

describe("reject marks", () => {
  it("take the lowest bits of the mask", () => {
    const marks = new RejectMarks(DEFAULT_MARK_MASK);
    assert.equal(marks.apply(0, REJECT_KIND.RESET), 0x10000000);
    assert.equal(marks.apply(0, REJECT_KIND.ADMIN_PROHIBITED), 0x30000000);
    assert.equal(marks.apply(0xffffffff, REJECT_KIND.RESET) >>> 0, 0x9fffffff);
    assert.equal(marks.apply(0, REJECT_KIND.PORT_UNREACHABLE), 0x40000000);
  });

  it("never touch a foreign bit, whatever mask and mark", () => {
    const masks = fc.tuple(fc.integer({ min: 3, max: 6 }), fc.nat(26));
    fc.assert(
      fc.property(masks, fc.nat(0xffffffff), fc.constantFrom(1, 2, 3, 4), ([width, shift], mark, kind) => {
        const mask = (((1 << width) - 1) << shift) >>> 0;
        const marks = new RejectMarks(mask);
        const result = marks.apply(mark, kind);
        assert.equal((result & ~mask) >>> 0, (mark & ~mask) >>> 0);
        assert.equal((result & mask) >>> 0, marks.bits(kind));
        assert.notEqual(marks.bits(kind), 0);
      }),
    );
  });

  it("work at the top of the mark", () => {
    assert.equal(new RejectMarks(0xe0000000).apply(1, REJECT_KIND.HOST_UNREACHABLE) >>> 0, 0x40000001);
  });

  for (const mask of [0, 1, 0x10000000, 0x30000000, 0x50000000, -1, 1.5, 2 ** 33]) {
    it(`refuse the mask ${mask}`, () => {
      assert.throws(() => new RejectMarks(mask), { code: "MARK_MASK_INVALID" });
    });
  }
});

describe("seal marks", () => {
  it("use the lowest seven bits of the mask", () => {
    const marks = new SealMarks(0xff00_0000);
    assert.equal(marks.mask, 0x7f00_0000);
    assert.equal(marks.bits(31, 3), 0x7f00_0000);
    assert.equal(marks.generationOf(0x8500_0001), 5);
    assert.equal(new SealMarks(0xfe00_0000).bits(1, 2), 0x8200_0000);
    assert.ok(marks.isDropped(0xa500_0001) && !marks.isDropped(0x8500_0001) && !marks.isDropped(0xe500_0001));
    assert.throws(() => new SealMarks(0x3f), { code: "MARK_MASK_INVALID" });
  });
});

describe("our table's text", () => {
  it("has a queueing and a late chain for each hook that is judged, and no others", () => {
    const text = tableText({ ...PLAN, hooks: ["FORWARD", "INPUT"], priority: -3 });
    assert.match(text, /chain input \{\n\t\ttype filter hook input priority -3; policy accept;/);
    assert.match(text, /chain input-late \{\n\t\ttype filter hook input priority -2; policy accept;/);
    assert.match(text, /chain forward \{/);
    assert.doesNotMatch(text, /hook output/);
  });

  it("speaks of no table but ours", () => {
    const names = [...tableText(PLAN).matchAll(/table (\S+ \S+)/g)].map((match) => match[1]);
    assert.deepEqual([...new Set(names)], ["inet postern"]);
  });

  it("judges sealed flows before it queues, and only where flows may be sealed", () => {
    const seals = { connectionMarkMask: 0x7f00_0000, generation: 5 };
    const text = tableText({ ...PLAN, seals });
    assert.match(text, /chain queueing \{\n\t\tjump sealed\n(\t\t.* jump vouch\n){2}\t\tgoto/);
    assert.match(text, /chain telling \{[^}]*\tgoto to-userspace\n\t\}/);
    assert.match(text, /ct mark & 0x7f000000 == 0x05000000 accept/);
    assert.match(text, /ct mark & 0x7f000000 == 0x25000000 meta mark & 0x08000000 == 0 drop/);
    assert.doesNotMatch(tableText(PLAN), /ct mark/);
  });

  it("asks a packet on its way to a plan for nothing but our mark: the plan asks seals before answers", () => {
    const rules = (entry: HookEntry): string[] =>
      switchText({ ...PLAN, hooks: ["OUTPUT"] }, () => entry)
        .split("\n")
        .filter((line) => line.startsWith("add rule"))
        .map((rule) => rule.replace(/^add rule inet postern output /, ""));
    const chain = "plan1-hook-output";
    const asked = ["meta mark & 0x70000000 != 0 meta mark set meta mark & 0x8fffffff", `goto ${chain}`];
    assert.deepEqual(rules({ chain }), asked);
    assert.deepEqual(rules({ chain, readable: "plan1-readable-output" }), [
      "meta mark & 0x70000000 == 0x70000000 meta nfproto ipv4 meta l4proto { udp, udplite } " +
        "meta mark set meta mark & 0x8fffffff goto plan1-readable-output",
      ...asked,
    ]);
    assert.match(
      switchText({ ...PLAN, hooks: ["OUTPUT"] }, () => undefined),
      /jump pass-answers\n.*goto queueing/,
    );
  });

  for (const table of ["", "a b", "x;flush ruleset", "1st", "x".repeat(60), "a\nb"]) {
    it(`refuses the name ${JSON.stringify(table)}`, () => {
      assert.throws(() => tableText({ ...PLAN, table }), { code: "TABLE_NAME_INVALID" });
    });
  }
});
