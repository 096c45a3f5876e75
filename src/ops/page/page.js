// The status page. It asks the worker that serves it for `worker.json` and `metrics` every two seconds, and for
// `status.json`, which reads the lease table, two seconds after the last answer.

import { charts, current, nothingHeard, sample, watchPointer } from "./figures.js";
import {
  by,
  cell,
  clock,
  count,
  head,
  lastPart,
  list,
  make,
  moment,
  number,
  put,
  rateWord,
  row,
  span,
  spanMs,
  sum,
  table,
} from "./words.js";

const EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 10_000;
const STATUS_WITHIN_MS = 70_000;
const ROWS_AT_MOST = 300;
const PARENTS_AT_MOST = 100;

/** What was heard last; worker and status are kept while nobody answers. */
const heard = { worker: null, workerAt: null, noWorker: null, status: null, noStatus: null };

// --- the tree of shards ---

/** The rows of the tree, top down: unfinished shards, and above those that have carried on from one that is finished, it. */
function tree(pipeline) {
  const finished = new Map(pipeline.finished.map((shard) => [`${shard.stream}#${shard.shard}`, shard]));
  const groups = new Map();
  let root = null;
  for (const shard of pipeline.shards) {
    if (shard.depth > 0 && root) {
      root.push(shard);
      continue;
    }
    const parent = shard.parents.map((id) => finished.get(`${shard.stream}#${id}`)).find(Boolean);
    const key = parent && pipeline.shards.length <= PARENTS_AT_MOST ? parent : shard;
    if (!groups.has(key)) groups.set(key, key === shard ? [] : [{ ...parent, standing: "finished", depth: 0 }]);
    root = groups.get(key);
    root.push(shard);
  }
  const rows = [];
  for (const group of groups.values()) {
    const below = group[0].standing === "finished" ? 1 : 0;
    rows.push(...group.map((shard, index) => ({ shard, depth: index === 0 ? 0 : shard.depth + below })));
  }
  return rows;
}

/** Which rails stand before a row: whether a later sister, or a later one of an ancestor, follows. */
function rails(rows, index) {
  const follows = (depth) => {
    for (let next = index + 1; next < rows.length && rows[next].depth >= depth; next++)
      if (rows[next].depth === depth) return true;
    return false;
  };
  const { depth } = rows[index];
  const kinds = [];
  for (let level = 1; level <= depth; level++)
    kinds.push(level < depth ? (follows(level) ? "pass" : "") : follows(level) ? "fork" : "last");
  return kinds.map((kind) => make("span", { class: `rail ${kind}`, "aria-hidden": "true" }));
}

/** The shard's id; what all ids begin with is left out on narrow screens. */
function shardId(id) {
  const cut = id.lastIndexOf("-") + 1;
  return make("span", { class: "mono" }, make("span", { class: "front" }, id.slice(0, cut)), id.slice(cut));
}

/** Whole hours, where there are many. */
const HOUR_MS = 3_600_000;
const atLeast = (ms) => spanMs(ms >= 10 * HOUR_MS ? Math.floor(ms / HOUR_MS) * HOUR_MS : ms);

function shardRow(rows, index) {
  const { shard, depth } = rows[index];
  const done = shard.standing === "finished";
  const dot = make("span", { class: rows[index + 1]?.depth > depth ? "dot above" : "dot", "aria-hidden": "true" });
  const gaps = shard.gaps.length ? make("span", { class: "chip" }, count(shard.gaps.length, "gap")) : null;
  const name = make("div", { class: "node" }, ...rails(rows, index), dot, shardId(shard.shard), gaps);
  const place = shard.checkpoint ? `carried to ${shard.checkpoint}` : "nothing carried yet";
  const since = done
    ? `finished ${moment(shard.finished_at_ms)}`
    : `${place}; changes from ${moment(shard.position_at_ms)} on are left`;
  const attributes = { "data-state": shard.standing, "data-shard": shard.shard, class: done ? "finished" : null };
  return row(
    attributes,
    head(name),
    cell(null, shard.standing, "state"),
    cell("owner", shard.owner ?? "", "owner"),
    cell(done ? null : "lag ≤", done ? "" : spanMs(shard.lag_at_most_ms), "number", since),
    cell(done ? null : "trim ≥", done ? "" : atLeast(shard.trim_at_least_ms), "number"),
  );
}

function counts(pipeline) {
  const { reading, waiting, free, halted, frozen } = pipeline.counts;
  const words = [
    [reading, "being read"],
    [free, "free"],
    [waiting, "waiting for a parent or an earlier stream"],
    [frozen, "held still by a rewind"],
    [halted, "halted"],
  ];
  return (
    words
      .filter(([n], index) => n > 0 || index === 0)
      .map(([n, word]) => `${number.format(n)} ${word}`)
      .join(", ") + "."
  );
}

function gap(where, one) {
  const from = one.from ? `after ${one.from}` : "from the beginning";
  const to = one.to ? `before ${one.to}` : "an end that is not known yet";
  return make(
    "li",
    {},
    `${where}: ${one.reason}`,
    make("small", {}, `${from}, to ${to}; noticed ${moment(one.noticed_at_ms)}`),
  );
}

