/** What tables of ours may be called. */

/** True for what a table of ours may be called. */
export function isTableName(table: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_.-]{0,47}$/.test(table);
}
