//! The recipe's parts.

use crate::high_watermark::{HighWatermark, NotASequenceNumber, SequenceNumber, item_key};

fn number(text: &str) -> SequenceNumber {
    text.parse().expect("a sequence number")
}

#[test]
fn numbers_compare_as_numbers() {
    let mut last = number("0");
    for text in ["1", "9", "10", "999999999999999999999", "1000000000000000000000", &"9".repeat(40)] {
        assert!(last < number(text), "{text}");
        last = number(text);
        assert_eq!(last.to_string().len(), 40);
        assert_eq!(number(&last.to_string()), last);
    }
    assert_eq!(number("007"), number("7"));
    for bad in ["", "-1", "1.0", "1e3", " 1", "٣", &"1".repeat(41)] {
        assert_eq!(bad.parse::<SequenceNumber>(), Err(NotASequenceNumber), "{bad:?}");
    }
}

#[test]
fn items_have_watermarks_of_their_own_which_can_be_stored_and_forgotten() {
    let mut watermark = HighWatermark::default();
    assert!(watermark.is_new("a", number("5")) && watermark.is_new("b", number("3")));
    assert!(!watermark.is_new("a", number("5")) && !watermark.is_new("a", number("4")));
    let stored: Vec<(String, String)> =
        watermark.entries().map(|(item, highest)| (item.to_owned(), highest.to_string())).collect();
    let mut again: HighWatermark =
        stored.iter().map(|(item, highest)| (item.clone(), number(highest))).collect();
    assert_eq!(again, watermark);
    again.forget("a");
    assert!(again.is_new("a", number("1")) && !again.is_new("b", number("3")));
}

#[test]
fn no_two_items_share_a_key() {
    assert_eq!(item_key([("a", "1"), ("b", "2")]), item_key([("b", "2"), ("a", "1")]));
    let keys = [
        item_key([("a", "1;1:b=1:2")]),
        item_key([("a", "1"), ("b", "2")]),
        item_key([("a", "12")]),
        item_key([("a", "1"), ("b", "")]),
        item_key([("ab", "1")]),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[index + 1..].contains(key), "{key}");
    }
}
