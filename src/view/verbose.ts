/**
 * States as `pfctl -vv -ss` and py-pf print them, character by character.
 *
 * First line: interface, protocol, the local end as it looks on the far side of translation (in parentheses
 * as it looks on the near side, when that differs), an arrow, the remote end likewise, the levels. TCP has a
 * second line with the windows. Then age, rest of life, traffic and rule; then the ids.
 */
import { PROTOCOL, sequenceDistance } from "../base/index.ts";
import { TCP_LEVEL } from "./level.ts";
import { isIcmp } from "./protocol-name.ts";
import { STATE_END, type State, type StateKey, type StatePeer } from "./state.ts";

const MILLISECONDS = 1000;
const BEFORE_LEVELS = "       ";
const INDENT = "   ";

/** Interface of a state that is bound to none, or whose source does not say. */
const ANY_INTERFACE = "all";

/** One end: `address:port`, `address[port]` for IPv6; without a port when there is none. */
export function endText(key: StateKey, end: number): string {
  const address = end === STATE_END.LOCAL ? key.addresses[1] : key.addresses[0];
  const port = end === STATE_END.LOCAL ? key.ports[1] : key.ports[0];
  if (port === 0) return address;
  return key.family === 4 ? `${address}:${port}` : `${address}[${port}]`;
}

/** One end as it is on the far side of translation and, in parentheses when it differs, on the near side. */
function translatedText(state: State, end: number, differs: boolean): string {
  const far = endText(state.nk, end);
  const near = endText(state.sk, end);
  return differs || far !== near ? `${far} (${near})` : far;
}

/** Both ends with the arrow between them: local first. */
export function endsText(state: State): string {
  const { nk, sk, direction } = state;
  const local = translatedText(state, STATE_END.LOCAL, nk.zone !== sk.zone);
  const remote = translatedText(state, STATE_END.REMOTE, false);
  return `${local} ${direction === "out" ? "->" : "<-"} ${remote}`;
}

/** Interface of a state as it is printed. */
export function interfaceText(state: State): string {
  return state.interface === "" ? ANY_INTERFACE : state.interface;
}

/** Levels of both ends, local first: names, or numbers for ICMP, which has none in pf. */
export function levelsText(state: State): string {
  const { src, dst, protocol } = state;
  if (protocol === PROTOCOL.TCP) return tcpLevelsText(src, dst);
  const named = !isIcmp(protocol) && src.levelName !== "" && dst.levelName !== "";
  return named ? `${src.levelName}:${dst.levelName}` : `${src.level}:${dst.level}`;
}

function tcpLevelsText(src: StatePeer, dst: StatePeer): string {
  const { TIME_WAIT, PROXY_SRC, PROXY_DST } = TCP_LEVEL;
  if (src.level <= TIME_WAIT && dst.level <= TIME_WAIT) return `${src.levelName}:${dst.levelName}`;
  if (src.level === PROXY_SRC || dst.level === PROXY_SRC) return "PROXY:SRC";
  if (src.level === PROXY_DST || dst.level === PROXY_DST) return "PROXY:DST";
  return `<BAD STATE LEVELS ${src.level}:${dst.level}>`;
}

/** One end's window: what it has sent, how far it may go, what is added on the way, its scale. */
function windowText(peer: StatePeer, scaled: boolean): string {
  const low = peer.sequenceLow ?? 0;
  const room = sequenceDistance(low, peer.sequenceHigh ?? low) >>> 0;
  const difference = peer.sequenceDifference === 0 ? "" : `(+${peer.sequenceDifference})`;
  const scale = scaled ? ` wscale ${peer.windowScale}` : "";
  return `${INDENT}[${low} + ${room}]${difference}${scale}`;
}

function windowsText(state: State): string {
  const { src, dst } = state;
  const scaled = src.windowScale !== null && dst.windowScale !== null;
  return windowText(src, scaled) + windowText(dst, scaled);
}

/** A span as hours, minutes and seconds; hours may exceed a day. */
export function clockText(spanMs: number): string {
  const seconds = Math.floor(spanMs / MILLISECONDS);
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
}

/** A pair of counters; zeros when nobody counts. */
function pairText(pair: readonly [number, number] | null): string {
  return pair === null ? "0:0" : `${pair[0]}:${pair[1]}`;
}

function originText({ anchor, rule }: State): string[] {
  const parts = anchor === null ? [] : [`anchor ${anchor.index}`];
  return rule === null || rule.index === null ? parts : [...parts, `rule ${rule.index}`];
}

function flagsText({ flags }: State): string[] {
  const words: readonly [boolean, string][] = [
    [flags.sloppy, "sloppy"],
    [flags.pflow, "pflow"],
    [flags.sourceTrack, "source-track"],
    [flags.stickyAddress, "sticky-address"],
  ];
  return words.filter(([isSet]) => isSet).map(([, word]) => word);
}

function lifeText(state: State): string {
  const parts = [
    `age ${clockText(state.ageMs ?? 0)}`,
    `expires in ${clockText(state.expiresInMs ?? 0)}`,
    `${pairText(state.packets)} pkts`,
    `${pairText(state.bytes)} bytes`,
    ...originText(state),
    ...flagsText(state),
  ];
  return INDENT + parts.join(", ");
}

function idText(state: State): string {
  const creator = state.creatorId.toString(16).padStart(8, "0");
  return `${INDENT}id: ${state.id} creatorid: ${creator}${state.flags.noSync ? " (no-sync)" : ""}`;
}

/**
 * Prints a state in pf's verbose form.
 *
 * @returns three lines, four for TCP, without line ends; what the source does not know is printed as 0, as pf
 *   does
 */
export function verboseLines(state: State): string[] {
  const first = `${interfaceText(state)} ${state.protocolName} ${endsText(state)}${BEFORE_LEVELS}${levelsText(state)}`;
  const lines = [first];
  if (state.protocol === PROTOCOL.TCP) lines.push(windowsText(state));
  lines.push(lifeText(state), idText(state));
  return lines;
}

/**
 * Prints a state as the sample of py-pf's manual does.
 *
 * @returns four lines without line ends
 */
export function chapterLines(state: State): string[] {
  return [
    `State 0x${state.id} on ${interfaceText(state)} (${endsText(state)})`,
    `Packets: ${pairText(state.packets)}`,
    `Bytes: ${pairText(state.bytes)}`,
    `Expires in ${Math.floor((state.expiresInMs ?? 0) / MILLISECONDS)} seconds`,
  ];
}
