// What the worker counts: `/metrics` becomes rates between two looks, kept for ten minutes and drawn as charts.

import { draw, rateWord, span, sum } from "./words.js";

const KEEP_MS = 10 * 60 * 1000;
const RATE_OVER_MS = 5000;
const PREFIX = "ddb_kinesis_bridge_";

/** By pipeline: the samples of the last ten minutes, oldest first; without counters where the worker did not answer. */
const samples = new Map();

/** By pipeline: what the page needs of the Prometheus text. Series that are not there stay undefined. */
function figures(text) {
  const wanted = {
    changes_read_total: "read",
    changes_delivered_total: "delivered",
    delivery_lag_seconds_sum: "lagSum",
    delivery_lag_seconds_count: "lagCount",
    shard_lag_seconds: "shardLag",
    seconds_until_trim: "untilTrim",
  };
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = /^([a-z_]+)\{(.*)\} (\S+)/.exec(line);
    const name = parts && parts[1].startsWith(PREFIX) ? wanted[parts[1].slice(PREFIX.length)] : undefined;
    const label = name && /(?:^|,)pipeline="((?:[^"\\]|\\.)*)"/.exec(parts[2]);
    const value = Number(parts?.[3]);
    if (!label || !Number.isFinite(value)) continue;
    const pipeline = label[1].replace(/\\(.)/g, "$1");
    if (!found.has(pipeline)) found.set(pipeline, {});
    const all = found.get(pipeline);
    const together = { shardLag: Math.max, untilTrim: Math.min }[name] ?? ((a, b) => a + b);
    all[name] = all[name] === undefined ? value : together(all[name], value);
  }
  return found;
}

/** How much a counter grew; one that fell began anew with its process. */
const grown = (before, now) => (now === undefined ? 0 : before === undefined || now < before ? now : now - before);

export function sample(text, at) {
  for (const [pipeline, now] of figures(text)) {
    if (!samples.has(pipeline)) samples.set(pipeline, []);
    const past = samples.get(pipeline);
    const before = past.findLast((one) => one.counters);
    const point = { at, counters: now, in: null, out: null, lag: now.shardLag ?? null, trim: now.untilTrim ?? null };
    if (before && past.at(-1).counters) {
      const seconds = (at - before.at) / 1000;
      point.in = grown(before.counters.read, now.read) / seconds;
      point.out = grown(before.counters.delivered, now.delivered) / seconds;
      const delivered = grown(before.counters.lagCount, now.lagCount);
      // Without the shards' own lag: the mean of what was delivered since the last look.
      if (delivered > 0) point.lag ??= grown(before.counters.lagSum, now.lagSum) / delivered;
    }
    past.push(point);
  }
  trim(at);
}

export function nothingHeard(at) {
  for (const past of samples.values()) past.push({ at, counters: null, in: null, out: null, lag: null, trim: null });
  trim(at);
}

function trim(at) {
  for (const past of samples.values()) while (past.length && past[0].at < at - KEEP_MS) past.shift();
}

/** The last few seconds' rates and the last lag of a pipeline; of nobody knows, null. */
export function current(pipeline) {
  const past = samples.get(pipeline) ?? [];
  const last = past.at(-1);
  if (!last?.counters) return { in: null, out: null, lag: null, trim: null };
  const recent = past.filter((one) => one.at > last.at - RATE_OVER_MS && one.in != null);
  const mean = (of) => (recent.length ? sum(recent, (one) => one[of]) / recent.length : null);
  return { in: mean("in"), out: mean("out"), lag: last.lag, trim: last.trim };
}

// --- charts ---

/** The smallest of 1, 2, 5, 10, … that is not below. */
function ceiling(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most * 0.999);
}

/** Lines of a chart that breaks where nothing is known. */
function runs(points, of) {
  const all = [[]];
  for (const point of points) {
    if (point[of] == null) all.push([]);
    else all.at(-1).push(point);
  }
  return all.filter((run) => run.length > 1);
}

