// The report: what stands where on the page.

const run = JSON.parse(document.getElementById("run").textContent);

function top() {
  const going = !run.finished;
  const state = run.finished ? `finished: ${run.done} step${run.done === 1 ? "" : "s"}` : `${run.done} of ${run.steps} steps so far`;
  return make("div", { class: "wrap top" }, make("p", { class: "kicker" }, "Run report"), make("h1", null, run.title),
    make("div", { class: "facts" }, make("span", { class: going ? "state going" : "state" }, state), make("span", null, `model ${run.model}`), make("span", null, run.folder)));
}

function summarySection() {
  const names = { greedy: "Greedy, unseen questions", sampled: "Sampled (pass@1), unseen questions" };
  const gains = Object.entries(run.gains).map(([name, gain]) => make("div", { class: "panel gain" },
    make("h3", { class: "soft" }, names[name]),
    make("p", { class: "big" }, signed(gain.mean), make("small", null, "points")),
    make("p", { class: "number" }, `${gain.before.toFixed(1)} % before, ${gain.after.toFixed(1)} % after`), gainLine(gain),
    make("p", { class: "soft small" }, `95 % interval, paired over ${gain.questions} questions`)));
  const waiting = run.done ? "The gain is known when the run has ended and was evaluated." : "No step was taken yet: look again in a minute.";
  return section("summary", "Summary", null, gains.length ? make("div", { class: "gains" }, gains) : make("p", { class: "panel empty" }, waiting),
    run.parts.length > 0 && make("h3", null, "Was every part seen to act?"),
    make("div", { class: "parts" }, run.parts.map((part) => {
      const [look, mark] = { yes: ["part", "✓"], NO: ["part idle", "○"] }[part.verdict] || ["part early", "…"];
      return make("div", { class: look }, make("span", { class: "mark", role: "img", "aria-label": `seen to act: ${part.verdict}` }, mark),
        make("div", null, make("h3", null, part.name), make("p", null, part.early && "Too few steps to tell. ", part.words)));
    })));
}

function curvesSection() {
  const lead = "Every chart runs over the steps of the run; pointing at a step in one shows it in all. The arrow keys do the same in a chart that has the focus." +
    (run.done >= SMOOTHED ? " Thin lines are the values, bold ones the mean of five steps." : "");
  return section("curves", "Curves", run.charts.length ? lead : null, run.charts.length ? make("div", { class: "charts" }, run.charts.map((one) => chart(one, run.done)))
    : make("p", { class: "panel empty" }, "Curves begin with the first step."));
}

function familiesSection() {
  return section("families", "Before and after", "Success on unseen dev questions, by kind of task.", run.families.length ? make("div", { class: "pairs" }, run.families.map(pairs))
    : make("p", { class: "panel empty" }, "Nothing was evaluated yet."));
}

function treesSection() {
  const lead = "Each question grew a tree: trajectories start at the prompt and fork at tool results. Choose a question; click a turn to read it, an outcome at the right to read its whole trajectory. " +
    "Drag to move, Ctrl and wheel or two fingers to zoom, arrow keys to walk, / to search. The first in the list is a good one to start with.";
  const none = "No traces yet: they are written with each step, unless the run was told to keep none (traces: 0).";
  if (!run.trees.length) return { element: section("trees", "Trees", null, make("p", { class: "panel empty" }, none)), start: () => {} };
  const { elements, start } = explorer(run.trees);
  return { element: section("trees", "Trees", lead, guide(run.trees), elements), start };
}

function warningsSection() {
  const { audited, lost, warnings, dead } = run.summary;
  const audits = [
    audited.tokens ? `${audited.tokens.toLocaleString("en")} sampled log-probabilities were computed again; the largest difference was ${short(audited.largest)} nats.` : "",
    run.done ? "Every trajectory's tokens were compared with what was sampled, and its text with what the environment was given and said." : "",
    ...run.failures,
    run.done ? `${lost.dropped} trajectories were lost to faults, ${lost.retried} started again, ${lost.unforkable} tool results could not be forked at.` : "",
    run.done ? `${(100 * dead).toFixed(0)} % of the questions gave all their trajectories the same reward and taught nothing.` : ""].filter(Boolean);
  return section("warnings", "Audits and warnings", null, make("ul", { class: "audits" }, audits.map((words) => make("li", null, words))),
    warnings.length ? make("ul", { class: "warnings" }, warnings.map(([step, words]) => make("li", null, make("span", null, `step ${step}`), make("span", null, words))))
      : make("p", { class: "soft" }, "No warnings."));
}

function settingsSection() {
  const table = (rows) => make("table", { class: "settings" }, make("tbody", null, rows.map(([name, value]) => make("tr", null, make("td", null, name), make("td", null, value)))));
  return section("settings", "Configuration", null, run.command && make("pre", { class: "command" }, run.command),
    make("details", null, make("summary", null, `All ${run.config.length} settings`), table(run.config)), make("details", null, make("summary", null, "Machine and versions"), table(run.environment)));
}

const trees = treesSection();
show(`${run.title} · run report`, top(), [summarySection(), curvesSection(), familiesSection(), trees.element, warningsSection(), settingsSection()]);
trees.start();
