/**
 * What filters ask, answered by a state that was made before: merged ones, and those that came over a socket.
 */
import { type AddressWords, type Family, parseAddress } from "../base/index.ts";
import type { FlowSubject, KeySide } from "./flow-facts.ts";
import { STATE_END, type State, type StateDirection, type StateOffload, type StateSource } from "./state.ts";

const NO_ADDRESS: AddressWords = new Uint32Array(4);

/** Reads one state after the other; {@link StateFacts.bind} moves it. */
export class StateFacts implements FlowSubject {
  #state: State | undefined;

  /** Moves to a state. */
  bind(state: State): void {
    this.#state = state;
  }

  /** The state itself. */
  state(): State {
    if (this.#state === undefined) throw new TypeError("StateFacts: bind a state first");
    return this.#state;
  }

  get source(): StateSource {
    return this.state().source;
  }

  get id(): string {
    return this.state().id;
  }

  get family(): Family {
    return this.state().family;
  }

  get protocol(): number {
    return this.state().protocol;
  }

  get direction(): StateDirection {
    return this.state().direction;
  }

  address(side: KeySide, end: number): AddressWords {
    const { addresses } = this.state()[side];
    return parseAddress(end === STATE_END.LOCAL ? addresses[1] : addresses[0])?.words ?? NO_ADDRESS;
  }

  port(side: KeySide, end: number): number {
    const { ports } = this.state()[side];
    return end === STATE_END.LOCAL ? ports[1] : ports[0];
  }

  level(end: number): number {
    return end === STATE_END.LOCAL ? this.state().src.level : this.state().dst.level;
  }

  get zone(): number {
    return this.state().nk.zone;
  }

  get interface(): string {
    return this.state().interface;
  }

  get chain(): string {
    return this.state().rule?.chain ?? "";
  }

  get rule(): number {
    return this.state().rule?.index ?? -1;
  }

  get label(): string {
    return this.state().rule?.label ?? "";
  }

  get isTranslated(): boolean {
    const { source, destination } = this.state().translation;
    return source || destination;
  }

  get isSloppy(): boolean {
    return this.state().flags.sloppy;
  }

  get ageMs(): number | null {
    return this.state().ageMs;
  }

  get expiresInMs(): number | null {
    return this.state().expiresInMs;
  }

  get packets(): number | null {
    const { packets } = this.state();
    return packets === null ? null : packets[0] + packets[1];
  }

  get bytes(): number | null {
    const { bytes } = this.state();
    return bytes === null ? null : bytes[0] + bytes[1];
  }

  get userId(): number | null {
    return this.state().userId;
  }

  get mark(): number {
    return this.state().mark;
  }

  get application(): string {
    return this.state().application;
  }

  get serverName(): string {
    return this.state().serverName;
  }

  get offload(): StateOffload {
    return this.state().offload;
  }
}