function chart(svg, points, lines, word, least, label, pointedAt) {
  const [width, height, top, bottom] = [Math.max(svg.clientWidth, 200), 132, 16, 112];
  const now = points.at(-1)?.at ?? Date.now();
  const minutes = Math.min(10, Math.max(1, Math.ceil((now - (points[0]?.at ?? now)) / 60_000)));
  const most = ceiling(Math.max(least, ...points.flatMap((point) => lines.map((line) => point[line] ?? 0))));
  const x = (at) => width - ((now - at) / (minutes * 60_000)) * width;
  const y = (value) => bottom - (value / most) * (bottom - top);
  const parts = [];
  for (const value of [0, most / 2, most]) {
    parts.push(draw("line", { class: "grid", x1: 0, x2: width, y1: y(value), y2: y(value) }));
    if (value) parts.push(draw("text", { x: 0, y: y(value) - 4 }, word(value)));
  }
  for (const [text, at, anchor] of [
    [`${minutes} min ago`, 0, "start"],
    ["now", width, "end"],
  ])
    parts.push(draw("text", { x: at, y: height - 5, "text-anchor": anchor }, text));
  lines.forEach((line, index) => {
    for (const run of runs(points, line)) {
      const path = run
        .map((point, n) => `${n ? "L" : "M"}${x(point.at).toFixed(1)} ${y(point[line]).toFixed(1)}`)
        .join("");
      const closed = `${path}L${x(run.at(-1).at).toFixed(1)} ${bottom}L${x(run[0].at).toFixed(1)} ${bottom}Z`;
      if (index === lines.length - 1) parts.push(draw("path", { class: `area ${line}`, d: closed }));
      parts.push(draw("path", { class: line, d: path }));
    }
  });
  if (pointedAt)
    parts.push(draw("line", { class: "cross", x1: x(pointedAt.at), x2: x(pointedAt.at), y1: top, y2: bottom }));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren(...parts);
  svg.minutes = minutes;
}

export function charts(section, pipeline) {
  const points = samples.get(pipeline) ?? [];
  const now = current(pipeline);
  for (const [figure, lines, word, least] of [
    [".rate", ["in", "out"], rateWord, 10],
    [".lag", ["lag"], span, 1],
  ]) {
    const box = section.querySelector(figure);
    const pointed =
      box.pointedAt == null || !points.length
        ? null
        : nearest(points, box.pointedAt, box.querySelector("svg").minutes);
    const shown = pointed ?? now;
    const words = lines.map((line) => [line, word(shown[line])]);
    for (const [line, text] of words) box.querySelector(`[data-of=${line}]`).textContent = text;
    const trim = box.querySelector("[data-of=trim]");
    if (trim) trim.textContent = shown.trim == null ? "" : `left until trim ${span(shown.trim)}`;
    const title = box.querySelector("h3").firstChild.textContent.trim();
    const heights = points.flatMap((point) => lines.map((line) => point[line] ?? 0));
    const label =
      `${title} of ${pipeline}, last 10 minutes: now ${words.map((pair) => pair.join(" ")).join(", ")}; ` +
      `at most ${word(Math.max(0, ...heights))}`;
    chart(box.querySelector("svg"), points, lines, word, least, label, pointed);
  }
}

/** The sample below the pointer, which is a part of the chart's width from its left. */
function nearest(points, part, minutes) {
  const at = points.at(-1).at - (1 - part) * minutes * 60_000;
  return points.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best));
}

export function watchPointer(section, pipeline) {
  for (const box of section.querySelectorAll(".chart")) {
    const svg = box.querySelector("svg");
    svg.addEventListener("pointermove", (event) => {
      const place = svg.getBoundingClientRect();
      box.pointedAt = (event.clientX - place.left) / place.width;
      charts(section, pipeline);
    });
    svg.addEventListener("pointerleave", () => {
      box.pointedAt = null;
      charts(section, pipeline);
    });
  }
}
