//! The page parser: what it accepts, the referee reads alike; what it refuses, the referee refuses too.

use ddb_kinesis_bridge::stream::page::{Page, PageFault};
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::facts::{NoPage, of_page, of_text};
use crate::pages::{Input, input};

#[test]
fn page() {
    fuzz("page", input, |input: &Input| {
        agrees_with_the_referee(input.bytes())?;
        if let Input::Whole(text, says) = input {
            let page =
                Page::parse(text.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&of_page(&page), says);
        }
        Ok(())
    });
}

fn agrees_with_the_referee(body: &[u8]) -> Result<(), TestCaseError> {
    // Bytes that are not UTF-8 can only stand in members that are passed over; replacing them moves no quote.
    let text = String::from_utf8_lossy(body);
    match (Page::parse(body), of_text(&text)) {
        (_, Err(NoPage::Undecided)) => {}
        (Ok(page), Ok(says)) => prop_assert_eq!(of_page(&page), says),
        (Ok(page), Err(reason)) => prop_assert!(false, "accepted, though {:?}: {:?}", reason, page),
        (Err(error), Ok(_)) => {
            prop_assert!(matches!(text, std::borrow::Cow::Owned(_)), "refused: {}", error);
        }
        (Err(error), Err(_)) => {
            let lines = text.split('\n').count();
            prop_assert!((1..=lines).contains(&error.line), "{} lines, but: {}", lines, error);
            prop_assert!(error.column <= body.len(), "{}", error);
            // serde_json finds no double for 1e400 and no text in half a surrogate pair, and calls both a syntax error.
            let reads = serde_json::from_slice::<serde_json::Value>(body).is_ok();
            let says_not = matches!(error.fault, PageFault::NotJson | PageFault::EndsEarly);
            prop_assert!(!(reads && says_not), "serde_json reads it: {}", error);
        }
    }
    Ok(())
}
