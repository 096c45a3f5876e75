//! What a GetRecords body says, told three ways: by its writer, by the referee that reads it slowly, and by the page
//! parser. All three must tell the same.

use ddb_kinesis_bridge::stream::json::Json as Unparsed;
use ddb_kinesis_bridge::stream::json_str::JsonStr;
use ddb_kinesis_bridge::stream::page::{EventName, Page, StreamRecord};

use crate::referee::{Json, Kind, Verdict, decode, read};

/// A body's records and the iterator to read on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    pub records: Vec<Facts>,
    pub next: Option<String>,
}

/// A record's parts, each in the text that the body has for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub event_id: String,
    pub event_name: String,
    pub region: Option<String>,
    pub event_source: Option<String>,
    pub created_ms: u64,
    pub keys: String,
    pub new: Option<String>,
    pub old: Option<String>,
    pub sequence: String,
    pub size: Option<u64>,
    pub view: Option<String>,
    /// `Type` and `PrincipalId`.
    pub identity: Option<(Option<String>, Option<String>)>,
}

/// What the page parser says.
pub fn of_page(page: &Page<'_>) -> Body {
    Body {
        records: page.records.iter().map(of_record).collect(),
        next: page.next_iterator.as_deref().map(str::to_owned),
    }
}

fn of_record(record: &StreamRecord<'_>) -> Facts {
    let token = |text: JsonStr<'_>| text.as_json().to_owned();
    let raw = |json: Unparsed<'_>| json.get().to_owned();
    Facts {
        event_id: token(record.event_id),
        event_name: match record.event_name {
            EventName::Insert => "INSERT",
            EventName::Modify => "MODIFY",
            EventName::Remove => "REMOVE",
        }
        .to_owned(),
        region: record.aws_region.map(token),
        event_source: record.event_source.map(token),
        created_ms: record.created_at_ms,
        keys: raw(record.keys),
        new: record.new_image.map(raw),
        old: record.old_image.map(raw),
        sequence: record.sequence_number.as_str().to_owned(),
        size: record.size_bytes,
        view: record.stream_view_type.map(token),
        identity: record
            .user_identity
            .map(|identity| (identity.kind.map(token), identity.principal_id.map(token))),
    }
}

/// Why the referee sees no page in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoPage {
    NotJson,
    /// A name on the way to the parts is half a surrogate pair: JSON by its grammar, but no text.
    NameWithoutMeaning,
    /// JSON, but not a GetRecords answer.
    NotAnAnswer,
    /// Too deep for the referee, or a time that rounding decides about.
    Undecided,
}

type Told<T> = Result<T, NoPage>;

/// What the referee says. The last of several members of one name counts, but each must be what it should be.
pub fn of_text(body: &str) -> Told<Body> {
    let json = match read(body) {
        Verdict::Json(json) => json,
        Verdict::NotJson => return Err(NoPage::NotJson),
        Verdict::TooDeep => return Err(NoPage::Undecided),
    };
    names_have_meaning(&json)?;
    let records = last(&json, "Records", |value| {
        value.elements().ok_or(NoPage::NotAnAnswer)?.iter().map(record).collect()
    })?;
    let next: Option<Option<String>> = last(&json, "NextShardIterator", |value| {
        let text = value.text().ok_or(NoPage::NotAnAnswer)?;
        Ok((!text.is_empty() && !text.ends_with("|None")).then_some(text))
    })?;
    let next = next.flatten();
    if records.is_none() && next.is_none() {
        return Err(NoPage::NotAnAnswer);
    }
    Ok(Body { records: records.unwrap_or_default(), next })
}

fn record(json: &Json<'_>) -> Told<Facts> {
    names_have_meaning(json)?;
    let event_name = last(json, "eventName", |value| {
        let name = value.text().filter(|name| ["INSERT", "MODIFY", "REMOVE"].contains(&name.as_str()));
        name.ok_or(NoPage::NotAnAnswer)
    })?;
    let change = required(last(json, "dynamodb", change)?)?;
    Ok(Facts {
        event_id: required(last(json, "eventID", token)?)?,
        event_name: required(event_name)?,
        region: last(json, "awsRegion", token)?,
        event_source: last(json, "eventSource", token)?,
        created_ms: required(change.created_ms)?,
        keys: required(change.keys)?,
        new: change.new,
        old: change.old,
        sequence: required(change.sequence)?,
        size: change.size,
        view: change.view,
        identity: last(json, "userIdentity", identity)?,
    })
}

/// The member `dynamodb`. One that is overruled by a second need not be complete.
struct Change {
    created_ms: Option<u64>,
    keys: Option<String>,
    new: Option<String>,
    old: Option<String>,
    sequence: Option<String>,
    size: Option<u64>,
    view: Option<String>,
}

