//! The probes and `check`'s report against the emulators.

use aws_sdk_dynamodb::types::{KeyType, StreamViewType};
use ddb_kinesis_bridge::aws::probe::{self, LeaseTableState, Patience, Problem, SourceFacts};
use ddb_kinesis_bridge::aws::{DynamoStreams, KinesisStream};
use ddb_kinesis_bridge::config::{SourceOf, StreamName};
use ddb_kinesis_bridge::machine::RealMachine;
use ddb_kinesis_bridge::stream::source::StreamStatus;

use crate::emulators;
use crate::endpoints::{configuration, configuration_text};

async fn source(url: &str, of: SourceOf) -> Result<SourceFacts, Problem> {
    let source = DynamoStreams::new(emulators::streams(url), emulators::tables(url));
    let machine = RealMachine::new();
    probe::source::probe(&source, "pipeline `p`, source", &of, &Patience::at_start(&machine)).await
}

#[tokio::test]
async fn sources() {
    let url = emulators::dynamodb().await;
    let tables = emulators::tables(&url);
    let keys = [("id", KeyType::Hash)];
    emulators::create_table(&tables, "orders", &keys, Some(StreamViewType::NewImage)).await;
    emulators::create_table(&tables, "silent", &keys, None).await;

    let facts = source(&url, SourceOf::Table("orders".to_owned())).await.expect("a stream");
    assert_eq!(facts.status, StreamStatus::Enabled);
    assert_eq!(facts.view_type, "NEW_IMAGE");
    assert_eq!(facts.key_schema.partition_key, "id");
    assert_eq!(facts.stream.table_name, "orders");
    let again = source(&url, SourceOf::StreamArn(facts.stream.arn.clone())).await;
    assert_eq!(again, Ok(facts.clone()));

    let problem = source(&url, SourceOf::Table("silent".to_owned())).await.expect_err("no stream");
    assert_eq!(problem.section, "pipeline `p`, source");
    assert_eq!(problem.what, "the stream of table `silent` in us-east-1 is not enabled");
    assert!(problem.remedy.contains("update-table"), "{problem}");
    let problem = source(&url, SourceOf::Table("missing".to_owned())).await.expect_err("no table");
    assert_eq!(problem.what, "table `missing` in us-east-1 does not exist");
    let gone = facts.stream.arn.replace("orders", "gone");
    let problem = source(&url, SourceOf::StreamArn(gone.clone())).await.expect_err("no stream");
    assert_eq!(problem.what, format!("stream {gone} does not exist"));
}

#[tokio::test]
async fn sinks() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    emulators::create_stream(&client, "cdc").await;
    let machine = RealMachine::new();
    let patience = Patience::at_start(&machine);
    let ask = async |name: &str| {
        let name = StreamName::parse(name).expect("a name");
        let sink = KinesisStream::new(client.clone(), name.clone());
        probe::sink::probe(&sink, "pipeline `p`, sink", &name, &patience).await
    };
    assert_eq!(ask("cdc").await.expect("a stream").status, "ACTIVE");
    let problem = ask("gone").await.expect_err("no stream");
    assert_eq!(problem.what, "Kinesis stream `gone` does not exist");
}

#[tokio::test]
async fn the_lease_table_is_created_once_and_another_is_refused() {
    let url = emulators::dynamodb().await;
    let client = emulators::tables(&url);
    let machine = RealMachine::new();
    let patience = Patience::at_start(&machine);
    let mut table = configuration(&configuration_text(&url, &url)).lease_table;
    table.name = "leases".to_owned();

    table.create = false;
    let problem = probe::lease_table::prepare(&client, &table, &patience).await.expect_err("create is false");
    assert!(problem.what.contains("`leases`") && problem.what.contains("`create` is false"), "{problem}");
    table.create = true;
    assert_eq!(probe::lease_table::probe(&client, &table, &patience).await, Ok(LeaseTableState::Missing));
    let both = futures_util::future::join(
        probe::lease_table::prepare(&client, &table, &patience),
        probe::lease_table::prepare(&client, &table, &patience),
    )
    .await;
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(probe::lease_table::probe(&client, &table, &patience).await, Ok(LeaseTableState::Ready));

    emulators::create_table(&client, "orders", &[("id", KeyType::Hash)], None).await;
    table.name = "orders".to_owned();
    let problem = probe::lease_table::prepare(&client, &table, &patience).await.expect_err("another schema");
    assert!(problem.what.contains("id (S) HASH"), "{problem}");
}
