"use strict";
// Making elements. Everything a run said enters the page through `make` and `draw` as text nodes and plain attributes.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: make("p", {class: "soft", onclick: f}, "text", otherElement, null). */
function make(tag, given, ...children) {
  return filled(document.createElement(tag), given, children);
}

/** An SVG element, likewise. */
function draw(tag, given, ...children) {
  return filled(document.createElementNS(SVG, tag), given, children);
}

function filled(element, given, children) {
  for (const [name, value] of Object.entries(given || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const MINUS = "\u2212";

/** A number in few digits, with a real minus sign. */
function short(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace(/-/g, MINUS);
  const places = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? Math.min(digits - 1, 1) : digits - 1;
  const text = size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toFixed(places)));
  return text.replace(/-/g, MINUS);
}

/** To so many places, halves away from zero: as `summary.percent` does, so that a page and the lines say the same. */
function rounded(value, places = 1) {
  return (Math.sign(value) * Math.floor(Number((Math.abs(value) * 10 ** places).toFixed(6)) + 0.5)) / 10 ** places;
}

/** A share in percent, to a tenth. */
const percent = (share) => `${rounded(100 * share).toFixed(1)} %`;

/** A number with its sign and a fixed count of places. */
function signed(value, places = 1) {
  const text = Math.abs(rounded(value, places)).toFixed(places);
  return (Number(text) === 0 ? "" : value < 0 ? MINUS : "+") + text;
}

/** Round steps for an axis from low to high, about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count) || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * unit).find((one) => one >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

/** The labels of an axis: as many places as tell its ticks apart, thousands as k. */
function labels(values) {
  const step = values.length > 1 ? values[1] - values[0] : 1, thousands = Math.abs(values.at(-1)) >= 10000;
  const unit = thousands ? step / 1000 : step, places = [0, 1, 2, 3, 4, 5].find((count) => Math.abs(unit - Number(unit.toFixed(count))) < unit / 1e6) ?? 6;
  if (unit < 5e-4) return values.map((value) => (value ? value.toExponential(1).replace(".0e", "e").replaceAll("-", MINUS) : "0"));
  return values.map((value) => (thousands ? value / 1000 : value).toFixed(value ? places : 0).replace("-", MINUS) + (thousands && value ? "k" : ""));
}

/** One floating note for the whole page; the pointer, the keyboard and a tap all use it. */
const tip = {
  element: null,
  show(content, box) {
    if (!this.element) document.body.append((this.element = make("div", { class: "tip", role: "status" })));
    this.element.replaceChildren(...content);
    this.element.hidden = false;
    const own = this.element.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - own.width / 2), innerWidth - own.width - 8);
    const above = box.top - own.height - 8;
    this.element.style.left = `${left}px`;
    this.element.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  },
  hide() {
    if (this.element) this.element.hidden = true;
  },
};