// --- sections ---

function notes(pipeline) {
  const said = [];
  if (!pipeline.ends) said.push("No worker has run this pipeline yet.");
  if (pipeline.rewind)
    said.push(
      pipeline.rewind.is_under_way
        ? "A rewind is under way: no worker takes a lease until it is done."
        : "A rewind was broken off: give the same command again, or no worker takes a lease.",
    );
  const halted = pipeline.shards
    .filter((shard) => shard.standing === "halted")
    .slice(0, ROWS_AT_MOST)
    .map((shard) =>
      make("li", { class: "bad" }, `Halted: ${shard.shard}: ${shard.halted_because ?? "no reason is stored"}`),
    );
  return [...halted, ...said, ...pipeline.unreadable_rows];
}

function pipelineSection(pipeline) {
  const id = `pipeline-${pipeline.name}`;
  let section = by(id);
  if (!section) {
    section = by("pipeline").content.firstElementChild.cloneNode(true);
    section.id = id;
    section.querySelector("h2").textContent = pipeline.name;
    section.setAttribute("aria-label", `Pipeline ${pipeline.name}`);
    by("pipelines").append(section);
    watchPointer(section, pipeline.name);
  }
  const at = (selector) => section.querySelector(selector);
  const { ends } = pipeline;
  put(
    at(".ends"),
    ends
      ? `${lastPart(ends.table_arn)} → ${lastPart(ends.sink_arn)}, partitioned by ${ends.partition_key.replace("_", " ")}`
      : "",
  );
  list(at(".notes"), notes(pipeline));
  put(at(".counts"), counts(pipeline));
  const rows = tree(pipeline);
  const shown = rows.slice(0, ROWS_AT_MOST).map((_, index) => shardRow(rows, index));
  if (rows.length > ROWS_AT_MOST) {
    const more = `${count(rows.length - ROWS_AT_MOST, "more shard")}: \`ddb-kinesis-bridge status\` shows all`;
    shown.push(row({}, make("td", { role: "cell", colspan: 5, class: "more" }, more)));
  }
  table(
    at(".shards"),
    `Shards of ${pipeline.name}`,
    [["Shard"], ["State"], ["Owner"], ["Lag ≤", "number"], ["Trim ≥", "number"]],
    shown,
  );
  const holed = [...pipeline.shards, ...pipeline.finished];
  const gaps = [
    ...pipeline.gaps.map((one) => gap("Between streams", one)),
    ...holed.flatMap((shard) => shard.gaps.map((one) => gap(shard.shard, one))),
  ];
  at(".gaps").hidden = gaps.length === 0;
  list(at(".gaps ul"), gaps);
  const last = pipeline.finished.toSorted((a, b) => b.finished_at_ms - a.finished_at_ms).slice(0, ROWS_AT_MOST);
  at(".finished").hidden = last.length === 0;
  put(at(".finished summary"), `${count(pipeline.counts.finished, "finished shard")}, kept for 48 hours`);
  table(
    at(".finished .table"),
    `Finished shards of ${pipeline.name}`,
    [["Shard"], ["Finished", "number"]],
    last.map((shard) =>
      row(
        {},
        head(make("div", { class: "node" }, shardId(shard.shard))),
        cell(null, moment(shard.finished_at_ms), "number"),
      ),
    ),
  );
}

// --- all workers, and the summary ---

function workerSection({ workers, unreadable_workers: unreadable, other_pipelines: others }) {
  by("workers").hidden = false;
  const rows = workers.map((worker) => {
    const self = worker.id === heard.worker?.worker ? make("span", { class: "chip this" }, "this one") : null;
    const beat =
      { moving: "moving", not_watched: "not seen to move yet" }[worker.heartbeat] ??
      `still for ${spanMs(worker.still_for_ms)}`;
    const state = worker.draining ? `${beat}, draining` : beat;
    return row(
      { "data-state": worker.heartbeat, "data-worker": worker.id },
      head(make("span", { class: "mono" }, worker.id), self),
      cell("heartbeat", state, `state ${worker.heartbeat}`),
      cell("leases", number.format(worker.leases), "number"),
      cell("host", worker.host),
      cell("version", worker.version),
      cell(
        "up for",
        spanMs(Math.max(0, heard.status.read_at_ms - worker.started_at_ms)),
        "number",
        `since ${moment(worker.started_at_ms)}`,
      ),
    );
  });
  table(
    document.querySelector("#workers .table"),
    "Workers",
    [["Worker"], ["Heartbeat"], ["Leases", "number"], ["Host"], ["Version"], ["Up for", "number"]],
    rows,
  );
  const more = others.length ? [`Workers of this lease table serve other pipelines, too: ${others.join(", ")}.`] : [];
  list(document.querySelector("#workers .notes"), [...unreadable, ...more]);
}

