//! Reading one alternative of a pattern's list: a value, or an object whose one member is an operator.

use super::leaf::{Comparison, NumberTest, Test, TextTest, Wanted};
use super::parse::{Parser, PatternError, found};
use crate::record::decimal::{Decimal, MAX_DIGITS};
use crate::record::walk::{elements, members};
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

const OPERATORS: &str = "prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists";

/// The alternative's test; `None` for `{"exists": false}`.
pub(super) fn test<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<Option<Test>, PatternError> {
    match raw.get().as_bytes().first() {
        Some(b'{') => operator(parser, raw),
        Some(b'[') => Err(parser.error(
            raw.get(),
            "expected a value or an operator, found an array; write the alternatives side by side in one list",
        )),
        _ => literal(parser, raw).map(Some),
    }
}

/// A string, number, boolean or null.
fn literal<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<Test, PatternError> {
    Ok(match raw.get() {
        "null" => Test::Null,
        "true" => Test::Bool(true),
        "false" => Test::Bool(false),
        json if json.starts_with('"') => {
            Test::Text(TextTest::Is(Wanted { text: text(parser, raw)?, any_case: false }))
        }
        _ => Test::Number(NumberTest(vec![(Comparison::Equal, number(parser, raw)?)])),
    })
}

fn operator<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<Option<Test>, PatternError> {
    let (name, operand) = only_member(parser, raw)?;
    let test = match name.decode().as_deref() {
        Some("exists") => {
            return match operand.get() {
                "true" => Ok(Some(Test::Exists)),
                "false" => Ok(None),
                _ => Err(expected(parser, operand, "true or false", "exists")),
            };
        }
        Some("anything-but") => Test::AnythingBut(anything_but(parser, operand)?),
        Some("numeric") => Test::Number(numeric(parser, operand)?),
        Some(word) => match text_operator(parser, word, operand)? {
            Some(test) => Test::Text(test),
            None => return Err(unknown(parser, name)),
        },
        None => return Err(unknown(parser, name)),
    };
    Ok(Some(test))
}

fn unknown<'t>(parser: &Parser<'t>, name: JsonStr<'t>) -> PatternError {
    let message = format!("{} is no operator; the operators are {OPERATORS}", name.as_json());
    parser.error(name.as_json(), message)
}

/// An operator on texts alone; `None` when the word is none.
fn text_operator<'t>(
    parser: &Parser<'t>,
    word: &str,
    operand: Json<'t>,
) -> Result<Option<TextTest>, PatternError> {
    Ok(Some(match word {
        "prefix" => TextTest::StartsWith(wanted(parser, operand, word)?),
        "suffix" => TextTest::EndsWith(wanted(parser, operand, word)?),
        "equals-ignore-case" => {
            TextTest::Is(Wanted { text: text_of(parser, operand, word)?, any_case: true })
        }
        "wildcard" => wildcard(parser, operand)?,
        _ => return Ok(None),
    }))
}

/// A string, or `{"equals-ignore-case": "…"}`.
fn wanted<'t>(parser: &Parser<'t>, raw: Json<'t>, word: &str) -> Result<Wanted, PatternError> {
    if !raw.get().starts_with('{') {
        return Ok(Wanted { text: text_of(parser, raw, word)?, any_case: false });
    }
    let (name, operand) = only_member(parser, raw)?;
    if !name.is("equals-ignore-case") {
        let message =
            format!("{word} takes a string or {{\"equals-ignore-case\": \"…\"}}; write one of these");
        return Err(parser.error(name.as_json(), message));
    }
    Ok(Wanted { text: text_of(parser, operand, "equals-ignore-case")?, any_case: true })
}

/// The values that must not be: one, a list of one kind, or an operator on texts with one or a list.
fn anything_but<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<Vec<Test>, PatternError> {
    const EXPECTED: &str = "strings or numbers, one or a list of one kind, or an operator on strings such as {\"prefix\": \"…\"}";
    if raw.get().starts_with('{') {
        let (name, operand) = only_member(parser, raw)?;
        let word = name.decode().unwrap_or_default();
        let mut tests = Vec::new();
        for operand in one_or_list(parser, operand)? {
            let test = text_operator(parser, &word, operand)?.ok_or_else(|| unknown(parser, name))?;
            tests.push(Test::Text(test));
        }
        return Ok(tests);
    }
    let mut tests = Vec::new();
    for value in one_or_list(parser, raw)? {
        let first = tests.first();
        let test = match value.get().as_bytes().first() {
            Some(b'"' | b'-' | b'0'..=b'9') => literal(parser, value)?,
            _ => return Err(expected(parser, value, EXPECTED, "anything-but")),
        };
        if first.is_some_and(|first| matches!(first, Test::Text(_)) != matches!(test, Test::Text(_))) {
            return Err(expected(parser, value, EXPECTED, "anything-but"));
        }
        tests.push(test);
    }
    Ok(tests)
}

