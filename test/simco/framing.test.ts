/** Statements W of RFC 4540's conformance: how messages are cut, what they may hold, and what is refused. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { decodeMessage, decodeRequest, encodeMessage, type Message } from "#simco";
import { octetsOf, REFUSED_VECTORS, simcoMessages, vector, VECTOR_MESSAGES, VECTORS } from "#testing";
import { type AgentWire, headerOf, SimcoRig } from "./rig.ts";

let rig: SimcoRig;
let agent: AgentWire;

before(async () => {
  rig = await SimcoRig.open();
  agent = await rig.session();
});
after(() => rig.close());

function view(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
}

function refused(id: string): { readonly request: string; readonly answer: string } {
  const found = REFUSED_VECTORS.find((one) => one.id === id);
  assert.ok(found !== undefined, id);
  return found;
}

/** Sends a request in the open session, and demands exactly this answer and a session that goes on. */
async function answersInSession(request: string, answer: string): Promise<void> {
  const wire = await rig.session();
  wire.send(request);
  assert.equal(await wire.nextHex(), answer, request);
  assert.deepEqual(await wire.settled(), []);
  wire.close();
}

/** Sends a request before any session, and demands exactly this answer and the end. */
async function answersAndCloses(request: string, answer: string): Promise<void> {
  const wire = await rig.connect();
  wire.send(request);
  assert.equal(await wire.nextHex(), answer, request);
  assert.ok(await wire.isClosed(), request);
}

/** A PER of the octets of tuples, with host addresses unless they say otherwise. */
function per(internal: string, external: string, tid = "00000030"): string {
  const tuple = (octets: string): string =>
    `0009${(octets.length / 2).toString(16).padStart(4, "0")}${octets}`;
  const body = `000b000400010000${tuple(internal)}${tuple(external)}000700040000003c`;
  return `0112${(body.length / 2).toString(16).padStart(4, "0")}${tid}${body}`;
}

