/** What a session needs of the connection below it. */

/** A connection to an agent. */
export interface Transport {
  /** Sends octets, some time. */
  send(octets: Uint8Array): void;
  /** Sends what is waiting, and closes. */
  end(): void;
  /** Takes nothing more from the agent until {@link Transport.resume}. */
  pause(): void;
  resume(): void;
  /** Octets that are waiting to be sent. */
  readonly backlog: number;
}

/** What is known of an agent from below. */
export interface Peer {
  /** Where it connects from: an address, or another name for the place. */
  readonly address: string;
  /** False: connections from there are not wanted. */
  readonly isWelcome: boolean;
  /** True: nobody else can listen to the connection or change what goes over it. */
  readonly isProtected: boolean;
  /** Name of the agent, when the connection has proven it already; undefined when it must prove it here. */
  readonly agent: string | undefined;
  /** What only the two ends of this connection know (RFC 9266); empty without TLS. */
  readonly binding: Uint8Array;
}
