//! Sequence numbers: ordered as the integers that they are, of any length; all else is refused.

use std::cmp::Ordering;

use ddb_kinesis_bridge::stream::SequenceNumber;
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::choices::Choices;
use crate::pen::Pen;

#[test]
fn sequence() {
    fuzz("sequence", texts, |(one, two): &(String, String)| {
        for text in [one, two] {
            let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(SequenceNumber::parse(text).is_ok(), digits_only);
        }
        let (Ok(left), Ok(right)) = (SequenceNumber::parse(one), SequenceNumber::parse(two)) else {
            return Ok(());
        };
        let expected = compare(&limbs(one), &limbs(two));
        prop_assert_eq!(left.cmp(&right), expected);
        prop_assert_eq!(right.cmp(&left), expected.reverse());
        prop_assert_eq!(left == right, expected == Ordering::Equal);
        prop_assert_eq!((left.as_str(), left.to_string()), (one.as_str(), one.clone()));
        Ok(())
    });
}

/// Two numbers, most of the time near to each other.
fn texts(choices: &mut Choices<'_>) -> (String, String) {
    let mut pen = Pen::new(choices);
    let one = "0".repeat(pen.choices.below(3)) + &pen.digits(60);
    let mut two = match pen.choices.below(6) {
        0 => pen.digits(60),
        1 => pen.text(5),
        2 => pen.number(),
        3 => format!("0{one}"),
        _ => one.clone(),
    };
    if pen.choices.once_in(2) && !two.is_empty() {
        let at = pen.choices.below(two.len());
        let digit = pen.choices.below(10).to_string();
        if two.is_char_boundary(at) && two.is_char_boundary(at + 1) {
            two.replace_range(at..=at, &digit);
        }
    }
    (one, two)
}

/// The integer in base 2³², lowest first, by multiplying and adding; without zeros at its end.
fn limbs(digits: &str) -> Vec<u32> {
    let mut limbs: Vec<u32> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u64::from(digit - b'0');
        for limb in &mut limbs {
            let wide = u64::from(*limb) * 10 + carry;
            *limb = wide as u32;
            carry = wide >> 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    limbs
}

fn compare(left: &[u32], right: &[u32]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.iter().rev().cmp(right.iter().rev()))
}
