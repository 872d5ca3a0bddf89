import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeQueueBind, encodeQueueCopyRange, encodeQueueUnbind, QUEUE_FLAG } from "./queue-config.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("queue configuration", () => {
  it("binds and sets everything in one message, flags OR-ed in one attribute", () => {
    const flags = QUEUE_FLAG.FAIL_OPEN | QUEUE_FLAG.GSO | QUEUE_FLAG.OWNER;
    const message = encodeQueueBind({ queue: 5, copyRangeBytes: 65_531, queuePackets: 1024, flags }, 3);
    const parts = [
      "4000000002030500" + "0300000000000000", // length, type, flags (request, acknowledge), sequence, port
      "00000005", // no family, version 0, queue number
      "0800010001000000", // bind
      "090002000000fffb02000000", // copy range, copy packets, padding
      "0800030000000400", // queue length
      "080004000000000f", // which flags are set or cleared
      "080005000000000d", // the flags
    ];
    assert.equal(hex(message), parts.join(""));
  });

  it("changes the copy range alone, and asks for no answer", () => {
    const message = "2000000002030100" + "0000000000000000" + "00000005" + "090002000000010002000000";
    assert.equal(hex(encodeQueueCopyRange(5, 256)), message);
  });

  it("unbinds", () => {
    assert.equal(hex(encodeQueueUnbind(258, 1)), "1c000000020305000100000000000000000001020800010002000000");
  });
});
