//! What is carried of a change: images and attributes as chosen, each byte as it was; and a modification is left out for
//! being none only if the slow comparison says so too, and always if it does.

use std::cell::Cell;

use ddb_kinesis_bridge::record::envelope::{EncoderOptions, Format};
use ddb_kinesis_bridge::record::selection::{Attributes, Images, Selection};
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::choices::Choices;
use crate::facts::{Facts, of_text};
use crate::items;
use crate::judgement::attributes;
use crate::pages::{Input, input};
use crate::pen::Pen;
use crate::records::{each_chosen, names, options, raw};
use crate::referee::{Json, Kind, decode, is_number, must_read};

/// A page and a choice.
#[derive(Debug)]
struct Case {
    page: Input,
    images: Images,
    /// Which of the page's attributes are listed, by the remainder of their place by this; and as what.
    every: usize,
    listed: Option<fn(Vec<String>) -> Attributes>,
}

/// Some of the names in a page's images, and others.
fn names_in(page: &Input, every: usize) -> Vec<String> {
    let body = String::from_utf8_lossy(page.bytes());
    let says = of_text(&body).map_or_else(|_| Vec::new(), |body| body.records);
    let images = says.iter().flat_map(|facts| facts.new.iter().chain(&facts.old));
    let all: Vec<String> = images
        .flat_map(|image| names(&must_read(image)))
        .chain(["".to_owned(), items::SORT_KEY.to_owned()])
        .collect();
    all.into_iter().step_by(every).collect()
}

/// Names that are likely to be in an item of [`items::item`].
fn some_names(choices: &mut Choices<'_>) -> Vec<String> {
    let mut pen = Pen::new(choices);
    let mut names: Vec<String> = (0..8).map(|_| pen.text(2)).collect();
    names.extend(["".to_owned(), "a".to_owned(), items::SORT_KEY.to_owned()]);
    names
}

#[test]
fn shaped() {
    let case = |choices: &mut Choices<'_>| {
        let images = choices.one_of(&[Images::AsStreamed, Images::Keys, Images::New, Images::Old]);
        let listed = choices.one_of(&[None, Some(Attributes::Only as fn(_) -> _), Some(Attributes::AllBut)]);
        let every = 1 + choices.below(3);
        Case { page: input(choices), images, every, listed }
    };
    let cut = Cell::new(0);
    fuzz("shaped", case, |Case { page, images, every, listed }: &Case| {
        let attributes = &listed.map_or(Attributes::All, |listed| listed(names_in(page, *every)));
        let selection = Selection { images: *images, attributes: attributes.clone(), ..Selection::default() };
        let chosen = EncoderOptions { selection, ..options(Format::DynamodbJson) };
        each_chosen(page, &chosen, |facts, encoded| {
            let Ok(encoded) = encoded else { return Ok(()) };
            let encoded = encoded.ok_or_else(|| TestCaseError::fail("it was left out"))?;
            prop_assert!(encoded.truncated.is_empty());
            let payload = String::from_utf8(encoded.entry.data().to_vec()).expect("UTF-8");
            let payload = must_read(&payload);
            let change = payload.get("dynamodb").expect("it is there");
            let (new, old) = match images {
                Images::AsStreamed => (&facts.new, &facts.old),
                Images::Keys => (&None, &None),
                Images::New => (&facts.new, &None),
                Images::Old => (&None, &facts.old),
            };
            for (name, image) in [("NewImage", new), ("OldImage", old)] {
                let expected = image.as_ref().map(|image| shaped_text(image, attributes));
                if expected.as_ref() != image.as_ref() {
                    cut.set(cut.get() + 1);
                }
                prop_assert_eq!(raw(change, name), expected.as_deref(), "{}", name);
            }
            prop_assert_eq!(raw(change, "Keys"), Some(facts.keys.as_str()));
            prop_assert_eq!(names(&payload).len(), 9);
            Ok(())
        })
    });
    assert!(cut.get() > 50, "{} images were cut", cut.get());
}

fn shaped_text(image: &str, attributes: &Attributes) -> String {
    let json = must_read(image);
    let is_taken = |token: &str| {
        let name = decode(token);
        let is_in = |names: &[String]| name.as_ref().is_some_and(|name| names.contains(name));
        let is_key = is_in(&[items::PARTITION_KEY.to_owned(), items::SORT_KEY.to_owned()]);
        match attributes {
            Attributes::All => true,
            Attributes::Only(names) => is_key || is_in(names),
            Attributes::AllBut(names) => is_key || !is_in(names),
        }
    };
    let members = json.members().expect("an object");
    let taken: Vec<String> = members
        .iter()
        .filter(|(name, _)| is_taken(name))
        .map(|(name, value)| format!("{name}:{}", value.raw))
        .collect();
    if taken.len() == members.len() { image.to_owned() } else { format!("{{{}}}", taken.join(",")) }
}

