"use strict";
// The slider and the map show one architecture in the panel: what is pointed at, else what is kept,
// else that of the slider. Nets of the slider have the first indices, in the order of their limits;
// then come all trials.
(async () => {
  const find = (name) => document.getElementById(`explorer-${name}`);
  const slider = find("limit");
  const map = find("map");
  const box = map.querySelector("[data-figure]");
  const panel = find("panel");
  const { limits, rows, columns } = await page.values;
  const { item: trial } = await trials;
  const named = ({ layers, ...rest }) => ({ ...rest, layers: layers.map((index) => rows[index]) });
  const item = (index) =>
    (index < limits.length ? named(limits[index]) : trial(index - limits.length));
  const places = [
    ...limits.map(({ place }) => place),
    ...columns.across.map((across, number) => (across === null ? null : [across, columns.up[number]])),
  ];
  const indexOf = ({ data, customdata }) => customdata + (data.meta.columns ? limits.length : 0);
  let kept = null;
  let shown = null;

  const start = places[Number(slider.defaultValue)];
  const ring = () => {
    // Moved by hand: a new layout of a map of thousands of points takes a tenth of a second.
    const circle = box.querySelector(".shapelayer path");
    const area = box.querySelector(".nsewdrag");
    if (!circle || !area) return;
    const { xaxis, yaxis } = box.layout;
    const along = (axis, from, to, length) => (to - from) / (axis.range[1] - axis.range[0]) * length;
    const [x, y] = places[shown];
    const right = along(xaxis, start[0], x, Number(area.getAttribute("width")));
    const down = -along(yaxis, start[1], y, Number(area.getAttribute("height")));
    circle.setAttribute("transform", `translate(${right}, ${down})`);
  };
  const resting = () => kept ?? Number(slider.value);
  const show = (index) => {
    if (index === shown) return;
    shown = index;
    fillPanel(panel, item(index));
    ring();
  };
  const keep = (index) => {
    kept = index;
    show(resting());
  };
  const slide = () => {
    const { title } = limits[Number(slider.value)];
    find("told").textContent = title.match(/[\d,]+/)[0];
    slider.setAttribute("aria-valuetext", title);
    keep(null);
  };
  slider.addEventListener("input", slide);

  page.whenDrawn(box, () => {
    if (!box.dataset.heard) {
      box.dataset.heard = "yes";
      box.on("plotly_hover", ({ points: [point] }) => show(indexOf(point)));
      box.on("plotly_unhover", () => show(resting()));
      box.on("plotly_click", ({ points: [point] }) => {
        keep(kept === indexOf(point) ? null : indexOf(point));
      });
    }
    ring();
  });

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const beside = ([dx, dy]) => {
    // The nearest point that lies more in this direction than across it.
    const [x, y] = places[shown];
    let best = shown;
    let least = Infinity;
    places.forEach((place, index) => {
      if (!place) return;
      const [right, up] = [place[0] - x, place[1] - y];
      const along = right * dx + up * dy;
      const across = Math.abs(right * dy) + Math.abs(up * dx);
      if (along > 0 && across <= along && along + across < least) {
        least = along + across;
        best = index;
      }
    });
    return best;
  };
  map.addEventListener("keydown", (event) => {
    if (event.target !== map) return;
    if (steps[event.key]) show(beside(steps[event.key]));
    else if (event.key === "Enter") keep(kept === shown ? null : shown);
    else if (event.key === "Escape") keep(null);
    else return;
    event.preventDefault();
  });
  map.addEventListener("blur", () => show(resting()));

  document.getElementById("explorer").hidden = false;
  slide();
})();
