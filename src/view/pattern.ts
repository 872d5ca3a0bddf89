/**
 * True when a text fits a pattern in which `*` stands for any run of characters.
 *
 * The time is at most the product of both lengths. A regular expression could take exponential time, and
 * names of servers come from strangers.
 */
export function fitsPattern(pattern: string, text: string): boolean {
  let at = 0;
  let want = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    if (pattern[want] === "*") {
      star = want;
      resume = at;
      want += 1;
    } else if (pattern[want] === text[at]) {
      at += 1;
      want += 1;
    } else if (star >= 0) {
      // Let the last star take one character more, and try what follows it again.
      resume += 1;
      at = resume;
      want = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[want] === "*") want += 1;
  return want === pattern.length;
}
