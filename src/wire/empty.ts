/** What every view looks at until it is bound: nothing. One object, so that views stay of one shape. */
export const NO_BYTES: DataView = new DataView(new ArrayBuffer(0));
