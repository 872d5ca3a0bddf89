/** pf's limits and optimisation profiles under pf's names, for commands and programs that speak pf. */
import {
  FirewallError,
  type LimitName,
  SECOND,
  TIMEOUT_MEANINGS,
  type TimeoutValues,
} from "../base/index.ts";
import { PROFILES, type Profile } from "../state/index.ts";

/** pf's pools and the limits here that bound the same thing. */
export const PF_LIMITS = {
  states: "flows",
  "src-nodes": "limitSources",
  tables: "tables",
  "table-entries": "tableEntries",
} as const satisfies Record<string, LimitName>;

/** pf's words for profiles that are not their names here. */
const PROFILE_ALIASES: ReadonlyMap<string, Profile> = new Map([["satellite", "high-latency"]]);

/**
 * The limit that pf calls so.
 *
 * @throws {FirewallError} `LIMIT_UNKNOWN` that lists the names
 */
export function pfLimit(name: string): LimitName {
  const found = Object.entries(PF_LIMITS).find(([pfName]) => pfName === name)?.[1];
  if (found !== undefined) return found;
  const names = Object.keys(PF_LIMITS);
  throw new FirewallError(
    "LIMIT_UNKNOWN",
    `No limit ${JSON.stringify(name)}; there are ${names.join(", ")}`,
    {
      details: { name, names },
    },
  );
}

/**
 * The profile of that name; `satellite` is `high-latency`.
 *
 * @throws {FirewallError} `PROFILE_UNKNOWN` that lists the names
 */
export function pfProfile(name: string): Profile {
  const names = Object.keys(PROFILES) as Profile[];
  const found = names.find((profile) => profile === name) ?? PROFILE_ALIASES.get(name);
  if (found !== undefined) return found;
  throw new FirewallError(
    "PROFILE_UNKNOWN",
    `No optimisation profile ${JSON.stringify(name)}; there are ${names.join(", ")}`,
    { details: { name, names } },
  );
}

/**
 * Which profile timeouts follow, as pf guesses it: by all seven of them, so that one changed by hand is told.
 *
 * @returns `undefined` when they are nobody's
 */
export function profileOf(timeouts: TimeoutValues): Profile | undefined {
  const names = Object.keys(PROFILES) as Profile[];
  return names.find((profile) =>
    Object.entries(PROFILES[profile]).every(
      ([name, seconds]) => timeouts[name as keyof (typeof PROFILES)[Profile]] === seconds * SECOND,
    ),
  );
}

/**
 * Reads a timeout as people set it: pf's name and seconds.
 *
 * @param name - pf's name, `adaptive.start` and `adaptive.end` included, which count flows
 * @param value - seconds, or flows
 * @returns what to hand to the tracker
 * @throws {FirewallError} `TIMEOUT_UNKNOWN` that lists the names, `TIMEOUT_INVALID` for a value that is no
 *   number
 */
export function pfTimeout(name: string, value: number): Partial<TimeoutValues> {
  if (!Number.isFinite(value) || value < 0) {
    throw new FirewallError(
      "TIMEOUT_INVALID",
      `timeout ${name} must be a number of at least 0, not ${value}`,
      {
        details: { name },
      },
    );
  }
  if (name === "adaptive.start" || name === "adaptive.end") return { [name]: value };
  if (Object.hasOwn(TIMEOUT_MEANINGS, name)) return { [name]: value * SECOND };
  const names = [...Object.keys(TIMEOUT_MEANINGS), "adaptive.start", "adaptive.end"];
  throw new FirewallError(
    "TIMEOUT_UNKNOWN",
    `No timeout ${JSON.stringify(name)}; there are ${names.join(", ")}`,
    {
      details: { name, names },
    },
  );
}
