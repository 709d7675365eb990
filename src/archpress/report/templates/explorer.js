"use strict";
// The slider and the map show one architecture in the panel: what is pointed at, else what is kept,
// else that of the slider. The first items are the slider's, in the order of their limits.
(() => {
  const find = (name) => document.getElementById(`explorer-${name}`);
  const values = find("values");
  if (!values) return;
  const { rows, items } = JSON.parse(values.textContent);
  const slider = find("limit");
  const map = find("map");
  const box = map.querySelector("[data-figure]");
  const told = document.querySelectorAll("#explorer [data-told]");
  let kept = null;
  let shown = null;

  const cell = (row, text, className) => {
    const made = row.insertCell();
    made.textContent = text;
    made.className = className;
  };
  const fill = ([title, say, costs, accuracy, command, layers]) => {
    find("title").textContent = title;
    find("say").textContent = command ? say : `${costs[0]} parameters. Its brief trial reached ` +
      `${accuracy} on validation images. Proposed by: ${say}.`;
    [...costs, accuracy].forEach((text, index) => { told[index].textContent = text; });
    find("train").hidden = !command;
    find("command").textContent = command;
    const body = find("layers");
    body.replaceChildren();
    layers.forEach((layer, index) => {
      const [what, shape, parameters, macs] = rows[layer];
      const row = body.insertRow();
      cell(row, index + 1, "number");
      cell(row, what, "what");
      cell(row, shape, "");
      cell(row, parameters, "number");
      cell(row, macs, "number");
    });
  };
  const start = items[Number(slider.defaultValue)][6];
  const ring = () => {
    // Moved by hand: a new layout of a map of thousands of points takes a tenth of a second.
    const circle = box.querySelector(".shapelayer path");
    const area = box.querySelector(".nsewdrag");
    if (!circle || !area) return;
    const { xaxis, yaxis } = box.layout;
    const along = (axis, from, to, length) => (to - from) / (axis.range[1] - axis.range[0]) * length;
    const [x, y] = items[shown][6];
    const right = along(xaxis, start[0], x, Number(area.getAttribute("width")));
    const down = -along(yaxis, start[1], y, Number(area.getAttribute("height")));
    circle.setAttribute("transform", `translate(${right}, ${down})`);
  };
  const resting = () => kept ?? Number(slider.value);
  const show = (index) => {
    if (index === shown) return;
    shown = index;
    fill(items[index]);
    ring();
  };
  const keep = (index) => {
    kept = index;
    show(resting());
  };
  const slide = () => {
    const [title] = items[Number(slider.value)];
    find("told").textContent = title.match(/[\d,]+/)[0];
    slider.setAttribute("aria-valuetext", title);
    keep(null);
  };
  slider.addEventListener("input", slide);

  box.addEventListener("drawn", () => {
    if (!box.dataset.heard) {
      box.dataset.heard = "yes";
      box.on("plotly_hover", ({ points: [point] }) => show(point.customdata));
      box.on("plotly_unhover", () => show(resting()));
      box.on("plotly_click", ({ points: [point] }) => {
        keep(kept === point.customdata ? null : point.customdata);
      });
    }
    ring();
  });

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const beside = ([dx, dy]) => {
    // The nearest point that lies more in this direction than across it.
    const [x, y] = items[shown][6];
    let best = shown;
    let least = Infinity;
    items.forEach((item, index) => {
      const [right, up] = [item[6][0] - x, item[6][1] - y];
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
