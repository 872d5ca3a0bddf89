/**
 * From a pinhole to the elements that carry it out.
 *
 * A direction becomes a box for packets that travel that way. TCP is different, because its direction is that
 * of the set-up (RFC 5189 section 2.3.5): both ways pass once somebody has been allowed to begin. So a TCP
 * pinhole has boxes for both ways in `pass`, and in `setup` only for those who may begin.
 *
 * | protocol | `in` | `out` | `both` |
 * |---|---|---|---|
 * | TCP | pass ⇄, setup ← | pass ⇄, setup → | pass ⇄, setup ⇄ |
 * | any other | pass ← | pass → | pass ⇄ |
 * | all (0) | as any other; for TCP also pass → and setup ← | likewise | pass ⇄, setup ⇄ |
 *
 * (← into our side, → out of it.) A block stops both ways, whatever the protocol.
 *
 * Ranges of few ports become single ports, which a packet filter finds in one step and changes in constant
 * time. Pairwise ranges always do: no filter has a word for "the same distance from the first".
 */
import { familyBits, PROTOCOL } from "../base/index.ts";
import { ANY_PROTOCOL, type Element, type ElementRole, makeElement } from "./element.ts";
import { type Endpoint, portCount } from "./endpoint.ts";
import type { PinholeRequest } from "./specification.ts";

interface Sides {
  readonly internal: Endpoint;
  readonly external: Endpoint;
}

/** Networks other than one host or all cannot be found in one step, so there expansion gains nothing. */
function isFoundAtOnce({ prefix }: Endpoint): boolean {
  return prefix.length === 0 || prefix.length === familyBits(prefix.family);
}

function product(internal: Endpoint, external: Endpoint, expansionMax: number): Sides[] {
  const inner = internal.isAnyPort ? 1 : portCount(internal.ports);
  const outer = external.isAnyPort ? 1 : portCount(external.ports);
  const isWorthIt = isFoundAtOnce(internal) && isFoundAtOnce(external);
  if (!isWorthIt || inner * outer > expansionMax || inner * outer === 1) return [{ internal, external }];
  const outers = external.isAnyPort ? [external] : external.singlePorts();
  const inners = internal.isAnyPort ? [internal] : internal.singlePorts();
  return inners.flatMap((one) => outers.map((other) => ({ internal: one, external: other })));
}

function sidesOf(request: PinholeRequest, expansionMax: number): Sides[] {
  const { internal, external } = request;
  if (!request.isPairwise) return product(internal, external, expansionMax);
  const externals = external.singlePorts();
  return internal.singlePorts().map((one, index) => ({
    internal: one,
    external: externals[index] ?? external,
  }));
}

/** A way through: the set, which way, and which protocol. */
interface Way {
  readonly role: "block" | "setup" | "pass";
  readonly inbound: boolean;
  readonly protocol: number;
}

/** Ways that were asked for: there are few combinations. */
const known = new Map<string, readonly Way[]>();

function waysOf({ kind, protocol, direction }: PinholeRequest): readonly Way[] {
  const name = `${kind} ${protocol} ${direction}`;
  const ways = known.get(name) ?? findWays(kind, protocol, direction);
  known.set(name, ways);
  return ways;
}

function findWays(
  kind: PinholeRequest["kind"],
  protocol: number,
  direction: PinholeRequest["direction"],
): readonly Way[] {
  const both = [true, false];
  if (kind === "block") return both.map((inbound) => ({ role: "block", inbound, protocol }));
  const begun = both.filter((inbound) => direction === "both" || inbound === (direction === "in"));
  const begin = begun.map((inbound): Way => ({ role: "setup", inbound, protocol: PROTOCOL.TCP }));
  if (protocol === PROTOCOL.TCP) return [...begin, ...passes(both, protocol)];
  if (protocol !== ANY_PROTOCOL) return passes(begun, protocol);
  const answers = both.filter((inbound) => !begun.includes(inbound));
  return [...begin, ...passes(begun, protocol), ...passes(answers, PROTOCOL.TCP)];
}

function passes(inbounds: readonly boolean[], protocol: number): Way[] {
  return inbounds.map((inbound) => ({ role: "pass", inbound, protocol }));
}

function roleOf(way: Way, isLimited: boolean): ElementRole {
  return isLimited && way.role !== "block" ? `${way.role}-limited` : way.role;
}

/**
 * The elements that filter the packets of a pinhole; none for a reservation.
 *
 * @param request - what was asked for
 * @param isLimited - true when limits count for it
 * @param expansionMax - up to this many pairs of ports become single ports
 */
export function compileElements(
  request: PinholeRequest,
  isLimited: boolean,
  expansionMax: number,
): Element[] {
  if (request.kind === "reserve") return [];
  const ways = waysOf(request);
  const elements: Element[] = [];
  for (const { internal, external } of sidesOf(request, expansionMax)) {
    for (const way of ways) {
      const source = way.inbound ? external : internal;
      const destination = way.inbound ? internal : external;
      elements.push(makeElement(roleOf(way, isLimited), { protocol: way.protocol, source, destination }));
    }
  }
  // Between a network and itself, one way is the other.
  return request.internal.network === request.external.network ? unique(elements) : elements;
}

function unique(elements: readonly Element[]): Element[] {
  return [...new Map(elements.map((element) => [element.key, element])).values()];
}
