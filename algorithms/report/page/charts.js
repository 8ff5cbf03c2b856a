// Curves over the steps of a run. All charts share one cursor: pointing at a step in one shows it in every other.

const WIDE = 280, HIGH = 150, LEFT = 44, RIGHT = 8, ABOVE = 8, BELOW = 22;
const SMOOTHED = 20; // steps from which on a mean of five is drawn over the values
const cursors = [];

function pointAt(step) {
  for (const move of cursors) move(step);
}

/** A figure with one chart of `series.charts`, for steps 1 to `count`. */
function chart(spec, count) {
  const lines = spec.lines, stacked = spec.kind === "stack" ? stack(lines, count) : null;
  const [low, high] = extent(spec, stacked);
  const x = (step) => LEFT + (count > 1 ? (step - 1) / (count - 1) : 0.5) * (WIDE - LEFT - RIGHT);
  const y = (value) => ABOVE + (1 - (value - low) / (high - low)) * (HIGH - ABOVE - BELOW);
  const words = `${spec.title}, ${spec.unit}, over ${count} steps. ` +
    lines.map((line) => `${line.name}: ${short(first(line.values))} first, ${short(last(line.values))} last`).join("; ");
  const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", tabindex: 0, "aria-label": words });
  axes(picture, x, y, low, high, count);
  for (const mark of spec.marks || []) {
    if (mark <= high) picture.append(draw("line", { class: "mark", x1: LEFT, x2: WIDE - RIGHT, y1: y(mark), y2: y(mark) }));
  }
  if (spec.kind === "counts") dots(picture, spec.counts, x, y, count, high - low);
  lines.forEach((line, place) => {
    const colour = colourOf(spec, place);
    if (stacked) return picture.append(area(stacked[place], stacked[place + 1], x, y, colour, 0.72));
    if (line.low) picture.append(area(line.low, line.high, x, y, colour, 0.16));
    curve(picture, line.values, x, y, colour, line.role === "main");
  });
  for (const point of spec.points || []) evaluated(picture, point, x, y, count);
  const legend = make("div", { class: "legend" });
  const cursor = draw("line", { class: "cursor", y1: ABOVE, y2: HIGH - BELOW, visibility: "hidden" });
  picture.append(cursor);
  cursors.push((step) => {
    cursor.setAttribute("visibility", step ? "visible" : "hidden");
    if (step) cursor.setAttribute("x1", x(step)), cursor.setAttribute("x2", x(step));
    legend.replaceChildren(...legendOf(spec, step || count));
  });
  follow(picture, count);
  legend.replaceChildren(...legendOf(spec, count));
  return make("figure", { class: "panel chart" },
    make("header", null, make("h3", null, spec.title), make("span", { class: "unit" }, spec.unit)),
    picture, legend, spec.note && make("figcaption", { class: "note" }, spec.note));
}

const first = (values) => values.find((value) => value !== null);
const last = (values) => values.findLast((value) => value !== null);

function colourOf(spec, place) {
  const lines = spec.lines, main = lines.findIndex((line) => line.role === "main");
  if (place === main || lines.length === 1) return "var(--line-0)";
  return `var(--line-${(place + (main < 0 || place > main ? 0 : 1)) % 6})`;
}

function stack(lines, count) {
  const sums = [Array(count).fill(0)];
  for (const line of lines) sums.push(sums.at(-1).map((sum, step) => sum + (line.values[step] || 0)));
  return sums;
}

function extent(spec, stacked) {
  const values = stacked ? stacked.flat() : spec.lines.flatMap((line) => [line.values, line.low || [], line.high || []]).flat();
  for (const point of spec.points || []) values.push(point.value);
  for (const step of spec.counts || []) for (const [value] of step) values.push(value);
  if (spec.marks) values.push(spec.marks[0] * 2);
  const known = values.filter((value) => value !== null);
  let low = Infinity, high = -Infinity;
  for (const value of known) (low = Math.min(low, value)), (high = Math.max(high, value)); // too many for arguments
  if (spec.zero || stacked || spec.kind === "counts" || (low >= 0 && low < 0.5 * high)) low = Math.min(0, low);
  if (high === low) high = low + (Math.abs(low) || 1);
  return [low, stacked && spec.unit.startsWith("%") ? 100 : high + 0.04 * (high - low)];
}

