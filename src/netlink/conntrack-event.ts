/** What an event of the kernel's connection tracker tells. */
import { CONNTRACK_MESSAGE } from "./conntrack-attributes.ts";
import { MESSAGE_FLAG } from "./message.ts";

/** What happened to an entry. */
export type ConntrackEvent = "new" | "update" | "destroy";

/**
 * Kind of an event.
 *
 * @param type - message type
 * @param flags - message flags
 * @returns `undefined` when the message is no event about an entry
 */
export function conntrackEvent(type: number, flags: number): ConntrackEvent | undefined {
  if (type === CONNTRACK_MESSAGE.DELETE) return "destroy";
  if (type !== CONNTRACK_MESSAGE.NEW) return undefined;
  return (flags & MESSAGE_FLAG.CREATE) !== 0 ? "new" : "update";
}
