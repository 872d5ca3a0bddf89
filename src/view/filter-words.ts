/** The words of the filter language that stand for one thing each. */
import type { FilterEnd, FilterNode, FlagField, NumberField, TextField } from "./filter-node.ts";

/** Keywords as a map: the words of a filter come from strangers, and an object also knows `constructor`. */
function mapOf<Value>(words: Readonly<Record<string, Value>>): ReadonlyMap<string, Value> {
  return new Map(Object.entries(words));
}

/** Ends. */
export const ENDS: ReadonlyMap<string, FilterEnd> = mapOf<FilterEnd>({
  local: "local",
  remote: "remote",
  from: "from",
  src: "from",
  to: "to",
  dst: "to",
  host: "either",
});

/** Yes-or-no questions. */
export const FLAGS: ReadonlyMap<string, FlagField> = mapOf<FlagField>({
  nat: "translated",
  translated: "translated",
  offloaded: "offloaded",
  sloppy: "sloppy",
  "half-open": "half-open",
  established: "established",
});

/** Texts that are compared with the name that follows. */
export const TEXTS: ReadonlyMap<string, TextField> = mapOf<TextField>({
  on: "interface",
  chain: "chain",
  anchor: "chain",
  label: "label",
  app: "application",
  application: "application",
  sni: "serverName",
});

/** Numbers that are compared with what follows. */
export const NUMBERS: ReadonlyMap<string, NumberField> = mapOf<NumberField>({
  age: "age",
  expires: "expires",
  packets: "packets",
  bytes: "bytes",
  user: "user",
  zone: "zone",
});

/** Milliseconds of a span's units. */
export const SPAN_UNITS: ReadonlyMap<string, number> = mapOf<number>({
  ms: 1,
  "": 1000,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
});

/** Bytes of a size's units. */
export const SIZE_UNITS: ReadonlyMap<string, number> = mapOf<number>({
  "": 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
});

/** Largest port. */
export const PORT_MAX = 65_535;
/** Largest number of 32 bits. */
export const NUMBER_MAX = 0xffffffff;

/** Keys that stand alone. */
export const SINGLES: ReadonlyMap<string, FilterNode> = mapOf<FilterNode>({
  all: { kind: "all" },
  any: { kind: "all" },
  inet: { kind: "family", family: 4 },
  inet6: { kind: "family", family: 6 },
  in: { kind: "direction", direction: "in" },
  out: { kind: "direction", direction: "out" },
  own: { kind: "source", source: "own" },
  kernel: { kind: "source", source: "kernel" },
  both: { kind: "source", source: "both" },
});
