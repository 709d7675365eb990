// Asks for the state of the run every few seconds and shows what is new.
import { Chart } from "./charts.js";
import { Explorer } from "./explore.js";

const SECONDS = 3, HIDDEN_SECONDS = 10, PATIENCE = 15;
const ACCURACY = "validation accuracy (%)";
const WORST = .1; // of the trials, which stretch no axis
const at = (id) => document.getElementById(id);
const charts = Object.fromEntries(
  [...document.querySelectorAll("#figures [data-chart]")].map((figure) => [figure.dataset.chart, new Chart(figure)]));
const title = document.title;
let told = null, tag = "", points = [], ahead = 0; // `ahead`: seconds that the server's clock is ahead

const explorer = new Explorer((number) => (points[number] ? tellPoint(points[number], number) : `Trial ${number + 1}.`));

const put = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
const show = (id, is) => { at(id).hidden = !is; };
const count = (value) => value.toLocaleString("en");
const percent = (value) => `${(100 * value).toFixed(2)} %`;
const plain = (value) => String(Number(value.toPrecision(6)));
const short = (value) => {
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (value >= size) return Number((value / size).toPrecision(3)) + unit;
  }
  return plain(value);
};
const duration = (seconds) => {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(seconds < 10 && seconds % 1 ? 1 : 0)} s`;
  const whole = Math.round(seconds), minutes = Math.round(seconds / 60);
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};
const clock = (seconds) => {
  const then = new Date(1000 * seconds), time = then.toLocaleTimeString("en-GB");
  if (then.toDateString() === new Date().toDateString()) return time;
  return `${then.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`;
};
const plural = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

const cell = (text, look, name = "td") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (look) made.className = look;
  return made;
};
const fill = (id, rows) => at(id).replaceChildren(...rows.map((cells) => {
  const row = document.createElement("tr");
  row.append(...cells);
  return row;
}));

// --- numbers ---

const showNumbers = () => {
  const best = told.best.at(-1);
  const say = told.unit === "accuracy" ? percent : count;
  put("best", best ? say(best[1]) : "–");
  const winner = best && points[best[0] - 1];
  const other = winner && (told.unit === "accuracy" ? `${count(winner[1])} parameters` : percent(winner[0]));
  put("best-note", winner ? `${other}, trial ${best[0]}` : "");
  put("trials", count(told.trials));
  put("failed", told.failed ? `and ${count(told.failed)} failed` : "none failed");
  const run = told.progress;
  put("workers", run ? (run.workers === null ? "as many as fit" : count(run.workers)) : "–");
  put("process", run ? `process ${run.pid} on ${run.host}` : "");
  show("stage", Boolean(run?.stage));
  if (!run) return;
  const bar = at("bar");
  if (run.total > 1 || run.done) { bar.max = Math.max(run.total, 1); bar.value = run.done; }
  else if (told.state === "running") bar.removeAttribute("value");
  else { bar.max = 1; bar.value = told.state === "finished" ? 1 : 0; }
  const steps = run.total > 1 || run.done ? `${count(run.done)} of ${count(run.total)}` : "";
  put("done", [steps, run.note].filter(Boolean).join(" · "));
};

const showTimes = () => {
  const run = told?.progress;
  const isRunning = told?.state === "running";
  const now = Date.now() / 1000 + ahead;
  if (!run || !isRunning) {
    put("left", "–");
    put("rate", "–");
    put("rate-note", "");
    put("passed", run?.updated ? `last heard of at ${clock(run.updated)}` : "");
    return;
  }
  const { rate, until, done, total } = run;
  const slower = rate ? (rate * (until - run.started) + 1) / (now - run.started) : 0; // if one ended now
  const left = slower && slower < rate ? (total - done) / slower : (total - done) / rate - (now - until);
  put("left", !rate || total < 2 ? "not known" : done >= total ? "done" : `about ${duration(Math.ceil(left))}`);
  put("passed", `${duration(now - run.started)} in it, ${duration(now - run.begun)} in all`);
  put("rate", rate ? (rate * 60 >= 1 ? `${plain(Number((rate * 60).toPrecision(3)))} a minute` : `one in ${duration(1 / rate)}`) : "–");
  put("rate-note", rate ? "steps of this stage" : "");
};

// --- charts ---

const tellPoint = ([accuracy, parameters, macs, origin, round, predicted], i) => [
  `Trial ${i + 1}: ${percent(accuracy)}`,
  predicted === null ? "" : ` (${percent(predicted)} expected)`,
  `, ${count(parameters)} parameters, ${short(macs)} multiply-adds; ${origin || "unknown"}, round ${round}.`,
].join("");

const grouped = (place) => {
  const groups = new Map();
  points.forEach((point, i) => {
    const name = point[3] || "unknown";
    if (!groups.has(name)) groups.set(name, { name, index: groups.size, points: [] });
    const found = place(point);
    if (found) groups.get(name).points.push([...found, tellPoint(point, i)]);
  });
  return [...groups.values()].filter((group) => group.points.length);
};

// Accuracy (%) below which a few nets that learned next to nothing would stretch an axis; as in the report.
const floorOf = (accuracies) => {
  const sorted = [...accuracies].sort((a, b) => a - b), best = sorted.at(-1);
  const most = sorted[Math.round(WORST * (sorted.length - 1))];
  return most - (best - most);
};

const drawCost = (name, column, what) => {
  const floor = floorOf(points.map(([accuracy]) => 100 * accuracy));
  const place = (point) => (100 * point[0] < floor ? null : [Math.max(1, point[column]), 100 * point[0]]);
  const edge = (told.fronts[name] ?? []).map((number) => points[number - 1]).filter(Boolean).map(place).filter(Boolean);
  const hidden = points.filter((point) => !place(point)).length;
  const limit = told.limits[`max_${name}`];
  charts[name].draw({
    label: `Scatter of ${plural(points.length, "trial")}: validation accuracy against ${what}; ${edge.length} on the Pareto front.`,
    x: { title: what, log: true, tell: short },
    y: { title: ACCURACY, tell: plain, least: .2 },
    groups: grouped(place),
    note: hidden ? `${count(hidden)} below ${floor.toFixed(0)} %` : "",
    lines: [{ name: "Pareto front", points: edge, stepped: true }],
    uprights: limit ? [{ at: limit, label: "limit" }] : [],
  });
};

const drawBest = () => {
  const isAccuracy = told.unit === "accuracy", factor = isAccuracy ? 100 : 1;
  const say = isAccuracy ? percent : count;
  const steps = told.best.map(([number, value]) => [number, factor * value, `Best after ${plural(number, "trial")}: ${say(value)}.`]);
  const last = steps.at(-1);
  charts.best.draw({
    label: last ? `${told.rule} ${last[2]}` : `${told.rule} None so far.`,
    x: { title: "architectures trained", tell: (value) => (Number.isInteger(value) ? count(value) : ""), from: 0 },
    y: { title: isAccuracy ? "best accuracy so far (%)" : "fewest parameters so far", tell: isAccuracy ? plain : short, least: isAccuracy ? .2 : 1 },
    groups: [{ index: 0, hidden: true, points: steps }],
    lines: [{ points: last ? [...steps, [points.length, last[1]]] : [[points.length, 0]], stepped: true, strong: true }],
  });
};

const drawPredictions = () => {
  const groups = grouped((point) => (point[5] === null ? null : [100 * point[5], 100 * point[0]]));
  const all = groups.flatMap((group) => group.points);
  charts.predictions.svg.closest("figure").hidden = !all.length;
  if (!all.length) return;
  let low = Infinity, high = -Infinity;
  for (const [x, y] of all) { low = Math.min(low, x, y); high = Math.max(high, x, y); }
  charts.predictions.draw({
    label: `Scatter of ${plural(all.length, "trial")}: predicted against measured accuracy.`,
    x: { title: "predicted before the training (%)", tell: plain, least: .2 },
    y: { title: "measured (%)", tell: plain, least: .2 },
    groups,
    lines: [{ points: [[low, low], [high, high]], dotted: true }],
  });
};

const showCharts = () => {
  show("none", !points.length);
  show("figures", points.length);
  put("rule", told.rule);
  if (!points.length) return;
  drawCost("parameters", 1, "parameters");
  drawCost("macs", 2, "multiply-adds an image");
  drawBest();
  drawPredictions();
};

// --- tables ---

const showTables = () => {
  show("latest-box", told.latest.length);
  fill("latest", told.latest.map(([ended, origin, round, seed, parameters, predicted, accuracy, seconds, error]) => {
    const when = cell(clock(Date.parse(ended) / 1000), "", "th"), failed = cell(error ?? "failed", "reason");
    when.scope = "row";
    failed.colSpan = 2;
    const found = accuracy === null ? [failed]
      : [cell(percent(accuracy), "number"), cell(predicted === null ? "–" : percent(predicted), "number")];
    const rest = [String(round), String(seed), duration(seconds)].map((text) => cell(text, "number"));
    return [when, ...found, cell(count(parameters), "number"), cell(origin || "unknown"), ...rest];
  }));
  show("failures", told.reasons.length);
  fill("reasons", told.reasons.map(([why, often]) => [cell(count(often), "number"), cell(why)]));
};

const showPages = () => {
  show("pages", told.pages.length);
  at("pages").replaceChildren(...told.pages.map(({ href, text }) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = href;
    link.textContent = text;
    item.append(link);
    return item;
  }));
};

const showAll = (fresh) => {
  points = [...points.slice(0, fresh.first), ...fresh.points];
  told = fresh;
  document.body.dataset.state = told.state;
  put("sentence", told.sentence);
  put("about", told.source ? ` · ${told.source}${told.data ? ` on ${told.data}` : ""}` : "");
  put("trouble", told.trouble);
  show("trouble", told.trouble);
  const run = told.progress, isCounted = told.state === "running" && run.total > 1;
  document.title = isCounted ? `${run.done}/${run.total} ${run.stage} – ${title}` : `${told.state} – ${title}`;
  showPages();
  showNumbers();
  showCharts();
  showTables();
  explorer.update(told);
};

// --- asking ---

const ask = async () => {
  try {
    const answer = await fetch(`state.json?since=${encodeURIComponent(told?.next ?? "")}`, {
      cache: "no-store",
      headers: tag ? { "If-None-Match": tag } : {},
      signal: AbortSignal.timeout(1000 * PATIENCE),
    });
    if (answer.status !== 200 && answer.status !== 304) throw new Error(answer.statusText);
    const there = Date.parse(answer.headers.get("Date")) / 1000 - Date.now() / 1000;
    if (Math.abs(there - ahead) > 2) ahead = there;
    if (answer.status === 200) {
      const fresh = await answer.json();
      tag = answer.headers.get("ETag");
      showAll(fresh);
    }
    show("unreached", false);
  } catch (error) {
    if (at("unreached").hidden) {
      put("unreached", `archpress watch does not answer since ${clock(Date.now() / 1000)}; the page shows what was known then.`);
      show("unreached", true);
    }
    console.warn(error);
  }
};
let waiting = 0;
const again = async () => {
  clearTimeout(waiting);
  await ask();
  if (told) showTimes(); // only now: most of what a page costs is that it is painted again
  clearTimeout(waiting);
  waiting = setTimeout(again, 1000 * (document.hidden ? HIDDEN_SECONDS : SECONDS));
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
again();
