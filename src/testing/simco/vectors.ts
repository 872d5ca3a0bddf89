/**
 * Worked messages of SIMCO, for tests: made by one encoder in Python and taken apart by a decoder that was
 * written apart from it, HMAC values included; each carries the CRC-32 of its octets, so that a copy can be
 * checked.
 */

/** A message in hexadecimal digits. */
export interface Vector {
  readonly id: string;
  /** Header and attributes, one piece each. */
  readonly pieces: readonly string[];
  /** CRC-32 of all octets. */
  readonly crc: string;
}

/** A request that is malformed or refused, and the exact answer. */
export interface RefusedVector {
  readonly id: string;
  readonly what: string;
  readonly state: "OPEN" | "CLOSED";
  readonly request: string;
  readonly answer: string;
  /** True: the connection ends with the answer. */
  readonly closes: boolean;
}

/** Messages. */
export const VECTORS: readonly Vector[] = [
  {
    id: "V01",
    pieces: ["0101 0008 00000001", "0001 0004 03000000"],
    crc: "f712c498",
  },
  {
    id: "V02",
    pieces: ["0201 000c 00000001", "0004 0008 90ef000000000e10"],
    crc: "082a52f2",
  },
  {
    id: "V03",
    pieces: ["0201 000c 00000001", "0004 0008 d175000000015180"],
    crc: "6a4b011b",
  },
  {
    id: "V04",
    pieces: ["0101 001c 00000002", "0001 0004 03000000", "0002 0010 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"],
    crc: "68e70a43",
  },
  {
    id: "V05",
    pieces: [
      "0202 003d 00000002",
      "0002 0010 b0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
      "0003 0025 0103667731ec1ed19af59c68e3693274e5fdd8bbab3b6ab19b827634f68d3e55ca64064f6a",
    ],
    crc: "044fab17",
  },
  {
    id: "V06",
    pieces: [
      "0102 002d 00000003",
      "0003 0029 01076167656e742d31e7b14a9a1b250f6b0eababbc9ca6401b88717b22f53e938714498aa257b25e1a",
    ],
    crc: "78c0984b",
  },
  {
    id: "V07",
    pieces: ["0202 000d 00000002", "0002 0005 0102030405", "0003 0000"],
    crc: "4258967b",
  },
  {
    id: "V08",
    pieces: ["0322 0008 00000001", "0001 0004 03000000"],
    crc: "e90ab51c",
  },
  {
    id: "V09",
    pieces: ["0111 0010 00000010", "000a 0004 65110002", "0007 0004 0000012c"],
    crc: "a97db2f7",
  },
  {
    id: "V10",
    pieces: [
      "0211 0020 00000010",
      "0005 0004 00001001",
      "0006 0004 00000051",
      "0007 0004 0000012c",
      "0009 0004 11001102",
    ],
    crc: "b6004ce0",
  },
  {
    id: "V11",
    pieces: [
      "0211 0028 00000010",
      "0005 0004 00001001",
      "0006 0004 00000051",
      "0007 0004 0000012c",
      "0009 000c 012011029c400002cb007107",
    ],
    crc: "7957cbe4",
  },
  {
    id: "V12",
    pieces: [
      "0211 0038 00000010",
      "0005 0004 00001001",
      "0006 0004 00000051",
      "0007 0004 0000012c",
      "0009 000c 012011029c400002cb007107",
      "0009 000c 01201101c35000020aff0009",
    ],
    crc: "e22a92cb",
  },
  {
    id: "V14",
    pieces: [
      "0212 0038 00000011",
      "0005 0004 00001002",
      "0006 0004 00000051",
      "0007 0004 0000012c",
      "0009 000c 01201102138c00020a010803",
      "0009 000c 0120110117740002c0000264",
    ],
    crc: "50cc6f36",
  },
  {
    id: "V15",
    pieces: [
      "0112 0048 00000012",
      "000b 0004 00020000",
      "0009 0018 028006000000000120010db8000100000000000000000010",
      "0009 0018 0240060301bb000120010db8000200000000000000000000",
      "0007 0004 00000258",
    ],
    crc: "751b3723",
  },
  {
    id: "V17",
    pieces: [
      "0113 0038 00000014",
      "000b 0004 03010000",
      "0009 000c 01201100138c00020a010803",
      "0009 000c 0120110317740002c0000264",
      "0007 0004 0000012c",
      "0005 0004 00001001",
    ],
    crc: "4a33f051",
  },
  {
    id: "V18",
    pieces: ["0115 0010 00000015", "0005 0004 00001002", "0007 0004 00000384"],
    crc: "1b1bf4d6",
  },
  {
    id: "V20",
    pieces: ["0115 0010 00000016", "0005 0004 00001002", "0007 0004 00000000"],
    crc: "8979bba8",
  },
  {
    id: "V21",
    pieces: ["0216 0000 00000016"],
    crc: "d7ddc4b1",
  },
  {
    id: "V23",
    pieces: [
      "0221 002b 00000017",
      "0005 0004 00001001",
      "0006 0004 00000051",
      "0007 0004 0000011f",
      "0009 0004 11001102",
      "0008 0007 6167656e742d31",
    ],
    crc: "d0ba65a7",
  },
  {
    id: "V24",
    pieces: [
      "0223 006b 00000018",
      "0005 0004 00001002",
      "0006 0004 00000051",
      "000b 0004 03010000",
      "0009 000c 01201100138c00020a010803",
      "0009 000c 0120110117740002c0000264",
      "0009 000c 01201102138c00020a010803",
      "0009 000c 0120110317740002c0000264",
      "0007 0004 000000fa",
      "0008 0007 6167656e742d31",
    ],
    crc: "7920f180",
  },
  {
    id: "V26",
    pieces: ["0214 0010 00000019", "0005 0004 00001003", "0007 0004 00000708"],
    crc: "da77c137",
  },
  {
    id: "V27",
    pieces: [
      "0224 002f 0000001a",
      "0005 0004 00001003",
      "0009 0004 11001100",
      "0009 000c 0120110300000001c0000264",
      "0007 0004 00000703",
      "0008 0003 696473",
    ],
    crc: "fe514a6f",
  },
  {
    id: "V29",
    pieces: ["0222 0018 0000001b", "0005 0004 00001001", "0005 0004 00001002", "0005 0004 00001003"],
    crc: "fcafb00e",
  },
  {
    id: "V30",
    pieces: ["0403 0010 80000001", "0005 0004 00001002", "0007 0004 00000000"],
    crc: "d1d011fc",
  },
  {
    id: "V32",
    pieces: ["0402 0000 80000003"],
    crc: "02a7273b",
  },
  {
    id: "V33",
    pieces: ["0401 0000 80000004"],
    crc: "ad2ba805",
  },
  {
    id: "V35",
    pieces: ["0203 0000 0000001c"],
    crc: "02ee9ec6",
  },
  {
    id: "V36",
    pieces: ["0350 0000 00000011"],
    crc: "a2c811cf",
  },
];

