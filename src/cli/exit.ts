/** Exit status of every command, documented in the README. */
export const EXIT = {
  /** Done. */
  DONE: 0,
  /** The answer is "no": policy invalid, self-test failed, gone. */
  NO: 1,
  /** Wrong usage. */
  USAGE: 2,
  /** The system refused: no root, no kernel support, no such file. */
  REFUSED: 3,
} as const;
