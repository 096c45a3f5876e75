//! The walk over a GetRecords body: one pass, in which a [`Place`] remembers where it stands.
//!
//! serde_json's own messages quote what they choke on, and that may be an item; so an error is built from the
//! place alone.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::nullable::Nullable;
use super::{EventName, Page, PageError, PageFault, StreamRecord, UserIdentity};
use crate::stream::json_str::JsonStr;
use crate::stream::sequence::SequenceNumber;

/// Parses a whole body, see [`Page::parse`].
pub(super) fn page(body: &[u8]) -> Result<Page<'_>, PageError> {
    // Once for the whole body is cheaper than for each of its strings.
    match std::str::from_utf8(body) {
        Ok(body) => walk(serde_json::Deserializer::from_str(body)),
        // Mostly no page: this finds the place, or what is passed over.
        Err(_) => walk(serde_json::Deserializer::from_slice(body)),
    }
}

fn walk<'de, R: serde_json::de::Read<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
) -> Result<Page<'de>, PageError> {
    let place = Place::default();
    place.at("the body", "an object");
    Walk::<Body>::from(&place)
        .deserialize(&mut deserializer)
        .and_then(|page| deserializer.end().map(|()| page))
        .map_err(|error| place.error(&error))
}

/// Where the walk stands: all that an error may tell.
struct Place {
    record: Cell<Option<usize>>,
    member: Cell<&'static str>,
    fault: Cell<PageFault>,
}

impl Default for Place {
    fn default() -> Self {
        Self { record: Cell::new(None), member: Cell::new(""), fault: Cell::new(PageFault::Missing) }
    }
}

impl Place {
    /// Says which member comes next, and what it must be.
    fn at(&self, member: &'static str, expected: &'static str) {
        self.member.set(member);
        self.fault.set(PageFault::Expected(expected));
    }

    /// Insists on a member.
    fn required<T, E: serde::de::Error>(&self, value: Option<T>, member: &'static str) -> Result<T, E> {
        value.ok_or_else(|| {
            self.member.set(member);
            self.fault.set(PageFault::Missing);
            E::custom("missing member")
        })
    }

    fn error(&self, error: &serde_json::Error) -> PageError {
        let fault = match error.classify() {
            Category::Eof => PageFault::EndsEarly,
            Category::Syntax => PageFault::NotJson,
            Category::Data | Category::Io => self.fault.get(),
        };
        PageError {
            record: self.record.get(),
            member: self.member.get(),
            fault,
            line: error.line(),
            column: error.column(),
        }
    }
}

/// A member's value, if it is there, not null, and `read` can make something of it.
fn member<'de, T, A: MapAccess<'de>>(
    map: &mut A,
    place: &Place,
    name: &'static str,
    expected: &'static str,
    read: impl FnOnce(&'de RawValue) -> Option<T>,
) -> Result<Option<T>, A::Error> {
    place.at(name, expected);
    match map.next_value::<&'de RawValue>()? {
        null if null.get() == "null" => Ok(None),
        raw => read(raw).map(Some).ok_or_else(|| A::Error::custom("unexpected value")),
    }
}

fn string<'de, A: MapAccess<'de>>(
    map: &mut A,
    place: &Place,
    name: &'static str,
) -> Result<Option<JsonStr<'de>>, A::Error> {
    member(map, place, name, "a string", JsonStr::of)
}

fn item<'de, A: MapAccess<'de>>(
    map: &mut A,
    place: &Place,
    name: &'static str,
) -> Result<Option<&'de RawValue>, A::Error> {
    member(map, place, name, "an object", |raw| raw.get().starts_with('{').then_some(raw))
}

fn event_name(raw: &RawValue) -> Option<EventName> {
    let name = JsonStr::of(raw)?;
    [("INSERT", EventName::Insert), ("MODIFY", EventName::Modify), ("REMOVE", EventName::Remove)]
        .into_iter()
        .find_map(|(text, event)| name.is(text).then_some(event))
}

