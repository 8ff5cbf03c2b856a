// What every page of ours has around its content: sections, the bar that leads to them, light and dark, the last lines.

function section(id, title, lead, ...content) {
  return make("section", { id, "aria-labelledby": `${id}-title` }, make("div", { class: id === "trees" ? "wrap wide" : "wrap" },
    make("h2", { id: `${id}-title` }, title), lead && make("p", { class: "lead" }, lead), content));
}

function bar(sections) {
  const turn = make("button", { type: "button", class: "quiet", id: "theme", onclick: () => theme.flip() });
  theme.button = turn;
  return make("nav", { "aria-label": "Sections" }, make("div", { class: "wrap" }, sections.map((one) => make("a", { href: `#${one.id}` }, one.querySelector("h2").textContent)),
    make("span", { class: "tools" }, turn, make("button", { type: "button", class: "quiet", onclick: () => print() }, "Print"))));
}

/** Light or dark: the system's, until the reader chooses; the choice is kept where the browser allows it. */
const theme = {
  button: null,
  start() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let chosen = null;
    try { chosen = localStorage.getItem("aepo-report-theme"); } catch { /* files may have no storage */ }
    this.set(chosen || (dark.matches ? "dark" : "light"));
    dark.addEventListener("change", () => chosen || this.set(dark.matches ? "dark" : "light"));
    let before = null; // paper is white
    addEventListener("beforeprint", () => ((before = document.documentElement.dataset.theme), this.set("light")));
    addEventListener("afterprint", () => before && this.set(before));
  },
  flip() {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("aepo-report-theme", next); } catch { /* then it holds for this visit */ }
    this.set(next);
  },
  set(name) {
    document.documentElement.dataset.theme = name;
    this.button.textContent = name === "dark" ? "Light" : "Dark";
    this.button.setAttribute("aria-label", `Switch to the ${name === "dark" ? "light" : "dark"} theme`);
  },
};

/** Put the page together and show it. */
function show(title, header, sections) {
  document.title = title;
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  const bars = bar(sections);
  theme.start();
  document.getElementById("page").append(make("header", null, header), bars, make("main", null, sections),
    make("footer", null, make("div", { class: "wrap" }, "Written by aepo; one file, nothing is loaded from elsewhere.")));
}
