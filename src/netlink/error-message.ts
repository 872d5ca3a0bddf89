/** The kernel's answer to one request: done, or an error number with an explanation (NLMSG_ERROR). */
import { HOST_ORDER } from "./byte-order.ts";
import { AttributeCursor, MESSAGE_FLAG, MESSAGE_HEADER_BYTES, type MessageCursor } from "./message.ts";

// Byte offsets in the body (struct nlmsgerr).
const ERROR = 0;
const REQUEST = 4;
const REQUEST_TYPE = REQUEST + 4;

/** Length of the body without a quoted payload and attributes, in bytes. */
const BODY_BYTES: number = 4 + MESSAGE_HEADER_BYTES;

// Attributes that explain an error (enum nlmsgerr_attrs).
const EXPLANATION_TEXT = 1;
const EXPLANATION_OFFSET = 2;

/** What an error message says. */
export interface KernelAnswer {
  /** Positive error number of the operating system; 0 when the request was carried out. */
  readonly errno: number;
  /** Sequence number of the request. */
  readonly sequence: number;
  /** Message type of the request. */
  readonly requestType: number;
  /** The kernel's own words, "" when it found none. */
  readonly text: string;
  /** Offset in the request of what was wrong, in bytes; -1 when not told. */
  readonly offset: number;
}

/**
 * Error number of an error message, without reading further: the packet path counts by it.
 *
 * @returns positive error number, 0 for an acknowledgement, -1 when the message is too short
 */
export function errorNumber(bytes: DataView, message: MessageCursor): number {
  if (message.end - message.bodyAt < 4) return -1;
  return 0 - bytes.getInt32(message.bodyAt + ERROR, HOST_ORDER);
}

/**
 * Reads a message of type {@link CONTROL}.ERROR.
 *
 * @returns what it says, or `undefined` when it is too short to say anything
 */
export function decodeKernelAnswer(bytes: DataView, message: MessageCursor): KernelAnswer | undefined {
  const at = message.bodyAt;
  if (message.end - at < BODY_BYTES) return undefined;
  const errno = errorNumber(bytes, message);
  const explained = (message.flags & MESSAGE_FLAG.EXPLAINED) !== 0;
  const quoted = bytes.getUint32(at + REQUEST, HOST_ORDER);
  const capped = (message.flags & MESSAGE_FLAG.CAPPED) !== 0 || errno === 0;
  let text = "";
  let offset = -1;
  if (explained) {
    const cursor = new AttributeCursor();
    const skipped = capped ? BODY_BYTES : 4 + Math.max(quoted, MESSAGE_HEADER_BYTES);
    cursor.bind(bytes, at + ((skipped + 3) & ~3), message.end);
    while (cursor.next()) {
      if (cursor.type === EXPLANATION_TEXT) text = cursor.text();
      if (cursor.type === EXPLANATION_OFFSET) offset = cursor.hostUint32();
    }
  }
  const requestType = bytes.getUint16(at + REQUEST_TYPE, HOST_ORDER);
  return { errno, sequence: message.sequence, requestType, text, offset };
}
