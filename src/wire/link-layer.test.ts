import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex, GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import {
  CaptureRecord,
  decodeRecord,
  isLinkTypeKnown,
  LINK_TYPE,
  linkPayload,
  NO_IP_PACKET,
  Packet,
} from "./index.ts";

const MACS = "020000000002020000000001";
const VLAN = "81000005";
const SNAP = "aaaa030000000800";
/** 802.11 behind frame control: duration, addresses, sequence. */
const WLAN = `2c00${MACS}0200000000037630`;
const SLL = "00000001000602000000000100000800";
const SLL2 = "080000000000000200010006020000000001000000".slice(0, 40);

// One row a frame: link type, the bytes before the IP packet, whether there is one.
const FRAMES: readonly [title: string, linkType: number, header: string, carries: boolean][] = [
  ["raw IP", LINK_TYPE.RAW, "", true],
  ["raw IP as BSD numbers it", LINK_TYPE.RAW_BSD, "", true],
  ["raw IP as OpenBSD numbers it", LINK_TYPE.RAW_OPENBSD, "", true],
  ["raw IPv4", LINK_TYPE.IPV4, "", true],
  ["raw IPv6", LINK_TYPE.IPV6, "", true],
  ["Ethernet with IPv4", LINK_TYPE.ETHERNET, `${MACS}0800`, true],
  ["Ethernet with IPv6", LINK_TYPE.ETHERNET, `${MACS}86dd`, true],
  ["Ethernet with ARP", LINK_TYPE.ETHERNET, `${MACS}0806`, false],
  ["Ethernet with a length in place of a type", LINK_TYPE.ETHERNET, `${MACS}0040`, false],
  ["a VLAN tag", LINK_TYPE.ETHERNET, `${MACS}${VLAN}0800`, true],
  ["a VLAN tag with priority, and ARP", LINK_TYPE.ETHERNET, `${MACS}8100e0050806`, false],
  ["QinQ", LINK_TYPE.ETHERNET, `${MACS}${VLAN}${VLAN}86dd`, true],
  ["802.1ad", LINK_TYPE.ETHERNET, `${MACS}88a80007${VLAN}0800`, true],
  ["QinQ from before 802.1ad", LINK_TYPE.ETHERNET, `${MACS}91000007${VLAN}0800`, true],
  ["eight VLAN tags", LINK_TYPE.ETHERNET, `${MACS}${VLAN.repeat(8)}0800`, true],
  ["nine VLAN tags", LINK_TYPE.ETHERNET, `${MACS}${VLAN.repeat(9)}0800`, false],
  ["a PPPoE session with IPv4", LINK_TYPE.ETHERNET, `${MACS}886411000001001f0021`, true],
  ["a PPPoE session with IPv6 in a VLAN", LINK_TYPE.ETHERNET, `${MACS}${VLAN}886411000001001f0057`, true],
  ["a PPPoE session with LCP", LINK_TYPE.ETHERNET, `${MACS}886411000001001fc021`, false],
  ["Linux cooked, version 1", LINK_TYPE.LINUX_SLL, SLL, true],
  ["Linux cooked, version 1, with a VLAN tag", LINK_TYPE.LINUX_SLL, `${SLL.slice(0, -4)}${VLAN}86dd`, true],
  ["Linux cooked, version 1, with ARP", LINK_TYPE.LINUX_SLL, `${SLL.slice(0, -4)}0806`, false],
  ["Linux cooked, version 2", LINK_TYPE.LINUX_SLL2, SLL2, true],
  ["Linux cooked, version 2, with ARP", LINK_TYPE.LINUX_SLL2, `0806${SLL2.slice(4)}`, false],
  ["loopback with IPv4, little-endian", LINK_TYPE.NULL, "02000000", true],
  ["loopback with IPv4, big-endian", LINK_TYPE.NULL, "00000002", true],
  ["loopback with IPv6 of Linux", LINK_TYPE.NULL, "0a000000", true],
  ["loopback with IPv6 of NetBSD", LINK_TYPE.NULL, "18000000", true],
  ["loopback with IPv6 of FreeBSD", LINK_TYPE.NULL, "0000001c", true],
  ["loopback with IPv6 of Darwin", LINK_TYPE.NULL, "1e000000", true],
  ["loopback with AppleTalk", LINK_TYPE.NULL, "10000000", false],
  ["OpenBSD loopback", LINK_TYPE.LOOP, "00000002", true],
  ["PPP with IPv4", LINK_TYPE.PPP, "0021", true],
  ["PPP with address and control bytes", LINK_TYPE.PPP, "ff030057", true],
  ["PPP in HDLC framing", LINK_TYPE.PPP_HDLC, "ff030021", true],
  ["PPP with LCP", LINK_TYPE.PPP, "ff03c021", false],
  ["PPPoE from its header on", LINK_TYPE.PPP_ETHER, "11000001001f0021", true],
  ["Cisco HDLC", LINK_TYPE.CISCO_HDLC, "0f000800", true],
  ["Cisco HDLC with its keep-alive", LINK_TYPE.CISCO_HDLC, "8f008035", false],
  ["LLC with SNAP", LINK_TYPE.ETHERNET, `${MACS}0040${SNAP}`, true],
  ["LLC with SNAP of another organisation", LINK_TYPE.ETHERNET, `${MACS}0040aaaa0300000c2000`, false],
  ["LLC with SNAP and a length in place of a type", LINK_TYPE.ETHERNET, `${MACS}0040aaaa030000000040`, false],
  ["LLC with SNAP and a VLAN tag", LINK_TYPE.ETHERNET, `${MACS}0040aaaa03000000810000050800`, false],
  ["one MPLS label", LINK_TYPE.ETHERNET, `${MACS}884700010140`, true],
  ["two MPLS labels in a VLAN", LINK_TYPE.ETHERNET, `${MACS}${VLAN}88470001004000020140`, true],
  ["nine MPLS labels", LINK_TYPE.ETHERNET, `${MACS}8847${"00010040".repeat(8)}00020140`, false],
  ["802.11 data", LINK_TYPE.WLAN, `0801${WLAN}${SNAP}`, true],
  ["802.11 data, its frame control swapped", LINK_TYPE.WLAN, `0108${WLAN}${SNAP}`, true],
  ["802.11 data with quality of service", LINK_TYPE.WLAN, `8802${WLAN}0000${SNAP}`, true],
  ["802.11 data with four addresses", LINK_TYPE.WLAN, `0803${WLAN}020000000003${SNAP}`, true],
  ["802.11 data with an HT field", LINK_TYPE.WLAN, `8882${WLAN}000000000000${SNAP}`, true],
  ["802.11 data that is encrypted", LINK_TYPE.WLAN, `0841${WLAN}${SNAP}`, false],
  ["802.11 without data", LINK_TYPE.WLAN, `4801${WLAN}${SNAP}`, false],
  ["an 802.11 beacon", LINK_TYPE.WLAN, `8000${WLAN}${SNAP}`, false],
  ["802.11 data, several packets in one", LINK_TYPE.WLAN, `8802${WLAN}8000${SNAP}`, false],
  ["802.11 behind radiotap", LINK_TYPE.WLAN_RADIOTAP, `00000a000000000000000801${WLAN}${SNAP}`, true],
  ["Ethernet behind PPI", LINK_TYPE.PPI, `0000080001000000${MACS}0800`, true],
  ["PPI behind PPI", LINK_TYPE.PPI, `00000800c00000000000080001000000${MACS}0800`, false],
  ["a link type that is not known", 147, "", false],
];