fn sequence_number(raw: &RawValue) -> Option<SequenceNumber> {
    SequenceNumber::parse(&JsonStr::of(raw)?.decode()?).ok()
}

/// Seconds since 1970 as milliseconds. AWS writes `1.75E9`, other services whole numbers or fractions. A double
/// holds today's time to a thousandth of a millisecond, so rounding gives the millisecond that was meant.
fn epoch_ms(raw: &RawValue) -> Option<u64> {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(seconds) = raw.get().parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let is_number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let ms = if is_number { (raw.get().parse::<f64>().ok()? * 1000.0).round() } else { return None };
    (0.0..=MAX_EXACT).contains(&ms).then_some(ms as u64)
}

fn user_identity(raw: &RawValue) -> Option<UserIdentity<'_>> {
    // serde would take an array of the members' values as well.
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok())?
}

fn next_iterator(raw: &RawValue) -> Option<Option<Cow<'_, str>>> {
    let iterator = JsonStr::of(raw)?.decode()?;
    let ends = iterator.is_empty() || iterator.ends_with("|None");
    Some((!ends).then_some(iterator))
}

/// One level of the body: an object (or the array of records) and how to read it.
struct Walk<'p, L> {
    place: &'p Place,
    level: PhantomData<L>,
}

impl<'p, L> Walk<'p, L> {
    fn from(place: &'p Place) -> Self {
        Self { place, level: PhantomData }
    }
}

/// The levels of the body.
enum Body {}
enum Records {}
enum Record {}
enum Change {}

/// A record's parts as they turn up; members come in any order, and the last of one name counts.
#[derive(Default)]
struct Parts<'a> {
    event_id: Option<JsonStr<'a>>,
    event_name: Option<EventName>,
    aws_region: Option<JsonStr<'a>>,
    event_source: Option<JsonStr<'a>>,
    change: Option<ChangeParts<'a>>,
    user_identity: Option<UserIdentity<'a>>,
}

/// The parts in the member `dynamodb`.
#[derive(Default)]
struct ChangeParts<'a> {
    created_at_ms: Option<u64>,
    keys: Option<&'a RawValue>,
    new_image: Option<&'a RawValue>,
    old_image: Option<&'a RawValue>,
    sequence_number: Option<SequenceNumber>,
    size_bytes: Option<u64>,
    stream_view_type: Option<JsonStr<'a>>,
}

