/** Requests as agents should send them. */
import type { AddressTuple } from "../address-tuple.ts";
import type { MessageOf } from "../message.ts";
import { ALL_PORTS_COUNT, type Capabilities, NAT_MODE } from "../parameter-set.ts";

type Ends = Pick<MessageOf<"PER">, "internal" | "external">;

function isIrrelevant({ address, port, protocol }: AddressTuple): boolean {
  return address === undefined || port === 0 || protocol === 0;
}

/**
 * Both ends with the same number of ports, which is 1 where it means nothing (DEC-23).
 *
 * @throws {RangeError} when the numbers of ports differ and matter
 */
export function evenEnds({ internal, external }: Ends): Ends {
  const [relevant] = [internal, external].filter((end) => !isIrrelevant(end));
  const count = isIrrelevant(internal) || isIrrelevant(external) ? (relevant?.count ?? 1) : internal.count;
  if (!isIrrelevant(internal) && !isIrrelevant(external) && internal.count !== external.count) {
    throw new RangeError(`${internal.count} and ${external.count} ports do not go together, one by one.`);
  }
  if (count === ALL_PORTS_COUNT) throw new RangeError("All ports are written as port 0.");
  const even = (end: AddressTuple): AddressTuple => (end.address === undefined ? end : { ...end, count });
  return { internal: even(internal), external: even(external) };
}

/** The mode of translation to ask for: twice only where that is announced (DEC-41). */
export function natModeFor({ translatesTwice }: Capabilities, wanted: number): number {
  return wanted === NAT_MODE.TWICE && !translatesTwice ? NAT_MODE.TRADITIONAL : wanted;
}
