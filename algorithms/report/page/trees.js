// The explorer of rollout trees: a list to choose from, a drawing to move about in, the text beside it.

const CARD = { width: 172, high: 54, low: 32, gap: 46, row: 60, rootWidth: 150, rootHeight: 112, leaf: 227, head: 28 };
const FEWEST_ZOOM = 0.25, MOST_ZOOM = 2;
const READABLE = 0.55, EASY = 0.85; // how small a tree may be at first, and how small for its height alone

/** The explorer's elements, and `start`, to be called once they are on the page and can be measured. */
function explorer(trees) {
  for (const tree of trees) prepare(tree);
  const state = { tree: null, selected: null, lit: false, shade: "entropy", query: "", zoom: 1 };
  const list = make("div", { class: "list", role: "region", "aria-label": "Trees" });
  const asked = make("div", { class: "asked" }), facts = make("p", { class: "soft small number" });
  const canvas = make("div", { class: "canvas", role: "region", "aria-label": "Rollout tree", tabindex: -1 });
  const panel = make("div", { class: "reading", role: "region", "aria-label": "Text of the selection" });
  const zoomed = (factor) => zoom(canvas, state, state.zoom * factor, middle(canvas));
  const button = (text, label, act) => make("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: act }, text);
  const whole = button("Full page", "Full page (f)", () => full());
  const back = make("button", { type: "button", class: "quiet back", disabled: true, title: "Show all as before the click (Esc)", onclick: () => light(false) }, "Show all ", make("kbd", null, "Esc"));
  const stage = make("div", { class: "stage" },
    make("header", null, make("div", null, asked, facts), make("div", { class: "zoom" }, back,
      button(MINUS, "Zoom out (−)", () => zoomed(1 / 1.25)), button("+", "Zoom in (+)", () => zoomed(1.25)), button("Fit", "Whole tree (0)", () => fit(canvas, state)), whole)),
    canvas, key());
  const frame = make("div", { class: "panel explorer" }, list, stage, panel);
  const full = (on = !frame.classList.contains("full")) => {
    frame.classList.toggle("full", on);
    whole.textContent = on ? "Close" : "Full page";
    fit(canvas, state, true);
  };
  const light = (on) => {
    state.lit = on;
    back.disabled = !on;
    mark(canvas, state);
  };
  const go = (selected, lit = true) => {
    state.selected = selected;
    light(lit && selected.turn !== 0);
    reading(panel, state.tree, selected, state.shade, go, (shade) => ((state.shade = shade), go(state.selected, state.lit)));
  };
  const open = (tree) => {
    state.tree = tree;
    asked.replaceChildren(tree.task.question.trim() || "(no text)");
    facts.textContent = headline(tree);
    plant(canvas, state, go);
    fit(canvas, state, true);
    go({ turn: firstWorthReading(tree) }, false);
    reveal(canvas, canvas.querySelector('[aria-pressed="true"]'));
    for (const one of list.querySelectorAll("button")) one.setAttribute("aria-current", String(one.tree === tree));
  };
  const filters = filterBar(trees, state, (shown) => {
    list.replaceChildren(...shown.map((tree) => item(tree, () => open(tree))),
      ...(shown.length ? [] : [make("p", { class: "empty" }, "No tree fits these filters.")]));
    if (shown.length && !shown.includes(state.tree)) open(shown[0]);
    for (const one of list.querySelectorAll("button")) one.setAttribute("aria-current", String(one.tree === state.tree));
    if (state.tree) mark(canvas, state);
  });
  drag(canvas);
  pinch(canvas, state);
  keys(canvas, state, go, { "+": () => zoomed(1.25), "=": () => zoomed(1.25), "-": () => zoomed(1 / 1.25), 0: () => fit(canvas, state), f: () => full() });
  addEventListener("keydown", (event) => event.key === "Escape" && event.target.tagName !== "INPUT" && (state.lit ? light(false) : frame.classList.contains("full") && full(false)));
  addEventListener("beforeprint", () => zoom(canvas, state, Math.min(1, 700 / state.width)));
  return { elements: [filters.element, frame], start: filters.refresh };
}

/** What is looked up often: children, leaves below, text to search. */
function prepare(tree) {
  tree.children = tree.turns.map(() => []);
  tree.turns.forEach((turn, number) => turn.up >= 0 && tree.children[turn.up].push(number));
  tree.through = tree.turns.map((turn) => [...turn.leaves]);
  for (let number = tree.turns.length - 1; number > 0; number--) tree.through[tree.turns[number].up].push(...tree.through[number]);
  for (const leaves of tree.through) leaves.sort((one, other) => one - other);
  tree.texts = tree.turns.map((turn) => turn.parts.map((part) => part.text ?? part.pieces.join("") + (part.rest || "")).join("\n").toLowerCase());
  tree.words = [tree.task.question, ...tree.task.answers, tree.task.family, tree.task.id, ...tree.why].join("\n").toLowerCase();
  tree.solved = tree.leaves.filter((leaf) => leaf.solved).length;
  tree.verdict = tree.solved === tree.leaves.length ? "all" : tree.solved ? "mixed" : "none";
  tree.forks = tree.turns.filter((turn) => turn.fork?.outcome === "forked").length;
}

const headline = (tree) => [`step ${tree.step}`, `question ${tree.question}`, tree.task.family, `${tree.solved} of ${tree.leaves.length} right`,
  `m = ${tree.roots}`, tree.gap === null ? "" : `gap ${signed(tree.gap, 3)}`, `${tree.forks} fork${tree.forks === 1 ? "" : "s"}`,
  ...Object.entries(tree.calls).map(([name, count]) => `${count} × ${name}`), tree.lost ? `${tree.lost} lost to faults` : ""].filter(Boolean).join(" · ");

/** The fork that entropy moved most, of these the one with the most leaves below it; else the first turn. */
function firstWorthReading(tree) {
  const forked = tree.turns.map((_, number) => number).filter((number) => tree.turns[number].fork?.outcome === "forked");
  const moved = (number) => Math.abs(tree.turns[number].fork.rise);
  return forked.sort((one, other) => moved(other) - moved(one) || tree.through[other].length - tree.through[one].length)[0] ?? Math.min(1, tree.turns.length - 1);
}

const OUTCOMES = {
  "any outcome": () => true,
  "all right": (tree) => tree.verdict === "all",
  "mixed: some right": (tree) => tree.verdict === "mixed",
  "none right": (tree) => tree.verdict === "none",
};

function filterBar(trees, state, changed) {
  const distinct = (values) => [...new Set(values)];
  const choice = (label, options) => make("select", { "aria-label": label, onchange: () => refresh() }, options.map(([value, text]) => make("option", { value }, text)));
  const step = choice("Step", [["", "all steps"], ...distinct(trees.map((tree) => tree.step)).sort((one, other) => one - other).map((one) => [one, `step ${one}`])]);
  const family = choice("Family", [["", "all families"], ...distinct(trees.map((tree) => tree.task.family)).sort().map((one) => [one, one || "no family"])]);
  const result = choice("Outcome", Object.keys(OUTCOMES).map((one) => [one, one]));
  const search = make("input", { type: "search", placeholder: "Search questions, answers and every turn…  ( / )", "aria-label": "Search", oninput: () => refresh() });
  const count = make("span", { class: "soft small number", role: "status" });
  function refresh() {
    state.query = search.value.trim().toLowerCase();
    const shown = trees.filter((tree) => (!step.value || tree.step === Number(step.value)) && (!family.selectedIndex || tree.task.family === family.value) &&
      OUTCOMES[result.value](tree) && (!state.query || tree.words.includes(state.query) || tree.texts.some((text) => text.includes(state.query))));
    count.textContent = `${shown.length} of ${trees.length} tree${trees.length === 1 ? "" : "s"}`;
    changed(shown);
  }
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) event.preventDefault(), search.focus();
  });
  return { element: make("div", { class: "filters" }, search, step, family, result, count), refresh };
}

