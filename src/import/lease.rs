//! A lease as the Kinesis Client Library's rows hold it, versions 1 to 3, with the DynamoDB Streams adapter.
//!
//! An application that reads one stream keys its rows by the shard's id, one that reads several by
//! `ACCOUNT:STREAM:EPOCH:SHARD`, where the adapter writes a table's stream as `REGION$ACCOUNT$TABLE$LABEL` with `_` for each
//! colon of the label. A row holds the last sequence number that was processed, or a word.
//!
//! Sources: <https://docs.aws.amazon.com/streams/latest/dev/kcl-dynamoDB.html> and the public sources of the KCL and of the
//! adapter.

use std::collections::BTreeMap;

use serde_dynamo::{AttributeValue, Item};

use crate::stream::SequenceNumber;
use crate::stream::arn::StreamArn;
use crate::stream::source::ShardId;

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KclLease {
    /// The row's key, as it is.
    pub key: String,
    /// The stream's name, where the key tells it.
    pub stream: Option<String>,
    pub shard: ShardId,
    pub checkpoint: Checkpoint,
    pub parents: Vec<ShardId>,
    pub owner: Option<String>,
    /// Grows while a worker holds the lease.
    pub counter: String,
}

/// How far the application came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checkpoint {
    /// This change and all before it are processed.
    After(SequenceNumber),
    /// The whole shard is.
    ShardEnd,
    /// Nothing is, and it would begin at the oldest change.
    TrimHorizon,
    /// Nothing is stored as processed, and the row does not tell where it began: `LATEST` or `AT_TIMESTAMP`.
    Unknown,
}

/// A row that looks like a lease and is none that can be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {key:?}: {what}")]
pub struct BadLease {
    key: String,
    what: String,
}

/// The leases among a table's rows, by key, and how many rows are something else (later versions keep metrics and their
/// coordinator's state in the same table).
pub fn leases(rows: &[Item]) -> Result<(BTreeMap<String, KclLease>, usize), BadLease> {
    let mut leases = BTreeMap::new();
    for row in rows {
        if let Some(lease) = lease(row)? {
            leases.insert(lease.key.clone(), lease);
        }
    }
    let others = rows.len() - leases.len();
    Ok((leases, others))
}

fn lease(row: &Item) -> Result<Option<KclLease>, BadLease> {
    let text = |name: &str| match row.get(name) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(key), Some(checkpoint)) = (text("leaseKey"), text("checkpoint")) else { return Ok(None) };
    let checkpoint = match checkpoint.as_str() {
        "SHARD_END" => Checkpoint::ShardEnd,
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" | "AT_TIMESTAMP" => Checkpoint::Unknown,
        digits => match SequenceNumber::parse(digits) {
            Ok(number) => Checkpoint::After(number),
            Err(error) => {
                let what = format!(
                    "its checkpoint is neither SHARD_END, TRIM_HORIZON, LATEST nor a number: {error}"
                );
                return Err(BadLease { key, what });
            }
        },
    };
    let counter = match row.get("leaseCounter") {
        Some(AttributeValue::N(digits)) => digits.clone(),
        _ => {
            return Err(BadLease {
                key,
                what: "it has no leaseCounter, so nobody can see whether it moves".to_owned(),
            });
        }
    };
    let (stream, shard) = taken_apart(&key);
    let parents = match row.get("parentShardId") {
        Some(AttributeValue::Ss(parents)) => parents.clone(),
        Some(AttributeValue::S(parent)) => vec![parent.clone()],
        _ => vec![],
    };
    let parents = parents.iter().map(|parent| ShardId::new(taken_apart(parent).1)).collect();
    let shard = ShardId::new(shard);
    Ok(Some(KclLease { stream, shard, checkpoint, parents, owner: text("leaseOwner"), counter, key }))
}

/// The stream's name and the shard's id.
fn taken_apart(key: &str) -> (Option<String>, &str) {
    let mut parts = key.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_account), Some(stream), Some(_epoch), Some(shard)) => (Some(stream.to_owned()), shard),
        _ => (None, key),
    }
}

/// How the adapter names a stream in its keys.
pub fn adapter_name(stream: &StreamArn) -> String {
    let label = stream.label.replace(':', "_");
    format!("{}${}${}${label}", stream.region, stream.account, stream.table_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(attributes: &[(&str, AttributeValue)]) -> Item {
        let mut row = Item::default();
        for (name, value) in attributes {
            row.insert((*name).to_owned(), value.clone());
        }
        row
    }

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    fn n(digits: &str) -> AttributeValue {
        AttributeValue::N(digits.to_owned())
    }

    #[test]
    fn rows_of_one_stream_and_of_several() {
        let single = row(&[
            ("leaseKey", s("shardId-1-a")),
            ("checkpoint", s("4421")),
            ("checkpointSubSequenceNumber", n("0")),
            ("leaseCounter", n("17")),
            ("leaseOwner", s("host:uuid")),
            ("ownerSwitchesSinceCheckpoint", n("0")),
            ("parentShardId", AttributeValue::Ss(vec!["shardId-0-a".into()])),
        ]);
        let stream = "eu-west-1$111122223333$orders$2024-05-06T07_08_09.123";
        let key = format!("111122223333:{stream}:1:shardId-2-b");
        let of_several =
            row(&[("leaseKey", s(&key)), ("checkpoint", s("SHARD_END")), ("leaseCounter", n("1"))]);
        let metrics = row(&[("leaseKey", s("worker-1")), ("entityType", s("WORKER_METRICS"))]);
        let (leases, others) = leases(&[single, of_several, metrics]).expect("leases");
        assert_eq!((leases.len(), others), (2, 1));
        let single = &leases["shardId-1-a"];
        assert_eq!(single.checkpoint, Checkpoint::After(SequenceNumber::parse("4421").expect("digits")));
        assert_eq!(
            (single.parents.as_slice(), single.counter.as_str()),
            (&[ShardId::new("shardId-0-a")][..], "17")
        );
        let several = &leases[&key];
        assert_eq!((several.stream.as_deref(), several.shard.as_str()), (Some(stream), "shardId-2-b"));
        assert_eq!(several.checkpoint, Checkpoint::ShardEnd);
        let arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2024-05-06T07:08:09.123";
        assert_eq!(adapter_name(&StreamArn::parse(arn).expect("an ARN")), stream);
    }

    #[test]
    fn words_instead_of_numbers() {
        for (word, expected) in [
            ("TRIM_HORIZON", Checkpoint::TrimHorizon),
            ("LATEST", Checkpoint::Unknown),
            ("AT_TIMESTAMP", Checkpoint::Unknown),
        ] {
            let row = row(&[("leaseKey", s("a")), ("checkpoint", s(word)), ("leaseCounter", n("1"))]);
            assert_eq!(lease(&row).expect("a lease").expect("a lease").checkpoint, expected);
        }
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let odd = row(&[("leaseKey", s("shard-9")), ("checkpoint", s("SOON")), ("leaseCounter", n("1"))]);
        let error = lease(&odd).expect_err("no checkpoint").to_string();
        assert!(error.contains("\"shard-9\"") && error.contains("`SOON`"), "{error}");
        let still = row(&[("leaseKey", s("shard-9")), ("checkpoint", s("1"))]);
        assert!(lease(&still).expect_err("no counter").to_string().contains("leaseCounter"));
    }
}
