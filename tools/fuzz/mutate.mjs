/** Changes to inputs: lists of pieces, each a direction and bytes. */

const BYTES_MAX = 4096;
const PIECES_MAX = 12;
const INTERESTING = [0, 1, 0x7f, 0x80, 0xff];

/** Numbers that look random and are the same in every run with this seed. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0 || 1;
  }

  get seed() {
    return this.#state;
  }

  /** A whole number below `bound`. */
  below(bound) {
    // xorshift32 (Marsaglia 2003).
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state % bound;
  }

  oneOf(list) {
    return list[this.below(list.length)];
  }
}

function join(...parts) {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined.subarray(0, BYTES_MAX);
}

function writeToken(random, bytes, token) {
  const at = random.below(bytes.length + 1);
  if (random.below(2) === 0) return join(bytes.subarray(0, at), token, bytes.subarray(at));
  return join(bytes.subarray(0, at), token, bytes.subarray(Math.min(bytes.length, at + token.length)));
}

/** One change to one piece's bytes. */
function changeBytes(random, bytes, tokens, other) {
  const at = random.below(bytes.length);
  const to = Math.min(bytes.length, at + 1 + random.below(16));
  switch (random.below(8)) {
    case 0:
      bytes[at] ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at] = random.oneOf(INTERESTING);
      return bytes;
    case 2:
      bytes[at] += random.below(9) - 4;
      return bytes;
    case 3:
      return writeToken(random, bytes, random.oneOf(tokens));
    case 4:
      return join(bytes.subarray(0, at), bytes.subarray(to));
    case 5:
      return join(bytes.subarray(0, to), bytes.subarray(at));
    case 6:
      return join(bytes.subarray(0, at), other.subarray(random.below(other.length)));
    default:
      for (let position = at; position < to; position += 1) bytes[position] = random.below(256);
      return bytes;
  }
}

function changePieces(random, pieces, other) {
  const index = random.below(pieces.length);
  switch (random.below(5)) {
    case 0:
      pieces[index] = { ...pieces[index], direction: 1 - pieces[index].direction };
      break;
    case 1:
      pieces.splice(index, 1);
      break;
    case 2:
      pieces.splice(index, 0, pieces[index]);
      break;
    case 3:
      pieces.splice(index, 0, random.oneOf(other));
      break;
    default: {
      const { direction, bytes } = pieces[index];
      const at = random.below(bytes.length + 1);
      pieces.splice(
        index,
        1,
        { direction, bytes: bytes.slice(0, at) },
        { direction, bytes: bytes.slice(at) },
      );
    }
  }
}

/**
 * A changed copy of an input.
 *
 * @param input - pieces
 * @param other - another input, to splice from
 * @param tokens - constants of the code
 */
export function mutate(random, input, other, tokens) {
  const pieces = input.slice(0, PIECES_MAX);
  for (let count = 1 + random.below(4); count > 0; count -= 1) {
    if (pieces.length > 0 && random.below(6) === 0) changePieces(random, pieces, other);
    else {
      const index = random.below(Math.max(pieces.length, 1));
      const { direction, bytes } = pieces[index] ?? { direction: 0, bytes: new Uint8Array(1) };
      if (bytes.length === 0) continue;
      const from = random.oneOf(other);
      const donor = from === undefined || from.bytes.length === 0 ? bytes : from.bytes;
      pieces[index] = { direction, bytes: changeBytes(random, bytes.slice(), tokens, donor) };
    }
  }
  return pieces.filter(({ bytes }) => bytes.length > 0);
}
