//! One GetRecords answer: a page of a shard's changes, and where to read on.
//!
//! A page borrows everything from the answer's raw bytes. It finds each change's parts and checks their kind;
//! keys and images stay unparsed slices, so that they can be copied on byte for byte. It never looks into an
//! item, and its errors never show one.

mod parse;

use std::borrow::Cow;

use serde::Deserialize;

use super::json::Json;
use super::json_str::JsonStr;
use super::sequence::SequenceNumber;

/// A parsed GetRecords answer.
#[derive(Debug)]
pub struct Page<'a> {
    /// The changes, in stream order.
    pub records: Vec<StreamRecord<'a>>,
    /// The iterator that the next call needs. `None` means that the shard has ended: nothing follows `records`.
    pub next_iterator: Option<Cow<'a, str>>,
}

impl<'a> Page<'a> {
    /// Parses the body of a GetRecords answer.
    ///
    /// Unknown members are passed over; of two members of one name the last counts, whole; an optional member may
    /// be null. No iterator, a null or empty one, and LocalStack's string that ends in `|None` all mean the shard's
    /// end. A body with neither records nor an iterator is an error rather than an end: taking a stray `{}` for an
    /// end would lose the rest of the shard.
    pub fn parse(body: &'a [u8]) -> Result<Self, PageError> {
        parse::page(body)
    }
}

/// One change of one item.
#[derive(Clone, Debug)]
pub struct StreamRecord<'a> {
    /// The event's id, unique to the change.
    pub event_id: JsonStr<'a>,
    /// What happened to the item.
    pub event_name: EventName,
    /// The Region the change was made in, where the answer says so.
    pub aws_region: Option<JsonStr<'a>>,
    /// The source of the event, `aws:dynamodb`, where the answer says so.
    pub event_source: Option<JsonStr<'a>>,
    /// When the change was made, in milliseconds since 1970. The service rounds it to whole seconds.
    pub created_at_ms: u64,
    /// The item's key attributes: an object in DynamoDB JSON.
    pub keys: Json<'a>,
    /// The item after the change, if the view type holds it: an object in DynamoDB JSON.
    pub new_image: Option<Json<'a>>,
    /// The item before the change, if the view type holds it: an object in DynamoDB JSON.
    pub old_image: Option<Json<'a>>,
    /// The change's place in its shard, and in its item's life.
    pub sequence_number: SequenceNumber,
    /// The change's size as the service counts it.
    pub size_bytes: Option<u64>,
    /// `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`.
    pub stream_view_type: Option<JsonStr<'a>>,
    /// Who made the change, if a service did.
    pub user_identity: Option<UserIdentity<'a>>,
}

impl StreamRecord<'_> {
    /// Whether time to live deleted the item, and not the application.
    pub fn is_ttl_delete(&self) -> bool {
        let by_dynamodb = self.user_identity.is_some_and(|identity| {
            identity.kind.is_some_and(|kind| kind.is("Service"))
                && identity.principal_id.is_some_and(|principal| principal.is("dynamodb.amazonaws.com"))
        });
        by_dynamodb && self.event_name == EventName::Remove
    }
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventName {
    /// The item is new.
    Insert,
    /// One or more of its attributes changed.
    Modify,
    /// The item was deleted.
    Remove,
}

/// The service that made a change.
///
/// The Streams API spells the members `Type` and `PrincipalId`, Lambda and some emulators `type` and `principalId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct UserIdentity<'a> {
    /// The member `Type`: `Service` for time to live.
    #[serde(borrow, default, rename = "Type", alias = "type")]
    pub kind: Option<JsonStr<'a>>,
    /// The member `PrincipalId`: `dynamodb.amazonaws.com` for time to live.
    #[serde(borrow, default, rename = "PrincipalId", alias = "principalId")]
    pub principal_id: Option<JsonStr<'a>>,
}

/// A body that is not a GetRecords answer. It names the place, never the content: a page holds customers' data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "GetRecords answered with a body that is not DynamoDB Streams' ({place}): {fault}, at line {line}, column \
     {column}; check that the source's endpoint_url is that of DynamoDB Streams",
    place = self.place()
)]
pub struct PageError {
    /// The record's index in the page; `None` outside of the records.
    pub record: Option<usize>,
    /// The member, with the object it is in, such as `dynamodb.Keys`.
    pub member: &'static str,
    /// What is wrong with it.
    pub fault: PageFault,
    /// The line in the body, from 1.
    pub line: usize,
    /// The column in that line, in bytes, from 1: where the parse stood, just after a value of the wrong kind.
    pub column: usize,
}

impl PageError {
    fn place(&self) -> String {
        match self.record {
            Some(index) => format!("record {index}, {}", self.member),
            None => self.member.to_owned(),
        }
    }
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// The member is something else than this.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The member is not there, or null.
    #[error("the member is missing")]
    Missing,
    /// The body stops in the middle of a value, at or after this member.
    #[error("the body ends early")]
    EndsEarly,
    /// The body is no JSON, at or after this member.
    #[error("the body is not valid JSON")]
    NotJson,
}

#[cfg(test)]
mod tests;
