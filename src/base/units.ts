/** A span or an instant of monotonic time, in milliseconds. Fractions are allowed. */
export type Milliseconds = number;

/** A TCP, UDP, UDP-Lite or SCTP port, 0 to 65535. */
export type Port = number;

/** An unsigned 32-bit TCP sequence number (RFC 9293 section 3.4). */
export type SequenceNumber = number;

/** One second, in milliseconds. */
export const SECOND: Milliseconds = 1000;

/** One minute, in milliseconds. */
export const MINUTE: Milliseconds = 60 * SECOND;

/** One hour, in milliseconds. */
export const HOUR: Milliseconds = 60 * MINUTE;
