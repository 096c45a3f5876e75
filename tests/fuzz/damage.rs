//! Damage to a text, byte by byte and slice by slice.

use crate::choices::Choices;

/// Bytes that mean something to JSON or TOML, or are not UTF-8.
const TELLING: &[u8] = b"\"\\{}[],:=.'#$-+eEu0\n \0\x80\xc3\xff";

/// Values to stand where another one stood.
const VALUES: [&str; 13] = [
    "null",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-1",
    "true",
    "\"\\ud800\"",
    "1e400",
    "[null]",
    "{\"S\":\"a\"}",
    "\"7\"",
    "[\"a\",\"b\"]",
];

/// `text` after one to four accidents; `other` is what it may get mixed up with.
pub fn damaged(choices: &mut Choices<'_>, text: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=choices.below(4) {
        accident(choices, &mut bytes, other);
    }
    bytes
}

fn accident(choices: &mut Choices<'_>, bytes: &mut Vec<u8>, other: &[u8]) {
    let (from, to) = slice(choices, bytes);
    match choices.below(9) {
        0 => drop(bytes.drain(from..to)),
        1 => bytes.truncate(from),
        2 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << choices.below(8);
            }
        }
        3 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte = choices.one_of(TELLING);
            }
        }
        4 => bytes.insert(from, choices.one_of(TELLING)),
        5 => {
            let copy = bytes[from..to].to_vec();
            bytes.splice(to..to, copy);
        }
        6 => {
            let (other_from, other_to) = slice(choices, other);
            bytes.splice(from..to, other[other_from..other_to].iter().copied());
        }
        7 => {
            let (other_from, _) = slice(choices, other);
            bytes.truncate(from);
            bytes.extend_from_slice(&other[other_from..]);
        }
        _ => replace_value(choices, bytes),
    }
}

/// Two places in `bytes`, in order. Half of the time both are at commas, braces or line ends, so that whole members
/// or lines are hit.
fn slice(choices: &mut Choices<'_>, bytes: &[u8]) -> (usize, usize) {
    let edges: Vec<usize> = if choices.once_in(2) {
        let is_edge = |byte: u8| matches!(byte, b',' | b'{' | b'}' | b'[' | b']' | b'\n');
        (0..bytes.len()).filter(|&at| is_edge(bytes[at])).collect()
    } else {
        Vec::new()
    };
    let mut place = || {
        let wild = choices.below(60_000) * (bytes.len() + 1) / 60_000;
        if edges.is_empty() { wild } else { edges[wild * edges.len() / (bytes.len() + 1)] }
    };
    let (one, two) = (place(), place());
    (one.min(two), one.max(two))
}

/// Puts another value behind one of the colons; half of the time behind a longer name's, which the parser knows.
fn replace_value(choices: &mut Choices<'_>, bytes: &mut Vec<u8>) {
    let known = choices.once_in(2);
    let is_name = |at: usize| at > 4 && bytes[at - 4..at - 1].iter().all(u8::is_ascii_alphabetic);
    let colons: Vec<usize> =
        (0..bytes.len()).filter(|&at| bytes[at] == b':' && (!known || is_name(at))).collect();
    let Some(&colon) = colons.get(choices.below(colons.len())) else { return };
    let end = colon + 1 + value_length(&bytes[colon + 1..]);
    bytes.splice(colon + 1..end, choices.one_of(&VALUES).bytes());
}

/// The length of the value that a text begins with, as far as brackets tell.
fn value_length(text: &[u8]) -> usize {
    let mut open = 0;
    let is_end = |&byte: &u8| {
        match byte {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        open < 0 || (open == 0 && byte == b',')
    };
    text.iter().position(is_end).unwrap_or(text.len())
}
