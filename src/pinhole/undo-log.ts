/** Steps that can be taken back, newest first: how a transaction that fails leaves no trace. */
export class UndoLog {
  #steps: (() => void)[] = [];

  /** How many steps were noted since the last settlement. */
  get length(): number {
    return this.#steps.length;
  }

  /** Notes how to take back what was just done. */
  note(step: () => void): void {
    this.#steps.push(step);
  }

  /** Everything so far stays. */
  settle(): void {
    this.#steps = [];
  }

  /**
   * Takes back what was done since the log had this length.
   *
   * @param length - how many steps remain; 0 for all back
   */
  takeBack(length = 0): void {
    while (this.#steps.length > length) this.#steps.pop()?.();
  }
}
