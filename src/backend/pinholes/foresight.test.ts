import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeElementsDump, MessageCursor, TABLE_FAMILY } from "../../netlink/index.ts";
import type { ListEnd, ListVisitor, NetlinkSocket } from "../../system/index.ts";
import { Foresight } from "./foresight.ts";

type List = NetlinkSocket["list"];

const TABLE = { family: TABLE_FAMILY.INET, name: "table" };
const FIRST = encodeElementsDump(TABLE, "first");
const SECOND = encodeElementsDump(TABLE, "second");
/** How long each part has waited to be read. */
const AGE_MS = 700;
const END: ListEnd = { isInterrupted: false, refused: undefined };

/** A kernel that answers each question with the question itself, so often. */
function echo(asked: Uint8Array[], times = 1): List {
  return (request, visit) => {
    asked.push(request);
    const bytes = new DataView(Uint8Array.from(request).buffer);
    for (let time = 0; time < times; time += 1) {
      const cursor = new MessageCursor();
      cursor.bind(bytes, 0, bytes.byteLength);
      while (cursor.next()) visit(bytes, cursor, AGE_MS);
    }
    // What was read is overwritten by what is read next.
    new Uint8Array(bytes.buffer).fill(0);
    return Promise.resolve(END);
  };
}

async function contents(foresight: Foresight, request: Uint8Array): Promise<Buffer[]> {
  const messages: Buffer[] = [];
  await foresight.list(request, (bytes, { at, end }) => {
    messages.push(Buffer.from(bytes.buffer.slice(bytes.byteOffset + at, bytes.byteOffset + end)));
  });
  return messages;
}

describe("foresight", () => {
  it("has each list once, and asks for it anew after that", async () => {
    const asked: Uint8Array[] = [];
    const foresight = new Foresight({ list: echo(asked, 2) }, [FIRST]);
    await foresight.done;
    assert.deepEqual(asked, [FIRST]);
    const wanted = [Buffer.from(FIRST), Buffer.from(FIRST)];
    assert.deepEqual(await contents(foresight, FIRST), wanted);
    assert.deepEqual(asked, [FIRST]);
    assert.deepEqual(await contents(foresight, FIRST), wanted);
    assert.equal((await contents(foresight, SECOND)).length, 2);
    assert.deepEqual(asked, [FIRST, FIRST, SECOND]);
  });

  it("dates what is visited back to when it came", async (test) => {
    let now = 1000;
    test.mock.method(performance, "now", () => now);
    const foresight = new Foresight({ list: echo([]) }, [FIRST]);
    await foresight.done;
    now = 4000;
    assert.equal(foresight.backdate(50_000), 50_000);
    const dates: number[] = [];
    const visit: ListVisitor = (_bytes, _cursor, ageMs) => {
      dates.push(foresight.backdate(50_000));
      assert.equal(ageMs, AGE_MS, "and knows how much older it may be");
    };
    await foresight.list(FIRST, visit);
    await foresight.list(SECOND, visit);
    assert.deepEqual(dates, [47_000, 50_000]);
    assert.equal(foresight.backdate(50_000), 50_000);
  });

  it("leaves a list that is too long, or could not be read, to whoever wants it", async () => {
    const long = new Uint8Array(1 << 20);
    new DataView(long.buffer).setUint32(0, long.length, true);
    const tooMany = new Foresight({ list: echo([], 65) }, [long]);
    await tooMany.done;
    let isAsked = false;
    const refusing: List = () => {
      if (isAsked) return Promise.resolve(END);
      isAsked = true;
      return Promise.reject(new Error("no"));
    };
    const refused = new Foresight({ list: refusing }, [FIRST]);
    await refused.done;
    assert.equal(await refused.list(FIRST, () => assert.fail()), END);
    assert.equal((await contents(tooMany, long)).length, 65);
  });
});