/** Requests that are refused. */
export const REFUSED_VECTORS: readonly RefusedVector[] = [
  {
    id: "M01",
    what: "basic type 2 sent by an agent",
    state: "OPEN",
    request: "0201000000000021",
    answer: "0310000000000021",
    closes: false,
  },
  {
    id: "M02",
    what: "sub-type 0x16 as a request",
    state: "OPEN",
    request: "0116000000000022",
    answer: "0311000000000022",
    closes: false,
  },
  {
    id: "M03",
    what: "SE without version attribute",
    state: "CLOSED",
    request: "0101000000000023",
    answer: "0312000000000023",
    closes: true,
  },
  {
    id: "M04",
    what: "PRL before any session",
    state: "CLOSED",
    request: "0122000000000024",
    answer: "0311000000000024",
    closes: true,
  },
  {
    id: "M05",
    what: "PRS whose TLV claims 8 octets but 4 follow",
    state: "OPEN",
    request: "01210008000000250005000800001001",
    answer: "0312000000000025",
    closes: false,
  },
  {
    id: "M06",
    what: "PER, IPv4 tuple with first nibble 2",
    state: "OPEN",
    request:
      "0112003000000026000b0004000100000009000c21201100138c00010a0108030009000c01201103" +
      "17740001c0000264000700040000003c",
    answer: "0312000000000026",
    closes: false,
  },
  {
    id: "M07",
    what: "PER, tuples in the wrong order",
    state: "OPEN",
    request:
      "0112003000000027000b0004000100000009000c0120110317740001c00002640009000c01201100" +
      "138c00010a010803000700040000003c",
    answer: "034b000000000027",
    closes: false,
  },
  {
    id: "M08",
    what: "PER, protocols differ (UDP vs TCP)",
    state: "OPEN",
    request:
      "0112003000000028000b0004000100000009000c01201100138c00010a0108030009000c01200603" +
      "17740001c0000264000700040000003c",
    answer: "034b000000000028",
    closes: false,
  },
  {
    id: "M09",
    what: "PER, port ranges 1 vs 2, both concrete",
    state: "OPEN",
    request:
      "0112003000000029000b0004000100000009000c01201100138c00010a0108030009000c01201103" +
      "17740002c0000264000700040000003c",
    answer: "034b000000000029",
    closes: false,
  },
  {
    id: "M10",
    what: "PER bi-directional with external port wildcard",
    state: "OPEN",
    request:
      "011200300000002a000b0004000300000009000c01201100138c00010a0108030009000c01201103" +
      "00000001c0000264000700040000003c",
    answer: "034b00000000002a",
    closes: false,
  },
  {
    id: "M11",
    what: "PER with lifetime 0",
    state: "OPEN",
    request:
      "011200300000002b000b0004000100000009000c01201100138c00010a0108030009000c01201103" +
      "17740001c00002640007000400000000",
    answer: "034a00000000002b",
    closes: false,
  },
  {
    id: "M12",
    what: "PLC for an unknown PID",
    state: "OPEN",
    request: "011500100000002c000500040000dead000700040000003c",
    answer: "034300000000002c",
    closes: false,
  },
  {
    id: "M13",
    what: "PRR with port range 0",
    state: "OPEN",
    request: "011100100000002d000a000445110000000700040000003c",
    answer: "035600000000002d",
    closes: false,
  },
  {
    id: "M14",
    what: "PER port 65535 with range 2",
    state: "OPEN",
    request:
      "011200300000002e000b0004000100000009000c01201100ffff00020a0108030009000c01201103" +
      "17740002c0000264000700040000003c",
    answer: "035600000000002e",
    closes: false,
  },
  {
    id: "M15",
    what: "SE in state OPEN",
    state: "OPEN",
    request: "010100080000002f0001000403000000",
    answer: "032000000000002f",
    closes: false,
  },
  {
    id: "M16",
    what: "SE with version 2.0",
    state: "CLOSED",
    request: "01010008000000300001000402000000",
    answer: "03220008000000300001000403000000",
    closes: true,
  },
];

/** The octets of hexadecimal digits; spaces do not count. */
export function octetsOf(...pieces: readonly string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(pieces.join("").replaceAll(" ", ""), "hex"));
}

/** The octets of a vector by its id. */
export function vector(id: string): Uint8Array {
  const found = VECTORS.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no vector ${id}`);
  return octetsOf(...found.pieces);
}
