/** Both ends of a policy rule in words, for agents. */
import { familyBits, FirewallError, parseAddress } from "../base/index.ts";
import { type AddressTuple, evenEnds, LOCATION, type MessageOf } from "../simco/index.ts";
import { endpoint } from "./pinhole-api.ts";

const PORT_MAX = 65_535;

function anybody(family: 4 | 6, protocol: number, location: number): AddressTuple {
  return { family, prefix: 0, protocol, location, port: 0, count: 0, address: undefined };
}

const ANY_ADDRESS = { 4: "0.0.0.0", 6: "::" } as const;

function isRange(low: number, high: number): boolean {
  return low >= 0 && low <= high && high <= PORT_MAX;
}

/**
 * An end of a rule in words: `ADDRESS[/PREFIX][:PORT[-PORT]]`, or `*` for anybody.
 *
 * @throws {FirewallError} `SIMCO_ENDS` when it is none
 */
function parseEnd(text: string, protocol: number, location: number, family: 4 | 6): AddressTuple {
  const { address: words, prefix, ports } = endpoint(text);
  const [low = 0, high = low] = ports ?? [];
  if (words === undefined && low === 0) return anybody(family, protocol, location);
  const address = parseAddress(words ?? ANY_ADDRESS[family]);
  if (address === undefined || !isRange(low, high)) {
    throw new FirewallError(
      "SIMCO_ENDS",
      `"${text}" is no ADDRESS[/PREFIX][:PORT[-PORT]], such as 10.1.0.3:5004`,
    );
  }
  const whole = words === undefined ? 0 : familyBits(address.family);
  return {
    family: address.family,
    prefix: prefix ?? whole,
    protocol,
    location,
    port: low,
    count: low === 0 ? 1 : high - low + 1,
    address: address.words,
  };
}

/**
 * Both ends of a rule in words: `ADDRESS[/PREFIX][:PORT[-PORT]]`, or `*` for anybody, who is of the IP
 * version of the other end. Both have the same number of ports, as middleboxes demand.
 *
 * @param protocol - IANA number; 0 for every protocol
 * @throws {FirewallError} `SIMCO_ENDS` when one is none, or both do not go together
 *
 * @example
 * simcoEnds("10.1.8.3:5004-5005", "192.0.2.100:6004-6005", 17);
 */
export function simcoEnds(
  internal: string,
  external: string,
  protocol: number,
): Pick<MessageOf<"PER">, "internal" | "external"> {
  const family = [internal, external].some((text) => endpoint(text).family === 6) ? 6 : 4;
  const ends = {
    internal: parseEnd(internal, protocol, LOCATION.INTERNAL, family),
    external: parseEnd(external, protocol, LOCATION.EXTERNAL, family),
  };
  try {
    return evenEnds(ends);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new FirewallError("SIMCO_ENDS", cause.message, { cause });
  }
}