function axes(picture, x, y, low, high, count) {
  const marks = ticks(low, high, 4), words = labels(marks);
  marks.forEach((value, place) => {
    picture.append(
      draw("line", { class: value === 0 ? "zero" : "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value) }),
      draw("text", { x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, words[place]));
  });
  const steps = count <= 8 ? Array.from({ length: count }, (_, place) => place + 1)
    : [1, ...ticks(1, count, 5).filter((step) => Number.isInteger(step) && step > count / 12)];
  for (const step of steps) picture.append(draw("text", { x: x(step), y: HIGH - 6, "text-anchor": "middle" }, String(step)));
}

function curve(picture, values, x, y, colour, main) {
  const smooth = values.length >= SMOOTHED;
  picture.append(draw("path", { d: path(values, x, y), fill: "none", stroke: colour,
    "stroke-width": smooth ? 1 : main ? 2 : 1.5, opacity: smooth ? 0.38 : 1, "stroke-linejoin": "round" }));
  if (smooth) {
    picture.append(draw("path", { d: path(meanOfFive(values), x, y), fill: "none", stroke: colour,
      "stroke-width": main ? 2.2 : 1.7, "stroke-linejoin": "round" }));
  } else if (values.length <= 12) {
    values.forEach((value, step) => value !== null &&
      picture.append(draw("circle", { cx: x(step + 1), cy: y(value), r: 2.2, fill: colour })));
  }
}

function path(values, x, y) {
  let text = "", pen = "M";
  values.forEach((value, step) => {
    if (value === null) pen = "M";
    else (text += `${pen}${x(step + 1).toFixed(1)} ${y(value).toFixed(1)}`), (pen = "L");
  });
  return text;
}

function meanOfFive(values) {
  return values.map((value, step) => {
    const near = values.slice(Math.max(0, step - 2), step + 3).filter((one) => one !== null);
    return value === null ? null : near.reduce((sum, one) => sum + one, 0) / near.length;
  });
}

function area(low, high, x, y, colour, opacity) {
  const known = low.map((_, step) => step).filter((step) => low[step] !== null && high[step] !== null);
  const there = known.map((step) => `${x(step + 1).toFixed(1)} ${y(high[step]).toFixed(1)}`);
  const back = known.reverse().map((step) => `${x(step + 1).toFixed(1)} ${y(low[step]).toFixed(1)}`);
  return draw("path", { d: there.length ? `M${[...there, ...back].join("L")}Z` : "", fill: colour, opacity, stroke: colour,
    "stroke-width": known.length === 1 ? 8 : 0 });
}

function dots(picture, counts, x, y, count, span) {
  const width = Math.max(2, Math.min(10, (WIDE - LEFT - RIGHT) / count - 1));
  const height = Math.min(9, (HIGH - ABOVE - BELOW) / span - 1.5);
  counts.forEach((step, place) => {
    const total = step.reduce((sum, [, many]) => sum + many, 0);
    for (const [value, many] of step) {
      picture.append(draw("rect", { x: x(place + 1) - width / 2, y: y(value) - height / 2, width, height, rx: 2,
        fill: "var(--line-3)", opacity: 0.15 + 0.7 * (many / total) }));
    }
  });
}

function evaluated(picture, point, x, y, count) {
  const at = x(Math.min(Math.max(1, point.step), count)), colour = "var(--line-1)";
  picture.append(
    draw("line", { x1: at, x2: at, y1: y(Math.max(0, point.low)), y2: y(point.high), stroke: colour, "stroke-width": 1.4 }),
    draw("circle", { cx: at, cy: y(point.value), r: 3.4, fill: "var(--card)", stroke: colour, "stroke-width": 1.8 },
      draw("title", null, `${point.name}: ${short(point.value)} % (${short(point.low)} to ${short(point.high)})`)));
}

function legendOf(spec, step) {
  const lines = spec.lines;
  const items = lines.map((line, place) => make("span", null,
    make("i", { style: { background: colourOf(spec, place) } }),
    `${lines.length > 1 ? `${line.name} ` : ""}${short(line.values[step - 1])}` +
    (line.low && line.low[step - 1] !== null ? ` (${short(line.low[step - 1])} to ${short(line.high[step - 1])})` : "")));
  return [...items, make("span", { class: "at" }, `step ${step}`)];
}

function follow(picture, count) {
  let here = 0;
  const at = (event) => {
    const box = picture.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * WIDE - LEFT) / (WIDE - LEFT - RIGHT);
    return Math.min(count, Math.max(1, Math.round(share * (count - 1)) + 1));
  };
  const move = (step) => pointAt((here = step));
  picture.addEventListener("pointermove", (event) => move(at(event)));
  picture.addEventListener("pointerdown", (event) => move(at(event)));
  picture.addEventListener("pointerleave", () => move(0));
  picture.addEventListener("blur", () => move(0));
  picture.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) event.preventDefault(), move(Math.min(count, Math.max(1, (here || count) + (here ? by : 0))));
  });
}

