// Asks which net the search would name under a limit, and shows it: the last question counts.
import { Chart } from "./charts.js";
import { download } from "./saving.js";

{% include "panel.js" %}
{% include "copying.js" %}

const STEPS = 400; // of the slider, logarithmic
const DIGITS = 3; // of a limit
const AGAIN = 5000; // milliseconds, after an answer that there is nothing to tell yet
const find = (name) => document.getElementById(`explore-${name}`);
const count = (value) => value.toLocaleString("en");

const rounded = (value) => {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - DIGITS + 1);
  return Math.round(value / unit) * unit;
};

// One question at a time; of those that are put meanwhile, the last.
const lastOf = (act) => {
  let waits = null, isBusy = false;
  return async (value) => {
    waits = { value };
    if (isBusy) return;
    isBusy = true;
    try {
      while (waits) {
        const { value: next } = waits;
        waits = null;
        await act(next);
      }
    } finally {
      isBusy = false;
    }
  };
};

const ask = async (query = "") => {
  const answer = await fetch(`explorer.json${query}`, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
};

// The section of the page that explores the embedding.
//   tellTrial   number of a trial, from 0 -> a sentence about it
export class Explorer {
  constructor(tellTrial) {
    this.tellTrial = tellTrial;
    this.section = document.getElementById("explore");
    this.details = this.section.querySelector("details");
    this.slider = find("limit");
    this.chart = new Chart(find("map"));
    this.known = null; // limits and places of trials
    this.item = null; // that is shown
    this.isRunning = true;
    this.name = lastOf((limit) => this.showNet(limit));
    this.slider.max = STEPS;
    this.details.addEventListener("toggle", () => { if (this.details.open && !this.known) this.begin(); });
    this.slider.addEventListener("input", () => this.slide());
    find("save").addEventListener("click", () => this.save());
  }

  // After every look at the run.
  update({ explorable, state }) {
    this.section.hidden = !explorable;
    this.isRunning = state === "running";
  }

  say(text) {
    find("status").textContent = text;
    find("status").hidden = !text;
  }

  async begin() {
    this.say("Learning from the trials so far, at the lowest priority: some seconds.");
    if (!await this.look()) {
      if (this.isRunning && this.details.open) setTimeout(() => this.begin(), AGAIN);
      return;
    }
    const { least, most, own_limit: own } = this.known;
    const along = Math.log((own ?? Math.sqrt(least * most)) / least) / Math.log(most / least);
    this.slider.value = Math.round(STEPS * Math.min(1, Math.max(0, along)));
    find("least").textContent = count(least);
    find("most").textContent = count(most);
    find("body").hidden = false;
    this.slide();
  }

  // Whether there is something to explore.
  async look() {
    try {
      const found = await ask();
      this.say(found.why_not ?? "");
      if (!found.why_not) this.known = found;
      return !found.why_not;
    } catch (error) {
      this.say("archpress watch does not answer.");
      console.warn(error);
      return false;
    }
  }

  get limit() {
    const { least, most, own_limit: own } = this.known;
    const at = (step) => least * (most / least) ** (step / STEPS);
    const step = Number(this.slider.value);
    const isOwn = own && at(step - .5) <= own && own < at(step + .5);
    return isOwn ? own : Math.min(most, Math.max(least, rounded(at(step))));
  }

  slide() {
    const { limit } = this, isOwn = limit === this.known.own_limit;
    find("told").textContent = `${count(limit)}${isOwn ? ", that of the run" : ""}`;
    this.slider.setAttribute("aria-valuetext", `${count(limit)} parameters`);
    this.name(limit);
  }

  async showNet(limit) {
    try {
      const item = await ask(`?limit=${limit}`);
      this.say(item.why_not ?? "");
      if (item.why_not) return;
      if (item.trials !== this.known.trials) await this.look(); // it has learned from more
      this.item = item;
      fillPanel(find("panel"), item);
      find("learned").textContent = `Learned from ${count(item.trials)} trials.`;
      this.draw();
    } catch (error) {
      this.say("archpress watch does not answer.");
      console.warn(error);
    }
  }

  draw() {
    const { places, axes, source } = this.known;
    const { title, place, path } = this.item;
    const tried = places.flatMap((at, number) => (at ? [[...at, this.tellTrial(number)]] : []));
    const [first, second] = axes.map((share) => `${Math.round(100 * share)} % of the spread`);
    const tell = (value) => String(Number(value.toPrecision(3)));
    this.chart.draw({
      label: `Map of ${tried.length} trials, the source and the net for the limit.`,
      x: { title: `first axis (${first})`, tell },
      y: { title: `second axis (${second})`, tell },
      groups: [
        { name: "trials", index: 0, points: tried },
        { name: "source", index: 2, points: [[...source, "The source."]] },
        { name: "net for the limit", index: 1, points: [[...place, `${title}: the net beside the map.`]] },
      ],
      lines: [{ name: "a descent from the source to the limit", points: path, strong: true }],
    });
  }

  save() {
    const text = `${JSON.stringify(this.item.architecture, null, 1)}\n`;
    download(`${this.item.limit}.json`, text, "application/json");
  }
}
