//! The lease table's probe, and its creation where it is missing.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription,
    TableStatus,
};

use super::{LEASE_TABLE_SECTION, Patience, Problem, Subject};
use crate::aws::error::{from_sdk, unusable};
use crate::aws::expression::{PARTITION_KEY, SORT_KEY};
use crate::config;
use crate::error::{ApiError, ErrorKind};

/// How often a table being created is looked at, and how many times at most: two minutes.
const CREATION_POLL: Duration = Duration::from_secs(1);
const CREATION_POLLS: u32 = 120;

/// What there is of the lease table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseTableState {
    /// There, with our key schema.
    Ready,
    /// Being created, with our key schema.
    Creating,
    /// Not there; the configuration lets us create it.
    Missing,
}

/// Looks at the table; writes nothing.
pub async fn probe(
    client: &Client,
    table: &config::LeaseTable,
    patience: &Patience<'_>,
) -> Result<LeaseTableState, Problem> {
    let subject = subject(client, table);
    match patience.ask(LEASE_TABLE_SECTION, || describe(client, &table.name)).await {
        Ok(description) => state(&subject, &description),
        Err(error) if error.kind == ErrorKind::NotFound && table.create => Ok(LeaseTableState::Missing),
        Err(error) if error.kind == ErrorKind::NotFound => Err(subject.problem(
            format!("{} does not exist, and `create` is false", subject.resource),
            "create it with partition key `pk` and sort key `sk` (both strings), set `create = true`, or check `name` \
             and `region`",
        )),
        Err(error) => Err(subject.failed(&error)),
    }
}

/// Makes sure of the table: creates it where it is missing and `create` allows it, with on-demand capacity, and waits
/// until it is active.
pub async fn prepare(
    client: &Client,
    table: &config::LeaseTable,
    patience: &Patience<'_>,
) -> Result<(), Problem> {
    match probe(client, table, patience).await? {
        LeaseTableState::Ready => return Ok(()),
        LeaseTableState::Creating => {}
        LeaseTableState::Missing => {
            tracing::info!(table = table.name, "creating the lease table");
            patience
                .ask(LEASE_TABLE_SECTION, || create(client, &table.name))
                .await
                .map_err(|error| subject(client, table).failed(&error))?;
        }
    }
    for _ in 0..CREATION_POLLS {
        // Right after its creation a table may not be found yet, which counts as missing here.
        if probe(client, table, patience).await? == LeaseTableState::Ready {
            return Ok(());
        }
        patience.machine().sleep(CREATION_POLL).await;
    }
    let subject = subject(client, table);
    let waited_s = CREATION_POLL.as_secs() * u64::from(CREATION_POLLS);
    Err(subject.problem(
        format!("{} is not active {waited_s} s after its creation", subject.resource),
        "look at the table in the AWS console, then start again",
    ))
}

fn subject(client: &Client, table: &config::LeaseTable) -> Subject<'static> {
    let region = client.config().region().map_or("?", |region| region.as_ref());
    Subject {
        section: LEASE_TABLE_SECTION,
        service: "dynamodb",
        resource: format!("table `{}` in {region}", table.name),
    }
}

async fn describe(client: &Client, table: &str) -> Result<TableDescription, ApiError> {
    const API: &str = "DescribeTable";
    let answer = client.describe_table().table_name(table).send().await;
    answer.map_err(|error| from_sdk(API, &error))?.table.ok_or_else(|| unusable(API, "no Table"))
}

/// Whether the table is ours and usable.
fn state(subject: &Subject<'_>, table: &TableDescription) -> Result<LeaseTableState, Problem> {
    let found = schema(table);
    if found != OUR_SCHEMA {
        return Err(subject.problem(
            format!("{} has the key schema {found}, not {OUR_SCHEMA}", subject.resource),
            "name a table of this program's own in `name`: it creates it where `create` is true",
        ));
    }
    match table.table_status() {
        Some(TableStatus::Creating) => Ok(LeaseTableState::Creating),
        Some(TableStatus::Active | TableStatus::Updating) | None => Ok(LeaseTableState::Ready),
        Some(other) => Err(subject.problem(
            format!("{} is {}", subject.resource, other.as_str()),
            "wait until it is ACTIVE or gone, or name another table",
        )),
    }
}

