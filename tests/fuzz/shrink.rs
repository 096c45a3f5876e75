//! Payloads that are too large: cut by the encoder to a limit, or by `shrink` once they are written. Both give the same
//! bytes, say what they left out, and never touch the rest.

use std::cell::RefCell;

use ddb_kinesis_bridge::record::envelope::{EncodeError, EncoderOptions, Format};
use ddb_kinesis_bridge::record::shrink::shrink;
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::choices::Choices;
use crate::damage::damaged;
use crate::facts::Facts;
use crate::pages::{Input, input};
use crate::records::{each, names, options, raw};
use crate::referee::{Json, must_read};

/// A page, and what happens to its payloads.
#[derive(Debug)]
struct Case {
    page: Input,
    format: Format,
    /// For the limit and for damage.
    choices: Vec<u8>,
}

#[test]
fn shrunk() {
    let case = |choices: &mut Choices<'_>| {
        let format = choices.one_of(&[Format::DynamodbJson, Format::Json]);
        let own = (0..48).map(|_| choices.byte()).collect();
        Case { page: input(choices), format, choices: own }
    };
    fuzz("shrunk", case, |Case { page, format, choices }: &Case| {
        let whole = options(*format);
        each(page, &whole, |facts, encoded| {
            let Ok(encoded) = encoded else { return Ok(()) };
            every_step(*format, facts, encoded.entry.data())?;
            every_step(*format, facts, &marked(encoded.entry.data()))?;
            let bytes = damaged(&mut Choices::new(choices), encoded.entry.data(), page.bytes());
            any_bytes(*format, &bytes)
        })?;
        let sizes = sizes(page, &whole)?;
        let mut choices = Choices::new(choices);
        let size_bytes = sizes.get(choices.below(sizes.len())).copied().unwrap_or_default();
        let limit_bytes = size_bytes.saturating_sub(choices.below(3));
        within_the_limit(page, &EncoderOptions { limit_bytes, ..whole })
    });
}

/// The payload as a change that is carried again has it.
fn marked(payload: &[u8]) -> Vec<u8> {
    let open = payload.strip_suffix(b"}").expect("an object");
    [open, br#","replay":"once \"more\""}"#].concat()
}

/// Cuts a payload as long as there is an image.
fn every_step(format: Format, facts: &Facts, whole: &[u8]) -> Result<(), TestCaseError> {
    let (old, new) = (facts.old.is_some(), facts.new.is_some());
    let steps: &[&str] = match (old, new) {
        (true, true) => &[r#"["OldImage"]"#, r#"["OldImage","NewImage"]"#],
        (true, false) => &[r#"["OldImage"]"#],
        (false, true) => &[r#"["NewImage"]"#],
        (false, false) => &[],
    };
    let mut payload = whole.to_vec();
    for truncated in steps {
        let cut = shrink(format, &payload).ok_or_else(|| TestCaseError::fail("an image is left"))?;
        only_the_image_went(format, &payload, &cut, truncated)?;
        payload = cut;
    }
    prop_assert_eq!(shrink(format, &payload), None);
    Ok(())
}

fn only_the_image_went(
    format: Format,
    before: &[u8],
    after: &[u8],
    truncated: &str,
) -> Result<(), TestCaseError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8");
    let (before, after) = (text(before), text(after));
    let member = match (format, truncated.ends_with("NewImage\"]")) {
        (Format::DynamodbJson, false) => "OldImage",
        (Format::DynamodbJson, true) => "NewImage",
        (Format::Json, false) => "old",
        (Format::Json, true) => "new",
    };
    let (before, after) = (must_read(&before), must_read(&after));
    prop_assert_eq!(raw(&after, "truncated"), Some(truncated));
    let mut expected = members(format, &before);
    let image = expected.iter().position(|(name, _)| *name == member);
    let (_, image) = expected.remove(image.ok_or_else(|| TestCaseError::fail("the image was not there"))?);
    prop_assert_eq!(members(format, &after), expected);

    let gone = format!(",\"{member}\":{image}").len() + said(&before);
    prop_assert_eq!(after.raw.len() + gone, before.raw.len() + said(&after));
    Ok(())
}

/// A payload's members in their order, with those of the change among them, and without `truncated`.
fn members<'a>(format: Format, payload: &Json<'a>) -> Vec<(String, &'a str)> {
    let of = |object: &Json<'a>| {
        names(object)
            .into_iter()
            .filter_map(|name| {
                let text = raw(object, &name)?;
                Some((name, text))
            })
            .collect::<Vec<_>>()
    };
    let mut all = of(payload);
    all.retain(|(name, _)| name != "truncated" && (name != "dynamodb" || format == Format::Json));
    if let (Format::DynamodbJson, Some(change)) = (format, payload.get("dynamodb")) {
        all.extend(of(change));
    }
    all
}

/// The bytes in which a payload says what it lacks.
fn said(payload: &Json<'_>) -> usize {
    raw(payload, "truncated").map_or(0, |list| ",\"truncated\":".len() + list.len())
}

/// What is no payload is refused, or cut to valid JSON, an image less each time.
fn any_bytes(format: Format, bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut payload = bytes.to_vec();
    for _ in 0..2 {
        let Some(cut) = shrink(format, &payload) else { return Ok(()) };
        let text = std::str::from_utf8(&cut).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(must_read(text).get("truncated").is_some());
        payload = cut;
    }
    prop_assert_eq!(shrink(format, &payload), None);
    Ok(())
}

/// The sizes of a page's records: whole, and after each cut.
fn sizes(page: &Input, options: &EncoderOptions) -> Result<Vec<usize>, TestCaseError> {
    let sizes = RefCell::new(Vec::new());
    each(page, options, |_, encoded| {
        let Ok(encoded) = encoded else { return Ok(()) };
        let mut next = Some(encoded.entry.data().to_vec());
        while let Some(data) = next {
            sizes.borrow_mut().push(data.len() + encoded.entry.partition_key().len());
            next = shrink(options.format, &data);
        }
        Ok(())
    })?;
    Ok(sizes.into_inner())
}

/// The encoder cuts only what is too large, as far as it must, and as `shrink` would have.
fn within_the_limit(page: &Input, options: &EncoderOptions) -> Result<(), TestCaseError> {
    let whole = EncoderOptions { limit_bytes: usize::MAX, ..options.clone() };
    let limited = RefCell::new(Vec::new());
    each(page, options, |_, encoded| {
        limited.borrow_mut().push(encoded);
        Ok(())
    })?;
    let limited = RefCell::new(limited.into_inner().into_iter());
    each(page, &whole, |_, encoded| {
        let limited = limited.borrow_mut().next();
        let Ok(encoded) = encoded else { return Ok(()) };
        let mut data = encoded.entry.data().to_vec();
        while data.len() + encoded.entry.partition_key().len() > options.limit_bytes {
            let Some(cut) = shrink(options.format, &data) else {
                prop_assert!(matches!(limited, Some(Err(EncodeError::TooLarge { .. }))), "{:?}", limited);
                return Ok(());
            };
            data = cut;
        }
        let limited = limited.and_then(Result::ok);
        prop_assert_eq!(limited.as_ref().map(|limited| limited.entry.data()), Some(&data[..]));
        Ok(())
    })
}
