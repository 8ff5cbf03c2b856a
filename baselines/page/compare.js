// The comparison: what stands where on the page.

const found = JSON.parse(document.getElementById("run").textContent);
found.contenders.forEach((one, place) => { one.place = place; shown.add(one.label); });

const reference = found.contenders.find((one) => one.label === found.reference);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const points = (share) => signed(100 * share);
const head = (one) => make("th", { scope: "row" }, dot(one), one.label);
const kind = (name) => name.split("/").at(-1);

function table(heads, rows) {
  return make("div", { class: "panel scroll" }, make("table", { class: "table" },
    make("thead", null, make("tr", null, heads.map((one) => (one instanceof Element ? one : make("th", { scope: "col" }, one))))), make("tbody", null, rows)));
}

function top() {
  const all = found.cells.length, done = found.cells.filter((one) => one.score !== null).length, failed = found.cells.filter((one) => one.failed).length;
  const state = done === all ? `all ${plural(all, "run")} finished` : `${done} of ${all} runs finished${failed ? `, ${failed} failed` : ""}`;
  return make("div", { class: "wrap top" }, make("p", { class: "kicker" }, "Comparison"), make("h1", null, found.title),
    make("div", { class: "facts" }, make("span", { class: done === all ? "state" : "state going" }, state), make("span", null, `model ${found.model}`),
      make("span", null, `${plural(found.seeds, "seed")} each`), make("span", null, `${found.questions} unseen questions`),
      make("span", null, `compared at ${Math.round(found.budget).toLocaleString("en")} ${USED[found.field]}`)));
}

function summarySection() {
  const others = found.contenders.filter((one) => one.versus), list = (sentences) => make("ul", null, sentences.map((one) => make("li", null, one)));
  const reach = 1.08 * Math.max(0.02, ...others.flatMap((one) => [Math.abs(one.versus.low), Math.abs(one.versus.high)]));
  const colours = { better: "var(--right)", worse: "var(--wrong)" };
  const rows = others.map((one) => {
    const versus = one.versus, words = `${points(versus.difference)} (${points(versus.low)} to ${points(versus.high)})`;
    return make("tr", null, head(one), make("td", { class: "picture" }, interval([versus.difference, versus.low, versus.high], [-reach, reach],
      { colour: colours[versus.verdict] || "var(--soft)", zero: true, words: `${one.label} against ${found.reference}: ${words} points` })),
      make("td", null, words), make("td", null, versus.p_corrected < 0.001 ? "< 0.001" : versus.p_corrected.toFixed(3)), make("td", null, make("span", { class: `pill ${versus.verdict.replace(" ", "-")}` }, versus.verdict)));
  });
  return section("summary", "Summary", null, make("p", { class: "headline" }, found.conclusions[0]),
    rows.length > 0 && table([`Against ${found.reference}`, "← worse · better →", "points (95 % interval)", "p, corrected", "verdict"], rows),
    make("div", { class: "said-in-words" }, make("div", null, make("h3", null, "What can be concluded"), list(found.conclusions.slice(1))),
      make("div", null, make("h3", null, "What cannot"), list(found.limits))));
}

function scoresSection() {
  const all = found.contenders.flatMap((one) => [one.before, ...one.score]);
  const ends = [Math.max(0, Math.min(...all) - 0.03), Math.min(1, Math.max(...all) + 0.03)];
  const spread = ([value, low, high]) => [percent(value), " ", make("small", null, `${percent(low)} to ${percent(high)}`)];
  const rows = found.contenders.map((one) => make("tr", null, head(one),
    make("td", { class: "picture" }, interval(one.score, ends, { colour: colourOf(one.place), hollow: one.before, words: `${one.label}: ${percent(one.score[0])}, before training ${percent(one.before)}` })),
    make("td", null, spread(one.score)), make("td", null, spread(one.interquartile)),
    make("td", null, one.gain ? [points(one.gain[0]), " ", make("small", null, `${points(one.gain[1])} to ${points(one.gain[2])}`)] : "–"),
    make("td", null, one.versus ? [one.versus.improvement[0].toFixed(2), " ", make("small", null, `${one.versus.improvement[1].toFixed(2)} to ${one.versus.improvement[2].toFixed(2)}`)] : "–"),
    make("td", null, one.sampled ? spread(one.sampled) : "–")));
  return section("scores", "Scores", `Share of ${found.questions} unseen questions solved, greedy, at the budget. ○ before training, ● after; lines and small numbers: 95 % intervals over seeds and questions.`,
    table(["", "success", "mean", "interquartile mean", "points gained", `P(higher than ${found.reference})`, "sampled, end of run"], rows));
}

function curvesSection() {
  return section("curves", "Learning curves", "Greedy success on the unseen questions at each evaluation, mean over the seeds, with bands of 95 %. The same runs in every picture; what differs is what they are held against. Dashed: the budget at which they are compared.",
    legend(found.contenders), make("div", { class: "curve-grid" }, Object.keys(USED).map((used) => curves(found.contenders, used, used === found.field ? found.budget : 0))));
}

