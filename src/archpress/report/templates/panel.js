// Shows an item in a panel: {title, say, costs, command, layers: [[what, shape, parameters, macs]]}.
const fillPanel = (panel, { title, say, costs, command, layers }) => {
  const part = (name) => panel.querySelector(`[data-part="${name}"]`);
  panel.hidden = false;
  part("title").textContent = title;
  part("say").textContent = say;
  panel.querySelectorAll('[data-part="cost"]').forEach((cell, index) => {
    cell.textContent = costs[index];
  });
  panel.querySelector("code[id]").textContent = command;
  part("layers").replaceChildren(...layers.map((layer, number) => {
    const row = document.createElement("tr");
    [number + 1, ...layer].forEach((text, column) => {
      const cell = row.insertCell();
      cell.textContent = text;
      cell.className = ["number", "what", "", "number", "number"][column];
    });
    return row;
  }));
};
