import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NftablesBatch } from "./nftables-batch.ts";
import { TABLE_FAMILY } from "./nftables-transaction.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const TABLE = { family: TABLE_FAMILY.INET, name: "postern" };

const BEGIN = "140000001000010007000000000000000000000a";
const END = "140000001100010009000000000000000000000a";

describe("an nf_tables batch", () => {
  // The kernel (6.18) took these bytes, and `nft list` showed "queue num 5-6 bypass".
  it("writes the NFQUEUE target as the kernel takes it", () => {
    const batch = new NftablesBatch(7);
    batch.appendQueueRule(TABLE, "queueing", { first: 5, count: 2, bypass: true }, "target");
    const rule =
      "68000000060a050c0800000000000000010000000c000100706f737465726e000d0002007175657565696e6700000000" +
      "38000480340001800b0001007461726765740000240002800c0001004e4651554555450008000200000000030c000300" +
      "0500020001000000";
    assert.equal(hex(batch.end()), BEGIN + rule + END);
  });

  // From `nft --debug=mnl add rule inet postern queueing queue flags bypass to 5-6` (nftables 1.0.6); only
  // the flags of the message and its sequence number are ours.
  it("writes the queue statement as nft does", () => {
    const batch = new NftablesBatch(7);
    batch.appendQueueRule(TABLE, "queueing", { first: 5, count: 2, bypass: true }, "queue");
    const rule =
      "60000000060a050c0800000000000000010000000c000100706f737465726e000d0002007175657565696e6700000000" +
      "300004802c0001800a000100717565756500" +
      "00001c000280060001000005000006000200000200000600030000010000";
    assert.equal(hex(batch.end()), BEGIN + rule + END);
  });

  it("sets the flag that spreads by processor", () => {
    const batch = new NftablesBatch(7);
    batch.appendQueueRule(TABLE, "c", { first: 0, count: 4, bypass: false, byProcessor: true }, "target");
    assert.match(hex(batch.end()), /0c000300000004000200/);
  });

  it("deletes a table", () => {
    const batch = new NftablesBatch(1);
    batch.deleteTable({ family: TABLE_FAMILY.INET, name: "nothere" });
    const expected =
      "140000001000010001000000000000000000000a" +
      "20000000020a05000200000000000000010000000c0001006e6f746865726500" +
      "140000001100010003000000000000000000000a";
    assert.equal(hex(batch.end()), expected);
  });

  it("empties a chain: the message that deletes a rule names none", () => {
    const batch = new NftablesBatch(7);
    batch.flushChain(TABLE, "judge");
    const message =
      "2c000000080a05000800000000000000010000000c000100706f737465726e000a0002006a7564676500" + "0000";
    assert.equal(hex(batch.end()), BEGIN + message + END);
  });
});
