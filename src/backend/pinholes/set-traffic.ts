/** Reads what passed through elements: one by one when they are few, whole sets when they are many. */
import {
  ElementReader,
  encodeElementGet,
  encodeElementsDump,
  type HeldElement,
  type SetName,
} from "../../netlink/index.ts";
import type { Element, Traffic } from "../../pinhole/index.ts";
import type { NetlinkSocket } from "../../system/index.ts";
import { encodeBox, nameKey } from "./box-key.ts";
import type { SetShape } from "./set-shape.ts";

/** From this many elements of one set on, it costs less to read all of it. */
const WHOLE_SET_FROM = 64;

/** A set is read so often at most. */
const READS_MAX = 5;

type Exchange = Pick<NetlinkSocket, "exchange">;

/** Where an element is. */
export interface ElementPlace extends SetName {
  readonly shape: SetShape;
}

interface Question {
  readonly index: number;
  readonly key: Uint8Array;
  readonly keyEnd?: Uint8Array | undefined;
}

const NOTHING: Traffic = { packets: 0, bytes: 0 };

/**
 * @param find - where an element is; undefined when it is nowhere
 * @returns one answer for each element; zero for those that are not in force
 */
export function readTraffic(
  socket: Exchange,
  elements: readonly Element[],
  find: (element: Element) => ElementPlace | undefined,
): Traffic[] {
  const answers: Traffic[] = elements.map(() => NOTHING);
  const questions = new Map<string, { readonly place: ElementPlace; readonly list: Question[] }>();
  for (const [index, element] of elements.entries()) {
    const place = find(element);
    if (place === undefined) continue;
    const entry = questions.get(place.name) ?? { place, list: [] };
    questions.set(place.name, entry);
    entry.list.push({ index, ...encodeBox(place.shape, element.box) });
  }
  for (const { place, list } of questions.values()) {
    const read = list.length < WHOLE_SET_FROM ? readEach : readWhole;
    read(socket, place, list, (index, { packets, bytes }) => {
      answers[index] = { packets, bytes };
    });
  }
  return answers;
}

type Take = (index: number, element: HeldElement) => void;

function readEach(socket: Exchange, place: ElementPlace, list: readonly Question[], take: Take): void {
  const reader = new ElementReader();
  for (const question of list) {
    for (const message of socket.exchange(encodeElementGet(place.table, place.name, question)).messages) {
      reader.read(message, (element) => take(question.index, element));
    }
  }
}

/**
 * While Linux gives a set more room, a list of it may leave elements out; so it is read again as long as that
 * finds more of those that are asked for.
 */
function readWhole(socket: Exchange, place: ElementPlace, list: readonly Question[], take: Take): void {
  const wanted = new Map(list.map(({ index, key, keyEnd }) => [nameKey(key, keyEnd), index]));
  let before = Number.POSITIVE_INFINITY;
  for (let reads = 0; reads < READS_MAX && wanted.size > 0 && wanted.size < before; reads += 1) {
    before = wanted.size;
    readOnce(socket, place, wanted, take);
  }
}

/** Reads a set. What was found is not wanted any more. */
function readOnce(socket: Exchange, place: ElementPlace, wanted: Map<string, number>, take: Take): void {
  const reader = new ElementReader();
  for (const message of socket.exchange(encodeElementsDump(place.table, place.name)).messages) {
    reader.read(message, (element) => {
      const key = nameKey(element.key, element.keyEnd);
      const index = wanted.get(key);
      if (index !== undefined) take(index, element);
      wanted.delete(key);
    });
  }
}
