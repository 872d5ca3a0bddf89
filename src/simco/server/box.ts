/** The middlebox that a server speaks for. */
import type { Moment } from "../../pinhole/index.ts";
import type {
  AccessProfile,
  Agent,
  CommitAnswer,
  CommitOptions,
  Operation,
  PinholeEventRecord,
  PinholeStore,
} from "../../pinhole/index.ts";
import type { Capabilities } from "../parameter-set.ts";
import type { Mac } from "../token.ts";

/** Where policy rules are kept and carried out: the pinholes, as every door sees them. */
export interface RuleStore {
  /** Both clocks. */
  readonly moment: Moment;
  /** Reads what is in force. */
  read<Result>(look: (store: PinholeStore) => Result): Promise<Result>;
  /**
   * Does several things at once, all or nothing; when it returns, they are in force.
   *
   * @throws {PinholeRefusal} and then nothing happened
   */
  apply(agent: Agent, operations: readonly Operation[], options: CommitOptions): Promise<CommitAnswer>;
  /** Calls a listener with everything that happens to rules. */
  listen(listener: (event: PinholeEventRecord) => void): () => void;
}

/** Who may be an agent, and how it proves it. */
export interface Directory {
  /** The agent of this name; undefined when there is none that may control this middlebox. */
  agent(name: string): Agent | undefined;
  /** The key that is shared with this agent; undefined when there is none. */
  key(name: string): Uint8Array | undefined;
}

/** What a middlebox is. */
export interface Box {
  /** What it calls itself when it proves who it is. */
  readonly identity: string;
  /** Its key for that; undefined when it cannot. */
  readonly key: Uint8Array | undefined;
  /** What it announces, before the profile of an agent takes something away. */
  readonly capabilities: Capabilities;
  /** Transport protocols that it handles; empty for all. */
  readonly protocols: readonly number[];
  /** True: also a reservation is not enabled in both directions with wildcards (DEC-25). */
  readonly isStrictAboutEnabling: boolean;
  readonly directory: Directory;
  readonly mac: Mac;
  /** Random octets. */
  readonly entropy: (octets: number) => Uint8Array;
}

/** What a middlebox can do for one agent: no more than its profile lets it. */
export function capabilitiesFor(box: Box, { wildcards, lifetimeMax }: AccessProfile): Capabilities {
  const { capabilities } = box;
  return {
    ...capabilities,
    internalWildcards: capabilities.internalWildcards && wildcards.internal,
    externalWildcards: capabilities.externalWildcards && wildcards.external,
    portWildcards: capabilities.portWildcards && wildcards.ports,
    lifetimeMax: Math.min(capabilities.lifetimeMax, lifetimeMax),
  };
}
