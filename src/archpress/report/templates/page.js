"use strict";
// What all pages do: figures are drawn when they come near to what is seen, in the colours of the
// system's theme and as wide as their place, and saved as SVG and CSV; code is copied.
const page = (() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const SETTINGS = { displayModeBar: false };
  const MANY = 600; // points of a trace
  const SAVED_WIDTH = 900;
  const SAVED_FONT = "Arial, 'Liberation Sans', sans-serif"; // drawing programs do not know system-ui

  const unpacked = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };
  const packed = document.getElementById("values");
  const values = (async () => (packed ? unpacked(packed.textContent) : { columns: {} }))();
  values.catch(() => boxes.forEach((box) => {
    box.textContent = "The figures need a browser of 2023 or later.";
  }));

  const merged = (value, change) => {
    if (typeof value !== "object" || typeof change !== "object" || Array.isArray(change)) return change;
    const copy = Array.isArray(value) ? [...value] : { ...value };
    for (const [key, one] of Object.entries(change)) copy[key] = merged(value[key], one);
    return copy;
  };
  // Values of trials are in the page once: a trace says which trials and which columns it shows.
  const fill = (trace, { columns, hovers }) => {
    if (!trace.meta?.columns) return;
    for (const [place, name] of Object.entries(trace.meta.columns)) {
      const found = trace.customdata.map((number) => columns[name][number]);
      (place === "color" ? trace.marker : trace)[place] = found;
    }
    trace.text = trace.customdata.map((number) => hovers[number]);
  };
  const figureOf = async (box, isDark) => {
    const themes = JSON.parse(document.getElementById(box.dataset.figure).textContent);
    const figure = isDark ? merged(themes.light, themes.dark) : themes.light;
    const known = await values;
    figure.data.forEach((trace) => fill(trace, known));
    return figure;
  };
  // Plotly draws all points twice where labels and legends want more margin than they have. Of many
  // points the outermost are drawn first, and tell the margins.
  const outermost = (trace) => {
    const ends = [trace.x, trace.y].flatMap((values) => [
      values.reduce((least, one, index) => (one < values[least] ? index : least), 0),
      values.reduce((most, one, index) => (one > values[most] ? index : most), 0),
    ]);
    const few = (holder) => Object.fromEntries(Object.entries(holder).map(([name, value]) => [
      name, value?.length === trace.x.length ? ends.map((index) => value[index]) : value]));
    return { ...few(trace), marker: few(trace.marker ?? {}) };
  };
  const isLarge = ({ x }) => x?.length > MANY;
  const withMargins = async (box, data, layout) => {
    const few = data.map((trace) => (isLarge(trace) ? outermost(trace) : trace));
    await Plotly.react(box, few, layout, SETTINGS);
    const { l, r, t, b } = box._fullLayout._size;
    const [xaxis, yaxis] = [layout.xaxis, layout.yaxis].map((axis) => ({ ...axis, automargin: false }));
    return { ...layout, xaxis, yaxis, margin: { l, r, t, b, autoexpand: false } };
  };
  const draw = async (box) => {
    const width = box.dataset.width = box.clientWidth;
    const { data, layout } = await figureOf(box, dark.matches);
    const wide = { ...layout, width };
    const fitted = data.some(isLarge) ? await withMargins(box, data, wide) : wide;
    await Plotly.react(box, data, fitted, SETTINGS);
    box.dataset.drawn = "yes";
    box.dispatchEvent(new Event("drawn"));
  };
  const whenDrawn = (box, act) => {
    if (box.dataset.drawn) act();
    box.addEventListener("drawn", act);
  };
  const begun = () => boxes.filter((box) => box.dataset.width);
  dark.addEventListener("change", () => begun().forEach(draw));
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (Number(target.dataset.width) !== target.clientWidth) draw(target);
    }
  });
  const begin = (box) => {
    near.unobserve(box);
    if (box.dataset.width) return;
    draw(box);
    sizes.observe(box);
  };
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) begin(entry.target);
  }, { rootMargin: "600px" });
  document.addEventListener("DOMContentLoaded", () => boxes.forEach((box) => near.observe(box)));
  window.addEventListener("beforeprint", () => boxes.forEach(begin));

  // --- saving ---

  const textOf = (markup) => new DOMParser().parseFromString(markup, "text/html").body.textContent;
  const svgOf = async (box) => {
    const { data, layout } = await figureOf(box, false);
    const saved = {
      ...layout,
      font: { ...layout.font, family: SAVED_FONT },
      paper_bgcolor: "#ffffff",
      shapes: (layout.shapes ?? []).filter(({ name }) => name !== "pointer"),
    };
    const { height } = layout;
    const options = { format: "svg", width: SAVED_WIDTH, height, imageDataOnly: true };
    const svg = await Plotly.toImage({ data, layout: saved }, options);
    const title = document.createElement("title");
    title.textContent = box.getAttribute("aria-label");
    return svg.replace(/^<svg[^>]*>/, (tag) => tag + title.outerHTML);
  };
  const rowsOfMap = ({ z, text, meta, colorbar }) => z.flatMap((row, down) => row.flatMap(
    (value, across) => (value === null ? [] : [{
      series: meta.series, row: down + 1, column: across + 1, field: text[down][across],
      [colorbar.title.text]: value,
    }])));
  const rowsOf = (trace, { xaxis, yaxis, meta }, columns) => {
    const { series = trace.name, columns: own, also = {} } = trace.meta ?? {};
    if (series === undefined) return [];
    if (trace.type === "heatmap") return rowsOfMap(trace);
    const colour = trace.marker?.colorbar?.title?.text;
    const isColoured = colour && Array.isArray(trace.marker.color);
    return trace.x.map((x, index) => ({
      series,
      ...(own && { trial: trace.customdata[index] + 1 }),
      [xaxis.title.text || meta.x]: x,
      [yaxis.title.text || meta.y]: trace.y[index],
      ...(isColoured && { [colour]: trace.marker.color[index] }),
      ...Object.fromEntries(Object.entries(also).map(([title, one]) => [
        title, typeof one === "string" ? columns[one][trace.customdata[index]] : one[index]])),
    }));
  };
  const cell = (value) => {
    const text = typeof value === "string" ? textOf(value) : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csvOf = async (box) => {
    const { data, layout } = await figureOf(box, false);
    const { columns } = await values;
    const rows = data.flatMap((trace) => rowsOf(trace, layout, columns));
    const titles = [...new Set(rows.flatMap(Object.keys))];
    const lines = [titles, ...rows.map((row) => titles.map((title) => row[title]))];
    return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
  };
  const forms = { svg: [svgOf, "image/svg+xml"], csv: [csvOf, "text/csv"] };
  const save = async ({ save: form, of }) => {
    const [make, type] = forms[form];
    const text = await make(document.getElementById(of));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    link.download = `${of}.${form}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  for (const button of document.querySelectorAll("button[data-save]")) {
    button.parentElement.hidden = false;
    button.addEventListener("click", () => save(button.dataset));
  }

{% include "copying.js" %}
  return { values, whenDrawn };
})();