fn one_or_list<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<Vec<Json<'t>>, PatternError> {
    let mut all = Vec::new();
    match elements(raw.get(), |element| all.push(element)) {
        Some(()) if all.is_empty() => Err(parser.error(raw.get(), "an empty list; write a value into it")),
        Some(()) => Ok(all),
        None => Ok(vec![raw]),
    }
}

/// `[">", 0, "<=", 5]`
fn numeric<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<NumberTest, PatternError> {
    const EXPECTED: &str =
        "a list of comparisons (=, <, <=, >, >=), each with its number, such as [\">\", 0, \"<=\", 5]";
    let mut parts = Vec::new();
    let is_list = elements(raw.get(), |element| parts.push(element)).is_some();
    if !is_list || parts.is_empty() || parts.len() % 2 == 1 {
        return Err(expected(parser, raw, EXPECTED, "numeric"));
    }
    let mut comparisons = Vec::new();
    for pair in parts.chunks_exact(2) {
        let sign = JsonStr::of(pair[0]).and_then(|sign| Comparison::of(&sign.decode()?));
        let sign = sign.ok_or_else(|| expected(parser, pair[0], EXPECTED, "numeric"))?;
        if !matches!(pair[1].get().as_bytes().first(), Some(b'-' | b'0'..=b'9')) {
            return Err(expected(parser, pair[1], EXPECTED, "numeric"));
        }
        comparisons.push((sign, number(parser, pair[1])?));
    }
    Ok(NumberTest(comparisons))
}

/// `*` stands for any text; a backslash before it, or before another, takes its meaning away.
fn wildcard<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<TextTest, PatternError> {
    let text = text_of(parser, raw, "wildcard")?;
    let (mut parts, mut chars) = (vec![String::new()], text.chars());
    while let Some(char) = chars.next() {
        let part = parts.len() - 1;
        match char {
            '*' if part > 0 && parts[part].is_empty() => {
                return Err(
                    parser.error(raw.get(), "two asterisks in a row; one stands for any text already")
                );
            }
            '*' => parts.push(String::new()),
            '\\' => match chars.next() {
                Some(char @ ('*' | '\\')) => parts[part].push(char),
                _ => {
                    let message = "a backslash stands before `*` or another backslash only; write it twice (in JSON: four \
                                   times) to mean itself";
                    return Err(parser.error(raw.get(), message));
                }
            },
            char => parts[part].push(char),
        }
    }
    if parts.len() == 1 {
        let text = parts.remove(0);
        return Ok(TextTest::Is(Wanted { text, any_case: false }));
    }
    Ok(TextTest::Wildcard(parts))
}

/// The one member of an operator's object.
fn only_member<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<(JsonStr<'t>, Json<'t>), PatternError> {
    let mut all = Vec::new();
    let _ = members(raw.get(), |name, value| all.push((name, value)));
    match all.as_slice() {
        [only] => Ok(*only),
        _ => {
            let count = all.len();
            let message = format!(
                "expected an object with one operator, found {count} members; the operators are {OPERATORS}"
            );
            Err(parser.error(raw.get(), message))
        }
    }
}

fn text_of<'t>(parser: &Parser<'t>, raw: Json<'t>, word: &str) -> Result<String, PatternError> {
    if raw.get().starts_with('"') { text(parser, raw) } else { Err(expected(parser, raw, "a string", word)) }
}

fn text<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<String, PatternError> {
    let text = JsonStr::of(raw).and_then(JsonStr::decode);
    text.map(|text| text.into_owned()).ok_or_else(|| {
        parser.error(raw.get(), "this is no text: half of a surrogate pair; write both halves")
    })
}

fn number<'t>(parser: &Parser<'t>, raw: Json<'t>) -> Result<Decimal, PatternError> {
    Decimal::parse(raw.get()).ok_or_else(|| {
        let message = format!("this number has more than {MAX_DIGITS} digits, or an exponent beyond all bounds; no attribute's does");
        parser.error(raw.get(), message)
    })
}

fn expected<'t>(parser: &Parser<'t>, raw: Json<'t>, what: &str, word: &str) -> PatternError {
    parser.error(raw.get(), format!("{word} takes {what}; found {}", found(raw)))
}
