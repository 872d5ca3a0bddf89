/** Events of states as lines: pf's one-line form, and what the flow's bytes have told. */
import type { WatchEvent } from "../client/index.ts";
import { type State, verboseLines } from "../view/index.ts";

const SIGNS = { new: "+", update: "~", destroy: "-" } as const;

/** What its bytes have told of a flow, and how it ended when a rule has ended it. */
function contentWords({ application, serverName, verdict, rule }: State): string {
  const ended = verdict !== null && verdict.verdict !== "ACCEPT" ? verdict.verdict : "";
  const by =
    ended === "" || rule === null ? "" : `by ${rule.chain} rule ${rule.index} ${rule.label}`.trimEnd();
  const words = [application, serverName, ended, by].filter((word) => word !== "");
  return words.length === 0 ? "" : ` [${words.join(" ")}]`;
}

/** One event as a line. */
export function eventText(event: WatchEvent): string {
  if (event.kind === "gap") return `! ${event.lost} events were lost`;
  return `${SIGNS[event.kind]} ${verboseLines(event.state)[0] ?? ""}${contentWords(event.state)}`;
}
