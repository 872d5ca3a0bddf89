/**
 * Reads capture files, pcap and pcapng, as a stream: bytes are pushed in chunks of any size, packets are
 * taken out one by one. Memory is bounded by the limits, however long the file.
 *
 * Life-cycle: `push` a chunk, call `next` until it answers undefined, push the next chunk, and so on; at the
 * end of the file call `finish`. From the first fault on, `next` answers undefined for good.
 */
import { defaultLimits, invariant, type LimitValues } from "../base/index.ts";
import type { CaptureFault, CaptureFaultCode } from "./capture-fault.ts";
import { type CaptureInterface, CaptureRecord } from "./capture-record.ts";
import { CaptureWindow } from "./capture-window.ts";
import { isPcapMagic, PcapParser } from "./pcap.ts";
import { BLOCK } from "./pcapng.ts";
import { PcapngParser } from "./pcapng-parser.ts";

/** Bytes that tell the formats apart. */
const MAGIC_BYTES = 4;

/**
 * See above.
 *
 * @example
 * for (const chunk of chunks) {
 *   reader.push(chunk);
 *   for (let record = reader.next(); record; record = reader.next()) use(record);
 * }
 * const fault = reader.finish();
 */
export class CaptureReader {
  readonly #window = new CaptureWindow();
  readonly #record = new CaptureRecord();
  readonly #limits: LimitValues;
  #parser: PcapParser | PcapngParser | undefined = undefined;
  #fault: CaptureFault | undefined = undefined;

  /**
   * @param limits - `captureRecordBytes`, `captureBlockBytes` and `captureInterfaces` bound what a file can
   * claim
   */
  constructor(limits: LimitValues = defaultLimits()) {
    this.#limits = limits;
  }

  /** Why the file can't be read on; `undefined` while it can. */
  get fault(): CaptureFault | undefined {
    return this.#fault;
  }

  /** Interfaces that the file, or the current section of a pcapng file, has described so far. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#parser?.interfaces ?? [];
  }

  /**
   * Gives the reader the file's next bytes. Only when {@link CaptureReader.next} has answered undefined.
   *
   * @param chunk - read in place; may be used again when `next` has answered undefined
   * @throws {InvariantError} when packets of the chunk before have not been taken
   */
  push(chunk: Uint8Array): void {
    if (this.#fault === undefined) this.#window.push(chunk);
  }

  /**
   * Takes the next packet.
   *
   * @returns the reader's one record, valid until the next call; `undefined` when the chunk is used up, or
   *   with a fault
   */
  next(): CaptureRecord | undefined {
    if (this.#fault !== undefined) return undefined;
    const parser = this.#parser ?? this.#recognise();
    if (parser === undefined) return undefined;
    const record = this.#record;
    if (parser.next(record)) {
      record.number += 1;
      return record;
    }
    if (parser.fault !== undefined) this.#fail(parser.fault);
    return undefined;
  }

  /**
   * Tells the reader that the file has ended.
   *
   * @returns the fault, `capture-truncated` when the file ends inside a record; `undefined` when all was good
   * @throws {InvariantError} when packets of the last chunk have not been taken
   */
  finish(): CaptureFault | undefined {
    if (this.#fault !== undefined) return this.#fault;
    invariant(this.#window.isDrained, "a capture reader was finished before next() had answered undefined");
    const complete = this.#parser !== undefined && this.#window.isBetween;
    if (!complete) this.#fail("capture-truncated");
    return this.#fault;
  }

  #recognise(): PcapParser | PcapngParser | undefined {
    const window = this.#window;
    if (!window.require(MAGIC_BYTES)) return undefined;
    if (isPcapMagic(window.bytes, window.at)) this.#parser = new PcapParser(window, this.#limits);
    else if (window.bytes.getUint32(window.at) === BLOCK.SECTION) {
      this.#parser = new PcapngParser(window, this.#limits);
    } else this.#fail("capture-magic");
    return this.#parser;
  }

  #fail(code: CaptureFaultCode): void {
    this.#fault = { code, offset: this.#window.itemOffset };
  }
}
