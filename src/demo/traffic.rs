//! The traffic: the plan's writes, made for real. Several writers at a time, but each item's writes one after another
//! by the same writer, so that the order in which they take effect is known; each is told to the ledger before it is
//! sent. Writes are conditional on the version before, so one that is repeated after a lost answer happens once.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::error::DemoError;
use super::history::{ChangeKind, VERSION};
use super::ledger::Ledger;
use super::orders;
use super::plan::{Body, Plan, Write};

/// Writes that wait for one writer.
const QUEUE: usize = 8;
/// Attempts at one write before the run fails.
const ATTEMPTS: u32 = 8;
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What to write and how fast.
#[derive(Debug, Clone)]
pub struct Load {
    pub table: String,
    /// Stop after this many changes; none: on until stopped.
    pub changes: Option<u64>,
    /// Changes a second; none: as fast as the table takes them.
    pub rate: Option<NonZeroU32>,
    /// Writers at a time.
    pub writers: usize,
}

/// Writes under way. Dropping it stops them at once.
#[derive(Debug)]
pub struct Traffic {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<Option<Plan>, DemoError>>,
}

impl Traffic {
    /// Starts writing what `plan` says, from where it stands.
    pub fn start(client: &aws_sdk_dynamodb::Client, load: &Load, plan: Plan, ledger: &Ledger) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut queues = Vec::new();
        for _ in 0..load.writers.max(1) {
            let (queue, writes) = mpsc::channel(QUEUE);
            queues.push(queue);
            let writer = Writer { client: client.clone(), table: load.table.clone(), ledger: ledger.clone() };
            tasks.spawn(writer.run(writes));
        }
        tasks.spawn(hand_out(plan, queues, load.clone(), stopped));
        Traffic { stop, tasks }
    }

    /// Asks for the end: no new write is begun, those handed out are finished.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until every write handed out is answered. The plan comes back, so that more traffic can go on from it.
    ///
    /// # Errors
    /// The first write that failed for good.
    pub async fn finished(mut self) -> Result<Plan, DemoError> {
        let mut plan = None;
        while let Some(ended) = self.tasks.join_next().await {
            plan = flatten(ended)?.or(plan);
        }
        plan.ok_or_else(|| DemoError::new("write changes", "the plan was lost"))
    }

    /// Waits until a task ends: true when it was the last one. Can be dropped and called again.
    ///
    /// # Errors
    /// The first write that failed for good.
    pub async fn next_ended(&mut self) -> Result<bool, DemoError> {
        match self.tasks.join_next().await {
            Some(ended) => flatten(ended).map(|_| self.tasks.is_empty()),
            None => Ok(true),
        }
    }
}

fn flatten(ended: Result<Result<Option<Plan>, DemoError>, JoinError>) -> Result<Option<Plan>, DemoError> {
    ended.map_err(|error| DemoError::new("write changes", error))?
}

/// Hands the plan's writes to the writers, at the rate asked for.
async fn hand_out(
    mut plan: Plan,
    queues: Vec<mpsc::Sender<Write>>,
    load: Load,
    mut stopped: watch::Receiver<bool>,
) -> Result<Option<Plan>, DemoError> {
    let pause = load.rate.map(|rate| Duration::from_secs(1) / rate.get());
    let mut due = tokio::time::Instant::now();
    let mut handed_out = 0;
    while load.changes.is_none_or(|limit| handed_out < limit) {
        if let Some(pause) = pause {
            due += pause;
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep_until(due) => {}
            }
        }
        if *stopped.borrow() {
            break;
        }
        let Some(write) = plan.next() else { break };
        let Some(queue) = queues.get(write.item % queues.len().max(1)) else { break };
        if queue.send(write).await.is_err() {
            // The writer has failed and says why itself.
            break;
        }
        handed_out += 1;
    }
    Ok(Some(plan))
}

struct Writer {
    client: aws_sdk_dynamodb::Client,
    table: String,
    ledger: Ledger,
}

impl Writer {
    async fn run(self, mut writes: mpsc::Receiver<Write>) -> Result<Option<Plan>, DemoError> {
        while let Some(write) = writes.recv().await {
            self.ledger.sending(&write.change, Instant::now());
            self.write(&write).await?;
        }
        Ok(None)
    }

    /// Makes one write take effect exactly once.
    async fn write(&self, write: &Write) -> Result<(), DemoError> {
        let mut attempt = 1;
        loop {
            match self.attempt(write).await {
                Ok(()) => return Ok(()),
                // An earlier attempt, or one that the SDK repeated, took effect after all.
                Err(Failure::AlreadyDone) => return Ok(()),
                Err(Failure::Other(_)) if attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
    }

    async fn attempt(&self, write: &Write) -> Result<(), Failure> {
        let was = orders::number(write.change.version.saturating_sub(1));
        let key = orders::key_attributes(&write.change.item);
        let doing = || format!("{} {} in {}", verb(write.change.kind), write.change.item, self.table);
        match &write.body {
            Body::Put(item) => {
                let call = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
                let call = call
                    .condition_expression("attribute_not_exists(#version)")
                    .expression_attribute_names("#version", VERSION);
                let done = call.send().await.map(|_| ());
                done.map_err(|error| failure(is_condition(&error), DemoError::sdk(doing(), &error)))
            }
            Body::Set(attributes) => {
                let call = self.client.update_item().table_name(&self.table).set_key(Some(key));
                let call = set(call, attributes)
                    .condition_expression("#version = :was")
                    .expression_attribute_names("#version", VERSION)
                    .expression_attribute_values(":was", was);
                let done = call.send().await.map(|_| ());
                done.map_err(|error| failure(is_condition(&error), DemoError::sdk(doing(), &error)))
            }
            Body::Delete => {
                let call = self.client.delete_item().table_name(&self.table).set_key(Some(key));
                let call = call
                    .condition_expression("#version = :was")
                    .expression_attribute_names("#version", VERSION)
                    .expression_attribute_values(":was", was);
                let done = call.send().await.map(|_| ());
                done.map_err(|error| failure(is_condition(&error), DemoError::sdk(doing(), &error)))
            }
        }
    }
}

enum Failure {
    /// The item is no longer at the version before: since nobody else writes it, this write has taken effect.
    AlreadyDone,
    Other(DemoError),
}

fn failure(condition: bool, error: DemoError) -> Failure {
    if condition { Failure::AlreadyDone } else { Failure::Other(error) }
}

fn is_condition<E, R>(error: &aws_smithy_runtime_api::client::result::SdkError<E, R>) -> bool
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata,
{
    error.as_service_error().and_then(|answer| answer.code()) == Some("ConditionalCheckFailedException")
}

fn verb(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Insert => "insert",
        ChangeKind::Modify => "update",
        ChangeKind::Remove => "delete",
    }
}

type UpdateItem = aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

/// `SET #a0 = :a0, …`: by placeholders, since attributes may have reserved names.
fn set(call: UpdateItem, attributes: &[(&'static str, AttributeValue)]) -> UpdateItem {
    let mut call = call;
    let mut clauses = Vec::new();
    for (index, (name, value)) in attributes.iter().enumerate() {
        clauses.push(format!("#a{index} = :a{index}"));
        call = call
            .expression_attribute_names(format!("#a{index}"), *name)
            .expression_attribute_values(format!(":a{index}"), value.clone());
    }
    call.update_expression(format!("SET {}", clauses.join(", ")))
}