/** How it stands: a level, a word, a sentence, and reasons. */
function verdict() {
  const { worker, status } = heard;
  const of = (name) => sum(status?.pipelines ?? [], (pipeline) => pipeline.counts[name]);
  if (heard.noWorker) {
    const last = heard.workerAt ? `It answered last at ${clock(heard.workerAt)}; what is shown is from then.` : "";
    return ["bad", "No answer", ` from this worker. ${last}`, [heard.noWorker]];
  }
  if (!worker) return ["unknown", "Asking", " the worker…", []];
  if (!worker.ready) return ["bad", "Not ready", `, for ${count(worker.why.length, "reason")}:`, worker.why];
  if (heard.noStatus)
    return [
      "warn",
      "Ready",
      ", but there is no status: what is shown of shards and workers is old or missing.",
      [heard.noStatus],
    ];
  if (!status) return ["good", "Ready", ". Reading the lease table…", []];
  const wrong = [];
  const halted = status.pipelines.flatMap((pipeline) =>
    pipeline.shards
      .filter((shard) => shard.standing === "halted")
      .map(
        (shard) =>
          `pipeline ${pipeline.name}, shard ${shard.shard}: halted, on ${shard.owner ?? "no worker"}; the reason is below`,
      ),
  );
  const still = status.workers
    .filter((one) => one.heartbeat === "still")
    .map((one) => `worker ${one.id} stands still`);
  const unread =
    sum(status.pipelines, (pipeline) => pipeline.unreadable_rows.length) + status.unreadable_workers.length;
  wrong.push(...halted, ...still);
  if (unread) wrong.push(`${count(unread, "row")} of the lease table cannot be read`);
  if (wrong.length) return ["warn", "Ready", ", but the fleet needs a look.", wrong];
  const gaps = of("gaps");
  const kept = gaps ? `, with ${count(gaps, "possible gap")} noted below` : "";
  return [
    "good",
    "Healthy",
    `: ${of("halted") + of("frozen") ? "" : "changes are carried, no shard is halted"}${kept}.`,
    [],
  ];
}

function summary() {
  const [level, word, sentence, why] = verdict();
  by("summary").dataset.level = level;
  put(by("sentence"), make("b", {}, word), sentence);
  list(by("why"), why);
  document.title = `${word} · ddb-kinesis-bridge`;
  const { worker, status } = heard;
  by("who").textContent = worker ? `${worker.worker}, version ${worker.version}` : "";
  const pipelines = status?.pipelines ?? [];
  const now = pipelines.map((pipeline) => current(pipeline.name));
  const total = (of) => (now.some((one) => one[of] != null) ? sum(now, (one) => one[of] ?? 0) : null);
  const lag = now.some((one) => one.lag != null) ? Math.max(...now.map((one) => one.lag ?? 0)) : null;
  const of = (name) => (status ? sum(pipelines, (pipeline) => pipeline.counts[name]) : null);
  const shards = sum(pipelines, (pipeline) => pipeline.shards.length);
  const figure = (name, value, more, kind) =>
    make(
      "div",
      { class: kind },
      make("dt", {}, name),
      make("dd", {}, value == null ? "–" : value, " ", make("small", {}, more)),
    );
  const n = (value) => (value == null ? null : number.format(value));
  put(
    by("figures"),
    figure("In, this worker", rateWord(total("in")), total("in") == null ? "" : "a second"),
    figure("Out, this worker", rateWord(total("out")), total("out") == null ? "" : "a second"),
    figure("Lag, this worker", span(lag), ""),
    figure("Shards read", n(of("reading")), status ? `of ${number.format(shards)}` : ""),
    figure("Halted", n(of("halted")), "", of("halted") ? "bad" : null),
    figure("Possible gaps", n(of("gaps")), "", of("gaps") ? "warn" : null),
    figure("Workers", n(status?.workers.length), ""),
  );
}

function show() {
  summary();
  if (!heard.status) return;
  heard.status.pipelines.forEach(pipelineSection);
  workerSection(heard.status);
  by("as-of").textContent = `Lease table ${heard.status.lease_table}, as of ${clock(heard.status.read_at_ms)}`;
  for (const { name } of heard.status.pipelines) charts(by(`pipeline-${name}`), name);
}

// --- asking ---

async function ask(path, within) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(within) });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error ?? `${path}: HTTP ${answer.status}`);
  }
  return answer;
}

async function askWorker() {
  try {
    const [says, metrics] = await Promise.all([
      ask("worker.json", ANSWER_WITHIN_MS),
      ask("metrics", ANSWER_WITHIN_MS),
    ]);
    heard.worker = await says.json();
    sample(await metrics.text(), Date.now());
    [heard.workerAt, heard.noWorker] = [Date.now(), null];
  } catch (error) {
    heard.noWorker = `the browser says: ${error.message}`;
    nothingHeard(Date.now());
  }
}

async function askStatus() {
  try {
    heard.status = await (await ask("status.json", STATUS_WITHIN_MS)).json();
    heard.noStatus = null;
  } catch (error) {
    heard.noStatus = error.message;
  }
}

/** Asks again and again, two seconds after each answer; a page that nobody sees asks nothing. */
async function keep(asking) {
  for (;;) {
    if (!document.hidden) {
      await asking();
      show();
    }
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

addEventListener("resize", show);
keep(askWorker);
keep(askStatus);