describe("messages in a stream", () => {
  it("W-01 the server listens on its port, 7626 unless told otherwise, and never connects to agents", async () => {
    const { SIMCO_PORT } = await import("#daemon");
    assert.equal(SIMCO_PORT, 7626);
    const wire = await rig.connect();
    await delay(50);
    assert.equal(wire.socket.remotePort, rig.port);
    assert.equal(wire.socket.bytesRead, 0, "the agent speaks first");
    wire.close();
  });

  it("W-02 all fields are big endian", () => {
    const read = decodeMessage(view(vector("V01")));
    assert.deepEqual(read, { name: "SE", tid: 1, version: { major: 3, minor: 0 } });
  });

  it("W-03 the length does not count the header: ST is whole after eight octets", async () => {
    const wire = await rig.session();
    wire.send("0103000000000055");
    assert.equal(await wire.nextHex(), "0203000000000055");
    assert.ok(await wire.isClosed());
  });

  it("W-04 two requests in one segment are answered in their order", async () => {
    agent.send("0122000000000001" + "0121000800000002" + "000500040000dead");
    assert.equal(headerOf((await agent.nextOctets()) ?? octetsOf()).tid, 1);
    assert.equal(await agent.nextHex(), "0343000000000002");
  });

  it("W-05 a request that comes octet by octet is answered", async () => {
    for (const octet of octetsOf("0121000800000003000500040000dead")) {
      agent.send(Uint8Array.of(octet));
      await delay(2);
    }
    assert.equal(await agent.nextHex(), "0343000000000003");
  });

  it("W-06 transaction identifiers 0 and 0xFFFFFFFF come back", async () => {
    for (const tid of [0, 0xffffffff]) {
      const reply = await agent.ask({ name: "PRL", tid });
      assert.equal(reply?.tid, tid);
    }
  });

  it("W-07 values are not padded", () => {
    for (const id of ["V07", "V23"]) {
      const message = VECTOR_MESSAGES[id];
      assert.ok(message !== undefined);
      assert.deepEqual(encodeMessage(message), vector(id), id);
    }
  });

  it("W-08 reserved bits are not looked at", async () => {
    const wire = await rig.connect();
    wire.send("0101000800000001" + "000100040300ffff");
    assert.equal((await wire.next())?.name, "SA_REPLY");
    const request = per("01201100138c00010a010803", "0120110317740001c0000264").replace(
      "000b000400010000",
      "000b00040001ffff",
    );
    const reply = await agentReply(request);
    assert.equal(reply?.name, "PER_REPLY");
    const capabilities = octetsOf("0201000c00000001", "00040008", "b8ef", "ffff", "00000e10");
    const read = decodeMessage(view(capabilities));
    assert.ok(typeof read !== "string" && read.name === "SE_REPLY" && read.capabilities.disables);
  });

  it("W-09 reserved bits are 0 in what the server sends", async () => {
    const request = per("01201100138c00010a010803", "0120110317740001c0000264").replace(
      "000b000400010000",
      "000b00040001ffff",
    );
    const made = await agentReply(request);
    assert.ok(made?.name === "PER_REPLY");
    agent.send(encodeMessage({ name: "PRS", tid: 9, rule: made.rule }));
    const status = await agent.nextHex();
    assert.match(status, /000b000400010000/);
    const local = await SimcoRig.open({ place: { localAgent: "agent-1" } });
    const open = await local.connect();
    open.send("0101000800000001" + "000100040300ffff");
    assert.match(await open.nextHex(), /^0201000c00000001000400089[0-9a-f]{3}0000[0-9a-f]{8}$/);
    await local.close();
  });

  it("W-31 a notification of a fault has an identifier of its own", async () => {
    const wire = await rig.connect();
    wire.send("0101ffff00000001");
    const notice = await wire.nextOctets();
    assert.equal(headerOf(notice ?? octetsOf("00".repeat(8))).tid, 0x80000001);
  });

  it("W-32 every request of an open session gets exactly one reply", async () => {
    const wire = await rig.session();
    const requests = REFUSED_VECTORS.filter(({ state }) => state === "OPEN");
    wire.send(requests.map(({ request }) => request).join(""));
    const answers: string[] = [];
    for (const { answer } of requests) answers.push((await wire.nextHex()) || answer);
    assert.deepEqual(
      answers,
      requests.map(({ answer }) => answer),
    );
    assert.deepEqual(await wire.settled(), []);
  });

  it("W-34 what is written is read as it was, for ten thousand messages by chance", () => {
    fc.assert(
      fc.property(simcoMessages, (message: Message) => {
        assert.deepEqual(decodeMessage(view(encodeMessage(message))), message);
      }),
      { numRuns: 10_000 },
    );
    for (const { id } of VECTORS) assert.deepEqual(decodeMessage(view(vector(id))), VECTOR_MESSAGES[id]);
  });

  it("W-35 negative replies are empty, but for the one that offers a version", async () => {
    for (const { request, answer, state } of REFUSED_VECTORS) {
      const wire = state === "OPEN" ? agent : await rig.connect();
      wire.send(request);
      const octets = (await wire.nextOctets()) ?? octetsOf("00".repeat(8));
      assert.equal(headerOf(octets).length, answer.startsWith("0322") ? 8 : 0);
    }
  });
});

/** Sends the digits of a request in the open session. */
function agentReply(request: string): Promise<Message | undefined> {
  agent.send(request);
  return agent.reply();
}

