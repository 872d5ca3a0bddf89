/** Types of values that belong to networks: ports, prefixes, states, users. */
import { Prefix, TCP_STATES, type TcpState } from "../base/index.ts";
import { choice, integer, type Reading, reportWrongType, type ValueType } from "./argument.ts";
import type { JsonValue } from "./document.ts";
import { didYouMean } from "./suggestion.ts";

/** A port that no packet has: comparing anything with it is false. */
const NEVER = Number.NaN;

const HIGHEST_PORT = 65_535;
/** A port that must be one, in every compatibility. */
export const exactPort: ValueType<number> = integer({ min: 0, max: HIGHEST_PORT });

/** What PyWall makes of a port it cannot mean: it loads, and no packet ever has it. */
function readImpossiblePort(value: JsonValue, reading: Reading): number | undefined {
  const { scalar } = value;
  if (typeof scalar !== "string" && typeof scalar !== "number")
    return reportWrongType(value, port.words, reading);
  const written = JSON.stringify(scalar);
  reading.problems.warning(
    value,
    "never-matches",
    `${written} is no port number, so the rule never matches (as in PyWall)`,
  );
  return typeof scalar === "number" ? scalar : NEVER;
}

/**
 * A port, 0 to 65535. In PyWall compatibility other numbers and strings are kept and match no packet, since
 * PyWall compares them as they are.
 */
export const port: ValueType<number> = {
  words: exactPort.words,
  schema: exactPort.schema,
  read(value, reading) {
    const { scalar } = value;
    if (typeof scalar === "number" && Number.isInteger(scalar) && scalar >= 0 && scalar <= HIGHEST_PORT) {
      return scalar;
    }
    if (reading.lenient) return readImpossiblePort(value, reading);
    if (typeof scalar === "string" && /^\d+$/.test(scalar)) {
      const hint = `a port is a number: write ${scalar} without quotes`;
      reading.problems.error(value, "wrong-type", hint);
      return undefined;
    }
    return exactPort.read(value, reading);
  },
};

/** A network of either family, in any form that {@link Prefix.parse} reads. */
export const network: ValueType<Prefix> = {
  words: "an address or a network such as 192.0.2.0/24, 10.0.0.0/255.0.0.0 or 2001:db8::/32",
  schema: { type: "string", examples: ["192.0.2.0/24", "2001:db8::/32"] },
  read(value, reading) {
    const { scalar } = value;
    const prefix = typeof scalar === "string" ? Prefix.parse(scalar) : undefined;
    return prefix ?? reportWrongType(value, network.words, reading);
  },
};

/** Protocols that PyWall's port rules know. */
export const portProtocol: ValueType<"TCP" | "UDP"> = choice(["TCP", "UDP"]);

/** Name of a TCP state. In PyWall compatibility any string is taken, and an unknown name is no state. */
export const tcpState: ValueType<TcpState | ""> = {
  words: "a TCP state",
  schema: { enum: TCP_STATES },
  read(value, reading) {
    const { scalar } = value;
    if (typeof scalar !== "string") return reportWrongType(value, tcpState.words, reading);
    const state = TCP_STATES.find((name) => name === scalar);
    if (state !== undefined) return state;
    const message = `there is no TCP state "${scalar}".${didYouMean(scalar, TCP_STATES)}`;
    if (reading.lenient) {
      reading.problems.warning(
        value,
        "never-matches",
        `${message} No connection is ever in it (as in PyWall)`,
      );
      return "";
    }
    reading.problems.error(value, "unknown-state", `${message} The states are ${TCP_STATES.join(", ")}`);
    return undefined;
  },
};

const HIGHEST_ID = 0xffff_fffe;

/** A user or a group: a number, or a name that the system knows. */
function accountId(noun: "user" | "group"): ValueType<number> {
  const words = `a ${noun} name or ${noun} id`;
  return {
    words,
    schema: { anyOf: [{ type: "string" }, { type: "integer", minimum: 0, maximum: HIGHEST_ID }] },
    read(value, reading) {
      const { scalar } = value;
      if (typeof scalar === "number") return integer({ min: 0, max: HIGHEST_ID }).read(value, reading);
      if (typeof scalar !== "string") return reportWrongType(value, words, reading);
      const id = noun === "user" ? reading.users?.userId(scalar) : reading.users?.groupId(scalar);
      if (id !== undefined) return id;
      const why =
        reading.users === undefined
          ? "names cannot be looked up here"
          : `this system has no ${noun} "${scalar}"`;
      reading.problems.error(value, "unknown-user", `${why}: give the ${noun} id as a number`);
      return undefined;
    },
  };
}

/** A user's name or id. */
export const user: ValueType<number> = accountId("user");

/** A group's name or id. */
export const group: ValueType<number> = accountId("group");
