//! Filters: what matches without a tree matches in one, for patterns about what a page holds; and no text that is given for
//! a pattern makes the parser panic.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use ddb_kinesis_bridge::record::envelope::{EncoderOptions, Format};
use ddb_kinesis_bridge::record::pattern::Pattern;
use ddb_kinesis_bridge::record::selection::Selection;
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::choices::Choices;
use crate::damage::damaged;
use crate::judgement::matches;
use crate::pages::{Input, input};
use crate::patterns;
use crate::pen::Pen;
use crate::records::{each, each_chosen, options};
use crate::referee::{Verdict, must_read, read};

/// A page, and what a pattern for it is grown from.
#[derive(Debug)]
struct Case {
    page: Input,
    choices: Vec<u8>,
}

fn case(choices: &mut Choices<'_>) -> Case {
    let own = (0..160).map(|_| choices.byte()).collect();
    Case { page: input(choices), choices: own }
}

/// The payloads of a page's records, as they would be written whole.
fn payloads(page: &Input) -> Result<Vec<Option<String>>, TestCaseError> {
    let all = RefCell::new(Vec::new());
    each(page, &options(Format::DynamodbJson), |_, encoded| {
        let text =
            encoded.ok().map(|encoded| String::from_utf8(encoded.entry.data().to_vec()).expect("UTF-8"));
        all.borrow_mut().push(text);
        Ok(())
    })?;
    Ok(all.into_inner())
}

#[test]
fn filter() {
    let (matched, refused, unread) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    fuzz("filter", case, |Case { page, choices }: &Case| {
        let payloads = payloads(page)?;
        let Some(about) = payloads.iter().flatten().next() else { return Ok(()) };
        let mut choices = Choices::new(choices);
        let text = patterns::pattern(&mut Pen::new(&mut choices), &must_read(about));
        let Ok(pattern) = Pattern::parse(&text) else {
            count(&unread);
            return Ok(());
        };
        let selection = Selection { filter: Some(Arc::new(pattern)), ..Selection::default() };
        let formats = [Format::DynamodbJson, Format::Json];
        for format in formats {
            let whole = RefCell::new(payloads.iter());
            let filtered = EncoderOptions { selection: selection.clone(), ..options(format) };
            each_chosen(page, &filtered, |_, encoded| {
                let mut whole = whole.borrow_mut();
                let Some(Some(payload)) = whole.next() else { return Ok(()) };
                let expected = matches(&must_read(&text), &must_read(payload));
                count(if expected { &matched } else { &refused });
                match encoded {
                    Ok(encoded) => prop_assert_eq!(encoded.is_some(), expected, "{}\n{}", text, payload),
                    // What cannot be written plainly was asked for, or it would not have been tried.
                    Err(_) => prop_assert!(expected && format == Format::Json, "{}\n{}", text, payload),
                }
                Ok(())
            })?;
        }
        Ok(())
    });
    let (matched, refused, unread) = (matched.get(), refused.get(), unread.get());
    println!("filter: {matched} records matched, {refused} did not; {unread} patterns were none");
    assert!(matched > 100 && refused > 100, "{matched} matched, {refused} did not");
}

#[test]
fn filter_text() {
    const WORDS: &str = "{|}|[|]|,|:|\"eventName\"|\"dynamodb\"|\"NewImage\"|\"Keys\"|\"S\"|\"N\"|\"M\"|\"L\"|\"$or\"|\"prefix\"|\
        \"anything-but\"|\"numeric\"|\"exists\"|\"wildcard\"|\"*\"|\">\"|1|-0.5e9|true|null|\"\\ud800\"|\"a\\\\\"| |\n|[\"a\"]|é";
    let case = |choices: &mut Choices<'_>| {
        let noise = choices.once_in(3);
        let mut accidents = choices.part(48);
        let own: Vec<u8> = (0..160).map(|_| choices.byte()).collect();
        let about = choices.some(40, |choices| choices.one_part(WORDS)).concat();
        if noise {
            return about;
        }
        let payload = r#"{"eventName":"INSERT","dynamodb":{"Keys":{"pk":{"S":"a"}},"NewImage":{"n":{"N":"12"},
            "m":{"M":{"l":{"L":[{"S":"x"},{"NS":["1","2"]}]}}},"b":{"BOOL":true},"z":{"NULL":true}},"SizeBytes":5}}"#;
        let mut own = Choices::new(&own);
        let text = patterns::pattern(&mut Pen::new(&mut own), &must_read(payload));
        if accidents.once_in(4) {
            return text;
        }
        String::from_utf8_lossy(&damaged(&mut accidents, text.as_bytes(), about.as_bytes())).into_owned()
    };
    let parsed = Cell::new(0);
    fuzz("filter_text", case, |text: &String| {
        match Pattern::parse(text) {
            Ok(pattern) => {
                parsed.set(parsed.get() + 1);
                prop_assert!(matches!(read(text), Verdict::Json(_)), "it is not even JSON");
                prop_assert_eq!(Ok(pattern), Pattern::parse(text));
            }
            Err(error) => {
                let lines: Vec<&str> = text.split('\n').collect();
                let line = lines.get(error.place.line - 1);
                let line = line.ok_or_else(|| TestCaseError::fail(format!("no such line: {error}")))?;
                // serde_json counts bytes, and stands behind the last of them where a text ends early.
                prop_assert!(error.place.column >= 1 && error.place.column <= line.len() + 1, "{}", error);
                prop_assert!(!error.message.is_empty());
            }
        }
        Ok(())
    });
    assert!(parsed.get() > 20, "{} texts were patterns", parsed.get());
}
