/**
 * Packets made by another program, to hold our readers and writers against.
 *
 * Birth certificate: scapy 2.5.0 (Debian 12), 2026-11-21, each with the expression above it, where
 * A, B = 192.0.2.1, 198.51.100.7; C, D = 2001:db8::1, 2001:db8::2; U = UDP(sport=5353, dport=53);
 * T = TCP(sport=40000, dport=443, seq=0xfffffffe, ack=7, flags="SA", window=64240, options=[MSS 1460, SAckOK,
 * Timestamp (0x11223344, 0x55667788), NOP, WScale 7]).
 */

/** Reads hexadecimal digits; white space is passed over. The bytes have a buffer of their own. */
export function fromHex(text: string): DataView {
  const digits = text.replaceAll(/\s/g, "");
  const bytes = new DataView(new ArrayBuffer(digits.length / 2));
  for (let at = 0; at < bytes.byteLength; at += 1) {
    bytes.setUint8(at, Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16));
  }
  return bytes;
}

/** See above. */
export const GOLDEN_PACKETS = {
  // IP(src=A,dst=B,ttl=57,id=0xbeef,flags="DF",tos=0x10)/T/b"hello"
  tcpIpv4: fromHex(
    "45100041beef40003906967bc0000201c63364079c4001bbfffffffe00000007a012faf06d950000" +
      "020405b40402080a11223344556677880103030768656c6c6f",
  ),
  // IPv6(src=C,dst=D,hlim=57,fl=0x12345,tc=0xb8)/T/b"hello"
  tcpIpv6: fromHex(
    "6b812345002d063920010db800000000000000000000000120010db8000000000000000000000002" +
      "9c4001bbfffffffe00000007a012faf0fe5c0000020405b40402080a112233445566778801030307" +
      "68656c6c6f",
  ),
  // IP(src=A,dst=B)/U/b"abc"
  udpIpv4: fromHex("4500001f0001000040118e91c0000201c633640714e90035000b3a1b616263"),
  // IP(src=A,dst=B,options=[IPOption_Router_Alert()])/U/b"abc"
  udpIpv4Options: fromHex("46000023000100004011f988c0000201c63364079404000014e90035000b3a1b616263"),
  // IPv6(src=C,dst=D)/HopByHop(RouterAlert)/DestOpt(PadN 12)/Routing(["2001:db8::9"])/U/b"abc"
  udpIpv6Extensions: fromHex(
    "60000000003b004020010db800000000000000000000000120010db8000000000000000000000002" +
      "3c000502000001002b01010c000000000000000000000000110200010000000020010db800000000" +
      "000000000000000914e90035000bcadb616263",
  ),
  // IPv6(src=C,dst=D)/Fragment(id=0xdeadbeef,m=1,offset=0,nh=17)/UDP(5353,53,len=100,chksum=0x1234)/b"aa
  // aaaaaa"
  firstFragmentIpv6: fromHex(
    "6000000000182c4020010db800000000000000000000000120010db8000000000000000000000002" +
      "11000001deadbeef14e90035006412346161616161616161",
  ),
  // IPv6(src=C,dst=D)/Fragment(id=0xdeadbeef,m=0,offset=2,nh=17)/b"aaaaa"
  laterFragmentIpv6: fromHex(
    "60000000000d2c4020010db800000000000000000000000120010db8000000000000000000000002" +
      "11000010deadbeef6161616161",
  ),
  // IP(src=A,dst=B,flags="MF",id=77)/UDP(5353,53,len=100,chksum=0x1234)/b"aaaaaaaa"
  firstFragmentIpv4: fromHex("45000024004d200040116e40c0000201c633640714e90035006412346161616161616161"),
  // IP(src=A,dst=B,frag=2,id=77,proto=17)/b"aaaaa"
  laterFragmentIpv4: fromHex("45000019004d000240118e49c0000201c63364076161616161"),
  // IP(src=A,dst=B)/ICMP(type=8,id=0x1234,seq=9)/b"ping"
  echoIpv4: fromHex("450000200001000040018ea0c0000201c6336407080006f21234000970696e67"),
  // IPv6(src=C,dst=D)/ICMPv6EchoRequest(id=0x1234,seq=9,data=b"ping")
  echoIpv6: fromHex(
    "60000000000c3a4020010db800000000000000000000000120010db8000000000000000000000002" +
      "800033361234000970696e67",
  ),
  // IP(src=A,dst=B)/SCTP(sport=5000,dport=36412,tag=0)/SCTPChunkInit(init_tag=1,a_rwnd=106496,n_out_stre
  // ams=10,n_in_streams=10,init_tsn=1)
  sctpIpv4: fromHex(
    "450000340001000040848e09c0000201c633640713888e3c000000009bf0a1620100001400000001" +
      "0001a000000a000a00000001",
  ),
  // IP(src="203.0.113.9",dst=A)/ICMP(type=3,code=1)/IP(src=A,dst=B)/U/b"abc"
  unreachableIpv4: fromHex(
    "4500003b0001000040017cb6cb007109c00002010301e957000000004500001f0001000040118e91" +
      "c0000201c633640714e90035000b3a1b616263",
  ),
  // IPv6(src="2001:db8::9",dst=C)/ICMPv6PacketTooBig(mtu=1280)/IPv6(src=C,dst=D)/T
  tooBigIpv6: fromHex(
    "6000000000583a4020010db800000000000000000000000920010db8000000000000000000000001" +
      "020036b700000500600000000028064020010db800000000000000000000000120010db800000000" +
      "00000000000000029c4001bbfffffffe00000007a012faf042340000020405b40402080a11223344" +
      "5566778801030307",
  ),
  // IPv6(src=C,dst=D)/AH(nh=6,payloadlen=4,spi=1,seq=2,icv=b"\x01"*12)/TCP(sport=1,dport=2,flags="A")
  authenticatedIpv6: fromHex(
    "60000000002c334020010db800000000000000000000000120010db8000000000000000000000002" +
      "06040000000000010000000201010101010101010101010100010002000000000000000050102000" +
      "00000000",
  ),
} as const satisfies Record<string, DataView>;

/** Name of a golden packet. */
export type GoldenPacket = keyof typeof GOLDEN_PACKETS;