fn change(json: &Json<'_>) -> Told<Change> {
    names_have_meaning(json)?;
    Ok(Change {
        created_ms: last(json, "ApproximateCreationDateTime", milliseconds)?,
        keys: last(json, "Keys", item)?,
        new: last(json, "NewImage", item)?,
        old: last(json, "OldImage", item)?,
        sequence: last(json, "SequenceNumber", sequence)?,
        size: last(json, "SizeBytes", |value| value.raw.parse().map_err(|_| NoPage::NotAnAnswer))?,
        view: last(json, "StreamViewType", token)?,
    })
}

/// The last member of this name, if it is there and not null; each of the name must be one that `read` takes.
fn last<T>(json: &Json<'_>, name: &str, read: impl Fn(&Json<'_>) -> Told<T>) -> Told<Option<T>> {
    let mut found = None;
    for (member, value) in json.members().ok_or(NoPage::NotAnAnswer)? {
        if decode(member).is_some_and(|member| member == name) {
            found = if value.is_null() { None } else { Some(read(value)?) };
        }
    }
    Ok(found)
}

fn required<T>(part: Option<T>) -> Told<T> {
    part.ok_or(NoPage::NotAnAnswer)
}

fn names_have_meaning(json: &Json<'_>) -> Told<()> {
    let members = json.members().ok_or(NoPage::NotAnAnswer)?;
    let all = members.iter().all(|(name, _)| decode(name).is_some());
    if all { Ok(()) } else { Err(NoPage::NameWithoutMeaning) }
}

fn token(value: &Json<'_>) -> Told<String> {
    if value.is_text() { Ok(value.raw.to_owned()) } else { Err(NoPage::NotAnAnswer) }
}

fn item(value: &Json<'_>) -> Told<String> {
    value.members().map(|_| value.raw.to_owned()).ok_or(NoPage::NotAnAnswer)
}

fn sequence(value: &Json<'_>) -> Told<String> {
    let digits =
        value.text().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.ok_or(NoPage::NotAnAnswer)
}

/// The service's members, or Lambda's spelling of them; unlike elsewhere each may be there once only.
fn identity(value: &Json<'_>) -> Told<(Option<String>, Option<String>)> {
    names_have_meaning(value)?;
    let one_of = |names: [&str; 2]| {
        let is_one = |name: &str| decode(name).is_some_and(|name| names.contains(&name.as_str()));
        let members = value.members().unwrap_or_default();
        let mut found = members.iter().filter(|(name, _)| is_one(name)).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(NoPage::NotAnAnswer),
            (Some(value), None) if !value.is_null() => token(value).map(Some),
            _ => Ok(None),
        }
    };
    Ok((one_of(["Type", "type"])?, one_of(["PrincipalId", "principalId"])?))
}

/// Seconds as milliseconds, by their decimal digits and no double.
fn milliseconds(value: &Json<'_>) -> Told<u64> {
    if !matches!(value.kind, Kind::Number) {
        return Err(NoPage::NotAnAnswer);
    }
    if let Ok(seconds) = value.raw.parse::<u64>() {
        return seconds.checked_mul(1000).ok_or(NoPage::NotAnAnswer);
    }
    let (whole, thousandths) = decimal_milliseconds(value.raw).ok_or(NoPage::NotAnAnswer)?;
    // What a double may round either way, the larger the number the more.
    let undecided = match whole {
        0..0x800_0000_0000 => (499..=500).contains(&thousandths),
        0x800_0000_0000..0x4_0000_0000_0000 => (250..750).contains(&thousandths),
        0x4_0000_0000_0000..0x20_0000_0001_0000 => true,
        _ => return Err(NoPage::NotAnAnswer),
    };
    if undecided {
        return Err(NoPage::Undecided);
    }
    let rounded = whole + u64::from(thousandths >= 500);
    if value.raw.starts_with('-') && rounded > 0 { Err(NoPage::NotAnAnswer) } else { Ok(rounded) }
}

/// A number's size in whole milliseconds, and the thousandths that are left, cut off. `None` when it is very large.
fn decimal_milliseconds(number: &str) -> Option<(u64, u64)> {
    let number = number.trim_start_matches('-').to_lowercase();
    let (mantissa, exponent) = number.split_once('e').unwrap_or((&number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some((0, 0));
    }
    // Thousandths of milliseconds are millionths of seconds.
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { -10_000 } else { 10_000 });
    let shift = exponent.clamp(-10_000, 10_000) - i64::try_from(fraction.len()).ok()? + 6;
    let length = i64::try_from(significant.len()).ok()? + shift;
    let thousandths: u64 = match usize::try_from(length) {
        Ok(length) if length > 19 => return None,
        Ok(length) => format!("{significant:0<length$}")[..length].parse().unwrap_or(0),
        Err(_) => 0,
    };
    Some((thousandths / 1000, thousandths % 1000))
}