const OUR_SCHEMA: &str = "pk (S) HASH, sk (S) RANGE";

/// The key schema as text: each attribute's name, type and part, partition key first.
fn schema(table: &TableDescription) -> String {
    let attribute_type = |name: &str| {
        table
            .attribute_definitions()
            .iter()
            .find(|attribute| attribute.attribute_name() == name)
            .map_or("?", |attribute| attribute.attribute_type().as_str())
    };
    let part = |element: &KeySchemaElement| {
        let name = element.attribute_name();
        format!("{name} ({}) {}", attribute_type(name), element.key_type().as_str())
    };
    let mut elements: Vec<&KeySchemaElement> = table.key_schema().iter().collect();
    elements.sort_by_key(|element| *element.key_type() != KeyType::Hash);
    elements.into_iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Asks for the table. One that another worker asked for in the meantime is as good.
pub async fn create(client: &Client, table: &str) -> Result<(), ApiError> {
    const API: &str = "CreateTable";
    let not_built = |error: aws_sdk_dynamodb::error::BuildError| {
        ApiError::new(API, ErrorKind::Invalid, "RequestNotBuilt", error.to_string())
    };
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, key_type) in [(PARTITION_KEY, KeyType::Hash), (SORT_KEY, KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(not_built)?;
        let element =
            KeySchemaElement::builder().attribute_name(name).key_type(key_type).build().map_err(not_built)?;
        request = request.attribute_definitions(attribute).key_schema(element);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => match from_sdk(API, &error) {
            error if error.code == "ResourceInUseException" => Ok(()),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[(&str, KeyType, ScalarAttributeType)], status: TableStatus) -> TableDescription {
        let mut table = TableDescription::builder().table_status(status);
        for (name, key_type, attribute_type) in keys {
            let element =
                KeySchemaElement::builder().attribute_name(*name).key_type(key_type.clone()).build();
            let attribute = AttributeDefinition::builder()
                .attribute_name(*name)
                .attribute_type(attribute_type.clone())
                .build();
            table = table
                .key_schema(element.expect("both are set"))
                .attribute_definitions(attribute.expect("both are set"));
        }
        table.build()
    }

    fn judged(table: &TableDescription) -> Result<LeaseTableState, Problem> {
        let subject =
            Subject { section: LEASE_TABLE_SECTION, service: "dynamodb", resource: "table `t`".to_owned() };
        state(&subject, table)
    }

    #[test]
    fn our_schema_in_any_order() {
        use ScalarAttributeType::S;
        let keys = [("sk", KeyType::Range, S), ("pk", KeyType::Hash, S)];
        assert_eq!(judged(&table(&keys, TableStatus::Active)), Ok(LeaseTableState::Ready));
        assert_eq!(judged(&table(&keys, TableStatus::Updating)), Ok(LeaseTableState::Ready));
        assert_eq!(judged(&table(&keys, TableStatus::Creating)), Ok(LeaseTableState::Creating));
        let deleting = judged(&table(&keys, TableStatus::Deleting)).expect_err("deleting");
        assert!(deleting.what.contains("DELETING"), "{deleting}");
    }

    #[test]
    fn another_schema_is_named() {
        use ScalarAttributeType::{N, S};
        for (keys, found) in [
            (vec![("id", KeyType::Hash, N)], "id (N) HASH"),
            (vec![("pk", KeyType::Hash, S)], "pk (S) HASH"),
            (vec![("pk", KeyType::Hash, S), ("sk", KeyType::Range, N)], "pk (S) HASH, sk (N) RANGE"),
            (vec![("sk", KeyType::Hash, S), ("pk", KeyType::Range, S)], "sk (S) HASH, pk (S) RANGE"),
        ] {
            let problem = judged(&table(&keys, TableStatus::Active)).expect_err(found);
            assert!(problem.what.contains(found) && problem.what.contains(OUR_SCHEMA), "{problem}");
        }
    }
}
