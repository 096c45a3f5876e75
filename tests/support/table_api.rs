//! The DynamoDB API over the world's tables: tables, single items, and transactions of writes (Query is apart).
//!
//! Owns conditional writes: a write is prepared against the stored item, and only if every condition holds, in a
//! transaction every condition of all, is anything written.

use serde_json::{Value, json};

use super::answer::{ApiError, ApiResult, Input, missing};
use super::capacity::size_bytes;
use super::condition::Condition;
use super::items::{Item, KeySchema, check_item};
use super::table::Table;
use super::tokens::Placeholders;
use super::update::Update;
use super::world::World;

const ACTIONS_A_TRANSACTION: usize = 100;

pub fn create_table(world: &mut World, input: &Value) -> ApiResult {
    let known = [
        "TableName",
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "ProvisionedThroughput",
        "StreamSpecification",
        "Tags",
        "SSESpecification",
        "TableClass",
        "DeletionProtectionEnabled",
    ];
    let input = Input::new(input, &known)?;
    let name = input.required("TableName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !(3..=255).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(ApiError::validation(format!(
            "TableName {name:?} must have 3 to 255 of a-z, A-Z, 0-9, '_', '-', '.'"
        )));
    }
    let key_schema = read_key_schema(&input)?;
    if input.get("BillingMode") != Some(&json!("PAY_PER_REQUEST"))
        && input.get("ProvisionedThroughput").is_none()
    {
        return Err(ApiError::validation("No provisioned throughput specified for the table"));
    }
    if world.tables.contains_key(name) {
        return Err(ApiError::new(400, "ResourceInUseException", format!("Table already exists: {name}")));
    }
    world.create_table(name, key_schema);
    if let Some(specification) = input.get("StreamSpecification") {
        let specification = Input::new(specification, &["StreamEnabled", "StreamViewType"])?;
        if specification.flag("StreamEnabled")? == Some(true) {
            world.enable_stream(name, specification.required("StreamViewType")?, 1);
        }
    }
    let creating = world.quirks.creating_calls;
    let table = world.tables.get_mut(name).ok_or_else(ApiError::internal)?;
    table.creating_calls_left = creating;
    let mut description = world.table(name).description(world.latest_stream_of(name));
    description["TableStatus"] = json!("CREATING");
    Ok(json!({"TableDescription": description}))
}

fn read_key_schema(input: &Input<'_>) -> Result<KeySchema, ApiError> {
    let definitions = input.list("AttributeDefinitions")?;
    let keys = input.list("KeySchema")?;
    let attribute = |kind: &str| -> Result<Option<(String, String)>, ApiError> {
        let Some(key) = keys.iter().find(|key| key.get("KeyType") == Some(&json!(kind))) else {
            return Ok(None);
        };
        let name = Input::new(key, &["AttributeName", "KeyType"])?.required("AttributeName")?;
        let definition =
            definitions.iter().find(|definition| definition.get("AttributeName") == Some(&json!(name)));
        let definition = definition.ok_or_else(|| {
            ApiError::validation(format!(
                "Some index key attributes are not defined in AttributeDefinitions: {name}"
            ))
        })?;
        let kind = Input::new(definition, &["AttributeName", "AttributeType"])?.required("AttributeType")?;
        Ok(Some((name.to_owned(), kind.to_owned())))
    };
    let (name, kind) = attribute("HASH")?.ok_or_else(|| missing("KeySchema.1.member"))?;
    let schema = KeySchema::hash(&name, &kind);
    let schema = match attribute("RANGE")? {
        Some((name, kind)) => schema.and_range(&name, &kind),
        None => schema,
    };
    if definitions.len() != schema.attributes().count() {
        return Err(ApiError::validation("Some AttributeDefinitions are not used by the key schema"));
    }
    Ok(schema)
}

pub fn describe_table(world: &mut World, input: &Value) -> ApiResult {
    let input = Input::new(input, &["TableName"])?;
    let name = table_name(&input)?;
    let table = world.tables.get_mut(name).ok_or_else(|| table_not_found(name))?;
    let status = table.status();
    table.creating_calls_left = table.creating_calls_left.saturating_sub(1);
    let mut description = world.table(name).description(world.latest_stream_of(name));
    description["TableStatus"] = json!(status);
    Ok(json!({"Table": description}))
}

pub fn get_item(world: &mut World, input: &Value) -> ApiResult {
    let known = ["TableName", "Key", "ConsistentRead", "ReturnConsumedCapacity"];
    let input = Input::new(input, &known)?;
    let table = active_table(world, &input)?;
    let key = exact_key(table, &input)?;
    let item = table.items.get(&table.key_schema.item_key(&key)?);
    let bytes = item.map_or(0, size_bytes);
    let answer = item.map_or_else(|| json!({}), |item| json!({"Item": item}));
    world.capacity.reads("GetItem", bytes, input.flag("ConsistentRead")?.unwrap_or(false));
    Ok(answer)
}

