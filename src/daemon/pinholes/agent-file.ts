/**
 * The file that says who may open what: profiles, and the agents that have them.
 *
 * ```json
 * {
 *   "profiles": { "calls": { "internal": ["10.1.0.0/16"], "ports": [[10000, 20000]], "lifetimeMax": 3600 } },
 *   "agents": { "sip": { "profile": "calls", "users": ["sipd"], "certificates": ["DNS:sip.example.net"] } }
 * }
 * ```
 *
 * Unknown words are errors, as in policies. Comments are allowed.
 */
import { type ParseError, parse, printParseErrorCode } from "jsonc-parser";
import { defaultLimits, FirewallError, type LimitName, LIMITS, type LimitValues } from "../../base/index.ts";
import {
  type AccessProfile,
  parseProfile,
  type ProfileSpec,
  RIGHTS,
  type PoolPlan,
  type TranslationPlan,
} from "../../pinhole/index.ts";

/** An agent as it stands in the file. */
export interface AgentEntry {
  /** Owner of what it opens. */
  readonly name: string;
  readonly profile: AccessProfile;
  /** Users of the machine, by name or number. */
  readonly users: readonly string[];
  /** Groups of the machine, by name or number. */
  readonly groups: readonly string[];
  /** Of client certificates: `CN=…`, `DNS:…`, `URI:…`, `email:…`, or `sha256:` and a fingerprint. */
  readonly certificates: readonly string[];
  /** Key that is shared with the agent, for SIMCO without TLS certificates; undefined when there is none. */
  readonly simcoKey: Uint8Array | undefined;
}

/** What the file says. */
export interface AgentFile {
  readonly agents: readonly AgentEntry[];
  readonly limits: LimitValues;
  /** What addresses and ports may be translated to; absent: nothing is translated. */
  readonly translation: TranslationPlan | undefined;
  /** True: somebody else's pinhole looks as if it were not there. */
  readonly hidesForeign: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** What a value must be: a test, and the words for it. */
type Shape = readonly [holds: (value: unknown) => boolean, words: string];

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown, low: number, high = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;
}

