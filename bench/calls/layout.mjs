/**
 * Which packets belong to which call.
 *
 * A call has eight pinholes: audio and video, RTP and RTCP, both ways. Each is one UDP flow between the
 * client and the server, told apart by its two ports. The media program forges the client's ports, so that it
 * needs no socket for each.
 */
export const PINHOLES_PER_CALL = 8;

const INTERNAL_FIRST = 10_000;
const INTERNAL_PORTS = 50_000;
const EXTERNAL_FIRST = 20_000;
/** External ports that the server listens on: room for a hundred thousand pinholes and those of new calls. */
export const EXTERNAL_PORTS = 4;

/** Ports of the nth pinhole of a call. */
export function ports(call, nth) {
  const index = (call * PINHOLES_PER_CALL + nth) % (INTERNAL_PORTS * EXTERNAL_PORTS);
  return {
    internal: INTERNAL_FIRST + (index % INTERNAL_PORTS),
    external: EXTERNAL_FIRST + Math.floor(index / INTERNAL_PORTS),
  };
}

/** All external ports. */
export function externalPorts() {
  return Array.from({ length: EXTERNAL_PORTS }, (_, at) => EXTERNAL_FIRST + at);
}

/** A source port that no pinhole has: packets from it are unwanted. */
export const UNWANTED_PORT = 9_999;

/** What a packet says of itself. */
export const PAYLOAD = { WANTED: 1, UNWANTED: 2, PROBE: 3 };
