//! The walk over a GetRecords body: one pass, level by level, that remembers where it stands.
//!
//! An error is built from the place alone, for what stands there may be an item.

use std::borrow::Cow;

use super::{EventName, Page, PageError, PageFault, StreamRecord, UserIdentity};
use crate::stream::cursor::{Broken, Cursor};
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;
use crate::stream::sequence::SequenceNumber;

/// DynamoDB ends a page at so many.
const MAX_RECORDS: usize = 1_000;

/// Parses a whole body, see [`Page::parse`].
pub(super) fn page(body: &[u8]) -> Result<Page<'_>, PageError> {
    let mut walk = Walk { cursor: Cursor::new(body), record: None, member: "the body" };
    walk.page().map_err(|fault| walk.error(body, fault))
}

/// Where the walk stands, and all that an error may tell.
struct Walk<'a> {
    cursor: Cursor<'a>,
    record: Option<usize>,
    member: &'static str,
}

type Read<T> = Result<T, PageFault>;

impl From<Broken> for PageFault {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::EndsEarly => Self::EndsEarly,
            Broken::NotJson => Self::NotJson,
        }
    }
}

impl<'a> Walk<'a> {
    fn error(&self, body: &[u8], fault: PageFault) -> PageError {
        // The byte it stands at, or the body's last, and what is before it.
        let behind = &body[..body.len().min(self.cursor.at() + 1)];
        let before = behind.split_last().map_or(behind, |(_, before)| before);
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        PageError {
            record: self.record,
            member: self.member,
            fault,
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: behind.len() - line_start,
        }
    }

    /// Steps into the object or array that a value must be. `false`, when it is null.
    fn enter(&mut self, member: &'static str, bracket: u8, expected: &'static str) -> Read<bool> {
        self.member = member;
        if self.cursor.takes(bracket)? {
            return Ok(true);
        }
        if self.cursor.value()?.get() == "null" { Ok(false) } else { Err(PageFault::Expected(expected)) }
    }

    /// A member's value, if it is not null, and `read` can make something of it.
    fn member<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(Json<'a>) -> Option<T>,
    ) -> Read<Option<T>> {
        self.member = name;
        let value = self.cursor.value()?;
        if value.get() == "null" {
            return Ok(None);
        }
        read(value).map(Some).ok_or(PageFault::Expected(expected))
    }

    fn string(&mut self, name: &'static str) -> Read<Option<JsonStr<'a>>> {
        self.member(name, "a string", JsonStr::of)
    }

    fn item(&mut self, name: &'static str) -> Read<Option<Json<'a>>> {
        self.member(name, "an object", |value| value.get().starts_with('{').then_some(value))
    }

    /// Insists on a member.
    fn required<T>(&mut self, value: Option<T>, member: &'static str) -> Read<T> {
        value.ok_or_else(|| {
            self.member = member;
            PageFault::Missing
        })
    }

    fn page(&mut self) -> Read<Page<'a>> {
        let (mut records, mut next) = (None, None);
        if !self.enter("the body", b'{', "an object")? {
            return Err(PageFault::Expected("an object"));
        }
        let mut goes_on = !self.cursor.takes(b'}')?;
        while goes_on {
            match self.cursor.name()? {
                "Records" => records = self.records()?,
                "NextShardIterator" => {
                    next = self.member("NextShardIterator", "a string", next_iterator)?.flatten();
                }
                _ => self.cursor.skip()?,
            }
            goes_on = self.cursor.goes_on(b'}')?;
        }
        let records = match (records, &next) {
            (None, Some(_)) => Vec::new(),
            (records, _) => self.required(records, "Records")?,
        };
        self.cursor.end()?;
        Ok(Page { records, next_iterator: next })
    }

    fn records(&mut self) -> Read<Option<Vec<StreamRecord<'a>>>> {
        if !self.enter("Records", b'[', "an array")? {
            return Ok(None);
        }
        let mut records = Vec::new();
        let mut goes_on = !self.cursor.takes(b']')?;
        while goes_on {
            self.record = Some(records.len());
            let from = self.cursor.at();
            let record = self.stream_record()?;
            if records.is_empty() {
                // As many as the rest of the body holds, if all are like the first.
                records.reserve(1 + (self.cursor.left() / (self.cursor.at() - from)).min(MAX_RECORDS - 1));
            }
            records.push(record);
            goes_on = self.cursor.goes_on(b']')?;
        }
        self.record = None;
        self.member = "Records";
        Ok(Some(records))
    }

