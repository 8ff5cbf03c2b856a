// The text beside a tree: a turn, or a whole trajectory, token by token, with the numbers of each.

const SHADES = { entropy: "Entropy", surprise: "Surprise", advantage: "Advantage" };
const FULL = { entropy: 300, surprise: 500, advantage: 2000 }; // hundredths of a nat, or thousandths, at full shade

/** What the panel shows of `tree`: {turn} or {leaf}. `go` selects something else; `shade` is a key of SHADES. */
function reading(panel, tree, selected, shade, go, setShade) {
  const leaf = selected.leaf === undefined ? null : tree.leaves[selected.leaf];
  const route = leaf ? pathTo(tree, turnOfLeaf(tree, selected.leaf)) : [selected.turn];
  const known = leaf && leaf.advantages ? ["entropy", "surprise", "advantage"] : ["entropy", "surprise"];
  const used = known.includes(shade) ? shade : "entropy";
  const body = leaf ? [outcome(tree, leaf)] : [];
  let counted = 0;
  for (const number of route) {
    const turn = tree.turns[number];
    for (const part of turn.parts) {
      const advantages = leaf && leaf.advantages && part.pieces ? leaf.advantages.slice(counted, counted + part.pieces.length) : null;
      if (part.kind === "policy") counted += part.tokens;
      body.push(said(part, used, advantages, leaf && number ? { number, go } : null));
    }
    if (turn.fork) body.push(decision(turn.fork));
  }
  if (!leaf) body.push(...around(tree, selected.turn, go));
  panel.replaceChildren(
    make("header", null,
      make("h3", null, leaf ? `Trajectory ${selected.leaf + 1} of ${tree.leaves.length}` : titleOf(tree, selected.turn)),
      make("p", { class: "soft small" }, leaf ? lineage(tree, leaf) : sharing(tree, selected.turn)),
      make("div", null,
        make("span", { class: "segmented", role: "group", "aria-label": "What the shade of a token shows" },
          known.map((name) => make("button", { type: "button", "aria-pressed": String(name === used), onclick: () => setShade(name) }, SHADES[name]))),
        make("span", { class: used === "advantage" ? "scalebar both" : "scalebar" },
          used === "advantage" ? `${MINUS}2` : "0", make("i"), used === "advantage" ? "+2" : `${FULL[used] / 100}+ nats`))),
    ...body);
  panel.scrollTop = 0;
}

function pathTo(tree, turn) {
  const found = [];
  for (let at = turn; at >= 0; at = tree.turns[at].up) found.unshift(at);
  return found;
}

const turnOfLeaf = (tree, leaf) => tree.turns.findIndex((turn) => turn.leaves.includes(leaf));

function titleOf(tree, number) {
  return number === 0 ? "The prompt" : `Turn ${pathTo(tree, number).length - 1}`;
}

function lineage(tree, leaf) {
  const from = leaf.parent === null ? "started at the prompt" : `forked off path ${leaf.parent}`;
  return `Path ${leaf.path}, ${from}; ${leaf.turns} turn${leaf.turns === 1 ? "" : "s"}${leaf.retried ? "; started again after a fault" : ""}.`;
}

function sharing(tree, number) {
  const count = tree.through[number].length, turn = tree.turns[number];
  const shared = count === 1 ? "One trajectory passes here." : `${count} of ${tree.leaves.length} trajectories share this.`;
  if (turn.path === null) return shared;
  return `${turn.forked ? "A fork: path" : "Path"} ${turn.path} starts here. ${shared}`;
}

function outcome(tree, leaf) {
  const parts = Object.entries(leaf.rewards).filter(([name]) => name !== "total");
  const rows = [["Outcome", leaf.solved ? "✓ right" : "✗ not right"], ["Ended by", leaf.stop.replaceAll("_", " ")],
    ["Reward", short(leaf.rewards.total)], ...parts.map(([name, value]) => [`· ${name.replaceAll("_", " ")}`, short(value)]),
    ["Advantage", `${signed(leaf.advantage, 3)} on average over its tokens`], ["Accepted", tree.task.answers.join(" or ")]];
  return make("dl", { class: "outcome" }, rows.flatMap(([name, value]) => [make("dt", null, name), make("dd", null, value)]));
}

