//! GetRecords bodies: whole ones with all that the service, an emulator or a later version may write; damaged ones;
//! and noise.

use std::fmt;

use crate::choices::Choices;
use crate::damage::damaged;
use crate::facts::{Body, Facts};
use crate::items::{self, KeyValue};
use crate::pen::Pen;

/// What a target is given.
pub enum Input {
    /// A valid body, and what it says.
    Whole(String, Body),
    /// A valid body no more, most likely.
    Damaged(Vec<u8>),
    /// Anything.
    Noise(Vec<u8>),
}

impl Input {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(text, _) => text.as_bytes(),
            Self::Damaged(bytes) | Self::Noise(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Whole(..) => "a whole body",
            Self::Damaged(_) => "a damaged body",
            Self::Noise(_) => "noise",
        };
        write!(
            f,
            "{kind}\n{}\nas a literal: b\"{}\"",
            String::from_utf8_lossy(self.bytes()),
            self.bytes().escape_ascii()
        )
    }
}

/// Any of the three.
pub fn input(choices: &mut Choices<'_>) -> Input {
    match choices.below(10) {
        0..4 => {
            let (text, says) = body(choices);
            Input::Whole(text, says)
        }
        4..9 => {
            let (mut accidents, other) = (choices.part(48), body(&mut choices.part(300)).0);
            Input::Damaged(damaged(&mut accidents, body(choices).0.as_bytes(), other.as_bytes()))
        }
        _ => Input::Noise(noise(choices)),
    }
}

/// Bytes of any kind, or the body's own words in any order.
fn noise(choices: &mut Choices<'_>) -> Vec<u8> {
    const WORDS: &str = "{|}|[|]|,|:|\"Records\"|\"NextShardIterator\"|\"dynamodb\"|\"Keys\"|\
        \"eventID\"|\"eventName\"|\"INSERT\"|\"userIdentity\"|\"SequenceNumber\"|\"1\"|null|1|{}|[]|\"|\
        \\| |{\"Records\":[";
    if choices.once_in(2) {
        choices.some(200, Choices::byte)
    } else {
        choices.some(60, |choices| choices.one_part(WORDS)).concat().into_bytes()
    }
}

/// The item whose changes a record tells, as far as its keys go.
pub fn any_keys(pen: &mut Pen<'_, '_>) -> (KeyValue, KeyValue) {
    (items::key_value(pen), items::key_value(pen))
}

/// A body and what it says.
pub fn body(choices: &mut Choices<'_>) -> (String, Body) {
    let mut pen = Pen::new(choices);
    let count = pen.choices.below(4);
    let (texts, records): (Vec<_>, Vec<_>) = (0..count).map(|_| record(&mut pen)).unzip();
    let records_text = pen.array(&texts);
    let (iterator, next) = iterator(&mut pen);

    let mut members = Members::default();
    members.required(&mut pen, "Records", records_text, &["[]", "null"]);
    members.optional(&mut pen, "NextShardIterator", iterator, &["\"other\"", "\"\""]);
    let text = members.write(&mut pen);
    (pen.framed(&text), Body { records, next })
}

/// The iterator's token, if the body has one, and where it leads.
fn iterator(pen: &mut Pen<'_, '_>) -> (Option<String>, Option<String>) {
    match pen.choices.below(5) {
        0 => (None, None),
        1 => (Some(pen.token("")), None),
        2 => (Some(pen.token("arn:aws:dynamodb:us-east-1:0:table/t/stream/1|1|None")), None),
        _ => {
            let text = format!("arn:aws:dynamodb:…|1|{}=", pen.text(9));
            (Some(pen.token(&text)), Some(text))
        }
    }
}

fn record(pen: &mut Pen<'_, '_>) -> (String, Facts) {
    let name = pen.choices.one_of(&["INSERT", "MODIFY", "REMOVE"]);
    let (dynamodb, change) = change(pen);
    let (user_identity, identity) = identity(pen);
    let source = pen.choices.once_in(2).then(|| pen.token("aws:dynamodb"));
    let facts = Facts {
        event_id: pen.any_token(),
        event_name: name.to_owned(),
        region: pen.choices.once_in(2).then(|| pen.any_token()),
        event_source: source,
        identity,
        ..change
    };
    let name = pen.token(name);
    let mut members = Members::default();
    members.required(pen, "eventID", facts.event_id.clone(), &["\"other\"", "null"]);
    members.required(pen, "eventName", name, &["\"MODIFY\"", "null"]);
    members.required(pen, "dynamodb", dynamodb, &["null", OTHER_CHANGE]);
    members.optional(pen, "awsRegion", facts.region.clone(), &["\"other\""]);
    members.optional(pen, "eventSource", facts.event_source.clone(), &["\"other\""]);
    members.optional(pen, "userIdentity", user_identity, &["{}", "{\"Type\":\"Service\"}"]);
    (members.write(pen), facts)
}

/// A change that is followed by another one of the same record: nothing of it may stay.
const OTHER_CHANGE: &str = r#"{"ApproximateCreationDateTime":7,"Keys":{"pk":{"S":"other"}},"NewImage":{"other":{"S":"new"}},
"OldImage":{"other":{"S":"old"}},"SequenceNumber":"7","SizeBytes":7,"StreamViewType":"other"}"#;

