/** Events of states as lines, in pf's one-line form. */
import type { WatchEvent } from "../client/index.ts";
import { verboseLines } from "../view/index.ts";

const SIGNS = { new: "+", update: "~", destroy: "-" } as const;

/** One event as a line. */
export function eventText(event: WatchEvent): string {
  if (event.kind === "gap") return `! ${event.lost} events were lost`;
  return `${SIGNS[event.kind]} ${verboseLines(event.state)[0] ?? ""}`;
}
