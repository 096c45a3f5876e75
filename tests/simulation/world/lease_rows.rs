//! What a row of the lease table tells an onlooker, as an event of the history.

use ddb_kinesis_bridge::lease::row::{self, FinishedRow, SessionRow, ShardKey, ShardRow, StreamRow, WORKERS};
use ddb_kinesis_bridge::lease::table::RowKey;
use ddb_kinesis_bridge::stream::SequenceNumber;

use super::State;
use crate::history::{Event, Gap, Lease, Seq, Session, Shard, Who};

fn seq(number: &SequenceNumber) -> Seq {
    number.as_str().parse().unwrap_or(Seq::MAX)
}

fn gaps(gaps: &[row::Gap]) -> Vec<Gap> {
    let seq = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    gaps.iter().map(|gap| Gap { from: seq(&gap.from), to: seq(&gap.to) }).collect()
}

fn lease(row: ShardRow) -> Lease {
    let owner = row.owner().map(|owner| format!("{}/{}", owner.id, owner.incarnation));
    Lease {
        owner,
        offered: row.offered,
        epoch: row.epoch,
        revision: row.revision,
        checkpoint: row.checkpoint.as_ref().map(seq),
        gaps: gaps(&row.gaps),
    }
}

impl State {
    /// Records that a row was written or deleted. A row that does not read is recorded as such; the oracle rejects it.
    pub fn tell_row(&mut self, who: &Who, key: &RowKey) {
        let event = self.row_event(key).unwrap_or_else(|bad| Event::Unreadable(bad.to_string()));
        self.tell(who, event);
    }

    fn row_event(&self, key: &RowKey) -> Result<Event, row::BadRow> {
        let item = self.leases.get(key);
        if key.pk == WORKERS {
            let row = item.map(row::decode::<SessionRow>).transpose()?;
            let row = row.map(|row| Session {
                owner: format!("{}/{}", key.sk, row.incarnation),
                counter: row.counter,
                serves: row.pipelines,
                draining: row.draining,
            });
            return Ok(Event::Session { id: key.sk.clone(), row });
        }
        let pipeline = key.pk.strip_prefix("pipeline#").unwrap_or_default();
        let Some(of) = ShardKey::from_sk(&key.sk) else {
            let row = item.map(row::decode::<StreamRow>).transpose()?;
            let (initialized, gaps) = row.map_or((false, vec![]), |row| (row.initialized, row.gaps));
            let labels = |gap: row::Gap| (gap.from.unwrap_or_default(), gap.to.unwrap_or_default());
            let gaps = gaps.into_iter().map(labels).collect();
            return Ok(Event::Stream { table: pipeline.into(), initialized, gaps });
        };
        // Each pipeline is named after its table.
        let shard: Shard = format!("{pipeline}:{}#{}", of.label, of.shard).into();
        if key.sk.starts_with(row::SHARD_PREFIX) {
            let row = item.map(row::decode::<ShardRow>).transpose()?;
            return Ok(Event::Lease { shard, row: row.map(lease) });
        }
        let row = item.map(row::decode::<FinishedRow>).transpose()?;
        Ok(match row {
            Some(row) => {
                Event::Finished { shard, checkpoint: row.checkpoint.as_ref().map(seq), gaps: gaps(&row.gaps) }
            }
            None => Event::Forgotten { shard },
        })
    }
}
