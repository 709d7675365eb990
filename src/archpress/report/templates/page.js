"use strict";
// Draws each figure in the colours of the system's theme and as wide as its place, again whenever
// one of the two changes.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const draw = (box) => {
    const themes = JSON.parse(document.getElementById(box.dataset.figure).textContent);
    const { data, layout } = themes[dark.matches ? "dark" : "light"];
    box.dataset.width = box.clientWidth;
    Plotly.react(box, data, { ...layout, width: box.clientWidth }, { displayModeBar: false });
  };
  dark.addEventListener("change", () => boxes.forEach(draw));
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (Number(target.dataset.width) !== target.clientWidth) draw(target);
    }
  });
  for (const box of boxes) {
    draw(box);
    sizes.observe(box);
  }

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
