/** What {@link Tracker.commit} did: bits of its answer. */
export const COMMIT = {
  /** A flow was made; `slot` is its slot. */
  MADE: 0x001,
  /** The flow changed its state. */
  STEPPED: 0x002,
  /** No table speaks of this segment in this state; the state was kept. */
  UNDEFINED: 0x004,
  /** The segment is outside the window, or its timestamp is old. */
  OUT_OF_WINDOW: 0x008,
  /** The segment is INVALID (strict tracking): nothing was changed. */
  INVALID: 0x010,
  /** A RST that is not to be believed; the receiver may challenge it (RFC 5961). The state was kept. */
  DISBELIEVED: 0x020,
  /**
   * The packet belongs to no flow: a later fragment, a faulty packet, a RST out of nowhere, an ICMP message.
   */
  UNTRACKED: 0x040,
  /** The packet is an ICMP error about the flow in `slot`. */
  RELATED: 0x080,
  /** The table is full of established flows: the packet goes on, untracked. */
  REFUSED: 0x100,
  /** The connection was picked up after its beginning. */
  ADOPTED: 0x200,
} as const;
