/**
 * Columns: arrays of numbers with one entry for each row.
 *
 * What stands for long and in great number is kept so: the garbage collector never looks into them.
 */

/** An array of numbers of which there may be very many. */
type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/**
 * A column with room for so many entries: the same one, or one at least twice as long with the same
 * beginning.
 *
 * @param length - entries that it must have room for
 */
export function grown<C extends Column>(column: C, length: number): C {
  if (length <= column.length) return column;
  const Make = column.constructor as new (length: number) => C;
  const longer = new Make(Math.max(length, 2 * column.length));
  longer.set(column);
  return longer;
}
