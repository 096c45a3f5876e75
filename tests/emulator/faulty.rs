//! A bridge that is not ours: a few lines that copy a stream to Kinesis and break one promise on purpose, to show that
//! the demo's judge notices.

use std::time::Duration;

use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};
use aws_sdk_kinesis::primitives::Blob;
use ddb_kinesis_bridge::demo::clients::{Clients, Endpoints};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// One change is never delivered.
    Loses,
    /// Two changes of one item change places.
    Swaps,
    /// One change is delivered twice: allowed.
    Repeats,
    /// It ends while there is work.
    Ends,
}

/// Copies until told to stop; the fault strikes in the middle.
pub async fn copy(fault: Fault, toml: String, stop: watch::Receiver<bool>) -> Result<(), String> {
    let config: toml::Table = toml.parse().map_err(|error| format!("{error}"))?;
    let pipeline = &config["pipeline"][0];
    let text = |section: &str, key: &str| pipeline[section][key].as_str().unwrap_or_default().to_owned();
    let clients = Clients::new(&Endpoints {
        dynamodb: text("source", "endpoint_url"),
        kinesis: text("sink", "endpoint_url"),
    });
    let mut copier =
        Copier { clients, stream: text("sink", "stream"), fault, held: None, struck: false, seen: 0 };
    let mut iterator = copier.iterator(&text("source", "table")).await.ok_or("no iterator")?;
    loop {
        let stopping = *stop.borrow();
        let page = copier.clients.streams.get_records().shard_iterator(&iterator).send().await;
        let page = page.map_err(|error| format!("{error:?}"))?;
        for record in page.records() {
            if fault == Fault::Ends && copier.seen == 20 {
                return Ok(());
            }
            copier.carry(record).await;
        }
        iterator = page.next_shard_iterator().ok_or("the shard ended")?.to_owned();
        match (page.records().is_empty(), stopping) {
            (true, true) => return Ok(()),
            (true, false) => tokio::time::sleep(Duration::from_millis(20)).await,
            (false, _) => {}
        }
    }
}

struct Copier {
    clients: Clients,
    stream: String,
    fault: Fault,
    held: Option<Record>,
    struck: bool,
    seen: usize,
}

impl Copier {
    async fn iterator(&self, table: &str) -> Option<String> {
        let streams = self.clients.streams.list_streams().table_name(table).send().await.ok()?;
        let arn = streams.streams().first()?.stream_arn()?.to_owned();
        let described = self.clients.streams.describe_stream().stream_arn(&arn).send().await.ok()?;
        let shard = described.stream_description()?.shards().first()?.shard_id()?.to_owned();
        let call = self.clients.streams.get_shard_iterator().stream_arn(arn).shard_id(shard);
        let call = call.shard_iterator_type(ShardIteratorType::TrimHorizon);
        call.send().await.ok()?.shard_iterator
    }

    async fn carry(&mut self, record: &Record) {
        self.seen += 1;
        match self.fault {
            Fault::Loses if self.seen == 20 => return,
            Fault::Repeats if self.seen == 20 => self.put(record).await,
            // The hot item, since another may not change again.
            Fault::Swaps if self.seen >= 20 && !self.struck && keys(record)["order"] == "running-tab" => {
                self.struck = true;
                self.held = Some(record.clone());
                return;
            }
            _ => {}
        }
        self.put(record).await;
        let next_of_held = self.held.take_if(|held| keys(held) == keys(record));
        if let Some(held) = next_of_held {
            self.put(&held).await;
        }
    }

    async fn put(&self, record: &Record) {
        let Some(change) = record.dynamodb() else { return };
        let image = |image: Option<&std::collections::HashMap<String, AttributeValue>>| {
            let version = image?.get("version")?.as_n().ok()?.parse::<u64>().ok()?;
            Some(json!({ "version": version }))
        };
        let mut payload = Map::new();
        let kind = record.event_name().map(|kind| kind.as_str().to_lowercase());
        payload.insert("op".to_owned(), kind.into());
        payload.insert("keys".to_owned(), keys(record));
        payload.insert("sequence_number".to_owned(), change.sequence_number().into());
        payload.extend(image(change.new_image()).map(|image| ("new".to_owned(), image)));
        payload.extend(image(change.old_image()).map(|image| ("old".to_owned(), image)));
        let data = Blob::new(Value::Object(payload).to_string());
        let call = self.clients.kinesis.put_record().stream_name(&self.stream).data(data);
        call.partition_key(keys(record).to_string()).send().await.expect("the record is put");
    }
}

fn keys(record: &Record) -> Value {
    let keys = record.dynamodb().and_then(|change| change.keys()).into_iter().flatten();
    let texts = keys.filter_map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone().into())));
    Value::Object(texts.collect())
}
