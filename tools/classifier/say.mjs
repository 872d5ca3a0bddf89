/** Prints one line. */
export function say(...words) {
  process.stdout.write(`${words.join(" ")}\n`);
}