impl<'a> Parts<'a> {
    fn finish<E: serde::de::Error>(self, place: &Place) -> Result<StreamRecord<'a>, E> {
        let change = place.required(self.change, "dynamodb")?;
        Ok(StreamRecord {
            event_id: place.required(self.event_id, "eventID")?,
            event_name: place.required(self.event_name, "eventName")?,
            aws_region: self.aws_region,
            event_source: self.event_source,
            created_at_ms: place.required(change.created_at_ms, "dynamodb.ApproximateCreationDateTime")?,
            keys: place.required(change.keys, "dynamodb.Keys")?,
            new_image: change.new_image,
            old_image: change.old_image,
            sequence_number: place.required(change.sequence_number, "dynamodb.SequenceNumber")?,
            size_bytes: change.size_bytes,
            stream_view_type: change.stream_view_type,
            user_identity: self.user_identity,
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum BodyMember {
    Records,
    NextShardIterator,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for Walk<'_, Body> {
    type Value = Page<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GetRecords answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page<'de>, A::Error> {
        let place = self.place;
        let (mut records, mut next) = (None, None);
        while let Some(name) = map.next_key()? {
            match name {
                BodyMember::Records => {
                    place.at("Records", "an array");
                    records = map.next_value_seed(Nullable(Walk::<Records>::from(place)))?;
                }
                BodyMember::NextShardIterator => {
                    next = member(&mut map, place, "NextShardIterator", "a string", next_iterator)?.flatten();
                }
                BodyMember::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let records = match (records, &next) {
            (None, Some(_)) => Vec::new(),
            (records, _) => place.required(records, "Records")?,
        };
        Ok(Page { records, next_iterator: next })
    }
}

impl<'de> Visitor<'de> for Walk<'_, Records> {
    type Value = Vec<StreamRecord<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let place = self.place;
        let mut records = Vec::new();
        loop {
            place.record.set(Some(records.len()));
            place.at("the record", "an object");
            match seq.next_element_seed(Walk::<Record>::from(place))? {
                Some(record) => records.push(record),
                None => break,
            }
        }
        place.record.set(None);
        place.at("Records", "an array");
        Ok(records)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum RecordMember {
    #[serde(rename = "eventID")]
    EventId,
    EventName,
    AwsRegion,
    EventSource,
    #[serde(rename = "dynamodb")]
    Change,
    UserIdentity,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for Walk<'_, Record> {
    type Value = StreamRecord<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let place = self.place;
        let mut parts = Parts::default();
        while let Some(name) = map.next_key()? {
            match name {
                RecordMember::EventId => parts.event_id = string(&mut map, place, "eventID")?,
                RecordMember::EventName => {
                    let expected = "INSERT, MODIFY or REMOVE";
                    parts.event_name = member(&mut map, place, "eventName", expected, event_name)?;
                }
                RecordMember::AwsRegion => parts.aws_region = string(&mut map, place, "awsRegion")?,
                RecordMember::EventSource => parts.event_source = string(&mut map, place, "eventSource")?,
                RecordMember::Change => {
                    place.at("dynamodb", "an object");
                    parts.change = map.next_value_seed(Nullable(Walk::<Change>::from(place)))?;
                }
                RecordMember::UserIdentity => {
                    let expected = "an object whose Type and PrincipalId are strings";
                    parts.user_identity = member(&mut map, place, "userIdentity", expected, user_identity)?;
                }
                RecordMember::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        parts.finish(place)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum ChangeMember {
    ApproximateCreationDateTime,
    Keys,
    NewImage,
    OldImage,
    SequenceNumber,
    SizeBytes,
    StreamViewType,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for Walk<'_, Change> {
    type Value = ChangeParts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the change of an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let place = self.place;
        let mut parts = ChangeParts::default();
        while let Some(name) = map.next_key()? {
            match name {
                ChangeMember::ApproximateCreationDateTime => {
                    let (name, expected) = ("dynamodb.ApproximateCreationDateTime", "seconds since 1970");
                    parts.created_at_ms = member(&mut map, place, name, expected, epoch_ms)?;
                }
                ChangeMember::Keys => parts.keys = item(&mut map, place, "dynamodb.Keys")?,
                ChangeMember::NewImage => parts.new_image = item(&mut map, place, "dynamodb.NewImage")?,
                ChangeMember::OldImage => parts.old_image = item(&mut map, place, "dynamodb.OldImage")?,
                ChangeMember::SequenceNumber => {
                    let (name, expected) = ("dynamodb.SequenceNumber", "a string of decimal digits");
                    parts.sequence_number = member(&mut map, place, name, expected, sequence_number)?;
                }
                ChangeMember::SizeBytes => {
                    let (name, expected) = ("dynamodb.SizeBytes", "a whole number");
                    parts.size_bytes = member(&mut map, place, name, expected, |raw| raw.get().parse().ok())?;
                }
                ChangeMember::StreamViewType => {
                    parts.stream_view_type = string(&mut map, place, "dynamodb.StreamViewType")?;
                }
                ChangeMember::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(parts)
    }
}

/// Any level can be deserialised: its visitor is the seed.
macro_rules! walk_is_its_own_seed {
    ($($level:ty => $ask:ident),+ $(,)?) => {$(
        impl<'de> DeserializeSeed<'de> for Walk<'_, $level> {
            type Value = <Self as Visitor<'de>>::Value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.$ask(self)
            }
        }
    )+};
}

walk_is_its_own_seed! {
    Body => deserialize_map,
    Records => deserialize_seq,
    Record => deserialize_map,
    Change => deserialize_map,
}
