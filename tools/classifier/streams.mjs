// What the training draws: plain, compressed and encrypted fragments, with their labels.
import { Seeded } from "./seeded.mjs";

/** Families of formats that get matched filters of their own. */
export const FAMILIES = {
  deflate: ["gzip", "zip"],
  png: ["png"],
  "webp-lossless": ["webp-lossless"],
  pdf: ["pdf"],
  bzip2: ["bzip2"],
  zstd: ["zstd"],
  brotli: ["brotli"],
  jpeg: ["jpeg"],
  webp: ["webp"],
  mp3: ["mp3"],
  vorbis: ["vorbis"],
  flac: ["flac"],
  mp4: ["mp4"],
  opus: ["opus"],
};

const [LOW_FIRST, HIGH_FIRST, BYTE] = [0, 1, 2];

/**
 * The matched filters: family, spectrum, whether its squares are weighed. Chosen by their share of the gain
 * in a first training with every filter of every family.
 */
export const FILTERS = [
  ...["deflate", "webp-lossless", "bzip2", "zstd", "brotli"].map((name) => [name, LOW_FIRST, true]),
  ...["webp-lossless", "bzip2", "brotli", "flac"].map((name) => [name, HIGH_FIRST, true]),
  ...["png", "webp", "opus"].map((name) => [name, BYTE, true]),
  ...["deflate", "png", "bzip2", "zstd", "brotli", "vorbis", "opus"].map((name) => [name, LOW_FIRST, false]),
  ...["png", "bzip2", "jpeg", "webp", "vorbis", "opus", "mp4", "flac"].map((name) => [
    name,
    HIGH_FIRST,
    false,
  ]),
  ...["png", "webp", "vorbis", "opus", "mp4", "pdf"].map((name) => [name, BYTE, false]),
];

/** Formats that are not packed at all. */
export const PLAIN_FORMATS = ["text", "source", "binary", "picture-raw", "sound-raw"];

/** Fragment sizes of the published tables, in bytes. */
export const SIZES = [512, 1024, 1460, 2048, 4096, 8192, 16_384, 32_768, 65_536];

const SMALLEST = 256;
const LARGEST = 65_536;

/**
 * A fragment size: half the time one of {@link SIZES}, else anything between, evenly on a logarithmic scale.
 */
export function drawSize(random) {
  if (random.unit() < 0.5) return random.pick(SIZES);
  return Math.round(SMALLEST * (LARGEST / SMALLEST) ** random.unit());
}

const TLS_RECORD_BYTES = [1250, 1369, 1413, 2048, 4113, 8209, 16_401, 16_408];
const SSH_PACKET_BYTES = [1400, 8212, 16_408, 32_792];
const OPENVPN_PACKET_BYTES = [1366, 1389, 1421, 1476];

// Headers that encrypted protocols leave in the clear.
const FRAMES = {
  // TLS record (RFC 8446 §5.2): application data, version 1.2, length.
  tls: (random) => {
    const length = random.pick(TLS_RECORD_BYTES);
    return { header: [0x17, 3, 3, length >> 8, length & 255], bytes: length };
  },
  // TLS 1.2 with AES-GCM (RFC 5288 §3): the explicit nonce is often a counter.
  "tls-nonce": (random, count) => {
    const length = random.pick(TLS_RECORD_BYTES);
    return {
      header: [0x17, 3, 3, length >> 8, length & 255, 0, 0, 0, 0, 0, 0, count >> 8, count & 255],
      bytes: length,
    };
  },
  // SSH with AES-GCM (RFC 5647 §7.3): the packet length stays in the clear.
  ssh: (random) => {
    const length = random.pick(SSH_PACKET_BYTES);
    return { header: [0, 0, length >> 8, length & 255], bytes: length };
  },
  // OpenVPN over TCP: length, opcode P_DATA_V2 with peer, packet number.
  openvpn: (random, count) => {
    const length = random.pick(OPENVPN_PACKET_BYTES);
    return {
      header: [length >> 8, length & 255, 0x48, 0, 0, 0, 0, 0, count >> 8, count & 255],
      bytes: length,
    };
  },
};

/** Names of the framings. */
export const FRAMINGS = Object.keys(FRAMES);

/** Ciphertext of a protocol that leaves record headers in the clear, from some place inside a record on. */
export function framedFragment(framing, size, random) {
  const fragment = random.bytes(size);
  let count = random.below(3000);
  let at = -random.below(1500);
  while (at < size) {
    const { header, bytes } = FRAMES[framing](random, count++ & 0xffff);
    for (let i = 0; i < header.length; i++) if (at + i >= 0 && at + i < size) fragment[at + i] = header[i];
    at += header.length + bytes;
  }
  return fragment;
}

/** A fragment of the encrypted class: mostly bare key stream, else framed. */
export function encryptedFragment(size, random) {
  if (random.unit() < 0.8) return random.bytes(size);
  return framedFragment(random.pick(FRAMINGS), size, random);
}

/** Draws fragments of a split, a size at a time anew, from streams that pass a test. */
export class FragmentSource {
  #split;
  #format;
  #random;
  #streams;

  constructor(split, format, seed, accepts = () => true) {
    this.#split = split;
    this.#format = format;
    this.#random = new Seeded(`source ${format} ${seed}`);
    this.#streams = split.streams(format).filter(accepts);
  }

  /** @returns a view of `size` bytes behind the head of a stream, or undefined when no stream is that long */
  draw(size, head) {
    for (let attempt = 0; attempt < 400 && this.#streams.length > 0; attempt++) {
      const stream = this.#random.pick(this.#streams);
      const room = stream.bytes - head - size;
      // Long streams are taken as often as their room asks for, up to 512 KiB.
      if (room < 0 || this.#random.below(524_288) > room + 60_000) continue;
      const at = stream.at + head + this.#random.below(room + 1);
      return this.#split.content(this.#format).subarray(at, at + size);
    }
    return undefined;
  }
}
