/** What the readers of capture files give: one record, filled anew for each packet. */
import { NO_BYTES } from "./empty.ts";

/** One captured frame. The reader owns the record: it is valid until the reader is asked for the next. */
export class CaptureRecord {
  /** Buffer that holds the frame: the chunk that was pushed, or the reader's own. */
  bytes: DataView = NO_BYTES;
  /** Offset of the frame in `bytes`. */
  at = 0;
  /** Offset just past the captured bytes. */
  end = 0;
  /** Length of the frame where it was met, in bytes; more than `end - at` when the copy was cut short. */
  wireBytes = 0;
  /** When it was met: whole seconds since 1970-01-01 UTC. */
  seconds = 0;
  /** When it was met: nanoseconds beyond the second. */
  nanoseconds = 0;
  /** What kind of frame it is, see LINK_TYPE. */
  linkType = 0;
  /** Index of the interface within the file, or within the section of a pcapng file. */
  interface = 0;
  /** Name of the interface; empty when the file tells none. */
  interfaceName = "";
  /** Position among the packets of the file, from 1. */
  number = 0;
  /** Offset of the record or block in the file, in bytes. */
  offset = 0;

  /** When it was met, in milliseconds since 1970-01-01 UTC; exact to about a quarter of a microsecond. */
  get timestampMs(): number {
    return this.seconds * 1000 + this.nanoseconds / 1_000_000;
  }
}

/** An interface that a capture file describes. */
export interface CaptureInterface {
  /** Kind of its frames, see LINK_TYPE. */
  readonly linkType: number;
  /** Most bytes that were kept of each frame; 0 for all. */
  readonly snapBytes: number;
  /** Its name; empty when the file tells none. */
  readonly name: string;
}