function item(tree, act) {
  const made = make("button", { type: "button", onclick: act },
    make("span", { class: "where number" }, make("span", null, `step ${tree.step} · ${tree.task.family.split("/").at(-1)}`), make("span", null, `${tree.forks} fork${tree.forks === 1 ? "" : "s"}`)),
    make("span", { class: "asked" }, tree.task.question.trim() || "(no text)"),
    make("span", { class: "outcomes", role: "img", "aria-label": `${tree.solved} of ${tree.leaves.length} right` }, tree.leaves.map((leaf) => make("i", { class: leaf.solved ? "solved" : null }))),
    make("span", { class: "why" }, make("span", { class: tree.verdict }, tree.verdict === "mixed" ? `mixed ${tree.solved}/${tree.leaves.length}` : `${tree.verdict} right`), tree.why.map((word) => make("span", null, word))));
  made.tree = tree;
  return made;
}

/** Places: y of every turn and leaf in rows, x by depth. */
function arrange(tree) {
  const y = [], depth = [], leafY = [];
  let row = 0;
  const visit = (number, deep) => {
    depth[number] = deep;
    const rows = tree.turns[number].leaves.map((leaf) => (leafY[leaf] = CARD.head + (row++ + 0.5) * CARD.row));
    if (tree.turns[number].leaves.length > 1) row -= tree.turns[number].leaves.length - 1; // several on one spot keep close
    tree.turns[number].leaves.forEach((leaf, place) => (leafY[leaf] = rows[0] + place * 28));
    for (const child of tree.children[number]) rows.push(visit(child, deep + 1));
    return (y[number] = rows.length ? (rows[0] + rows.at(-1)) / 2 : CARD.head + CARD.row / 2);
  };
  visit(0, 0);
  const deepest = Math.max(...depth);
  const x = depth.map((deep) => (deep ? 16 + CARD.rootWidth + CARD.gap + (deep - 1) * (CARD.width + CARD.gap) : 16));
  const leafX = 16 + CARD.rootWidth + CARD.gap + deepest * (CARD.width + CARD.gap) - CARD.gap + 34;
  return { x, y, depth, leafX, leafY, deepest, width: leafX + CARD.leaf, height: CARD.head + Math.max(1, row) * CARD.row + 10 };
}