fn change(pen: &mut Pen<'_, '_>) -> (String, Facts) {
    let (partition, sort) = any_keys(pen);
    let view = pen.choices.one_of(&["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]);
    let has = |image: &str| view.contains(image) || view.ends_with("IMAGES");
    let (seconds, created_ms) = time(pen);
    let view_token = pen.token(view);
    let facts = Facts {
        event_id: String::new(),
        event_name: String::new(),
        region: None,
        event_source: None,
        created_ms,
        keys: items::keys(pen, &partition, Some(&sort)),
        new: has("NEW").then(|| items::item(pen, 3)),
        old: has("OLD").then(|| items::item(pen, 3)),
        sequence: "0".repeat(pen.choices.below(4)) + &pen.digits(55),
        size: pen.choices.once_in(2).then(|| pen.choices.word() >> pen.choices.below(64)),
        view: pen.choices.once_in(2).then_some(view_token),
        identity: None,
    };
    let sequence = pen.token(&facts.sequence);
    let mut members = Members::default();
    members.required(pen, "ApproximateCreationDateTime", seconds, &["7", "null"]);
    members.required(pen, "Keys", facts.keys.clone(), &["{}", "null"]);
    members.required(pen, "SequenceNumber", sequence, &["\"7\"", "null"]);
    members.optional(pen, "NewImage", facts.new.clone(), &["{}"]);
    members.optional(pen, "OldImage", facts.old.clone(), &["{}"]);
    members.optional(pen, "SizeBytes", facts.size.map(|size| size.to_string()), &["7"]);
    members.optional(pen, "StreamViewType", facts.view.clone(), &["\"other\""]);
    (members.write(pen), facts)
}

/// A moment, as one of the ways to write its seconds, and its milliseconds.
fn time(pen: &mut Pen<'_, '_>) -> (String, u64) {
    let whole = if pen.choices.once_in(4) { pen.choices.word() >> 28 } else { 1_750_000_000 };
    let ms = pen.choices.word() % 1000;
    let digits = whole.to_string();
    match pen.choices.below(5) {
        0 => (digits, whole * 1000),
        1 => (format!("{whole}.{ms:03}"), whole * 1000 + ms),
        2 => (format!("{whole}{ms:03}e-3"), whole * 1000 + ms),
        3 => {
            let (first, rest) = digits.split_at(1);
            (format!("{first}.{rest}{ms:03}E{}", rest.len()), whole * 1000 + ms)
        }
        _ => (format!("{whole}.{ms:03}4E+0"), whole * 1000 + ms),
    }
}

type Identity = (Option<String>, Option<String>);

fn identity(pen: &mut Pen<'_, '_>) -> (Option<String>, Option<Identity>) {
    if pen.choices.once_in(2) {
        return (None, None);
    }
    let names = pen.choices.one_of(&[["Type", "PrincipalId"], ["type", "principalId"]]);
    let values = pen.choices.one_of(&[["Service", "dynamodb.amazonaws.com"], ["User", "somebody"]]);
    let mut members = Vec::new();
    let mut part = |at: usize| {
        let there = !pen.choices.once_in(6);
        let value = there.then(|| pen.token(values[at]));
        if there || pen.choices.once_in(2) {
            members.push((pen.token(names[at]), value.clone().unwrap_or_else(|| "null".to_owned())));
        }
        value
    };
    let facts = (part(0), part(1));
    if pen.choices.once_in(4) {
        members.push((pen.token("Invoked"), pen.anything(2)));
    }
    pen.choices.shuffle(&mut members);
    (Some(pen.object(&members)), Some(facts))
}

/// An object's members: those that count, and others before them that do not.
#[derive(Default)]
struct Members(Vec<(String, String)>);

impl Members {
    /// A member; now and then after `others` of the same name, which it overrules.
    fn required(&mut self, pen: &mut Pen<'_, '_>, name: &str, value: String, others: &[&str]) {
        self.overruled(pen, name, others);
        self.0.push((pen.token(name), value));
    }

    /// A member that may be left out, or null.
    fn optional(&mut self, pen: &mut Pen<'_, '_>, name: &str, value: Option<String>, others: &[&str]) {
        let overruled = self.overruled(pen, name, others);
        match value {
            Some(value) => self.0.push((pen.token(name), value)),
            None if overruled || pen.choices.once_in(3) => self.0.push((pen.token(name), "null".to_owned())),
            None => {}
        }
    }

    fn overruled(&mut self, pen: &mut Pen<'_, '_>, name: &str, others: &[&str]) -> bool {
        let before = self.0.len();
        if pen.choices.once_in(12) {
            for _ in 0..=pen.choices.below(2) {
                self.0.push((pen.token(name), pen.choices.one_of(others).to_owned()));
            }
        }
        self.0.len() > before
    }

    /// Writes the members in any order, save that those of one name keep theirs, and members that nobody knows.
    fn write(mut self, pen: &mut Pen<'_, '_>) -> String {
        for _ in 0..pen.choices.below(6) / 4 {
            let name = format!("x{}", pen.text(3));
            self.0.push((pen.token(&name), pen.anything(3)));
        }
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        pen.choices.shuffle(&mut places);
        let mut groups: Vec<(String, usize, (String, String))> = Vec::new();
        for (place, member) in places.into_iter().zip(self.0) {
            let name = crate::referee::decode(&member.0).unwrap_or_default();
            groups.push((name, place, member));
        }
        keep_order_within_names(&mut groups);
        groups.sort_by_key(|(_, place, _)| *place);
        let members: Vec<_> = groups.into_iter().map(|(_, _, member)| member).collect();
        pen.object(&members)
    }
}

/// Deals the places of one name's members out again, in their order.
fn keep_order_within_names(groups: &mut [(String, usize, (String, String))]) {
    for at in 1..groups.len() {
        for earlier in 0..at {
            if groups[earlier].0 == groups[at].0 && groups[earlier].1 > groups[at].1 {
                let place = groups[at].1;
                groups[at].1 = groups[earlier].1;
                groups[earlier].1 = place;
            }
        }
    }
}
