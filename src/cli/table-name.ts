/** Names of nftables tables on the command line. */
import { InvalidArgumentError } from "commander";
import { isTableName } from "../backend/table-name.ts";

/** A name that our table may have. */
export function parseTableName(text: string): string {
  if (isTableName(text)) return text;
  throw new InvalidArgumentError('It takes a letter, then letters, digits, "-", "_" or "."; 48 at most.');
}
