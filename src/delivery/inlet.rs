//! A shard's entrance to its pipeline's writer: what reading hands over, what the writer tells back, and how the two are
//! tied together. It decides nothing and holds no change.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::appetite::{Amount, Appetite, Portion};
use super::lanes::ShardSlot;
use super::memory::Reservation;
use super::sink::PutEntry;
use super::watermark::Checkpoint;
use crate::stream::SequenceNumber;

/// Commands that may wait for the writer.
const COMMANDS_WAITING: usize = 32;

/// A change read from a shard, in stream order.
#[derive(Debug)]
pub enum Submission {
    /// To be delivered.
    Deliver { sequence_number: SequenceNumber, created_at_ms: u64, entry: PutEntry, memory: Reservation },
    /// Left out on purpose (filter, `start = "latest"`): it only moves the checkpoint.
    Exclude { sequence_number: SequenceNumber, created_at_ms: u64, memory: Reservation },
}

impl Submission {
    fn sequence_number(&self) -> &SequenceNumber {
        match self {
            Submission::Deliver { sequence_number, .. } | Submission::Exclude { sequence_number, .. } => {
                sequence_number
            }
        }
    }
}

/// How much of these is to be delivered.
pub fn to_be_sent(changes: &[Submission]) -> Amount {
    changes.iter().fold(Amount::default(), |sum, change| match change {
        Submission::Deliver { entry, .. } => {
            Amount { records: sum.records + 1, bytes: sum.bytes + entry.size_bytes() }
        }
        Submission::Exclude { .. } => sum,
    })
}

/// How far a shard's changes are.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// How many of the submitted changes are done without a hole.
    pub completed: u64,
    /// The last of them.
    pub checkpoint: Option<Checkpoint>,
    /// When the first change that is not done was made, epoch milliseconds.
    pub oldest_open_ms: Option<u64>,
    /// Why the shard sends nothing more, when a record of it can never be delivered.
    pub halted: Option<Arc<str>>,
}

/// Whether more of a shard's changes are known to wait in the stream, to be handed over as soon as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    Follows,
    Unknown,
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Command {
    Open(ShardSlot, watch::Sender<Progress>),
    /// The portion ends when the changes are in their lanes.
    Submit(ShardSlot, Vec<Submission>, More, Option<Portion>),
    /// Answered once the shard is forgotten.
    Close(ShardSlot, Option<oneshot::Sender<()>>),
}

/// The way to a pipeline's writer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WriterHandle {
    commands: mpsc::Sender<Command>,
    appetite: Appetite,
}

/// One shard's entrance to the writer; dropping it makes the writer forget the shard.
#[derive(Debug)]
pub struct ShardInlet {
    pub progress: watch::Receiver<Progress>,
    feeder: Feeder,
}

/// The reading side of a shard's entrance.
#[derive(Debug, Clone)]
pub struct Feeder {
    slot: ShardSlot,
    commands: mpsc::Sender<Command>,
    appetite: Appetite,
    progress: watch::Receiver<Progress>,
    submitted: Arc<Mutex<Submitted>>,
}

/// What a shard has handed over.
#[derive(Debug, Default)]
struct Submitted {
    count: u64,
    last: Option<SequenceNumber>,
}

impl WriterHandle {
    /// A handle, and where the writer hears what is asked through it.
    pub(super) fn channel(appetite: Appetite) -> (Self, mpsc::Receiver<Command>) {
        let (commands, heard) = mpsc::channel(COMMANDS_WAITING);
        (WriterHandle { commands, appetite }, heard)
    }

    /// Opens an entrance for a shard, under a slot never used before in this process.
    pub async fn open(&self, slot: ShardSlot) -> ShardInlet {
        let (sender, progress) = watch::channel(Progress::default());
        // A closed channel means that the pipeline is ending; the inlet's own use tells.
        let _ = self.commands.send(Command::Open(slot, sender)).await;
        let feeder = Feeder {
            slot,
            commands: self.commands.clone(),
            appetite: self.appetite.clone(),
            progress: progress.clone(),
            submitted: Arc::default(),
        };
        ShardInlet { progress, feeder }
    }
}

impl Feeder {
    /// Waits until the writer wants another page, which will hold about so much: at once, unless enough is ready to be sent or
    /// on its way.
    pub async fn wanted(&self, amount: Amount) -> Portion {
        self.appetite.wait(amount).await
    }

    /// Hands over a page's changes, as it was given leave to. They count as submitted once this returns; dropped before, none
    /// of them is. Gives how many have been submitted so far.
    pub async fn submit(&self, changes: Vec<Submission>, more: More, portion: Option<Portion>) -> u64 {
        let count = changes.len() as u64;
        let last = changes.last().map(|change| change.sequence_number().clone());
        let command = Command::Submit(self.slot, changes, more, portion);
        let is_sent = count > 0 && self.commands.send(command).await.is_ok();
        let mut submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        if is_sent {
            submitted.count += count;
            submitted.last = last;
        }
        submitted.count
    }

    /// How many submitted changes stand at or behind the first one that is not done.
    fn open_changes(&self) -> u64 {
        // Counted after the changes are on their way: for a moment more may be done than submitted.
        let submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner).count;
        submitted.saturating_sub(self.progress.borrow().completed)
    }
}

impl ShardInlet {
    pub fn feeder(&self) -> Feeder {
        self.feeder.clone()
    }

    /// Has the writer forget the shard: no call that begins after this holds a change of it. Those under way are not
    /// taken back, and nobody hears what becomes of them.
    pub async fn close(&self) {
        let (sender, forgotten) = oneshot::channel();
        // Errors mean that the writer itself is gone.
        let _ = self.feeder.commands.send(Command::Close(self.feeder.slot, Some(sender))).await;
        let _ = forgotten.await;
    }

    /// Whether the writer sends nothing more of this shard.
    pub fn is_halted(&self) -> bool {
        self.progress.borrow().halted.is_some()
    }

    /// The last change submitted.
    pub fn last_submitted(&self) -> Option<SequenceNumber> {
        self.feeder.submitted.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    /// Whether every submitted change is done.
    pub fn is_empty(&self) -> bool {
        self.feeder.open_changes() == 0
    }
}

impl Drop for ShardInlet {
    fn drop(&mut self) {
        // The channel is short and may be full just now; the writer also drops a shard whose progress nobody hears.
        let _ = self.feeder.commands.try_send(Command::Close(self.feeder.slot, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::memory::Budget;

    #[tokio::test]
    async fn what_is_left_out_brings_nothing() {
        let budget = Budget::new(1_000);
        let number = |n: u64| SequenceNumber::parse(&n.to_string()).expect("digits");
        let mut changes = vec![];
        for n in 0..5 {
            let (sequence_number, created_at_ms, memory) = (number(n), 0, budget.reserve(1).await);
            changes.push(match n {
                3 => {
                    let entry = PutEntry::new("key", b"1234567");
                    Submission::Deliver { sequence_number, created_at_ms, entry, memory }
                }
                _ => Submission::Exclude { sequence_number, created_at_ms, memory },
            });
        }
        assert_eq!(to_be_sent(&changes), Amount { records: 1, bytes: 10 });
        assert_eq!(to_be_sent(&changes[..3]), Amount::default());
    }
}
