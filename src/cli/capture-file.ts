/** Capture files, read piece by piece: a capture may be larger than memory. */
import { createReadStream } from "node:fs";
import { FirewallError, type LimitValues } from "../base/index.ts";
import { CaptureReader, type CaptureRecord } from "../wire/index.ts";

/** Bytes read from the file at a time. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * Reads all records of a pcap or pcapng.
 *
 * @param file - its name
 * @param limits - bounds of what a capture may hold
 * @param take - takes each record, which is valid during the call only
 * @throws {FirewallError} `CAPTURE_INVALID` when the file is no capture or ends inside a record; the records
 *   before that place were taken
 */
export async function readCapture(
  file: string,
  limits: LimitValues,
  take: (record: CaptureRecord) => void,
): Promise<void> {
  const reader = new CaptureReader(limits);
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES })) {
    reader.push(chunk as Uint8Array);
    for (let record = reader.next(); record !== undefined; record = reader.next()) take(record);
    if (reader.fault !== undefined) break;
  }
  const fault = reader.finish();
  if (fault === undefined) return;
  const message = `${file} cannot be read on from byte ${fault.offset}: ${fault.code}`;
  throw new FirewallError("CAPTURE_INVALID", message, {
    details: { offset: fault.offset, fault: fault.code },
  });
}