function said(part, shade, advantages, link) {
  const policy = part.kind === "policy";
  const name = { policy: "Policy", observation: "Environment", prompt: "Prompt" }[part.kind];
  const facts = [`${part.tokens.toLocaleString("en")} token${part.tokens === 1 ? "" : "s"}`];
  if (policy) {
    const mean = part.entropy.reduce((sum, one) => sum + one, 0) / Math.max(1, part.entropy.length) / 100;
    facts.push(`mean entropy ${mean.toFixed(2)} nats`, `log p ${signed(-part.surprise.reduce((sum, one) => sum + one, 0) / 100, 1)}`);
  }
  const text = make("div", { class: "text", tabindex: policy ? 0 : null, role: policy ? "group" : null,
    "aria-label": policy ? "What the policy wrote; the arrow keys go through its tokens" : null });
  if (policy) tokens(text, part, shade, advantages);
  else text.textContent = part.text;
  return make("div", { class: `said ${part.kind}` },
    make("p", null, make("b", null, name, link && " "), make("span", { class: "number" }, facts.join(" · "),
      link && policy ? [" · ", make("button", { class: "link", type: "button", onclick: () => link.go({ turn: link.number }) }, "in the tree")] : null)), text);
}

function tokens(text, part, shade, advantages) {
  const values = shade === "advantage" ? advantages || [] : part[shade];
  const spans = part.pieces.map((piece, place) => {
    const value = values[place] || 0;
    const mark = shade !== "advantage" ? "t" : value < 0 ? "t down" : "t up";
    return make("span", { class: mark, style: { "--a": Math.min(1, Math.abs(value) / FULL[shade]).toFixed(2) } }, piece);
  });
  text.replaceChildren(...spans, part.rest || "");
  let here = -1;
  const show = (place) => {
    spans[here]?.classList.remove("here");
    here = place;
    if (here < 0) return tip.hide();
    spans[here].classList.add("here");
    const p = Math.exp(-part.surprise[here] / 100);
    tip.show([make("code", null, visible(part.pieces[here])), ` p ${p < 0.001 ? "< 0.001" : p.toFixed(3)}`, make("br"),
      `log p ${signed(-part.surprise[here] / 100, 2)} nats · entropy ${(part.entropy[here] / 100).toFixed(2)} nats`,
      ...(advantages ? [make("br"), `advantage ${signed(advantages[here] / 1000, 3)}`] : [])], spans[here].getBoundingClientRect());
  };
  const placeOf = (event) => spans.indexOf(event.target);
  text.addEventListener("pointerover", (event) => show(placeOf(event)));
  text.addEventListener("pointerleave", () => show(-1));
  text.addEventListener("click", (event) => show(placeOf(event)));
  text.addEventListener("blur", () => show(-1));
  text.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    show(Math.min(spans.length - 1, Math.max(0, here + by)));
    spans[here].scrollIntoView({ block: "nearest" });
  });
}

const visible = (piece) => piece.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "(no text)";

function decision(fork) {
  const scale = make("div", { class: "scale", "aria-hidden": "true" }, make("i", { style: { width: `${100 * fork.probability}%` } }),
    make("em", { style: { left: `${100 * fork.draw}%` } }), make("span", { style: { left: `${100 * fork.draw}%`, transform: `translateX(-${100 * fork.draw}%)` } }, `draw ${fork.draw.toFixed(2)}`)); // within the scale at either end
  const facts = [`P(fork) ${fork.probability.toFixed(2)}`, `rise ${signed(fork.rise, 2)}`, `penalty ${Math.round(100 * fork.penalty)} %`, `path ${fork.path}`];
  return make("div", { class: fork.outcome === "forked" ? "decision forked" : "decision" },
    make("b", null, fork.outcome === "forked" ? "A fork" : "No fork"), make("span", { class: "soft small number" }, ` · ${facts.join(" · ")}`), scale, fork.words);
}

function around(tree, number, go) {
  const leaves = tree.through[number];
  return [make("h3", { style: { "font-size": ".85rem", "font-family": "var(--sans)" } }, "Trajectories through here"),
    make("div", { class: "chips" }, leaves.map((leaf) => make("button", { type: "button", class: tree.leaves[leaf].solved ? "solved" : null,
      onclick: () => go({ leaf }) }, `${tree.leaves[leaf].solved ? "✓" : "✗"} ${leaf + 1} · ${short(tree.leaves[leaf].rewards.total)}`)))];
}
