/** Which live connections may have to end when elements come and go. */
import type { Cut } from "./backend.ts";
import { type Box, isTranslation, type Translation } from "./element.ts";
import type { ElementChanges } from "./element-ledger.ts";

/** What to look for among live connections. */
export type CutList = Pick<Cut, "boxes" | "translated">;

/**
 * The packets that meet the leased address: those that `dnat` translates, those that were sent to another
 * one, and the answers to those that `snat` translates. Nobody else's connections have packets there.
 */
function leasedBox({ role, box, target }: Translation): Box {
  if (role.startsWith("dnat") || role.startsWith("snat-sent")) return box;
  const destination = target.isAnyPort ? target.withPorts(box.source.ports) : target;
  return { protocol: box.protocol, source: box.destination, destination };
}

/** @param changes - what comes and what goes */
export function cutListOf({ begun, put, remove }: ElementChanges): CutList {
  // A connection that began before its translation came would never be translated.
  const translated = [...remove, ...begun].filter(isTranslation);
  return {
    boxes: [
      ...remove.filter((element) => element.role !== "block" && !isTranslation(element)),
      ...put.filter(({ role }) => role === "block"),
    ].map(({ box }) => box),
    translated: translated.map(leasedBox),
  };
}
