//! A line: one pipeline's part of a tenure. It owns the pipeline's writer, and its discovery while this worker has it.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::delivery::inlet::WriterHandle;
use crate::delivery::put::Putter;
use crate::delivery::writer::{Manner, Writer};
use crate::lease::order::Rewind;
use crate::lease::rewind::StoredEnds;
use crate::lease::row::{Owner, StreamRow};
use crate::machine::{MonoTime, Task};
use crate::ops::board::Seat;
use crate::ops::health::Trouble;
use crate::ops::pulse::Pulse;
use crate::ops::repeats::Repeats;
use crate::worker::pipeline::{Pipeline, Shared};
use crate::worker::task;

/// A pipeline's part of a tenure.
pub(super) struct Line {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) writer: WriterHandle,
    /// Gone before the task is: that it ends with the line is as it should be.
    _watched: Seat,
    _writer_task: Task,
    pub(super) discovery: Option<Task>,
    pub(super) sweep_now: Arc<Notify>,
    /// Rows that do not read, and a stream row of another pipeline: said now and then, and left alone.
    pub(super) bad_rows: Repeats,
    /// Looks that found a rewind under way.
    pub(super) rewinds: Repeats,
    /// A rewind broke off: shown until it is carried to its end.
    broken_off: Option<Trouble>,
}

impl Line {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        pipeline: &Arc<Pipeline>,
        deadline: &watch::Receiver<MonoTime>,
    ) -> Self {
        let sink = &pipeline.settings.sink;
        let putter = Putter {
            sink: Arc::clone(&pipeline.sink),
            machine: Arc::clone(&shared.machine),
            deadline: deadline.clone(),
        };
        let manner = Manner {
            linger: sink.linger,
            max_in_flight: sink.max_in_flight,
            ordering: sink.ordering,
            packing: sink.aggregation.packing(),
        };
        let (writer, handle) = Writer::new(
            Arc::clone(&pipeline.name),
            putter,
            manner,
            pipeline.shrink(),
            pipeline.metrics.clone(),
        );
        let pulse = Arc::new(Pulse::default());
        let watched =
            shared.health.needs(format!("pipeline {}: the writer", pipeline.name), Arc::clone(&pulse));
        let machine = Arc::clone(&shared.machine);
        let run = async move { pulse.of(&*machine, writer.run()).await };
        Line {
            pipeline: Arc::clone(pipeline),
            writer: handle,
            _watched: watched,
            _writer_task: shared.machine.spawn(task(run)),
            discovery: None,
            sweep_now: Arc::default(),
            bad_rows: Repeats::default(),
            rewinds: Repeats::default(),
            broken_off: None,
        }
    }

    /// Whether this worker lists the pipeline's streams.
    pub(super) fn discovers(&self) -> bool {
        self.discovery.as_ref().is_some_and(|task| !task.is_finished())
    }

    /// The stream row of a pipeline that starts for the first time, its discovery owned by `me`.
    pub(super) fn first_row(&self, me: &Owner) -> StreamRow {
        let StoredEnds { table_arn, sink_arn, partition_key } = self.pipeline.stored_ends();
        StreamRow {
            table_arn,
            sink_arn,
            partition_key,
            streams: vec![],
            initialized: false,
            discovery_owner: Some(me.clone()),
            discovery_epoch: 1,
            revision: 1,
            gaps: vec![],
            rewind: None,
        }
    }

    /// While a rewind changes the pipeline's rows this worker adds none and takes none. True while there is one; one that
    /// broke off, whose session is gone, must not go unseen (P7).
    pub(super) fn rests(&mut self, shared: &Shared, rewind: Option<&Rewind>, is_at_work: bool) -> bool {
        if rewind.is_none() || is_at_work {
            self.rewinds = Repeats::default();
            self.broken_off = None;
        }
        let Some(rewind) = rewind else { return false };
        self.discovery = None;
        if is_at_work {
            return true;
        }
        let pipeline = &*self.pipeline.name;
        let (noun, command) = (rewind.noun(), rewind.command(pipeline));
        let what = format!("{noun} broke off and no lease is taken; go on with it: {command}");
        // Shown before it is said: who reads the log and looks finds it.
        self.broken_off.get_or_insert_with(|| {
            shared.health.trouble(format!("pipeline {pipeline}, rewind"), what.clone())
        });
        if let Some(times) = self.rewinds.happened(shared.machine.now()) {
            tracing::error!(pipeline, times, "{what}");
        }
        true
    }

    pub(super) fn say_bad(&mut self, now: MonoTime, what: &dyn std::fmt::Display) {
        if let Some(times) = self.bad_rows.happened(now) {
            tracing::error!(pipeline = &*self.pipeline.name, times, "left alone: {what}");
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // With the tenure, all its leases are gone.
        self.pipeline.metrics.leases_owned.set(0);
    }
}
