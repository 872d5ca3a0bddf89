/** Requests that need no rights: the kernel's list of interfaces (rtnetlink(7)). */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { AttributeCursor, MESSAGE_FLAG, MessageWriter } from "../netlink/index.ts";
import { NETLINK_PROTOCOL, NetlinkSocket } from "./netlink-socket.ts";

/** RTM_NEWLINK: how an interface is described. */
const NEW_LINK = 16;
/** RTM_GETLINK: the question for it. */
const GET_LINK = 18;
/** IFLA_IFNAME */
const NAME = 3;
/** struct ifinfomsg */
const LINK_HEADER_BYTES = 16;
const MESSAGE_AND_LINK_HEADER_BYTES: number = 16 + LINK_HEADER_BYTES;

function question(flags: number, name: string | undefined): Uint8Array {
  const writer = new MessageWriter();
  writer.begin(GET_LINK, MESSAGE_FLAG.REQUEST | flags, 7);
  writer.raw(new Uint8Array(LINK_HEADER_BYTES));
  if (name !== undefined) writer.text(NAME, name);
  writer.end();
  return writer.bytes;
}

function nameIn(message: Uint8Array): string {
  const cursor = new AttributeCursor();
  cursor.bind(new DataView(message.buffer), MESSAGE_AND_LINK_HEADER_BYTES, message.length);
  while (cursor.next()) if (cursor.type === NAME) return cursor.text();
  return "";
}

describe("a netlink socket", () => {
  let socket: NetlinkSocket;
  beforeEach(() => {
    socket = NetlinkSocket.open(NETLINK_PROTOCOL.ROUTE);
  });
  afterEach(() => socket.close());

  it("reads the answer to a request", () => {
    const messages = socket.request(question(MESSAGE_FLAG.ACK, "lo"), "Cannot ask for an interface");
    assert.deepEqual(messages.map(nameIn), ["lo"]);
  });

  it("reads a dump to its end, and is then ready for the next request", () => {
    for (let round = 0; round < 2; round += 1) {
      const messages = socket.request(question(MESSAGE_FLAG.DUMP, undefined), "Cannot list interfaces");
      assert.ok(messages.length > 0);
      for (const message of messages) assert.equal(new DataView(message.buffer).getUint16(4, true), NEW_LINK);
      assert.ok(messages.map(nameIn).includes("lo"));
    }
  });

  it("throws a refusal with the error's name", () => {
    const ask = (): unknown => socket.request(question(0, "no-such-device"), "Cannot ask for an interface");
    assert.throws(ask, {
      code: "NETLINK_REFUSED",
      message: /^Cannot ask for an interface: the kernel says: .*No such device \(ENODEV\)\.$/,
    });
  });

  it("throws a refusal with the kernel's own words, where it has some", () => {
    const ask = (): unknown => socket.request(question(0, "x".repeat(40)), "Cannot ask for an interface");
    assert.throws(ask, { code: "NETLINK_REFUSED", message: /Attribute failed policy validation.*ERANGE/ });
  });

  it("asks nobody else's descriptor once it is closed", () => {
    const former = socket;
    former.close();
    socket = NetlinkSocket.open(NETLINK_PROTOCOL.ROUTE);
    former.close();
    const ask = (asked: NetlinkSocket): unknown =>
      asked.request(question(MESSAGE_FLAG.ACK, "lo"), "Cannot ask for an interface");
    assert.throws(() => ask(former), { code: "NETLINK_SEND" });
    assert.ok(ask(socket));
  });

  it("takes one expected refusal for an answer", () => {
    const ask = (name: string): boolean =>
      socket.attempt(question(MESSAGE_FLAG.ACK, name), "Cannot ask", "ENODEV");
    assert.equal(ask("no-such-device"), false);
    assert.equal(ask("lo"), true);
    assert.throws(() => ask("x".repeat(40)), { code: "NETLINK_REFUSED" });
  });
});
