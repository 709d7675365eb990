"use strict";
// Draws each figure when it comes near to what is seen, in the colours of the system's theme and as
// wide as its place, again whenever one of the two changes.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const merged = (value, change) => {
    if (typeof value !== "object" || typeof change !== "object" || Array.isArray(change)) return change;
    const copy = Array.isArray(value) ? [...value] : { ...value };
    for (const [key, one] of Object.entries(change)) copy[key] = merged(value[key], one);
    return copy;
  };
  const draw = (box) => {
    const themes = JSON.parse(document.getElementById(box.dataset.figure).textContent);
    const { data, layout } = dark.matches ? merged(themes.light, themes.dark) : themes.light;
    box.dataset.width = box.clientWidth;
    const fitted = { ...layout, width: box.clientWidth };
    Plotly.react(box, data, fitted, { displayModeBar: false }).then(() => {
      box.dispatchEvent(new Event("drawn"));
    });
  };
  const drawn = () => boxes.filter((box) => box.dataset.width);
  dark.addEventListener("change", () => drawn().forEach(draw));
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
  boxes.forEach((box) => near.observe(box));
  window.addEventListener("beforeprint", () => boxes.forEach(begin));

  const select = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "copied";
      } catch {
        select(code);
        button.textContent = document.execCommand("copy") ? "copied" : "selected";
      }
      setTimeout(() => { button.textContent = "copy"; }, 2000);
    });
  }
})();
