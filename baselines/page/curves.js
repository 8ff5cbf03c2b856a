// Learning curves of all contenders against what their runs used, and the small pictures of intervals in tables.

const COLOURS = 10; // as many as compare.css names; more contenders share them with dashed lines
const USED = { rollouts: "rollouts", tokens: "generated tokens", tool_calls: "tool calls", seconds: "seconds of training" };
const shown = new Set(); // labels that the curves show
const redraws = [];

const colourOf = (place) => `var(--c-${place % COLOURS})`;
const dashOf = (place) => (place < COLOURS ? null : "5 3");

/** A figure: greedy success, with its band, against the field `used` of every evaluation. */
function curves(contenders, used, budget) {
  const wide = 520, high = 270, left = 40, right = 12, above = 10, below = 38;
  const picture = draw("svg", { viewBox: `0 0 ${wide} ${high}`, role: "group", tabindex: 0,
    "aria-label": `Success against ${USED[used]}. Arrow keys: left and right along a curve, up and down to another.` });
  let here = null; // [contender, evaluation] under the pointer or the keys
  const visible = () => contenders.filter((one) => shown.has(one.label));
  let x, y;
  const redraw = () => {
    const all = visible().flatMap((one) => one.curve);
    const most = Math.max(1, ...all.map((at) => at[used]));
    const tall = Math.min(1, Math.max(0.1, ...all.map((at) => at.high)) * 1.05), low = Math.max(0, Math.min(1, ...all.map((at) => at.low)) - 0.03);
    x = (value) => left + (value / most) * (wide - left - right);
    y = (value) => above + (1 - (value - low) / (tall - low)) * (high - above - below);
    const parts = [];
    const marks = ticks(100 * low, 100 * tall, 5), names = labels(marks), across = ticks(0, most, 5), below_names = labels(across);
    marks.forEach((value, place) => parts.push(draw("line", { class: "grid", x1: left, x2: wide - right, y1: y(value / 100), y2: y(value / 100) }),
      draw("text", { x: left - 6, y: y(value / 100) + 4, "text-anchor": "end" }, names[place])));
    across.forEach((value, place) => parts.push(draw("text", { x: x(value), y: high - below + 16, "text-anchor": "middle" }, below_names[place])));
    parts.push(draw("text", { x: (left + wide - right) / 2, y: high - 4, "text-anchor": "middle" }, USED[used]));
    if (budget && budget <= most) parts.push(draw("line", { class: "mark", x1: x(budget), x2: x(budget), y1: above, y2: high - below }));
    for (const one of visible()) parts.push(band(one, used, x, y));
    for (const one of visible()) parts.push(...line(one, used, x, y));
    picture.replaceChildren(...parts);
  };
  const tell = (one, at) => {
    here = one && at ? [one, at] : null;
    if (!here) return tip.hide();
    const box = picture.getBoundingClientRect(), scale = box.width / wide;
    tip.show([make("b", null, one.label), ` after step ${at.step}`, make("br"), `${percent(at.value)} (${percent(at.low)} to ${percent(at.high)})`,
      make("br"), `${short(at[used])} ${USED[used]}`], { left: box.left + x(at[used]) * scale, width: 0, top: box.top + y(at.value) * scale - 4, bottom: box.top + y(at.value) * scale + 4 });
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect(), scale = wide / box.width;
    const px = (event.clientX - box.left) * scale, py = (event.clientY - box.top) * scale;
    let best = [Infinity, null, null];
    for (const one of visible()) for (const at of one.curve) {
      const far = Math.hypot(x(at[used]) - px, y(at.value) - py);
      if (far < best[0]) best = [far, one, at];
    }
    best[0] < 40 ? tell(best[1], best[2]) : tell(null);
  });
  picture.addEventListener("pointerleave", () => tell(null));
  picture.addEventListener("blur", () => tell(null));
  picture.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key], there = visible();
    if (!by || !there.length) return;
    event.preventDefault();
    if (!here) return tell(there[0], there[0].curve.at(-1));
    const [one, at] = here, along = event.key === "ArrowRight" || event.key === "ArrowLeft";
    if (along) return tell(one, one.curve[Math.min(one.curve.length - 1, Math.max(0, one.curve.indexOf(at) + by))]);
    const next = there[(there.indexOf(one) + by + there.length) % there.length];
    tell(next, next.curve[Math.min(next.curve.length - 1, one.curve.indexOf(at))]);
  });
  redraws.push(redraw);
  redraw();
  return make("figure", { class: "panel curve" }, make("h3", null, `Success (%) against ${USED[used]}`), picture);
}

function band(one, used, x, y) {
  const there = one.curve.map((at) => `${x(at[used]).toFixed(1)} ${y(at.high).toFixed(1)}`);
  const back = one.curve.map((at) => `${x(at[used]).toFixed(1)} ${y(at.low).toFixed(1)}`).reverse();
  return draw("path", { d: `M${[...there, ...back].join("L")}Z`, fill: colourOf(one.place), opacity: 0.1 });
}

function line(one, used, x, y) {
  const path = `M${one.curve.map((at) => `${x(at[used]).toFixed(1)} ${y(at.value).toFixed(1)}`).join("L")}`;
  return [draw("path", { d: path, fill: "none", stroke: colourOf(one.place), "stroke-width": 2, "stroke-dasharray": dashOf(one.place), "stroke-linejoin": "round" }),
    ...one.curve.map((at) => draw("circle", { cx: x(at[used]), cy: y(at.value), r: 2.6, fill: colourOf(one.place) }))];
}

/** Buttons that show and hide contenders in all curves. */
function legend(contenders) {
  return make("div", { class: "contenders", role: "group", "aria-label": "Contenders shown" }, contenders.map((one) => {
    const button = make("button", { type: "button", "aria-pressed": "true", onclick: () => {
      shown.has(one.label) ? shown.delete(one.label) : shown.add(one.label);
      button.setAttribute("aria-pressed", String(shown.has(one.label)));
      for (const redraw of redraws) redraw();
    } }, dot(one), one.label);
    return button;
  }));
}

const dot = (one) => make("i", { class: "dot", style: { background: colourOf(one.place) } });

/** An interval on a line: [value, low, high] between two ends, with what else there is to mark. */
function interval([value, low, high], [least, most], given) {
  const wide = 300, x = (at) => 6 + ((Math.min(most, Math.max(least, at)) - least) / (most - least)) * (wide - 12);
  const { colour, words, hollow, zero } = given;
  return draw("svg", { class: "interval", viewBox: `0 0 ${wide} 22`, role: "img", "aria-label": words },
    draw("line", { class: "grid", x1: 6, x2: wide - 6, y1: 11, y2: 11 }),
    zero && draw("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: 21 }),
    draw("line", { x1: x(low), x2: x(high), y1: 11, y2: 11, stroke: colour, "stroke-width": 5, "stroke-linecap": "round", opacity: 0.35 }),
    hollow !== undefined && draw("circle", { cx: x(hollow), cy: 11, r: 4, fill: "var(--card)", stroke: "var(--faint)", "stroke-width": 1.6 }),
    draw("circle", { cx: x(value), cy: 11, r: 5.5, fill: colour }));
}
