/**
 * All living pinholes, and every way to find them: by id, number, the owner's own name, by what overlaps, by
 * what ends next. Each change is noted, so that a transaction that fails leaves no trace.
 *
 * A pinhole has a row as long as it lives. Its text (record.ts) says everything about it; what it is found
 * by stands in columns. Objects are made of it when somebody asks, and are not kept.
 */
import { invariant, type Milliseconds, PROTOCOL } from "../base/index.ts";
import { grown } from "./column.ts";
import { DeadlineQueue } from "./deadline-queue.ts";
import { hostEndpoint } from "./endpoint.ts";
import type { PacketFacts } from "./judgement.ts";
import { OrderedRows } from "./ordered-rows.ts";
import { type Pair, PairIndex } from "./pair-index.ts";
import type { Pinhole } from "./pinhole.ts";
import { hasId, idIn, packPinhole, unpackPinhole } from "./record.ts";
import type { PinholeRequest } from "./specification.ts";
import { hashId, hashNumber, RowIndex } from "./row-index.ts";
import type { UndoLog } from "./undo-log.ts";

/** What a pinhole is between. */
function pairOf({ request }: Pinhole): Pair {
  return { protocol: request.protocol, near: request.internal, far: request.external };
}

/** What a packet is between, if it goes out, and if it comes in. */
function pairsOf(packet: PacketFacts): [out: Pair, back: Pair] {
  const { family, protocol } = packet;
  const source = hostEndpoint(family, packet.source, packet.sourcePort);
  const destination = hostEndpoint(family, packet.destination, packet.destinationPort);
  return [
    { protocol, near: source, far: destination },
    { protocol, near: destination, far: source },
  ];
}

/** What is filed of a pinhole, and stays the same as long as it lives in one state. */
type Filing = "permit" | "block" | "none";

function filingOf(pinhole: Pinhole): Filing {
  if (pinhole.state !== "enabled") return "none";
  return pinhole.request.kind === "block" ? "block" : "permit";
}

/** Ways that a pinhole speaks of. */
const WAY = { OUT: 1, IN: 2 } as const;
const WAYS = { out: WAY.OUT, in: WAY.IN, both: WAY.OUT | WAY.IN } as const;

/** Stands for the distance of ports where each internal one goes with each external one. */
const ANY_DISTANCE = 0x1_0000;

/** How far the internal port lies above the external one that goes with it. */
function distanceOf({ isPairwise, internal, external }: PinholeRequest): number {
  return isPairwise ? internal.ports.low - external.ports.low : ANY_DISTANCE;
}

/** All living pinholes. */
export class Population {
  /** The texts of pinholes; undefined where a row is idle. */
  readonly #texts: (string | undefined)[] = [];
  #numbers: Uint32Array = new Uint32Array(0);
  #ends: Float64Array = new Float64Array(0);
  // Of what is filed: what decides, between its ends, of which packets it speaks.
  #ways: Uint8Array = new Uint8Array(0);
  #distances: Int32Array = new Int32Array(0);
  readonly #idle: number[] = [];
  readonly #byId: RowIndex<string>;
  readonly #byNumber: RowIndex<number>;
  /** By owner, then by his own names: these a client chooses. */
  readonly #byClientId: Map<string, Map<string, number>> = new Map();
  readonly #counts: Map<string, number> = new Map();
  readonly #order: OrderedRows = new OrderedRows();
  readonly #index: Readonly<Record<"permit" | "block", PairIndex>>;
  readonly #deadlines: DeadlineQueue;
  readonly #undo: UndoLog;

  /** @param undo - where every change is noted */
  constructor(undo: UndoLog) {
    this.#undo = undo;
    this.#byId = new RowIndex(hashId, (row, id) => hasId(this.#texts[row] ?? "", id));
    this.#byNumber = new RowIndex(hashNumber, (row, number) => this.#numbers[row] === number);
    this.#index = { permit: new PairIndex(), block: new PairIndex() };
    this.#deadlines = new DeadlineQueue((row) =>
      this.#texts[row] === undefined ? undefined : this.#ends[row],
    );
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Pinhole | undefined {
    const row = this.#byId.find(id);
    return row === undefined ? undefined : this.#at(row);
  }