function plant(canvas, state, go) {
  const tree = state.tree, at = arrange(tree);
  state.width = at.width;
  state.height = at.height;
  const edges = draw("svg", { width: at.width, height: at.height, "aria-hidden": "true" });
  const plane = make("div", { class: "plane", style: { width: `${at.width}px`, height: `${at.height}px` } }, edges);
  const titles = ["prompt", ...Array.from({ length: at.deepest }, (_, place) => `turn ${place + 1}`)];
  titles.forEach((text, deep) => plane.append(make("span", { class: "heading", style: { left: `${deep ? 16 + CARD.rootWidth + CARD.gap + (deep - 1) * (CARD.width + CARD.gap) : 16}px`, top: "4px" } }, text)));
  plane.append(make("span", { class: "heading", style: { left: `${at.leafX + 34}px`, top: "4px" } }, "reward · advantage · ended by"));
  tree.turns.forEach((turn, number) => {
    const right = at.x[number] + (number ? CARD.width : CARD.rootWidth);
    for (const child of tree.children[number]) edges.append(edge(tree, child, right, at.y[number], at.x[child], at.y[child]));
    for (const leaf of turn.leaves) {
      edges.append(draw("path", { class: "edge leader", "data-leaf": leaf, d: `M${right + 4} ${at.y[number]}L${Math.max(right + 4, at.leafX - 14)} ${at.y[number]}L${at.leafX - 4} ${at.leafY[leaf]}` }));
      plane.append(leafButton(tree, leaf, at.leafX, at.leafY[leaf], go));
    }
    plane.append(card(tree, number, at.x[number], at.y[number], go));
    if (turn.fork) plane.append(badge(number, turn.fork, right, at.y[number], () => go({ turn: number })));
  });
  canvas.replaceChildren(make("div", { class: "sizer" }, plane));
}

function edge(tree, child, x1, y1, x2, y2) {
  const half = (x1 + x2) / 2, turn = tree.turns[child];
  return draw("path", { class: turn.forked && turn.path !== null ? "edge forked" : "edge", "data-turn": child, "stroke-width": (1 + Math.sqrt(tree.through[child].length) * 0.7).toFixed(1),
    d: `M${x1} ${y1}C${half} ${y1} ${half} ${y2} ${x2} ${y2}` });
}

function card(tree, number, x, y, go) {
  const turn = tree.turns[number], place = (height, width) => ({ left: `${x}px`, top: `${y - height / 2}px`, width: `${width}px`, height: `${height}px` });
  const act = { type: "button", "data-turn": number, "aria-pressed": "false", onclick: () => go({ turn: number }) };
  if (number === 0) return make("button", { ...act, class: "turn prompt", style: place(CARD.rootHeight, CARD.rootWidth) }, make("span", null, tree.task.question.trim() || "(no text)"), share(tree, 0));
  const policy = turn.parts.find((part) => part.kind === "policy"), heard = turn.parts.find((part) => part.kind === "observation");
  const [tag, text] = action(policy ? policy.pieces.join("") : "");
  return make("button", { ...act, class: "turn", style: place(heard && policy ? CARD.high : CARD.low, CARD.width) },
    policy && make("span", { class: "heat", style: { "background-image": heat(policy.entropy) } }),
    policy && make("span", { class: "says" }, tag && make("b", null, tag), make("span", null, text)),
    heard && make("span", { class: "hears" }, make("span", null, inside(heard.text))), share(tree, number));
}

