/** The live screen of `postern states watch`, as pftop's: refreshed in place, with rates, q to quit. */
import { listingLines, RateMeter, type State, sortStates } from "../view/index.ts";

/** How often the screen is drawn anew, in milliseconds. */
const REFRESH_MS = 1000;

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** Ctrl-C as a terminal in raw mode sends it. */
const INTERRUPT = "\u0003";

function draw(states: readonly State[], meter: RateMeter, colour: boolean): void {
  const rows = (process.stdout.rows || 24) - 2;
  const width = process.stdout.columns || 80;
  meter.update(states, performance.now());
  const rateOf = (state: State): number => meter.rateOf(state);
  const top = sortStates(states, "rate", rows - 1, rateOf);
  const head = `${states.length} states, fastest first; q quits`;
  const lines = [head, ...listingLines(top, { colour, width, rateOf })];
  process.stdout.write(`${HOME}${lines.map((line) => line + CLEAR_LINE).join("\n")}\n${CLEAR_BELOW}`);
}

/** Resolves when the person wants to leave. */
function untilQuit(): Promise<void> {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.setEncoding("utf8").resume();
  return new Promise((resolve) => {
    stdin.on("data", (key: string) => {
      if (key === "q" || key === INTERRUPT) resolve();
    });
    process.once("SIGTERM", () => resolve());
  });
}

/**
 * Shows states until the person leaves.
 *
 * @param list - reads the table anew
 * @param colour - whether lines may be coloured
 */
export async function watchScreen(list: () => AsyncIterable<State>, colour: boolean): Promise<void> {
  const meter = new RateMeter();
  const quit = untilQuit().then(() => true);
  process.stdout.write(ENTER);
  try {
    for (let left = false; !left; ) {
      const states: State[] = [];
      for await (const state of list()) states.push(state);
      draw(states, meter, colour);
      left = await Promise.race([
        quit,
        new Promise<false>((resolve) => setTimeout(resolve, REFRESH_MS, false)),
      ]);
    }
  } finally {
    process.stdout.write(LEAVE);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdin.pause();
  }
}