pub fn put_item(world: &mut World, input: &Value) -> ApiResult {
    write_one(world, Kind::Put, input)
}

pub fn update_item(world: &mut World, input: &Value) -> ApiResult {
    write_one(world, Kind::Update, input)
}

pub fn delete_item(world: &mut World, input: &Value) -> ApiResult {
    write_one(world, Kind::Delete, input)
}

fn write_one(world: &mut World, kind: Kind, input: &Value) -> ApiResult {
    let prepared = prepare(
        world,
        kind,
        input,
        &["ReturnValues", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"],
    )?;
    let returned = prepared.returned(input)?;
    let (before, after) = (prepared.before.as_ref(), prepared.after.as_ref());
    world.capacity.writes(kind.operation(), before, after, 1.0);
    if let Some(failure) = prepared.failure {
        let mut error = ApiError::new(400, CHECK_FAILED, "The conditional request failed");
        if let Some(item) = failure.item {
            error = error.with("Item", json!(item));
        }
        return Err(error);
    }
    prepared.write(world);
    Ok(returned.map_or_else(|| json!({}), |item| json!({"Attributes": item})))
}

const CHECK_FAILED: &str = "ConditionalCheckFailedException";

pub fn transact_write_items(world: &mut World, input: &Value) -> ApiResult {
    let whole = input;
    let known =
        ["TransactItems", "ClientRequestToken", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"];
    let input = Input::new(input, &known)?;
    let token = input.text("ClientRequestToken")?;
    match token.and_then(|token| world.transactions.get(token)) {
        Some(earlier) if earlier == whole => return Ok(json!({})),
        Some(_) => {
            let message = "The same ClientRequestToken came with another request";
            return Err(ApiError::new(400, "IdempotentParameterMismatchException", message));
        }
        None => {}
    }
    let actions = input.list("TransactItems")?;
    if actions.is_empty() || actions.len() > ACTIONS_A_TRANSACTION {
        return Err(ApiError::validation("TransactItems must have between 1 and 100 members"));
    }
    let prepared =
        actions.iter().map(|action| prepare_action(world, action)).collect::<Result<Vec<_>, _>>()?;
    for (index, action) in prepared.iter().enumerate() {
        if prepared[..index].iter().any(|other| (&other.table, &other.key) == (&action.table, &action.key)) {
            let message = "Transaction request cannot include multiple operations on one item";
            return Err(ApiError::validation(message));
        }
    }
    for action in &prepared {
        let (before, after) = (action.before.as_ref(), action.after.as_ref());
        world.capacity.writes("TransactWriteItems", before, after, 2.0);
    }
    if prepared.iter().any(|action| action.failure.is_some()) {
        return Err(cancelled(&prepared));
    }
    for action in prepared {
        action.write(world);
    }
    if let Some(token) = token {
        world.transactions.insert(token.to_owned(), whole.clone());
    }
    Ok(json!({}))
}

fn prepare_action(world: &World, action: &Value) -> Result<Prepared, ApiError> {
    let kinds = [
        ("Put", Kind::Put),
        ("Update", Kind::Update),
        ("Delete", Kind::Delete),
        ("ConditionCheck", Kind::Check),
    ];
    let named = action.as_object().filter(|members| members.len() == 1);
    let (kind, input) =
        kinds.into_iter().find_map(|(name, kind)| Some((kind, named?.get(name)?))).ok_or_else(|| {
            ApiError::validation("A TransactItem must hold one of Put, Update, Delete, ConditionCheck")
        })?;
    prepare(world, kind, input, &[])
}

fn cancelled(prepared: &[Prepared]) -> ApiError {
    let reasons = prepared.iter().map(|action| match &action.failure {
        None => json!({"Code": "None"}),
        Some(failure) => {
            let mut reason =
                json!({"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"});
            if let Some(item) = &failure.item {
                reason["Item"] = json!(item);
            }
            reason
        }
    });
    let reasons = reasons.collect::<Vec<_>>();
    let codes = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect::<Vec<_>>().join(", ");
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]");
    ApiError::new(400, "TransactionCanceledException", message).with("CancellationReasons", json!(reasons))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Update,
    Delete,
    Check,
}

impl Kind {
    /// The operation of one such write alone.
    fn operation(self) -> &'static str {
        match self {
            Kind::Put => "PutItem",
            Kind::Update => "UpdateItem",
            Kind::Delete => "DeleteItem",
            Kind::Check => "ConditionCheck",
        }
    }
}