function share(tree, number) {
  const leaves = tree.through[number], right = leaves.filter((leaf) => tree.leaves[leaf].solved).length;
  return make("span", { class: "share" }, make("i", { style: { width: `${(100 * right) / Math.max(1, leaves.length)}%` } }), make("em"));
}

/** What a turn does, in short: its last tag and what stands in it; else its text. */
function action(text) {
  const found = [...text.matchAll(/<(\w{1,16})>([^<]*)<\/\1>/g)].filter(([, tag]) => tag !== "think").at(-1);
  if (!found) return ["", text.replace(/<\/?think>/g, "").trim() || "(no text)"];
  return [found[1], found[2].replace(/^\s*\\boxed\{(.*)\}\s*$/s, "$1").trim() || "(empty)"];
}

const inside = (text) => text.replace(/<\/?\w{1,16}>/g, "").replace(/\s+/g, " ").trim() || "(empty)";

/** A strip of a colour a token, as a gradient with hard stops. */
function heat(entropy) {
  const most = 60, every = Math.max(1, Math.ceil(entropy.length / most)), bins = [];
  for (let place = 0; place < entropy.length; place += every) bins.push(Math.max(...entropy.slice(place, place + every)));
  const width = 100 / bins.length;
  return `linear-gradient(90deg, ${bins.map((value, place) => `rgb(var(--shade) / ${(0.06 + 0.84 * Math.min(1, value / FULL.entropy)).toFixed(2)}) ${(place * width).toFixed(2)}% ${((place + 1) * width).toFixed(2)}%`).join(", ")})`;
}

function badge(number, fork, x, y, act) {
  const held = fork.outcome === "budget" || fork.outcome === "environment";
  return make("button", { type: "button", tabindex: -1, "data-turn": number, class: `badge ${fork.outcome === "forked" ? "forked" : held ? "held" : ""}`, style: { left: `${x + 4}px`, top: `${y}px` },
    title: fork.words, "aria-label": fork.words, onclick: act }, fork.probability.toFixed(2).replace(/^0/, ""));
}

function leafButton(tree, number, x, y, go) {
  const leaf = tree.leaves[number], size = Math.min(1, Math.abs(leaf.advantage) / 2) * 23;
  return make("button", { type: "button", class: leaf.solved ? "leaf solved" : "leaf", "data-leaf": number, "aria-pressed": "false", style: { left: `${x}px`, top: `${y}px` }, onclick: () => go({ leaf: number }),
    "aria-label": `Trajectory ${number + 1}: ${leaf.solved ? "right" : "not right"}, reward ${short(leaf.rewards.total)}, advantage ${signed(leaf.advantage, 2)}, ${leaf.stop}` },
    make("span", { class: "verdict" }, leaf.solved ? "✓" : "✗"), make("span", { class: "reward" }, leaf.rewards.total.toFixed(2).replace("-", MINUS)),
    make("span", { class: "bar", title: `advantage ${signed(leaf.advantage, 3)}` }, make("i", { class: leaf.advantage < 0 ? "down" : null, style: { left: `${leaf.advantage < 0 ? 24 - size : 24}px`, width: `${Math.max(size, leaf.advantage ? 1.5 : 0)}px` } })),
    make("span", { class: "stop" }, leaf.stop.replaceAll("_", " ")));
}

/** Show what is selected, the way to it, and what the search found. */
function mark(canvas, state) {
  const { tree, selected, query } = state;
  const leaves = new Set(selected.leaf === undefined ? tree.through[selected.turn] : [selected.leaf]);
  const way = new Set(tree.turns.map((_, number) => number).filter((number) => tree.through[number].some((leaf) => leaves.has(leaf))));
  const whole = !state.lit;
  for (const one of canvas.querySelectorAll("[data-turn]")) {
    const number = Number(one.dataset.turn);
    one.classList.toggle("away", !whole && !way.has(number));
    if (one.classList.contains("turn")) {
      one.setAttribute("aria-pressed", String(number === selected.turn));
      one.classList.toggle("found", Boolean(query) && tree.texts[number].includes(query));
    }
  }
  for (const one of canvas.querySelectorAll("[data-leaf]")) {
    const number = Number(one.dataset.leaf);
    one.classList.toggle("away", !whole && !leaves.has(number));
    one.setAttribute("aria-pressed", String(number === selected.leaf));
  }
}