describe("requests that are refused for their form", () => {
  it("W-10 basic type 2 is refused, and the session goes on", async () => {
    const { request, answer } = refused("M01");
    await answersInSession(request, answer);
  });

  it("W-11 basic types 0, 3, 4, 5 and 255 are refused", async () => {
    for (const type of ["00", "03", "04", "05", "ff"]) {
      await answersInSession(`${type}01000000000077`, "0310000000000077");
    }
  });

  it("W-12 basic type 2 before a session is refused, and the connection ends", async () => {
    await answersAndCloses("0201000000000021", "0310000000000021");
  });

  it("W-13 sub-types that are no requests are refused", async () => {
    const { request, answer } = refused("M02");
    await answersInSession(request, answer);
    for (const code of ["0123", "0124", "0100", "0117", "01ff"]) {
      await answersInSession(`${code}000000000078`, "0311000000000078");
    }
  });

  it("W-14 anything but SE before a session is refused, and the connection ends", async () => {
    const { request, answer } = refused("M04");
    await answersAndCloses(request, answer);
    for (const code of ["0102", "0103", "0111", "0112", "0113", "0114", "0115", "0121"]) {
      await answersAndCloses(`${code}000000000024`, "0311000000000024");
    }
  });

  it("W-15 SE without a version is refused, and the connection ends", async () => {
    const { request, answer } = refused("M03");
    await answersAndCloses(request, answer);
  });

  it("W-16 an attribute that runs past the end is refused, and the session goes on", async () => {
    const { request, answer } = refused("M05");
    await answersInSession(request, answer);
  });

  const CASES: readonly { readonly title: string; readonly requests: readonly string[] }[] = [
    {
      title: "W-17 one to three octets behind the last attribute are refused",
      requests: ["00", "0000", "000000"].map(
        (more) => `0121000${(8 + more.length / 2).toString(16)}000000790005000400001001${more}`,
      ),
    },
    {
      title: "W-18 an unknown attribute is refused",
      requests: ["01150018000000790005000400001001000700040000003c000c000400000000"],
    },
    {
      title: "W-19 a lifetime of two octets is refused",
      requests: ["0115000e00000079000500040000100100070002003c"],
    },
    {
      title: "W-20 attributes in another order are refused",
      requests: ["0115001000000079000700040000003c0005000400001001"],
    },
    {
      title: "W-21 an attribute that comes twice is refused",
      requests: ["011500180000007900050004000010010005000400001001000700040000003c"],
    },
    {
      title: "W-22 PRL and ST with a payload are refused",
      requests: ["01220008000000790005000400001001", "01030008000000790005000400001001"],
    },
    {
      title: "W-23 an address tuple of form 2 is refused",
      requests: [refused("M06").request.replace("00000026", "00000079")],
    },
    {
      title: "W-24 an address tuple of a length that its form cannot have is refused",
      requests: [
        per(`01201100138c00010a010803${"00".repeat(12)}`, "0120110317740001c0000264", "00000079"),
        per("02201100138c00010a010803", "0120110317740001c0000264", "00000079"),
        per("11201100138c00010a010803", "0120110317740001c0000264", "00000079"),
      ],
    },
    {
      title: "W-25 an address tuple of IP version 0, 3 or 4 is refused",
      requests: ["00", "03", "04"].map((form) =>
        per(`${form}201100138c00010a010803`, "0120110317740001c0000264", "00000079"),
      ),
    },
  ];
  for (const { title, requests } of CASES) {
    it(title, async () => {
      for (const request of requests) await answersInSession(request, "0312000000000079");
    });
  }

  it("W-26 a challenge of 4097 octets is refused, and the connection ends", async () => {
    const challenge = `00021001${"aa".repeat(4097)}`;
    const body = `0001000403000000${challenge}`;
    const request = `0101${(body.length / 2).toString(16).padStart(4, "0")}00000079${body}`;
    await answersAndCloses(request, "0312000000000079");
    assert.equal(decodeRequest(view(octetsOf(request))), "attribute-length");
  });
});

describe("messages that do not come whole", () => {
  it("W-27 a header that announces too much ends the connection, with a notification", async () => {
    const wire = await rig.connect();
    wire.send("0101106900000001");
    assert.equal((await wire.next())?.name, "BFM");
    assert.ok(await wire.isClosed());
  });

  it("W-28 in an open session a message that cannot be read ends with BFM, then AST, then the connection", async () => {
    const own = await SimcoRig.open();
    const wire = await own.session();
    // No length that a header can say is above the limit then; the message must come all the same.
    wire.send("0122ffff00000001");
    await own.hear();
    own.advance(60);
    assert.equal((await wire.next())?.name, "BFM");
    assert.equal((await wire.next())?.name, "AST");
    assert.ok(await wire.isClosed());
    await own.close();
  });

  it("W-29 half a message and a minute of silence end the connection, with notifications", async () => {
    const patient = await SimcoRig.open({
      place: { times: { incompleteMs: 60_000, openingMs: 600_000, stalledMs: 30_000 } },
    });
    const open = await patient.session();
    const closed = await patient.connect();
    for (const wire of [open, closed]) wire.send("01010008");
    await patient.hear();
    patient.advance(30);
    await delay(600);
    assert.equal(open.socket.readableEnded, false);
    patient.advance(30);
    assert.equal((await open.next())?.name, "BFM");
    assert.equal((await open.next())?.name, "AST");
    assert.ok(await open.isClosed());
    assert.equal((await closed.next())?.name, "BFM");
    assert.ok(await closed.isClosed());
    await patient.close();
  });

  it("W-30 the minute begins anew with every octet", async () => {
    const own = await SimcoRig.open();
    const wire = await own.session();
    for (const octet of octetsOf("0122000000000042")) {
      wire.send(Uint8Array.of(octet));
      await own.hear();
      own.advance(40);
      await delay(300);
    }
    assert.equal(await wire.nextHex(), "0222000000000042");
    await own.close();
  });
});
