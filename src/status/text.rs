//! A status as text for people: at most 100 columns wide. What does not fit loses its less telling part; the JSON form has
//! all of it.

use std::fmt::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use super::shard::{ShardStatus, Standing};
use super::{Heartbeat, PipelineStatus, Status, WorkerStatus};
use crate::lease::row::Gap;

const WIDTH: usize = 100;
/// The most gaps of finished shards that are listed.
const MOST_FINISHED_GAPS: usize = 20;
/// The deepest that a shard is indented.
const MOST_DEPTH: usize = 6;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Lease table {}, read at {}", clean(&self.lease_table), moment(self.read_at_ms))?;
        workers(f, self)?;
        for pipeline in &self.pipelines {
            writeln!(f)?;
            show_pipeline(f, pipeline)?;
        }
        if !self.other_pipelines.is_empty() {
            writeln!(f)?;
            let names = self.other_pipelines.join(", ");
            wrapped(
                f,
                "",
                &format!("Also served from this lease table: {names} (--pipeline NAME shows one)"),
            )?;
        }
        Ok(())
    }
}

fn workers(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    writeln!(f)?;
    if status.workers.is_empty() {
        writeln!(f, "No worker runs: no session in the lease table.")?;
    } else {
        columns(
            f,
            &["WORKER", "HEARTBEAT", "LEASES", "HOST", "VERSION", "STARTED"].map(str::to_owned),
            &WORKER_COLUMNS,
        )?;
    }
    for worker in &status.workers {
        columns(f, &worker_cells(worker), &WORKER_COLUMNS)?;
    }
    for id in &status.unreadable_workers {
        wrapped(
            f,
            "",
            &format!("The session row of worker {id:?} does not read: it is of another program or version"),
        )?;
    }
    Ok(())
}

/// Each column's width, and how what does not fit is cut.
const WORKER_COLUMNS: [(usize, Cut); 6] = [
    (26, Cut::Middle),
    (16, Cut::Middle),
    (6, Cut::Right),
    (18, Cut::Middle),
    (8, Cut::Middle),
    (16, Cut::Middle),
];

fn worker_cells(worker: &WorkerStatus) -> [String; 6] {
    let heartbeat = match worker.heartbeat {
        Heartbeat::Moving if worker.draining => "moving, draining".to_owned(),
        Heartbeat::Moving => "moving".to_owned(),
        Heartbeat::Still { still_for_ms } => format!("STILL for {}", span(still_for_ms)),
        Heartbeat::NotWatched if worker.draining => "draining".to_owned(),
        Heartbeat::NotWatched => "?".to_owned(),
    };
    let started = moment(worker.started_at_ms).replacen('T', " ", 1).chars().take(16).collect();
    [
        clean(&worker.id),
        heartbeat,
        worker.leases.to_string(),
        clean(&worker.host),
        clean(&worker.version),
        started,
    ]
}

fn show_pipeline(f: &mut fmt::Formatter<'_>, pipeline: &PipelineStatus) -> fmt::Result {
    let name = clean(&pipeline.name);
    let Some(ends) = &pipeline.ends else {
        writeln!(f, "Pipeline {name}: not in the lease table; no worker has run it yet")?;
        return notes(f, pipeline);
    };
    wrapped(
        f,
        "",
        &format!("Pipeline {name}: {} → {}", last_part(&ends.table_arn), last_part(&ends.sink_arn)),
    )?;
    wrapped(f, "  ", &counts(pipeline))?;
    notes(f, pipeline)?;
    if !pipeline.shards.is_empty() {
        columns(
            f,
            &["  SHARD", "STATE", "OWNER", "CHECKPOINT", "LAG ≤", "TRIM ≥"].map(str::to_owned),
            &SHARD_COLUMNS,
        )?;
    }
    let mut label = None;
    for shard in &pipeline.shards {
        if pipeline.streams.len() > 1 && shard.depth == 0 && label != Some(&shard.stream) {
            writeln!(f, "  stream {}", clean(&shard.stream))?;
            label = Some(&shard.stream);
        }
        show_shard(f, shard)?;
    }
    finished_gaps(f, pipeline)
}

