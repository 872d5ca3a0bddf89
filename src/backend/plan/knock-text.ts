/**
 * The chains that judge packets to the doors of a PortKnocking rule, see knock-sets.ts.
 *
 * A packet comes here from the rule's place. It is dropped when it knocks; everything else goes back, to the
 * next rule, or up.
 */
import {
  type KnockPort,
  type KnockSets,
  passedCounts,
  passedSetName,
  sourceText,
  synText,
} from "./knock-sets.ts";

const LONE_SYN = "tcp flags & (fin | syn | rst | ack) == syn";

/** What the chains need to know of the plan in which they stand. */
export interface KnockPlace<Rule> {
  /** Name of a chain of this rule. */
  readonly nameOf: (part: string) => string;
  /** Ends the way of packets that knock, and counts them. @param before - tests in front */
  readonly drop: (before: string) => Rule;
  /** The chain from which packets go to userspace. */
  readonly up: string;
}

/** A chain, by its part of the rule. */
export interface KnockChain<Rule> {
  readonly part: string;
  readonly rules: readonly (string | Rule)[];
}

/** Packets to a door come here. */
export const DOOR_PART = "door";

/** What the chains of one rule say again and again. */
class KnockWords<Rule> {
  readonly sets: KnockSets;
  readonly place: KnockPlace<Rule>;
  /** The source of a packet. */
  readonly source: string;
  /** What a SYN is known by. */
  readonly syn: string;

  constructor(sets: KnockSets, place: KnockPlace<Rule>) {
    this.sets = sets;
    this.place = place;
    this.source = sourceText(sets);
    this.syn = synText(sets);
  }

  set(name: string): string {
    return `@${this.sets.name}-${name}`;
  }

  passed(count: number): string {
    return `@${passedSetName(this.sets, count)}`;
  }

  to(part: string): string {
    return `goto ${this.place.nameOf(part)}`;
  }

  isAt({ protocol, port }: KnockPort): string {
    return `${protocol.toLowerCase()} dport ${port}`;
  }

  isKnock(door: KnockPort): string {
    const { sourcePort } = this.sets;
    const from = sourcePort === undefined ? "" : ` th sport ${sourcePort}`;
    return `${this.isAt(door)}${from}${door.protocol === "TCP" ? ` ${LONE_SYN}` : ""}`;
  }

  /** Notes a knock at a door, where it is a SYN. */
  note({ protocol }: KnockPort): string[] {
    return protocol === "TCP" ? [`add ${this.set("counted")} { ${this.syn} }`] : [];
  }

  /** For who has passed all doors. */
  open(): string[] {
    return [`delete ${this.set("tries")} { ${this.source} }`, `add ${this.set("open")} { ${this.source} }`];
  }
}

/** The first knock. What finds no room goes up. */
function beginChain<Rule>(words: KnockWords<Rule>, door: KnockPort): KnockChain<Rule> {
  const { sets, place } = words;
  const counts = passedCounts(sets);
  const up = words.to("full");
  const noted = words.note(door).flatMap((note) => [note, `${words.syn} != ${words.set("counted")} ${up}`]);
  const standing = [
    `delete ${words.set("begun")} { ${words.source} }`,
    `add ${words.set("begun")} { ${words.source} }`,
    `${words.source} != ${words.set("begun")} ${up}`,
    `add ${words.passed(1)} { ${words.source} }`,
    `${words.source} != ${words.passed(1)} ${up}`,
  ];
  return {
    part: "begin",
    rules: [
      `update ${words.set("tries")} { ${words.source} limit rate over ${sets.tries} } return`,
      `${words.source} != ${words.set("tries")} ${up}`,
      ...noted,
      ...counts.map((count) => `delete ${words.passed(count)} { ${words.source} }`),
      ...(counts.length === 0
        ? [...words.open(), `${words.source} != ${words.set("open")} ${up}`]
        : standing),
      place.drop(""),
    ],
  };
}

/** A source that has passed so many doors, at a door: the next one, or a wrong one. */
function nextChains<Rule>(words: KnockWords<Rule>, count: number, door: KnockPort): KnockChain<Rule>[] {
  const { sets, place } = words;
  const forget = [
    `delete ${words.set("begun")} { ${words.source} }`,
    `delete ${words.passed(count)} { ${words.source} }`,
  ];
  const isLast = count === sets.doors.length - 1;
  const pass = isLast
    ? [...forget, ...words.open()]
    : [
        `delete ${words.passed(count)} { ${words.source} }`,
        `add ${words.passed(count + 1)} { ${words.source} }`,
      ];
  const rules = [`${words.isKnock(door)} ${words.to(`pass-${count}`)}`, `${words.isAt(door)} return`];
  return [
    { part: `pass-${count}`, rules: [...words.note(door), ...pass, place.drop("")] },
    { part: `next-${count}`, rules: [...rules, ...forget, words.to("first")] },
  ];
}

/**
 * Writes the chains of one rule. The order within a chain is that of the interpreter (strict-knocks.ts). A
 * SYN is noted before the step that it makes, so that its copy on another processor finds it.
 */
export function knockChains<Rule>(sets: KnockSets, place: KnockPlace<Rule>): KnockChain<Rule>[] {
  const words = new KnockWords(sets, place);
  const goUp = `goto ${place.up}`;
  const isFull = `meta nfproto ${words.set("full")}`;
  const standing = passedCounts(sets)
    .toReversed()
    .map((count) => `${words.source} ${words.passed(count)} ${words.to(`next-${count}`)}`);
  const door = [
    `${words.source} ${words.set("open")} return`,
    place.drop(`${LONE_SYN} ${words.syn} ${words.set("counted")} `),
    `${words.source} != ${words.set("begun")} ${words.to("first")}`,
    ...standing,
    words.to("first"),
  ];
  const firstDoors = sets.doors.slice(0, 1);
  const first = firstDoors.map((each) => `${words.isKnock(each)} ${words.to("begin")}`);
  return [
    { part: "full", rules: [`update ${words.set("full")} { meta nfproto }`, goUp] },
    ...firstDoors.map((each) => beginChain(words, each)),
    { part: "first", rules: [...first, `${isFull} ${goUp}`] },
    ...sets.doors.slice(1).flatMap((each, at) => nextChains(words, at + 1, each)),
    { part: DOOR_PART, rules: door },
  ];
}
