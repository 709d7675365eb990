// A chart as a picture and as a table that need nothing else.

const SPACE = "http://www.w3.org/2000/svg";
const FONT = "Arial, 'Liberation Sans', sans-serif"; // drawing programs do not know system-ui
const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "font-size"];
const ROW = 20, LETTER = 7; // of the legend, in pixels

// The colours of the light theme, whatever the reader's is: the first rules of the sheet have them.
const lightColours = () => [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
  .filter((rule) => rule.selectorText === ":root")
  .flatMap(({ style }) => [...style].filter((name) => name.startsWith("--"))
    .map((name) => [name, style.getPropertyValue(name)]));

const legendOf = (list, width) => {
  const made = document.createElementNS(SPACE, "g");
  let left = 0, row = 0;
  for (const item of list.children) {
    const needed = 30 + LETTER * item.textContent.length;
    if (left && left + needed > width) { left = 0; row += 1; }
    const entry = document.createElementNS(SPACE, "g"), text = document.createElementNS(SPACE, "text");
    entry.setAttribute("transform", `translate(${left} ${ROW * row})`);
    entry.append(...[...item.querySelector("svg").children].map((one) => one.cloneNode(true)));
    text.setAttribute("x", 20);
    text.setAttribute("y", 11);
    text.textContent = item.textContent;
    entry.append(text);
    made.append(entry);
    left += needed;
  }
  return [made, list.children.length ? ROW * (row + 1) : 0];
};

export const svgOf = ({ svg, legend, width, shown }) => {
  const height = svg.clientHeight;
  const copy = svg.cloneNode(true), ground = document.createElementNS(SPACE, "rect");
  const title = document.createElementNS(SPACE, "title"), around = document.createElement("div");
  const [entries, above] = legendOf(legend, width);
  copy.querySelector(".ring")?.remove();
  entries.setAttribute("transform", `translate(10 ${5 - above})`);
  copy.append(entries);
  around.hidden = true;
  for (const [name, value] of lightColours()) around.style.setProperty(name, value);
  around.append(copy);
  document.body.append(around);
  for (const one of copy.querySelectorAll("path, line, text")) {
    const style = getComputedStyle(one);
    for (const look of LOOKS) one.setAttribute(look, style.getPropertyValue(look));
  }
  around.remove();
  for (const one of copy.querySelectorAll("[class]")) one.removeAttribute("class");
  for (const name of ["class", "role", "tabindex", "aria-label"]) copy.removeAttribute(name);
  title.textContent = shown.label;
  for (const [name, value] of Object.entries({ y: -above, width, height: height + above, fill: "#ffffff" })) ground.setAttribute(name, value);
  copy.prepend(title, ground);
  const size = { viewBox: `0 ${-above} ${width} ${height + above}`, width, height: height + above, "font-family": FONT };
  for (const [name, value] of Object.entries(size)) copy.setAttribute(name, value);
  return new XMLSerializer().serializeToString(copy);
};

const cell = (value) => {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export const csvOf = ({ shown }) => {
  const { groups, lines = [], x, y } = shown;
  const named = [...groups, ...lines.filter((line) => line.name)];
  const rows = named.flatMap(({ name, points }) => points.map(([a, b]) => [name ?? "best so far", a, Number(b.toPrecision(8))]));
  return [["series", x.title, y.title], ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
};

const forms = { svg: [svgOf, "image/svg+xml"], csv: [csvOf, "text/csv"] };

// Two buttons, as the report has them.
export const download = (name, text, type) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};

export const savers = (chart, name) => {
  const made = document.createElement("p");
  made.className = "save";
  for (const [form, [make, type]] of Object.entries(forms)) {
    const button = document.createElement("button"), what = form.toUpperCase();
    button.type = "button";
    button.textContent = what;
    button.dataset.save = form;
    button.setAttribute("aria-label", `${what}: save ${form === "svg" ? "the figure" : "the values of the figure"} ${name}`);
    button.addEventListener("click", () => download(`${name}.${form}`, make(chart), type));
    made.append(button);
  }
  return made;
};
