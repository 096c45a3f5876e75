//! `ddb-kinesis-bridge`: every change of a DynamoDB table, through its stream, into a Kinesis data stream; each item's
//! changes in order, at least once, nothing lost. This page is the map of the code.
//!
//! ```text
//!                    lease table (DynamoDB): sessions, shards, checkpoints
//!                          ▲                                  ▲
//!                          │ lease::store                     │ checkpoint
//!   worker::coordinator ───┴── starts ──► worker::shard ──────┘
//!                                           │    ▲ progress
//!   DynamoDB stream ──► worker::reading ──► │    │
//!     stream::source      stream::page      ▼    │
//!                         record::envelope  delivery::writer ──► Kinesis data stream
//!                                    lanes, targets, put, watermark   delivery::sink
//! ```
//!
//! # The promises
//! Asserts, tests and documents cite them by number.
//!
//! - **P1 No loss.** A checkpoint never passes a change that Kinesis has not acknowledged, save those that
//!   `start = "latest"` or a filter leaves out ([`delivery::watermark`]).
//! - **P2 Order.** For each item, first deliveries appear in stream order. A lane is (stream shard, partition key); one
//!   record of a lane is in flight at most, which carries its first changes and no other lane's, and no PutRecords call
//!   holds a lane twice ([`delivery::lanes`]).
//! - **P3 Lineage.** A shard is read only once its parents are stored as finished ([`lease::plan`], [`lease::store`]).
//! - **P4 Fencing.** A worker sends nothing past its session's deadline; every lease write is conditional on owner, epoch
//!   and revision ([`lease::session`], [`lease::store`]).
//! - **P5 Bounded.** Every buffer has a limit; reading pauses before memory grows ([`delivery::memory`]), and
//!   while the writer has enough to send (`delivery::appetite`).
//! - **P6 Monotone.** A shard's checkpoint only moves forward, save by an operator's [`rewind`].
//! - **P7 Honest.** What could not be kept is counted, logged and stored in the lease table; never silent.
//!
//! # One change's journey
//! 1. [`stream::reader`] decides when to ask; `worker::reading` asks: GetRecords returns a page as raw bytes.
//! 2. [`stream::page`] finds each record's parts in those bytes; images stay unparsed slices.
//! 3. [`record::selection`] says whether the change is carried, by its event and by a filter ([`record::pattern`]) that reads
//!    only what it names, and what of it; [`record::envelope`] writes partition key and payload in one pass.
//! 4. [`delivery::lanes`]: the change joins its key's lane; the heads of idle lanes form batches, each a record or, where it is
//!    wanted, packed with those behind it into one ([`delivery::aggregate`]). A record whose target shard has no room waits
//!    for that shard's pace (`delivery::targets`); the other shards go on.
//! 5. [`delivery::writer`] and [`delivery::put`]: PutRecords, shared by all shards of a pipeline (one PutRecord after another
//!    for each lane where order is strict); failed entries are sent again, and nothing else of their lane moves meanwhile.
//! 6. [`delivery::watermark`]: acknowledgements come in any order; the contiguous prefix is the checkpoint.
//! 7. `worker::shard` and [`lease::store`]: the checkpoint goes to the lease table, conditional on owner and epoch.
//!
//! Who works on which shard: each worker looks at sessions and leases (`worker::coordinator`), plans the same shares from
//! them ([`lease::plan`], [`lease::balance`]), takes what is free or of the dead, and hands over what is more than its share.
//!
//! At a shard's end its lanes empty, then one transaction makes its row a finished one and adds its children's.
//! The only way back is an operator's [`rewind`]: [`lease::rewind`] says which rows it changes, and in which order. [`import`]
//! writes a pipeline's first rows from the lease table of a Kinesis Client Library application. [`status`] tells what the rows
//! say, [`policy`] what IAM must allow.
//!
//! # Decisions and effects
//! Pure, with time and randomness handed in: `stream::{page, reader, lineage, retention}`, `record`, `delivery::{lanes, aggregate, targets, pace, watermark}`,
//! `lease::{row, liveness, awaited, balance, plan, rewind}`, `import::plan`, `policy`, `retry`, `ops::{repeats, vitals, emf}`. A thin shell runs them (`worker`, `delivery::writer`,
//! `lease::session`) over four ports: [`stream::source::StreamSource`], [`delivery::sink::KinesisSink`],
//! [`lease::table::LeaseTable`] and [`machine::Machine`]. The worker takes clock, tasks and randomness from the last
//! alone (`clippy.toml` sees to it), so that the whole of it runs in a simulation that replays from a seed
//! (`tests/simulation`). [`aws`] implements the ports and holds nothing else; [`start`] puts all of it together.

pub mod aws;
pub mod cli;
pub mod config;
pub mod delivery;
/// Emulators, traffic and a judge, in one process.
#[cfg(feature = "demo")]
pub mod demo;
pub mod error;
pub mod import;
pub mod lease;
pub mod machine;
pub mod ops;
pub mod policy;
pub mod record;
pub mod retry;
pub mod rewind;
pub mod start;
pub mod status;
pub mod stream;
pub mod worker;