/** Another scale, with the spot in the middle (or under the fingers) kept in place. */
function zoom(canvas, state, wanted, spot) {
  const scale = Math.min(MOST_ZOOM, Math.max(FEWEST_ZOOM, wanted)), sizer = canvas.firstElementChild, box = canvas.getBoundingClientRect();
  const dx = spot ? spot.x - box.left : box.width / 2, dy = spot ? spot.y - box.top : box.height / 2;
  const x = (canvas.scrollLeft + dx) / state.zoom, y = (canvas.scrollTop + dy) / state.zoom;
  state.zoom = scale;
  sizer.style.width = `${state.width * scale}px`;
  sizer.style.height = `${state.height * scale}px`;
  sizer.firstElementChild.style.transform = `scale(${scale})`;
  canvas.scrollLeft = x * scale - dx;
  canvas.scrollTop = y * scale - dy;
}

/** Scroll the drawing, and it alone, as little as shows an element with some space around it. */
function reveal(canvas, element) {
  const own = element.getBoundingClientRect(), box = canvas.getBoundingClientRect(), space = 40;
  canvas.scrollLeft += Math.max(0, own.right + space - box.right) || Math.min(0, own.left - space - box.left);
  canvas.scrollTop += Math.max(0, own.bottom + space - box.bottom) || Math.min(0, own.top - space - box.top);
}

/** The middle of the selection where that is in sight: what a reader zooms in on. */
function middle(canvas) {
  const one = canvas.querySelector('[aria-pressed="true"]')?.getBoundingClientRect(), box = canvas.getBoundingClientRect();
  const spot = one && { x: one.left + one.width / 2, y: one.top + one.height / 2 };
  return spot && spot.x > box.left && spot.x < box.right && spot.y > box.top && spot.y < box.bottom ? spot : null;
}

/** The whole tree; at first, no smaller than can be read, and as wide as it may be where only its height is too much. */
function fit(canvas, state, readable = false) {
  const scale = Math.min(1, canvas.clientWidth / state.width, canvas.clientHeight / state.height);
  const width = Math.min(1, canvas.clientWidth / state.width);
  zoom(canvas, state, readable ? Math.max(scale, READABLE, Math.min(width, EASY)) : scale);
  canvas.scrollLeft = canvas.scrollTop = 0;
}

function drag(canvas) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0 && !event.target.closest("button")) {
      from = { x: event.clientX + canvas.scrollLeft, y: event.clientY + canvas.scrollTop };
      canvas.classList.add("held");
      canvas.setPointerCapture(event.pointerId);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from) (canvas.scrollLeft = from.x - event.clientX), (canvas.scrollTop = from.y - event.clientY);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => ((from = null), canvas.classList.remove("held")));
}

/** Two fingers, or the wheel with Ctrl or ⌘. */
function pinch(canvas, state) {
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) event.preventDefault(), zoom(canvas, state, state.zoom * Math.exp(-event.deltaY / 300), { x: event.clientX, y: event.clientY });
  }, { passive: false });
  let before = 0;
  const span = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  canvas.addEventListener("touchmove", (event) => {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    const now = span(event.touches), [one, other] = event.touches;
    if (before) zoom(canvas, state, (state.zoom * now) / before, { x: (one.clientX + other.clientX) / 2, y: (one.clientY + other.clientY) / 2 });
    before = now;
  }, { passive: false });
  canvas.addEventListener("touchend", () => (before = 0));
}

/** Arrows go to parent, child and neighbours of the selection; + − 0 zoom, f fills the page. */
function keys(canvas, state, go, zooms) {
  const neighbour = (key) => {
    const tree = state.tree, turn = state.selected.leaf === undefined ? state.selected.turn : null;
    if (turn === null) {
      const leaf = state.selected.leaf + { ArrowUp: -1, ArrowDown: 1 }[key];
      return key === "ArrowLeft" ? { turn: turnOfLeaf(tree, state.selected.leaf) } : tree.leaves[leaf] ? { leaf } : null;
    }
    if (key === "ArrowLeft") return tree.turns[turn].up >= 0 ? { turn: tree.turns[turn].up } : null;
    if (key === "ArrowRight") return tree.children[turn].length ? { turn: tree.children[turn][0] } : tree.turns[turn].leaves.length ? { leaf: tree.turns[turn].leaves[0] } : null;
    const depth = pathTo(tree, turn).length, level = tree.turns.map((_, number) => number).filter((number) => pathTo(tree, number).length === depth);
    const next = level[level.indexOf(turn) + (key === "ArrowUp" ? -1 : 1)];
    return next === undefined ? null : { turn: next };
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = zooms[event.key];
    if (act) return event.preventDefault(), act();
    if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const next = neighbour(event.key);
    if (!next) return;
    go(next);
    const element = canvas.querySelector(next.leaf === undefined ? `button[data-turn="${next.turn}"]` : `button[data-leaf="${next.leaf}"]`);
    element.focus({ preventScroll: true });
    reveal(canvas, element);
  });
}