function listOf(holds: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(holds);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isPortRange(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [low, high] = value as unknown[];
  return isWhole(low, 1, 65_535) && isWhole(high, low, 65_535);
}

/** True when an object has no other fields than these, and each of them holds. */
function isRecord(
  fields: readonly string[],
  holds: (value: unknown) => boolean,
): (value: unknown) => boolean {
  return (value) =>
    isObject(value) && Object.entries(value).every(([name, field]) => fields.includes(name) && holds(field));
}

const DIRECTIONS: readonly unknown[] = ["in", "out", "both"];
const WILDCARDS = ["internal", "external", "ports", "protocol", "anyToAny"];
const LIMIT_FIELDS = ["pps", "bps", "burst", "newPerSec", "quotaBytes"];

const FLAG: Shape = [(value) => typeof value === "boolean", "true or false"];
const COUNT: Shape = [(value) => isWhole(value, 1), "a whole number above 0"];
const TEXTS: Shape = [listOf(isText), "a list of texts"];

const PROFILE_SHAPES: Readonly<Record<keyof ProfileSpec, Shape>> = {
  rights: [
    listOf((value) => (RIGHTS as readonly unknown[]).includes(value)),
    `a list of ${RIGHTS.join(", ")}`,
  ],
  administrator: FLAG,
  readsAll: FLAG,
  internal: TEXTS,
  external: TEXTS,
  ports: [listOf(isPortRange), "a list of pairs such as [1024, 65535]"],
  protocols: [listOf((value) => isWhole(value, 0, 255)), "a list of numbers from 0 to 255"],
  directions: [listOf((value) => DIRECTIONS.includes(value)), "a list of in, out, both"],
  wildcards: [isRecord(WILDCARDS, FLAG[0]), `an object with true or false for ${WILDCARDS.join(", ")}`],
  lifetimeMax: [(value) => isWhole(value, 1, 0xffffffff), "whole seconds above 0"],
  mayExtend: FLAG,
  mayLastForever: FLAG,
  pinholesMax: [(value) => isWhole(value, 0), "a whole number"],
  limit: [isRecord(LIMIT_FIELDS, COUNT[0]), `an object with numbers for ${LIMIT_FIELDS.join(", ")}`],
  requestsPerSecond: COUNT,
  requestBurst: COUNT,
};

/** At least 16 octets in hexadecimal digits. */
const KEY = /^(?:[0-9a-f]{2}){16,}$/i;

const AGENT_SHAPES: Readonly<Record<string, Shape>> = {
  profile: [isText, "the name of a profile"],
  users: TEXTS,
  groups: TEXTS,
  certificates: TEXTS,
  simcoKey: [(value) => isText(value) && KEY.test(value), "32 or more hexadecimal digits"],
};

const FILE_SHAPES: Readonly<Record<string, Shape>> = {
  profiles: [isObject, "an object"],
  agents: [isObject, "an object"],
  limits: [isObject, "an object"],
  translation: [isObject, "an object"],
  hideForeign: FLAG,
};

const POOL_SHAPES: Readonly<Record<keyof PoolPlan, Shape>> = {
  addresses: TEXTS,
  ports: [isPortRange, "a pair such as [20000, 29999]"],
  hosts: TEXTS,
};

const TRANSLATION_SHAPES: Readonly<Record<keyof TranslationPlan, Shape>> = {
  outside: [isObject, "an object"],
  inside: [isObject, "an object"],
};

const AGENT_NAME = /^[\x21-\x7e]{1,255}$/;

/** Names of limits that belong to pinholes and their doors. */
const LIMIT_NAMES = Object.keys(LIMITS).filter((name) => /^(?:pinhole|simco)/.test(name)) as LimitName[];

/** Reads a file that is checked step by step. */
class AgentFileReader {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  read(text: string): AgentFile {
    const errors: ParseError[] = [];
    const document: unknown = parse(text, errors, { allowTrailingComma: true });
    const [error] = errors;
    if (error !== undefined) {
      const line = text.slice(0, error.offset).split("\n").length;
      throw this.#wrong(`line ${line}`, `is no JSON (${printParseErrorCode(error.error)})`);
    }
    const file = this.#check("the file", document, FILE_SHAPES);
    const profiles = this.#profiles((file["profiles"] ?? {}) as Fields);
    const agents = Object.entries((file["agents"] ?? {}) as Fields);
    return {
      agents: agents.map(([name, agent]) => this.#agent(name, agent, profiles)),
      limits: this.#limits((file["limits"] ?? {}) as Fields),
      translation: file["translation"] === undefined ? undefined : this.#translation(file["translation"]),
      hidesForeign: file["hideForeign"] === true,
    };
  }

  #profiles(fields: Fields): Map<string, AccessProfile> {
    const profiles = new Map<string, AccessProfile>();
    for (const [name, spec] of Object.entries(fields)) {
      const where = `profiles.${name}`;
      const checked = this.#check(where, spec, PROFILE_SHAPES) as ProfileSpec;
      try {
        profiles.set(name, parseProfile(checked));
      } catch (cause) {
        throw this.#wrong(where, `is wrong: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    }
    return profiles;
  }

  #agent(name: string, value: unknown, profiles: ReadonlyMap<string, AccessProfile>): AgentEntry {
    const where = `agents.${name}`;
    if (!AGENT_NAME.test(name)) throw this.#wrong(where, "must have 1 to 255 printable characters");
    const fields = this.#check(where, value, AGENT_SHAPES);
    const profile = profiles.get(String(fields["profile"]));
    if (profile === undefined) throw this.#wrong(`${where}.profile`, "must be the name of a profile");
    const { simcoKey } = fields;
    const texts = (field: string): readonly string[] => (fields[field] ?? []) as string[];
    return {
      name,
      profile,
      users: texts("users"),
      groups: texts("groups"),
      certificates: texts("certificates"),
      simcoKey: typeof simcoKey === "string" ? Buffer.from(simcoKey, "hex") : undefined,
    };
  }

  #translation(value: unknown): TranslationPlan {
    const { outside, inside } = this.#check("translation", value, TRANSLATION_SHAPES);
    if (outside === undefined) throw this.#wrong("translation.outside", "is missing");
    return {
      outside: this.#pool("translation.outside", outside),
      ...(inside === undefined ? {} : { inside: this.#pool("translation.inside", inside) }),
    };
  }

  #pool(where: string, value: unknown): PoolPlan {
    const { addresses = [], ports, hosts } = this.#check(where, value, POOL_SHAPES) as Partial<PoolPlan>;
    if (ports === undefined) throw this.#wrong(`${where}.ports`, "is missing");
    return { addresses, ports, ...(hosts === undefined ? {} : { hosts }) };
  }

  #limits(fields: Fields): LimitValues {
    for (const [name, value] of Object.entries(fields)) {
      const known = LIMIT_NAMES.find((limit) => limit === name);
      if (known === undefined) throw this.#wrong(`limits.${name}`, `is none of ${LIMIT_NAMES.join(", ")}`);
      const { min, max, unit } = LIMITS[known];
      if (!isWhole(value, min, max)) {
        throw this.#wrong(`limits.${name}`, `must be a number of ${unit} from ${min} to ${max}`);
      }
    }
    return { ...defaultLimits(), ...(fields as Partial<LimitValues>) };
  }

  #check(where: string, value: unknown, shapes: Readonly<Record<string, Shape>>): Fields {
    if (!isObject(value)) throw this.#wrong(where, "must be an object");
    for (const [name, field] of Object.entries(value)) {
      const shape = shapes[name];
      const path = where === "the file" ? name : `${where}.${name}`;
      if (shape === undefined) throw this.#wrong(path, `is none of ${Object.keys(shapes).join(", ")}`);
      if (!shape[0](field)) throw this.#wrong(path, `must be ${shape[1]}`);
    }
    return value;
  }

  #wrong(where: string, words: string): FirewallError {
    return new FirewallError("AGENTS_INVALID", `${this.#file}: ${where} ${words}.`);
  }
}

/**
 * Reads the text of an agent file.
 *
 * @param file - its name, for messages
 * @throws {FirewallError} `AGENTS_INVALID`
 */
export function parseAgentFile(file: string, text: string): AgentFile {
  return new AgentFileReader(file).read(text);
}