fn counts(pipeline: &PipelineStatus) -> String {
    let counts = &pipeline.counts;
    let mut parts = Vec::new();
    for (count, what) in [
        (counts.reading, "reading"),
        (counts.free, "free"),
        (counts.waiting, "waiting"),
        (counts.frozen, "frozen"),
        (counts.halted, "HALTED"),
    ] {
        if count > 0 || what == "reading" {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.push(format!("{} finished", counts.finished));
    parts.push(match counts.gaps {
        0 => "no gap".to_owned(),
        1 => "1 GAP".to_owned(),
        many => format!("{many} GAPS"),
    });
    let mut text = format!("shards: {}", parts.join(", "));
    if let (Some(lag_ms), Some(trim_ms)) = (counts.lag_at_most_ms, counts.trim_at_least_ms) {
        // Writing into a String cannot fail.
        let _ = write!(text, "; lag ≤ {}, trim ≥ {}", span(lag_ms), span(trim_ms));
    }
    text
}

/// What needs an operator's eye, and does not belong to one shard.
fn notes(f: &mut fmt::Formatter<'_>, pipeline: &PipelineStatus) -> fmt::Result {
    if let Some(rewind) = &pipeline.rewind {
        let (noun, command) = (rewind.stored.noun(), rewind.stored.command(&pipeline.name));
        let text = if rewind.is_under_way {
            format!("{noun} is under way: {}", rewind.stored.order)
        } else {
            format!("{noun} broke off, and nothing is carried until it is run again: {command}")
        };
        wrapped(f, "  ! ", &clean(&text))?;
    }
    for gap in &pipeline.gaps {
        wrapped(f, "  ! ", &gap_text(gap))?;
    }
    for bad in &pipeline.unreadable_rows {
        wrapped(f, "  ! ", &clean(bad))?;
    }
    Ok(())
}

const SHARD_COLUMNS: [(usize, Cut); 6] =
    [(39, Cut::Left), (7, Cut::Middle), (15, Cut::Middle), (15, Cut::Left), (7, Cut::Right), (7, Cut::Right)];

fn show_shard(f: &mut fmt::Formatter<'_>, shard: &ShardStatus) -> fmt::Result {
    let indent = match shard.depth.min(MOST_DEPTH) {
        0 => "  ".to_owned(),
        depth => format!("{}└ ", "  ".repeat(depth)),
    };
    let room = SHARD_COLUMNS[0].0 - indent.chars().count();
    let is_carrying = matches!(shard.standing, Standing::Reading | Standing::Offered);
    let owner = shard.owner.as_deref().filter(|_| is_carrying || shard.standing == Standing::Halted);
    let cells = [
        format!("{indent}{}", fit(&clean(&shard.shard), room, Cut::Left)),
        shard.standing.word().to_owned(),
        clean(owner.unwrap_or("-")),
        shard.checkpoint.clone().unwrap_or_else(|| "-".to_owned()),
        span(shard.lag_at_most_ms),
        span(shard.trim_at_least_ms),
    ];
    columns(f, &cells, &SHARD_COLUMNS)?;
    if let Some(why) = &shard.halted_because {
        wrapped(f, "    ! ", &format!("halted: {}", clean(why)))?;
    }
    shard.gaps.iter().try_for_each(|gap| wrapped(f, "    ! ", &gap_text(gap)))
}

fn finished_gaps(f: &mut fmt::Formatter<'_>, pipeline: &PipelineStatus) -> fmt::Result {
    let of = |shard: &'_ super::FinishedStatus| {
        let name = clean(&shard.shard);
        shard.gaps.iter().map(move |gap| format!("finished {name}: {}", gap_text(gap))).collect::<Vec<_>>()
    };
    let gaps: Vec<String> = pipeline.finished.iter().flat_map(of).collect();
    for gap in gaps.iter().take(MOST_FINISHED_GAPS) {
        wrapped(f, "  ! ", gap)?;
    }
    match gaps.len().saturating_sub(MOST_FINISHED_GAPS) {
        0 => Ok(()),
        more => writeln!(f, "  ! and {more} more gaps of finished shards (--json has all)"),
    }
}

fn gap_text(gap: &Gap) -> String {
    let from = gap.from.as_deref().unwrap_or("the beginning");
    let to = gap.to.as_deref().unwrap_or("not known yet");
    let text =
        format!("gap: {}; after {from}, up to {to}; noticed {}", gap.reason, moment(gap.noticed_at_ms));
    clean(&text)
}

/// Where a text loses what does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Left,
    Middle,
    /// Never too long: a figure, set to the right.
    Right,
}

fn columns<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    cells: &[String; N],
    widths: &[(usize, Cut); N],
) -> fmt::Result {
    let mut line = String::new();
    for (cell, (width, cut)) in cells.iter().zip(widths) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let cell = fit(cell, *width, *cut);
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        match cut {
            Cut::Right => line.extend([padding, cell]),
            _ => line.extend([cell, padding]),
        }
    }
    writeln!(f, "{}", line.trim_end())
}

/// The text in this many characters.
fn fit(text: &str, width: usize, cut: Cut) -> String {
    let length = text.chars().count();
    if length <= width || width == 0 {
        return text.to_owned();
    }
    let head = match cut {
        Cut::Left => 0,
        Cut::Middle => (width - 1) / 2,
        Cut::Right => width - 1,
    };
    let tail = width - 1 - head;
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(length - tail).collect();
    format!("{first}…{last}")
}

/// Whole words, as many lines as they need; those after the first begin below the text of the first.
fn wrapped(f: &mut fmt::Formatter<'_>, prefix: &str, text: &str) -> fmt::Result {
    let indent = " ".repeat(prefix.chars().count());
    let (mut line, mut is_begun) = (prefix.to_owned(), false);
    for word in text.split_whitespace() {
        let needed = line.chars().count() + usize::from(is_begun) + word.chars().count();
        if is_begun && needed > WIDTH {
            writeln!(f, "{line}")?;
            (line, is_begun) = (indent.clone(), false);
        }
        if is_begun {
            line.push(' ');
        }
        // A word as long as a line (an ARN) keeps its telling end.
        let room = WIDTH - line.chars().count().min(WIDTH - 1);
        line.push_str(&fit(word, room, Cut::Middle));
        is_begun = true;
    }
    writeln!(f, "{line}")
}

/// A time's length in its two largest units, seven characters at most for three years.
fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

fn moment(ms: u64) -> String {
    // Later than any calendar: a row edited by hand.
    const LAST_MS: u64 = 253_402_300_799_000;
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(LAST_MS));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The part of an ARN that names the thing, with its Region: `orders (eu-west-1)`.
fn last_part(arn: &str) -> String {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let name = arn.rsplit(['/', ':']).next().unwrap_or(arn);
    clean(&if region.is_empty() { name.to_owned() } else { format!("{name} ({region})") })
}

/// Rows can hold anything: nothing of them may steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