  /** The text of a pinhole. */
  textOf(id: string): string | undefined {
    const row = this.#byId.find(id);
    return row === undefined ? undefined : this.#texts[row];
  }

  byNumber(number: number): Pinhole | undefined {
    const row = this.#byNumber.find(number);
    return row === undefined ? undefined : this.#at(row);
  }

  /** The id of the pinhole with a number; undefined when there is none. */
  idByNumber(number: number): string | undefined {
    const row = this.#byNumber.find(number);
    return row === undefined ? undefined : idIn(this.#textAt(row));
  }

  byClientId(owner: string, clientId: string): Pinhole | undefined {
    const row = this.#byClientId.get(owner)?.get(clientId);
    return row === undefined ? undefined : this.#at(row);
  }

  /** How many pinholes an owner has. */
  countOf(owner: string): number {
    return this.#counts.get(owner) ?? 0;
  }

  /** All, in no order. */
  *all(): Generator<Pinhole> {
    for (const text of this.#texts) if (text !== undefined) yield unpackPinhole(text);
  }

  /** Those behind one, in the order of their ids. */
  *after(cursor: string): Generator<Pinhole> {
    for (const row of this.#order.after(cursor)) yield this.#at(row);
  }

  /** Enabled pinholes of a kind that have packets in common with a pair. */
  meeting(kind: "permit" | "block", pair: Pair): Pinhole[] {
    return this.#index[kind].meeting(pair).map((row) => this.#at(row));
  }

  /**
   * True when an enabled pinhole of a kind speaks of a packet. Reads none: however many lie between its ends
   * and do not speak of it, each is a comparison of two numbers.
   *
   * @see concerns, which says the same of one pinhole
   */
  isConcerned(kind: "permit" | "block", packet: PacketFacts): boolean {
    if (this.#index[kind].size === 0) return false;
    const { protocol, opensTcp, sourcePort, destinationPort } = packet;
    const isAnswer = protocol === PROTOCOL.TCP && !opensTcp;
    const [out, back] = pairsOf(packet);
    const distance = sourcePort - destinationPort;
    return (
      this.#speaksOf(kind, out, isAnswer ? WAYS.both : WAYS.out, distance) ||
      this.#speaksOf(kind, back, isAnswer ? WAYS.both : WAYS.in, -distance)
    );
  }

  /** How many pinholes {@link Population.numbersAround} would compare. */
  weigh(kind: "permit" | "block", packet: PacketFacts): number {
    const [out, back] = pairsOf(packet);
    return this.#index[kind].weigh(out) + this.#index[kind].weigh(back);
  }

  /** Numbers of the enabled pinholes of a kind between the ends of a packet; some may not speak of it. */
  numbersAround(kind: "permit" | "block", packet: PacketFacts): Set<number> {
    const rows = pairsOf(packet).flatMap((pair) => this.#index[kind].meeting(pair));
    return new Set(rows.map((row) => this.#numbers[row] ?? 0));
  }

  /** An instant before which nothing ends; undefined when nothing ends by itself. */
  get nextDeadline(): Milliseconds | undefined {
    return this.#deadlines.earliest;
  }

  /** Pinholes whose time is over; each is told once, unless {@link Population.remind} puts it back. */
  takeDue(now: Milliseconds, max: number): Pinhole[] {
    return [...new Set(this.#deadlines.takeDue(now, max))].map((row) => this.#at(row));
  }

  /** Puts back what was taken out as due and could not be ended. */
  remind(pinholes: readonly Pick<Pinhole, "id" | "deadline">[]): void {
    for (const { id, deadline } of pinholes) {
      const row = this.#byId.find(id);
      if (row !== undefined) this.#deadlines.add(row, deadline, this.size);
    }
  }

  /**
   * A pinhole comes in.
   *
   * @param text - what packPinhole makes of it, where that is known
   * @returns its text
   */
  add(pinhole: Pinhole, text: string = packPinhole(pinhole)): string {
    this.#enter(pinhole, text);
    this.#undo.note(() => this.#drop(pinhole));
    return text;
  }

  /** A pinhole changes. Id, number, owner and the owner's own name stay. */
  replace(former: Pinhole, pinhole: Pinhole): void {
    this.#exchange(former, pinhole);
    this.#undo.note(() => this.#exchange(pinhole, former));
  }

  /** A pinhole leaves. */
  remove(pinhole: Pinhole): void {
    this.#drop(pinhole);
    this.#undo.note(() => this.#enter(pinhole));
  }

  #speaksOf(kind: "permit" | "block", pair: Pair, ways: number, distance: number): boolean {
    return this.#index[kind].someMeeting(pair, (row) => {
      const own = this.#distances[row] ?? ANY_DISTANCE;
      return ((this.#ways[row] ?? 0) & ways) !== 0 && (own === ANY_DISTANCE || own === distance);
    });
  }

  #textAt(row: number): string {
    const text = this.#texts[row];
    invariant(text !== undefined, "what is filed lives");
    return text;
  }

  #at(row: number): Pinhole {
    return unpackPinhole(this.#textAt(row));
  }

  #rowOf({ id }: Pinhole): number {
    const row = this.#byId.find(id);
    invariant(row !== undefined, "what changes lives");
    return row;
  }

  #exchange(former: Pinhole, pinhole: Pinhole): void {
    const row = this.#rowOf(former);
    const isFiledAnew = filingOf(former) !== filingOf(pinhole);
    if (isFiledAnew) this.#unfile(former, row);
    this.#texts[row] = packPinhole(pinhole);
    this.#ends[row] = pinhole.deadline;
    if (isFiledAnew) this.#file(pinhole, row);
    if (pinhole.deadline !== former.deadline) this.#deadlines.add(row, pinhole.deadline, this.size);
  }

  #enter(pinhole: Pinhole, text = packPinhole(pinhole)): void {
    const { id, number, owner, clientId, deadline } = pinhole;
    const row = this.#idle.pop() ?? this.#texts.length;
    this.#numbers = grown(this.#numbers, row + 1);
    this.#ends = grown(this.#ends, row + 1);
    this.#texts[row] = text;
    this.#numbers[row] = number;
    this.#ends[row] = deadline;
    this.#byId.add(id, row);
    this.#byNumber.add(number, row);
    if (clientId !== undefined) this.#enterName(owner, clientId, row);
    this.#counts.set(owner, this.countOf(owner) + 1);
    this.#order.add(id, row);
    this.#file(pinhole, row);
    this.#deadlines.add(row, deadline, this.size);
  }

  #drop(pinhole: Pinhole): void {
    const { id, number, owner, clientId } = pinhole;
    const row = this.#rowOf(pinhole);
    this.#unfile(pinhole, row);
    this.#byId.delete(id, row);
    this.#byNumber.delete(number, row);
    if (clientId !== undefined) this.#byClientId.get(owner)?.delete(clientId);
    const left = this.countOf(owner) - 1;
    if (left > 0) this.#counts.set(owner, left);
    else this.#forgetOwner(owner);
    this.#order.remove(id);
    this.#texts[row] = undefined;
    this.#idle.push(row);
  }

  #enterName(owner: string, clientId: string, row: number): void {
    const names = this.#byClientId.get(owner) ?? new Map<string, number>();
    this.#byClientId.set(owner, names);
    names.set(clientId, row);
  }

  #forgetOwner(owner: string): void {
    this.#counts.delete(owner);
    this.#byClientId.delete(owner);
  }

  #file(pinhole: Pinhole, row: number): void {
    const filing = filingOf(pinhole);
    if (filing === "none") return;
    const { request } = pinhole;
    this.#ways = grown(this.#ways, row + 1);
    this.#distances = grown(this.#distances, row + 1);
    this.#ways[row] = filing === "block" ? WAYS.both : WAYS[request.direction];
    this.#distances[row] = distanceOf(request);
    this.#index[filing].add(row, pairOf(pinhole));
  }

  #unfile(pinhole: Pinhole, row: number): void {
    const filing = filingOf(pinhole);
    if (filing !== "none") this.#index[filing].remove(row, pairOf(pinhole));
  }
}
