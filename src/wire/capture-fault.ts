/** How a capture file can be bad. */

/** Why a capture file can't be read on. */
export type CaptureFaultCode =
  /** The file ends inside its header, a record or a block. Everything before was good. */
  | "capture-truncated"
  /** It begins as neither pcap nor pcapng does. */
  | "capture-magic"
  /** It has a format version that is not known. */
  | "capture-version"
  /** A section's byte-order magic is none. */
  | "capture-byte-order"
  /** A packet is longer than the limit `captureRecordBytes`. */
  | "capture-record-length"
  /**
   * A block's length is no multiple of 4, too short for what it holds, or above the limit
   * `captureBlockBytes`.
   */
  | "capture-block-length"
  /** A block's two lengths differ. */
  | "capture-block-trailer"
  /** An option is longer than its block. */
  | "capture-option-length"
  /** A packet names an interface that the section does not describe. */
  | "capture-interface"
  /** A section describes more interfaces than the limit `captureInterfaces` allows. */
  | "capture-interfaces"
  /** An interface's clock has a resolution that is not known. */
  | "capture-resolution";

/** A fault of a capture file, and where. */
export interface CaptureFault {
  readonly code: CaptureFaultCode;
  /** Offset in the file of the header, record or block that is bad, in bytes. */
  readonly offset: number;
}
