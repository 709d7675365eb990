// Charts as plain SVG, in the colours and marks of the report; drawn anew in a few milliseconds.
import { savers } from "./saving.js";

const SPACE = "http://www.w3.org/2000/svg";
const LEFT = 54, RIGHT = 14, TOP = 10, BOTTOM = 46; // around the field, in pixels
const SIZE = 4.2, SMALL = 2.4, MANY = 600; // half a mark, and where there are more than so many
const HINT = "Point at a mark, or use the arrow keys here, to read about it.";
const REACH = 28; // pixels from which the pointer finds a point

const MARKS = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (x, y, r) => `M${x} ${y - 1.2 * r}l${1.2 * r} ${1.2 * r}l${-1.2 * r} ${1.2 * r}l${-1.2 * r} ${-1.2 * r}z`,
  (x, y, r) => `M${x} ${y - 1.2 * r}l${1.2 * r} ${2.1 * r}h${-2.4 * r}z`,
  (x, y, r) => {
    const w = .4 * r, l = 1.15 * r - w;
    return `M${x - w} ${y - w}v${-l}h${2 * w}v${l}h${l}v${2 * w}h${-l}v${l}h${-2 * w}v${-l}h${-l}v${-2 * w}z`;
  },
  (x, y, r) => `M${x} ${y + 1.2 * r}l${1.2 * r} ${-2.1 * r}h${-2.4 * r}z`,
  (x, y, r) => `M${x} ${y - 1.4 * r}l${.4 * r} ${r}l${r} ${.4 * r}l${-r} ${.4 * r}l${-.4 * r} ${r}l${-.4 * r} ${-r}l${-r} ${-.4 * r}l${r} ${-.4 * r}z`,
];

const node = (name, attributes, text) => {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

const mark = (index, points, size = SIZE) => {
  const shape = MARKS[index % MARKS.length];
  const d = points.map(([x, y]) => shape(Number(x.toFixed(1)), Number(y.toFixed(1)), size)).join("");
  return node("path", { d, class: `mark origin-${index % MARKS.length}` });
};

const evenTicks = (low, high, count) => {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
};

const logTicks = (low, high) => {
  const first = Math.floor(Math.log10(low)), last = Math.floor(Math.log10(high)) + 1;
  const steps = { 1: [1, 2, 5], 2: [1, 2, 5], 3: [1, 3] }[last - first] ?? [1];
  const ticks = [];
  for (let power = first; power <= last; power += 1) ticks.push(...steps.map((step) => step * 10 ** power));
  const inside = ticks.filter((tick) => tick >= low && tick <= high);
  return inside.length > 2 ? inside : evenTicks(low, high, 4);
};

const scale = (values, { log = false, least = 0, from }, start, end, count) => {
  const along = log ? Math.log10 : (value) => value;
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, along(value)); high = Math.max(high, along(value)); }
  if (from !== undefined) low = from;
  const room = Math.max((high - low) * .05, least, (high - low) ? 0 : log ? .1 : 1);
  if (from === undefined) low -= room;
  high += room;
  const place = (value) => start + (end - start) * (along(value) - low) / (high - low);
  const ticks = log ? logTicks(10 ** low, 10 ** high) : evenTicks(low, high, count);
  return { place, ticks };
};

const pathOf = (points, isStepped) => points.map(([x, y], i) =>
  i === 0 ? `M${x.toFixed(1)} ${y.toFixed(1)}` : isStepped ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `L${x.toFixed(1)} ${y.toFixed(1)}`).join("");

const lookOf = (line) => ["line", line.strong && "strong", line.dotted && "dotted"].filter(Boolean).join(" ");

const sign = (drawn, text) => {
  const item = document.createElement("li"), made = node("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" });
  made.append(drawn);
  item.append(made, text);
  return item;
};