    fn stream_record(&mut self) -> Read<StreamRecord<'a>> {
        if !self.enter("the record", b'{', "an object")? {
            return Err(PageFault::Expected("an object"));
        }
        let mut parts = Parts::default();
        let mut goes_on = !self.cursor.takes(b'}')?;
        while goes_on {
            match self.cursor.name()? {
                "eventID" => parts.event_id = self.string("eventID")?,
                "eventName" => {
                    parts.event_name = self.member("eventName", "INSERT, MODIFY or REMOVE", event_name)?;
                }
                "awsRegion" => parts.aws_region = self.string("awsRegion")?,
                "eventSource" => parts.event_source = self.string("eventSource")?,
                "dynamodb" => parts.change = self.change()?,
                "userIdentity" => {
                    let expected = "an object whose Type and PrincipalId are strings";
                    parts.user_identity = self.member("userIdentity", expected, user_identity)?;
                }
                _ => self.cursor.skip()?,
            }
            goes_on = self.cursor.goes_on(b'}')?;
        }
        self.finish(parts)
    }

    fn change(&mut self) -> Read<Option<ChangeParts<'a>>> {
        if !self.enter("dynamodb", b'{', "an object")? {
            return Ok(None);
        }
        let mut parts = ChangeParts::default();
        let mut goes_on = !self.cursor.takes(b'}')?;
        while goes_on {
            match self.cursor.name()? {
                "ApproximateCreationDateTime" => {
                    let (name, expected) = ("dynamodb.ApproximateCreationDateTime", "seconds since 1970");
                    parts.created_at_ms = self.member(name, expected, epoch_ms)?;
                }
                "Keys" => parts.keys = self.item("dynamodb.Keys")?,
                "NewImage" => parts.new_image = self.item("dynamodb.NewImage")?,
                "OldImage" => parts.old_image = self.item("dynamodb.OldImage")?,
                "SequenceNumber" => {
                    let (name, expected) = ("dynamodb.SequenceNumber", "a string of decimal digits");
                    parts.sequence_number = self.member(name, expected, sequence_number)?;
                }
                "SizeBytes" => {
                    let read = |value: Json<'_>| value.get().parse().ok();
                    parts.size_bytes = self.member("dynamodb.SizeBytes", "a whole number", read)?;
                }
                "StreamViewType" => parts.stream_view_type = self.string("dynamodb.StreamViewType")?,
                _ => self.cursor.skip()?,
            }
            goes_on = self.cursor.goes_on(b'}')?;
        }
        Ok(Some(parts))
    }

    fn finish(&mut self, parts: Parts<'a>) -> Read<StreamRecord<'a>> {
        let change = self.required(parts.change, "dynamodb")?;
        Ok(StreamRecord {
            event_id: self.required(parts.event_id, "eventID")?,
            event_name: self.required(parts.event_name, "eventName")?,
            aws_region: parts.aws_region,
            event_source: parts.event_source,
            created_at_ms: self.required(change.created_at_ms, "dynamodb.ApproximateCreationDateTime")?,
            keys: self.required(change.keys, "dynamodb.Keys")?,
            new_image: change.new_image,
            old_image: change.old_image,
            sequence_number: self.required(change.sequence_number, "dynamodb.SequenceNumber")?,
            size_bytes: change.size_bytes,
            stream_view_type: change.stream_view_type,
            user_identity: parts.user_identity,
        })
    }
}

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
    keys: Option<Json<'a>>,
    new_image: Option<Json<'a>>,
    old_image: Option<Json<'a>>,
    sequence_number: Option<SequenceNumber>,
    size_bytes: Option<u64>,
    stream_view_type: Option<JsonStr<'a>>,
}

fn event_name(value: Json<'_>) -> Option<EventName> {
    match &*JsonStr::of(value)?.decode()? {
        "INSERT" => Some(EventName::Insert),
        "MODIFY" => Some(EventName::Modify),
        "REMOVE" => Some(EventName::Remove),
        _ => None,
    }
}

fn sequence_number(value: Json<'_>) -> Option<SequenceNumber> {
    SequenceNumber::parse(&JsonStr::of(value)?.decode()?).ok()
}

/// Seconds since 1970 as milliseconds. AWS writes `1.75E9`, other services whole numbers or fractions. A double
/// holds today's time to a thousandth of a millisecond, so rounding gives the millisecond that was meant.
fn epoch_ms(value: Json<'_>) -> Option<u64> {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(seconds) = value.get().parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let is_number = value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let ms = if is_number { (value.get().parse::<f64>().ok()? * 1000.0).round() } else { return None };
    (0.0..=MAX_EXACT).contains(&ms).then_some(ms as u64)
}

fn user_identity(value: Json<'_>) -> Option<UserIdentity<'_>> {
    // serde would take an array of the members' values as well.
    value.get().starts_with('{').then(|| serde_json::from_str(value.get()).ok())?
}

fn next_iterator(value: Json<'_>) -> Option<Option<Cow<'_, str>>> {
    let iterator = JsonStr::of(value)?.decode()?;
    let ends = iterator.is_empty() || iterator.ends_with("|None");
    Some((!ends).then_some(iterator))
}
