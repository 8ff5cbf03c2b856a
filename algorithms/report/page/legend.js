// What the signs and words of a tree mean.

/** The terms of these trees, in short; those that no tree has are left out. */
function guide(trees) {
  const decisions = trees.flatMap((tree) => tree.turns.map((turn) => turn.fork).filter(Boolean));
  const still = decisions.find((fork) => fork.rise === 0 && fork.penalty === 0); // what P is where entropy says nothing
  const terms = [
    ["path", "a trajectory, numbered in the order in which they began. A fork begins a new path that shares all above it."],
    ["m", "how many paths start at the prompt; the others fork off these."],
    trees.some((tree) => tree.gap !== null) && ["gap", "the policy's entropy at the prompt minus that behind tool results, in nats, in a path that probed first. A large gap makes m larger, a small one leaves more paths for forks."],
    decisions.length > 0 && ["P(fork)", `a number is drawn at each tool result: below P, the path forks. P starts at a base${still ? `, ${short(still.probability)}` : ""}; entropy that rose since the path's start lifts it, entropy that fell lowers it` +
      `${decisions.some((fork) => fork.penalty) ? ", and forks in a row take something off" : ""}. So a path whose entropy did not move still forks by chance.`],
  ].filter(Boolean);
  return make("dl", { class: "guide" }, terms.map(([name, words]) => make("div", null, make("dt", null, name), " ", make("dd", null, words))));
}

function key() {
  const swatch = (colour, text) => make("span", null, make("i", { style: { background: colour } }), text);
  return make("div", { class: "key" },
    swatch("linear-gradient(90deg, rgb(var(--shade) / .08), rgb(var(--shade) / .8))", "entropy, token by token"), swatch("var(--observation-wash)", "environment"),
    swatch("var(--fork)", "fork, with its P"), make("span", null, make("i", { style: { background: "linear-gradient(90deg, var(--right) 60%, color-mix(in srgb, var(--wrong) 32%, var(--card)) 60%)" } }), "right and wrong below"),
    make("span", null, "advantage: bar, ± 2"), make("span", { class: "narrow" }, "swipe: outcomes at the right →"));
}
