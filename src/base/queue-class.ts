/**
 * Kinds of packets that wait in queues of their own, so that a flood of one kind cannot keep the others
 * waiting. The first is served first.
 *
 * - `known`: packets of flows that have been answered, and what belongs to them.
 * - `tcp`: other TCP.
 * - `other`: everything else, UDP that nobody has answered above all.
 */
export const QUEUE_CLASSES = ["known", "tcp", "other"] as const;

/** A kind of packets, see {@link QUEUE_CLASSES}. */
export type QueueClass = (typeof QUEUE_CLASSES)[number];