/** Before and after by family: a row each, a dot with its interval for either. */
function pairs(table) {
  const row = 40, left = 118, right = 52, width = 460, height = table.rows.length * row + 28;
  const x = (value) => left + (Math.max(0, Math.min(100, value)) / 100) * (width - left - right);
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": table.rows.map((one) =>
    `${one.name}: ${one.before ? short(one.before[0]) : "not evaluated"} before, ${one.after ? short(one.after[0]) : "not evaluated"} after`).join("; ") });
  for (const value of [0, 25, 50, 75, 100]) {
    picture.append(draw("line", { class: "grid", x1: x(value), x2: x(value), y1: 4, y2: height - 22 }),
      draw("text", { x: x(value), y: height - 7, "text-anchor": "middle" }, value === 100 ? "100 %" : String(value)));
  }
  table.rows.forEach((one, place) => {
    const y = place * row + 20, name = one.name.split("/").at(-1);
    picture.append(draw("text", { x: 0, y: y - 1, style: { fill: "var(--ink)", "font-size": "12.5px", "font-weight": place ? 400 : 600 } },
      place ? name : "all questions"), draw("text", { x: 0, y: y + 13, style: { fill: "var(--faint)" } }, `${one.questions} questions`));
    for (const [which, offset, hollow] of [["before", -5, true], ["after", 6, false]]) {
      if (!one[which]) continue;
      const [mean, low, high] = one[which], colour = hollow ? "var(--faint)" : "var(--line-0)";
      picture.append(draw("line", { x1: x(low), x2: x(high), y1: y + offset, y2: y + offset, stroke: colour, "stroke-width": 2, opacity: 0.55 }),
        draw("circle", { cx: x(mean), cy: y + offset, r: 4.4, fill: hollow ? "var(--card)" : colour, stroke: colour, "stroke-width": 2 }));
    }
    if (one.gained !== null) {
      picture.append(draw("text", { x: width, y: y + 4, "text-anchor": "end", style: { fill: "var(--ink)", "font-size": "12.5px" } },
        signed(one.gained)));
    }
  });
  return make("figure", { class: "panel pair" }, make("h3", null, table.title), picture,
    make("figcaption", { class: "legend" }, "○ before", make("span", { style: { color: "var(--line-0)" } }, "● after"),
      "lines: 95 % intervals; right: points gained"));
}

/** A gain in points with its interval, on a line with zero. */
function gainLine(gain) {
  const reach = Math.max(5, Math.abs(gain.low), Math.abs(gain.high)) * 1.15, x = (points) => 210 + (points / reach) * 190;
  const colour = gain.low > 0 ? "var(--right)" : gain.high < 0 ? "var(--wrong)" : "var(--soft)";
  const label = (at, text) => draw("text", { x: x(at), y: 43, "text-anchor": "middle" }, text);
  return draw("svg", { viewBox: "0 0 420 46", role: "img", "aria-label": `${signed(gain.mean)} points, 95 % interval ${signed(gain.low)} to ${signed(gain.high)}` },
    draw("line", { class: "grid", x1: 4, x2: 416, y1: 16, y2: 16 }), draw("line", { class: "zero", x1: x(0), x2: x(0), y1: 4, y2: 28 }),
    draw("line", { x1: x(gain.low), x2: x(gain.high), y1: 16, y2: 16, stroke: colour, "stroke-width": 5, "stroke-linecap": "round", opacity: 0.35 }),
    draw("circle", { cx: x(gain.mean), cy: 16, r: 6, fill: colour }),
    Math.abs(x(gain.low) - x(0)) > 26 && Math.abs(x(gain.high) - x(0)) > 26 && label(0, "0"), label(gain.low, signed(gain.low)), label(gain.high, signed(gain.high)));
}