// A chart in a figure. `draw` takes what to show:
//   label     what a person who cannot see it should know
//   x, y      {title, tell: value -> text, log, least: room beside the values, from: first value}
//   groups    [{name, index, points: [[x, y, text]]}]; the index chooses mark and colour
//   lines     [{name, points, stepped, strong, dotted}]
//   uprights  [{at, label}]
//   note      what is not drawn, in the upper left corner
export class Chart {
  constructor(figure) {
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    this.svg = node("svg", { class: "chart", role: "img", tabindex: 0 });
    this.readout = document.createElement("p");
    this.readout.className = "readout";
    this.readout.setAttribute("aria-live", "polite");
    figure.append(this.legend, this.svg, this.readout, savers(this, figure.dataset.chart));
    this.shown = null;
    this.places = [];
    this.chosen = -1;
    this.width = 0;
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.choose(-1));
    this.svg.addEventListener("blur", () => this.choose(-1));
    this.svg.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => {
      if (this.shown && this.svg.clientWidth !== this.width) this.draw(this.shown);
    }).observe(this.svg);
  }

  draw(shown) {
    this.shown = shown;
    const { groups, lines = [], uprights = [], note, x, y } = shown;
    const width = this.width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (!width) return;
    const all = [...groups.flatMap((group) => group.points), ...lines.flatMap((line) => line.points)];
    const across = scale(all.map((p) => p[0]), x, LEFT, width - RIGHT, width / 90);
    const up = scale(all.map((p) => p[1]), y, height - BOTTOM, TOP, height / 42);
    const put = ([a, b]) => [across.place(a), up.place(b)];
    const made = [];
    for (const tick of across.ticks) {
      const at = across.place(tick);
      made.push(node("line", { class: "grid", x1: at, x2: at, y1: TOP, y2: height - BOTTOM }));
      made.push(node("text", { x: at, y: height - BOTTOM + 17, "text-anchor": "middle" }, x.tell(tick)));
    }
    for (const tick of up.ticks) {
      const at = up.place(tick);
      made.push(node("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
      made.push(node("text", { x: LEFT - 7, y: at + 4, "text-anchor": "end" }, y.tell(tick)));
    }
    const middle = (TOP + height - BOTTOM) / 2;
    made.push(node("text", { class: "title", x: (LEFT + width - RIGHT) / 2, y: height - 8, "text-anchor": "middle" }, x.title));
    made.push(node("text", { class: "title", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, y.title));
    for (const { at, label } of uprights) {
      const place = across.place(at);
      if (place < LEFT || place > width - RIGHT) continue;
      made.push(node("line", { class: "line dotted", x1: place, x2: place, y1: TOP, y2: height - BOTTOM }));
      made.push(node("text", { x: place - 4, y: height - BOTTOM - 6, "text-anchor": "end" }, label));
    }
    if (note) made.push(node("text", { x: LEFT + 6, y: TOP + 12 }, note));
    this.places = [];
    const isMany = all.length > MANY;
    this.svg.classList.toggle("many", isMany);
    for (const group of groups) {
      const places = group.points.map(put);
      if (!group.hidden) made.push(mark(group.index, places, isMany ? SMALL : SIZE));
      places.forEach((place, i) => this.places.push([...place, group.points[i][2]]));
    }
    for (const line of lines) {
      made.push(node("path", { class: lookOf(line), d: pathOf(line.points.map(put), line.stepped) }));
    }
    this.places.sort((a, b) => a[0] - b[0]);
    this.ring = node("circle", { class: "ring", r: 2 * SIZE, visibility: "hidden" });
    this.svg.replaceChildren(...made, this.ring);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", shown.label);
    this.legend.replaceChildren(
      ...groups.filter((group) => group.name)
        .map((group) => sign(mark(group.index, [[7, 7]]), `${group.name} (${group.points.length})`)),
      ...lines.filter((line) => line.name)
        .map((line) => sign(node("path", { class: lookOf(line), d: "M0 7h14" }), line.name)));
    const told = this.told;
    this.choose(told === undefined ? -1 : this.places.findIndex((place) => place[2] === told));
  }

  choose(index) {
    this.chosen = index;
    const place = this.places[index];
    this.told = place?.[2];
    const text = this.told ?? HINT;
    if (this.readout.textContent !== text) this.readout.textContent = text; // said once
    if (!this.ring) return;
    this.ring.setAttribute("visibility", place ? "visible" : "hidden");
    if (place) { this.ring.setAttribute("cx", place[0]); this.ring.setAttribute("cy", place[1]); }
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let nearest = REACH, found = -1;
    this.places.forEach((place, i) => {
      const distance = Math.hypot(place[0] - x, place[1] - y);
      if (distance < nearest) { nearest = distance; found = i; }
    });
    if (found !== this.chosen) this.choose(found);
  }

  step(event) {
    const last = this.places.length - 1;
    const to = { ArrowRight: this.chosen + 1, ArrowLeft: this.chosen - 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.choose(event.key === "Escape" ? -1 : Math.max(0, Math.min(last, to)));
  }
}
