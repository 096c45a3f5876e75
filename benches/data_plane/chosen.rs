//! What it costs to choose: a change that is left out, by its event, by a filter or for being unchanged; and one of which a
//! part is carried.

use std::hint::black_box;
use std::sync::Arc;

use ddb_kinesis_bridge::record::envelope::{Encoder, EncoderOptions, Format};
use ddb_kinesis_bridge::record::pattern::Pattern;
use ddb_kinesis_bridge::record::selection::{Attributes, Events, Images, Selection};
use ddb_kinesis_bridge::stream::page::Page;

use crate::canned::Pages;
use crate::floor::{answers, options};
use crate::meter::{Cost, measure_here};

/// Names, and for each whether changes are left out and what a change costs behind the parse.
pub fn measure(pages: &Pages) -> Vec<(&'static str, bool, Cost)> {
    let filter = |text: &str| Selection {
        filter: Some(Arc::new(Pattern::parse(text).expect("a pattern"))),
        ..Selection::default()
    };
    let note = vec!["note".to_owned()];
    let same = vec!["total".to_owned(), "tags".to_owned(), "lines".to_owned()];
    let cases = [
        (
            "left out by its event",
            Selection { events: Events { modify: false, ..Events::default() }, ..Selection::default() },
        ),
        ("by a filter on its keys", filter(r#"{"dynamodb":{"Keys":{"id":{"S":["none"]}}}}"#)),
        (
            "by a filter on an attribute",
            filter(r#"{"dynamodb":{"NewImage":{"total":{"N":[{"numeric":["<",5]}]}}}}"#),
        ),
        (
            "as unchanged",
            Selection { drop_unchanged: true, attributes: Attributes::Only(same), ..Selection::default() },
        ),
        (
            "carried by such a filter",
            filter(r#"{"dynamodb":{"NewImage":{"total":{"N":[{"numeric":[">",5]}]}}}}"#),
        ),
        ("the new image carried", Selection { images: Images::New, ..Selection::default() }),
        ("all but an attribute", Selection { attributes: Attributes::AllBut(note), ..Selection::default() }),
    ];
    let answers = answers(pages);
    cases
        .map(|(name, selection)| {
            let encoder = Encoder::new(EncoderOptions { selection, ..options(Format::DynamodbJson) });
            let (mut total, mut left_out) = (Cost::default(), false);
            for answer in &answers {
                let page = Page::parse(answer).expect("a page");
                let ((), cost) = measure_here(|| {
                    let mut draft = Vec::new();
                    for record in &page.records {
                        let encoded = black_box(encoder.encode(record, &mut draft).expect("a record"));
                        left_out = encoded.is_none();
                    }
                });
                total += cost;
            }
            (name, left_out, total)
        })
        .into()
}
