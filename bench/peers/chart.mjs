/**
 * Bars for docs/PERFORMANCE.md: each workload beside no firewall, for the smallest and the largest policy.
 */
import { WORKLOADS } from "./workloads.mjs";

const WIDTH = 760;
const LABEL_WIDTH = 230;
const BAR_HEIGHT = 13;
const BAR_GAP = 4;
const TITLE_HEIGHT = 30;
const COLOURS = { postern: "#2c7a4b", inspecting: "#63a37a", conntrack: "#1d5132", queued: "#a9cbb5" };
const OTHERS = "#9aa4ad";

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function bar({ title, name, value, digits, most, top }) {
  const room = WIDTH - LABEL_WIDTH - 90;
  const width = Math.max(1, (room * value) / most);
  const base = top + BAR_HEIGHT - 3;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${base}" text-anchor="end">${escaped(title)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${top}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" fill="${COLOURS[name] ?? OTHERS}"/>`,
    `<text x="${LABEL_WIDTH + width + 6}" y="${base}">${value.toFixed(digits)}</text>`,
  ].join("\n");
}

/** One chart of one figure. Returns its drawing and its height. */
function chart({ heading, row, figure: [figure, , digits], list, top }) {
  const shown = list.filter(({ name }) => Number.isFinite(row[name]?.[figure]));
  const most = Math.max(...shown.map(({ name }) => row[name][figure]));
  const bars = shown.map(({ name, title }, at) =>
    bar({
      title,
      name,
      value: row[name][figure],
      digits,
      most,
      top: top + TITLE_HEIGHT + at * (BAR_HEIGHT + BAR_GAP),
    }),
  );
  const head = `<text x="0" y="${top + 20}" font-weight="bold">${escaped(heading)}</text>`;
  return {
    drawing: [head, ...bars].join("\n"),
    height: TITLE_HEIGHT + shown.length * (BAR_HEIGHT + BAR_GAP),
  };
}

/**
 * Draws a report of bench/peers.mjs.
 *
 * @returns an SVG document; text in the reader's own font, no colours that carry meaning alone
 */
export function drawCharts({ byRules, list }) {
  const sizes = Object.keys(byRules);
  const ends = [...new Set([sizes[0], sizes.at(-1)])].filter((size) => size !== undefined);
  const drawings = [];
  let top = 0;
  for (const size of ends) {
    for (const { name, title, figures, lowerIsBetter } of WORKLOADS) {
      const row = byRules[size][name];
      if (row === undefined) continue;
      const figure = figures[0];
      const heading = `${title} ${figure[1]}, ${size} rules${lowerIsBetter === true ? " (less is better)" : ""}`;
      const { drawing, height } = chart({ heading, row, figure, list, top });
      drawings.push(drawing);
      top += height;
    }
  }
  const style = 'font-family="sans-serif" font-size="12" fill="#1f2933"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top + 10}" ${style}>
<rect width="100%" height="100%" fill="#ffffff"/>
${drawings.join("\n")}
</svg>
`;
}
