/**
 * The TCP tables, flattened once to bytes: people read the literals of tcp-table.ts, packets read these.
 *
 * A cell's byte holds the next state in its low bits and {@link UNDEFINED} when no table speaks of the
 * segment.
 */
import { TCP_FLAG, TCP_STATES, type TcpState, tcpStateIndex } from "../base/index.ts";
import {
  type Cells,
  EXTENSION_TABLE,
  type FlowState,
  PYWALL_TABLE,
  RESET_TABLE,
  type SegmentPattern,
  type TcpTable,
} from "./tcp-table.ts";

/** Bit of a machine byte: no table speaks of this segment in this state. */
export const UNDEFINED = 0x80;

/** Mask of the next state in a machine byte. */
export const NEXT_STATE = 0x1f;

/** Bits of a segment class, the third index of the machine. */
export const SEGMENT = { F: 1, S: 2, A: 4 } as const;

const SEGMENTS = 8;
const DIRECTIONS = 2;

/** Rows of the extended machine: one for each state of an entry, and one for a flow that has none. */
const ROWS = TCP_STATES.length;

/** Row of a flow without an entry; INVALID is no state of an entry, so its row is free. */
const UNKNOWN_ROW = tcpStateIndex("INVALID");

/** Segment class, 0 to 7, of TCP control bits. */
export function segmentOf(tcpFlags: number): number {
  return (tcpFlags & (TCP_FLAG.FIN | TCP_FLAG.SYN)) | ((tcpFlags & TCP_FLAG.ACK) >>> 2);
}

/** True when a segment class fits a pattern such as `S&!A`. */
export function patternFits(pattern: SegmentPattern, segment: number): boolean {
  if (pattern === "any") return true;
  return pattern.split("&").every((term) => {
    const bit = SEGMENT[term.replace("!", "") as keyof typeof SEGMENT];
    return ((segment & bit) !== 0) !== term.startsWith("!");
  });
}

/** What a row says of a segment class, `undefined` when it says nothing. */
function cellFor(cells: Cells<string> | undefined, segment: number): string | undefined {
  for (const [pattern, to] of Object.entries(cells ?? {})) {
    if (patternFits(pattern as SegmentPattern, segment)) return to;
  }
  return undefined;
}

function position(row: number, flowing: number, segment: number): number {
  return (row * DIRECTIONS + flowing) * SEGMENTS + segment;
}

type AnyTable = TcpTable<TcpState, FlowState | "stay">;

/** Writes one row of the machine: the first table that speaks of a segment has the say. */
function flattenRow(machine: Uint8Array, row: number, state: TcpState, tables: readonly AnyTable[]): void {
  for (const [flowing, name] of (["received", "sent"] as const).entries()) {
    for (let segment = 0; segment < SEGMENTS; segment += 1) {
      const to = tables
        .map((table) => cellFor(table[state]?.[name], segment))
        .find((cell) => cell !== undefined);
      const next = tcpStateIndex(to === undefined || to === "stay" ? state : (to as TcpState));
      machine[position(row, flowing, segment)] = to === undefined ? next | UNDEFINED : next;
    }
  }
}

function flatten(tables: readonly AnyTable[]): Uint8Array {
  const machine = new Uint8Array(ROWS * DIRECTIONS * SEGMENTS);
  for (const [row, state] of TCP_STATES.entries()) flattenRow(machine, row, state, tables);
  flattenRow(machine, UNKNOWN_ROW, "CLOSED", [PYWALL_TABLE]);
  return machine;
}

const REFERENCE = flatten([PYWALL_TABLE]);
const MACHINE = flatten([EXTENSION_TABLE, PYWALL_TABLE]);
const RESET = Uint8Array.from(TCP_STATES, (state) =>
  tcpStateIndex(state === "INVALID" ? "CLOSED" : RESET_TABLE[state]),
);

/**
 * One step of PyWall's machine alone, for comparison.
 *
 * @param state - index into TCP_STATES, 0 to 14
 * @param flowing - a value of FLOWING
 * @param segment - segment class, 0 to 7
 * @returns the machine byte: next state, {@link UNDEFINED}
 */
export function stepReference(state: number, flowing: number, segment: number): number {
  return REFERENCE[position(state, flowing, segment)] ?? UNDEFINED;
}

/**
 * One step of the whole machine for a segment without RST.
 *
 * @param state - index into TCP_STATES, 0 to 15
 * @param flowing - a value of FLOWING
 * @param segment - segment class, 0 to 7
 * @returns the machine byte: next state, {@link UNDEFINED}
 */
export function stepSegment(state: number, flowing: number, segment: number): number {
  return MACHINE[position(state, flowing, segment)] ?? UNDEFINED;
}

/** State of an entry made by a segment without RST on a flow that had none. */
export function stepUnknown(flowing: number, segment: number): number {
  return (MACHINE[position(UNKNOWN_ROW, flowing, segment)] ?? 0) & NEXT_STATE;
}

/** State after a believed RST. */
export function stepReset(state: number): number {
  return RESET[state] ?? 0;
}

const FLOWINGS = [0, 1] as const;
/** Segments without SYN and FIN. */
const PLAIN_SEGMENTS = [0, SEGMENT.A] as const;

const STEADY = Uint8Array.from(TCP_STATES, (name, state) => {
  if (name === "CLOSED" || name === "TIME_WAIT" || name === "INVALID" || name.startsWith("SYN_")) return 0;
  const stays = FLOWINGS.every((flowing) =>
    PLAIN_SEGMENTS.every((segment) => (stepSegment(state, flowing, segment) & NEXT_STATE) === state),
  );
  return stays ? 1 : 0;
});

/**
 * True for a state of a connection that stands, or is closing, that only a segment with SYN, FIN or RST can
 * change.
 */
export function isSteady(state: number): boolean {
  return STEADY[state] === 1;
}