/// A value written in another way: the same to DynamoDB, save where `differ` says.
fn respelt(pen: &mut Pen<'_, '_>, value: &Json<'_>, name: &str, differ: &mut bool) -> String {
    let differs = *differ && pen.choices.once_in(3);
    match &value.kind {
        Kind::Map(members) => {
            let mut all: Vec<(String, String)> = Vec::new();
            for (token, value) in members {
                let text = decode(token);
                let token = text.as_ref().map_or((*token).to_owned(), |text| pen.token(text));
                all.push((token, respelt(pen, value, &text.unwrap_or_default(), differ)));
            }
            // Of two of one name the order counts.
            let distinct: std::collections::BTreeSet<_> =
                members.iter().map(|(name, _)| decode(name)).collect();
            if distinct.len() == members.len() {
                pen.choices.shuffle(&mut all);
            }
            pen.object(&all)
        }
        Kind::List(elements) => {
            let mut all: Vec<String> =
                elements.iter().map(|element| respelt(pen, element, name, differ)).collect();
            if ["SS", "NS", "BS"].contains(&name) {
                pen.choices.shuffle(&mut all);
            } else if differs && !all.is_empty() {
                *differ = false;
                all.pop();
            }
            pen.array(&all)
        }
        Kind::Text => match value.text() {
            Some(text) if differs => {
                *differ = false;
                pen.token(&format!("{text}1"))
            }
            Some(text) if name.starts_with('N') && is_number(&text) && !text.contains(['e', 'E']) => {
                let point = if text.contains('.') { "0" } else { ".0" };
                let text = if pen.choices.once_in(2) { format!("{text}{point}") } else { text };
                pen.token(&text)
            }
            Some(text) => pen.token(&text),
            None => value.raw.to_owned(),
        },
        _ => value.raw.to_owned(),
    }
}

#[test]
fn unchanged() {
    let case = |choices: &mut Choices<'_>| {
        let new = items::item(&mut Pen::new(&mut choices.part(400)), 3);
        let mut differ = choices.once_in(2);
        let old = respelt(&mut Pen::new(choices), &must_read(&new), "", &mut differ);
        let text = format!(
            r#"{{"Records":[{{"eventID":"e","eventName":"MODIFY","dynamodb":{{"ApproximateCreationDateTime":1,
            "Keys":{{"pk":{{"S":"a"}},"sk":{{"N":"1"}}}},"NewImage":{new},"OldImage":{old},"SequenceNumber":"1"}}}}]}}"#
        );
        let only = choices.once_in(2).then(|| some_names(choices));
        (text, only)
    };
    let (same, changed) = (Cell::new(0), Cell::new(0));
    fuzz("unchanged", case, |(text, only): &(String, Option<Vec<String>>)| {
        let attributes = only.clone().map_or(Attributes::All, Attributes::Only);
        let selection = Selection { drop_unchanged: true, attributes, ..Selection::default() };
        let chosen = EncoderOptions { selection, ..options(Format::DynamodbJson) };
        let page = Input::Damaged(text.clone().into_bytes());
        each_chosen(&page, &chosen, |facts, encoded| {
            let expected = is_same(facts, only.as_deref());
            let count = if expected { &same } else { &changed };
            count.set(count.get() + 1);
            let carried = encoded.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(carried.is_none(), expected);
            Ok(())
        })
    });
    let (same, changed) = (same.get(), changed.get());
    assert!(same > 50 && changed > 50, "{same} same, {changed} changed");
}

/// Whether both images say the same, of the attributes with these names; in doubt they do not.
fn is_same(facts: &Facts, only: Option<&[String]>) -> bool {
    let (new, old) = (facts.new.as_deref().expect("an image"), facts.old.as_deref().expect("an image"));
    if new == old {
        return true;
    }
    let read = |image| -> Option<Vec<(String, String, Option<String>)>> {
        let json = must_read(image);
        let mut all: Vec<(String, String, Option<String>)> = Vec::new();
        for (name, value) in json.members()? {
            let name = decode(name)?;
            let keys = [items::PARTITION_KEY, items::SORT_KEY];
            if only.is_none_or(|only| only.contains(&name) || keys.contains(&name.as_str())) {
                all.retain(|(other, ..)| *other != name);
                all.push((name, value.raw.to_owned(), crate::judgement::canonical(value)));
            }
        }
        all.sort();
        Some(all)
    };
    let (Some(new), Some(old)) = (read(new), read(old)) else { return false };
    new.len() == old.len()
        && new
            .iter()
            .zip(&old)
            .all(|(new, old)| new.0 == old.0 && (new.1 == old.1 || new.2.is_some() && new.2 == old.2))
}

/// The slow comparison's own view of items, held against plain cases.
#[test]
fn judgement() {
    let same = |one: &str, other: &str| attributes(&must_read(one)) == attributes(&must_read(other));
    assert!(same(r#"{"a":{"NS":["1","2.0"]}}"#, r#"{"a":{"NS":["2","1e0"]}}"#));
    assert!(!same(r#"{"a":{"L":[{"N":"1"},{"N":"2"}]}}"#, r#"{"a":{"L":[{"N":"2"},{"N":"1"}]}}"#));
}