function familiesSection() {
  const names = Object.keys(found.families), values = found.contenders.flatMap((one) => names.map((name) => one.families[name]));
  const low = Math.min(...values), high = Math.max(...values);
  const heads = ["", ...names.map((name) => make("th", { scope: "col", class: "middle" }, kind(name), make("br"), make("small", null, plural(found.families[name], "question"))))];
  return section("families", "Kinds of task", "Success in %; the darker, the higher. With few questions of a kind, a few points are chance.",
    table(heads, found.contenders.map((one) => make("tr", null, head(one), names.map((name) =>
      make("td", { class: "heat", style: { "--a": high > low ? ((one.families[name] - low) / (high - low)).toFixed(2) : 0 } }, rounded(100 * one.families[name]).toFixed(1)))))));
}

function costSection() {
  const number = (value) => make("td", { class: "right" }, Math.round(value).toLocaleString("en"));
  const heads = ["", ...Object.values(USED), "seconds of evaluation", "success at the end of the run"].map((one, place) => make("th", { scope: "col", class: place ? "right" : null }, one));
  return section("cost", "Cost", "Of a whole run, mean over the seeds. Tokens are those the policy wrote, a shared one once; so are tool calls. Seconds depend on the machine and on what else it did.",
    table(heads, found.contenders.map((one) => make("tr", null, head(one), Object.keys(USED).map((used) => number(one.used[used])), number(one.evaluation_seconds), make("td", { class: "right" }, percent(one.end))))));
}

function diversitySection() {
  const share = (value) => make("td", { class: "right" }, value === null ? "–" : percent(value));
  const heads = ["", "different trajectories", "questions right and wrong", "different calls", "different answers", "entropy, nats a token", "tokens in common"].map((one, place) => make("th", { scope: "col", class: place ? "right" : null }, one));
  return section("diversity", "Diversity of rollouts", "Means over all training steps. Different trajectories: of a question's, those that differ in what the policy wrote. Different calls and answers: how many a question's trajectories have. Only questions with both right and wrong trajectories teach anything. Tokens in common: what trajectories of one question share, computed once.",
    table(heads, found.contenders.map((one) => make("tr", null, head(one), share(one.diversity.distinct), share(one.diversity.mixed),
      [one.diversity.calls, one.diversity.answers, one.diversity.entropy].map((value) => make("td", { class: "right" }, value === null ? "–" : value.toFixed(2))), share(one.diversity.shared)))));
}

function cellsSection() {
  const seeds = [...new Set(found.cells.map((one) => one.seed))], names = [...new Set(found.cells.map((one) => one.label))];
  const shown = (one) => {
    if (!one) return "–";
    if (one.score === null) return one.failed ? make("span", { class: "failed" }, `failed: ${one.failed}`) : make("span", { class: "soft" }, "not finished");
    return one.report ? make("a", { href: encodeURI(one.report) }, percent(one.score)) : percent(one.score);
  };
  return section("runs", "Runs", "Success of each at the budget. A click opens that run's own report: its curves, its rollout trees, its settings.",
    make("div", { class: "cells" }, table(["", ...seeds.map((seed) => `seed ${seed}`)], names.map((label) => {
      const one = found.contenders.find((each) => each.label === label);
      return make("tr", null, one ? head(one) : make("th", { scope: "row" }, label), seeds.map((seed) => make("td", null, shown(found.cells.find((cell) => cell.label === label && cell.seed === seed)))));
    }))));
}

function methodSection() {
  const terms = [["Success", "The share of questions answered wholly right, always taking the likeliest token (greedy). Every contender answers the same questions, of worlds that none was trained on."],
    ["Points", "Hundredths: from 40 % to 45 % are 5 points."],
    ["Seed", "One training. With the same seed all contenders start from the same model and meet the same questions in the same order."],
    ["95 % interval", "Scores: stratified bootstrap. Seeds, and questions within each kind of task, are drawn again and again; the middle 95 % of the means are the interval. Differences: of the paired test, each by itself."],
    ["Interquartile mean", "The mean of the middle half of all scores of a training on a kind of task: single trainings that went very well or badly count less."],
    ["P(higher)", `The probability that a training of the contender scores higher than one of ${found.reference}, on a kind of task drawn at random; ties count half. 0.5 is no difference.`],
    ["p", "How often chance alone would show a difference this large. The test is paired (same seeds, same questions) and must hold over seeds and questions together as well as over seeds alone: a lucky training or a few lucky questions do not count as a difference. How much trainings differ is taken from all contenders, where there are more than two. p is corrected for the number of contenders (Holm); a verdict other than “no difference” needs p below 0.05."],
    ["Budget", "Contenders are compared after equal " + USED[found.field] + ": the most that every run has reached. Nothing is interpolated; each run is taken at its last evaluation within it."]];
  const settings = found.contenders.filter((one) => Object.keys(one.settings).length || one.variant !== "paper");
  return section("method", "How to read this", null, make("dl", { class: "terms" }, terms.map(([name, words]) => [make("dt", null, name), make("dd", null, words)])),
    make("p", { class: "soft small" }, "Made by"), make("pre", { class: "command" }, found.command),
    settings.length > 0 && make("details", null, make("summary", null, "What makes contenders differ beside their names"), make("table", { class: "settings" }, make("tbody", null,
      settings.map((one) => make("tr", null, make("td", null, one.label), make("td", null, [one.algorithm, one.variant !== "paper" && `, variant ${one.variant}`, Object.entries(one.settings).map(([name, value]) => `, ${name} = ${value}`)])))))));
}

show(`${found.title} · comparison`, top(), [summarySection(), scoresSection(), curvesSection(), familiesSection(), costSection(), diversitySection(), cellsSection(), methodSection()]);