/// A write whose condition has been decided.
struct Prepared {
    kind: Kind,
    table: String,
    key: Item,
    before: Option<Item>,
    after: Option<Item>,
    failure: Option<Failure>,
}

/// A condition that did not hold, with the stored item if that was asked for.
struct Failure {
    item: Option<Item>,
}

fn prepare(world: &World, kind: Kind, input: &Value, also_known: &[&str]) -> Result<Prepared, ApiError> {
    let mut known = vec![
        "TableName",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValuesOnConditionCheckFailure",
        if kind == Kind::Put { "Item" } else { "Key" },
    ];
    known.extend(also_known);
    known.extend((kind == Kind::Update).then_some("UpdateExpression"));
    let input = Input::new(input, &known)?;
    let table = active_table(world, &input)?;
    let placeholders = Placeholders::of(&input)?;
    let item = input.map("Item")?.cloned();
    let key = match &item {
        Some(item) => table.key_schema.key_of(item)?,
        None if kind == Kind::Put => return Err(missing("item")),
        None => exact_key(table, &input)?,
    };
    let before = table.items.get(&table.key_schema.item_key(&key)?).cloned();
    let condition = input.text("ConditionExpression")?;
    let condition = condition.map(|text| Condition::parse(text, &placeholders)).transpose()?;
    if kind == Kind::Check && condition.is_none() {
        return Err(missing("conditionCheck.conditionExpression"));
    }
    let update =
        input.text("UpdateExpression")?.map(|text| Update::parse(text, &placeholders)).transpose()?;
    placeholders.all_used()?;

    let holds = condition.is_none_or(|condition| condition.holds(before.as_ref().unwrap_or(&Item::new())));
    let failure = (!holds).then(|| Failure {
        item: before
            .clone()
            .filter(|_| input.get("ReturnValuesOnConditionCheckFailure") == Some(&json!("ALL_OLD"))),
    });
    let after = match kind {
        // An update is only worked out where it will be made: its operands may exist only then.
        _ if failure.is_some() => before.clone(),
        Kind::Put => item,
        Kind::Update => Some(updated(table, &key, before.as_ref(), update.as_ref())?),
        Kind::Delete => None,
        Kind::Check => before.clone(),
    };
    if let Some(after) = &after {
        check_item(after)?;
    }
    Ok(Prepared { kind, table: table.name.clone(), key, before, after, failure })
}

fn updated(
    table: &Table,
    key: &Item,
    before: Option<&Item>,
    update: Option<&Update>,
) -> Result<Item, ApiError> {
    let start = before.unwrap_or(key);
    let Some(update) = update else { return Ok(start.clone()) };
    match update.names().find(|name| key.contains_key(*name)) {
        Some(name) => Err(ApiError::validation(format!(
            "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of \
             the key of {}",
            table.name
        ))),
        None => update.apply(start),
    }
}

impl Prepared {
    /// The item that ReturnValues asks for.
    fn returned(&self, input: &Value) -> Result<Option<Item>, ApiError> {
        match (input.get("ReturnValues").and_then(Value::as_str), self.kind) {
            (None | Some("NONE"), _) => Ok(None),
            (Some("ALL_OLD"), _) => Ok(self.before.clone()),
            (Some("ALL_NEW"), Kind::Update) => Ok(self.after.clone()),
            (Some(other), _) => {
                Err(ApiError::validation(format!("ReturnValues {other} is invalid here (or not faked)")))
            }
        }
    }

    fn write(self, world: &mut World) {
        if self.kind != Kind::Check {
            world.write(&self.table, &self.key, self.after, None);
        }
    }
}

/// The `Key` member, which must hold the key attributes and nothing else.
fn exact_key(table: &Table, input: &Input<'_>) -> Result<Item, ApiError> {
    let given = input.map("Key")?.ok_or_else(|| missing("key"))?;
    let key = table.key_schema.key_of(given);
    match key {
        Ok(key) if key.len() == given.len() => Ok(key),
        _ => Err(ApiError::validation("The provided key element does not match the schema")),
    }
}

/// The table's name; an ARN may stand for it.
fn table_name<'a>(input: &Input<'a>) -> Result<&'a str, ApiError> {
    let name = input.required("TableName")?;
    Ok(name.rsplit_once(":table/").map_or(name, |(_, name)| name))
}

/// A table that can be read and written.
pub(super) fn active_table<'a>(world: &'a World, input: &Input<'_>) -> Result<&'a Table, ApiError> {
    let name = table_name(input)?;
    let table = world.tables.get(name).filter(|table| table.creating_calls_left == 0);
    table.ok_or_else(|| ApiError::not_found("Requested resource not found"))
}

fn table_not_found(name: &str) -> ApiError {
    ApiError::not_found(format!("Requested resource not found: Table: {name} not found"))
}
