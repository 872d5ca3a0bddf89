/** Capture files, read piece by piece: a capture may be larger than memory. */
import { FirewallError, type LimitValues } from "../base/index.ts";
import { CaptureReader, type CaptureRecord } from "../wire/index.ts";
import { readChunks } from "./input-file.ts";

/** Bytes read from the file at a time. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * Reads all records of a pcap or pcapng.
 *
 * @param file - its name
 * @param limits - bounds of what a capture may hold
 * @param take - takes each record, which is valid during the call only
 * @throws {FirewallError} `FILE_UNREADABLE`; `CAPTURE_INVALID` when the file is no capture or ends inside a
 *   record; the records before that place were taken
 */
export async function readCapture(
  file: string,
  limits: LimitValues,
  take: (record: CaptureRecord) => void,
): Promise<void> {
  const reader = new CaptureReader(limits);
  for await (const chunk of readChunks("the capture", file, CHUNK_BYTES)) {
    reader.push(chunk);
    for (let record = reader.next(); record !== undefined; record = reader.next()) take(record);
    if (reader.fault !== undefined) break;
  }
  const fault = reader.finish();
  if (fault === undefined) return;
  const message =
    fault.code === "capture-magic" && fault.offset === 0
      ? `${file} is neither a pcap nor a pcapng (capture-magic)`
      : `${file} cannot be read on from byte ${fault.offset}: ${fault.code}`;
  throw new FirewallError("CAPTURE_INVALID", message, {
    details: { offset: fault.offset, fault: fault.code },
  });
}