for (const [title, linkType, header, carries] of FRAMES) {
  test(`${title}: ${carries ? "the IP packet is found" : "there is no IP packet"}`, () => {
    const bytes = fromHex(`a5a5a5${header}${"45".repeat(20)}`);
    const at = 3 + header.length / 2;
    assert.equal(linkPayload(bytes, 3, bytes.byteLength, linkType), carries ? at : NO_IP_PACKET);
    // A header that is cut short leads nowhere.
    for (let end = 3; end < at; end += 1) {
      assert.equal(linkPayload(bytes, 3, end, linkType), NO_IP_PACKET, `${end - 3} bytes`);
    }
  });
}

test("link types are known by their numbers", () => {
  assert.equal(isLinkTypeKnown(LINK_TYPE.LINUX_SLL2), true);
  assert.equal(isLinkTypeKnown(147), false);
});

test("any frame of any link type gives an offset within it or none, whatever lies behind it", () => {
  const linkType = fc.constantFrom(...Object.values(LINK_TYPE));
  const some = fc.constantFrom(
    "8100",
    "88a8",
    "8864",
    "0800",
    "86dd",
    "0021",
    "ff03",
    "00000002",
    "8847",
    "aaaa",
    "0300",
    "0000",
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(some, { maxLength: 14 }).map((parts) => new Uint8Array(fromHex(parts.join("")).buffer)),
  );
  fc.assert(
    fc.property(linkType, bytes, (type, frame) => {
      const answers = [0, 0xff].map((poison) => {
        const all = new Uint8Array(frame.length + 64).fill(poison);
        all.set(frame, 16);
        return linkPayload(new DataView(all.buffer), 16, 16 + frame.length, type);
      });
      const alone = linkPayload(new DataView(frame.slice().buffer), 0, frame.length, type);
      const expected = alone === NO_IP_PACKET ? NO_IP_PACKET : alone + 16;
      assert.deepEqual(answers, [expected, expected]);
      assert.ok(alone <= frame.length);
    }),
    { numRuns: 2000 },
  );
});

test("a record's length on the wire is that of its IP packet, less the link layer", () => {
  const golden = new Uint8Array(GOLDEN_PACKETS.tcpIpv4.buffer);
  const frame = new Uint8Array(14 + 40);
  frame.set(new Uint8Array(fromHex(`${MACS}0800`).buffer));
  frame.set(golden.subarray(0, 40), 14);
  const record = new CaptureRecord();
  record.bytes = new DataView(frame.buffer);
  record.end = frame.length;
  record.wireBytes = 14 + golden.length;
  record.linkType = LINK_TYPE.ETHERNET;
  const packet = new Packet();
  // The copy ends in the middle of the TCP options.
  assert.equal(decodeRecord(packet, record), true);
  assert.equal(packet.fault, "tcp-data-offset");
  assert.equal(packet.wireBytes, golden.length);
  record.linkType = 147;
  assert.equal(decodeRecord(packet, record), false);
});
