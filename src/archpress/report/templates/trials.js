"use strict";
// A trial that is clicked, or chosen in the table of all, is shown with its layers and the command
// that trains it to the end; the table is made as it is read.
const ROWS = 250; // that are made at once: all of 5,000 take two seconds

const trials = page.values.then(({ columns, layers, rows, command }) => {
  const numbers = new Intl.NumberFormat("en");
  const count = (value) => numbers.format(value);
  const percent = (value) => (value === null ? "–" : `${value.toFixed(2)} %`);
  const of = (number) => Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, column[number]]));
  const item = (number) => {
    const { accuracy, expected, parameters, macs, memory, origin, round, key, across, up } = of(number);
    const guess = expected === null ? "" : `; ${percent(expected)} was expected`;
    return {
      title: `Trial ${number + 1}`,
      say: `${count(parameters)} parameters. Its brief trial reached ${percent(accuracy)} on ` +
        `validation images${guess}. Proposed by: ${origin}, round ${round}.`,
      costs: [count(parameters), count(macs), memory, percent(accuracy)],
      command: command.replaceAll("KEY", key),
      layers: layers[number].map((index) => rows[index]),
      place: [across, up],
    };
  };
  return { of, item, count, percent };
});

(async () => {
  const panel = document.getElementById("trial-panel");
  if (!panel) return;
  const { of, item, count, percent } = await trials;
  const { columns, outlines } = await page.values;
  const show = (number) => {
    fillPanel(panel, item(number));
    panel.scrollIntoView({ block: "nearest" });
  };
  for (const name of ["parameters", "macs", "milliseconds", "predictions"]) {
    const box = document.getElementById(name);
    if (!box) continue;
    page.whenDrawn(box, () => {
      if (box.dataset.heard) return;
      box.dataset.heard = "yes";
      box.on("plotly_click", ({ points: [point] }) => show(point.customdata));
    });
  }

  const line = (number) => {
    const { accuracy, expected, parameters, macs, origin, round, time } = of(number);
    const row = document.createElement("tr");
    const head = document.createElement("th");
    const button = document.createElement("button");
    head.scope = "row";
    button.type = "button";
    button.textContent = number + 1;
    button.setAttribute("aria-label", `${number + 1}: show this trial`);
    button.addEventListener("click", () => show(number));
    head.append(button);
    row.append(head);
    const told = [percent(accuracy), percent(expected), count(parameters), count(macs), origin, round, time];
    told.forEach((text, index) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (index !== 4) cell.className = "number";
    });
    const outline = document.createElement("small");
    outline.textContent = outlines[number];
    row.insertCell().append(outline);
    return row;
  };
  const table = document.getElementById("trial-table");
  const body = document.getElementById("trial-rows");
  const more = () => {
    const first = body.rows.length;
    const last = Math.min(first + ROWS, columns.key.length);
    for (let number = first; number < last; number += 1) body.append(line(number));
    if (last < columns.key.length) end.observe(body.lastElementChild);
  };
  const end = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      end.unobserve(target);
      more();
    }
  });
  table.addEventListener("toggle", () => {
    if (table.open && !body.rows.length) more();
  });
})();
