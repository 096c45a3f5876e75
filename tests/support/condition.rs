//! Conditions: what ConditionExpression, KeyConditionExpression and FilterExpression say about an item.
//!
//! Owns parsing and evaluation. Top-level attributes only; anything beyond the grammar below is refused, never
//! taken for true:
//!
//! ```text
//! or        = and { OR and }
//! and       = not { AND not }
//! not       = NOT not | "(" or ")" | function | operand sign operand | operand BETWEEN operand AND operand
//!           | operand IN "(" operand { "," operand } ")"
//! function  = attribute_exists(a) | attribute_not_exists(a) | begins_with(operand, operand)
//! ```

use std::cmp::Ordering;

use serde_json::Value;

use super::answer::ApiError;
use super::items::Item;
use super::tokens::{Placeholders, Reader, Token};

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Exists(String),
    Missing(String),
    BeginsWith(Operand, Operand),
    Compare(Operand, &'static str, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Attribute(String),
    Value(Value),
}

impl Condition {
    pub fn parse(text: &str, placeholders: &Placeholders<'_>) -> Result<Condition, ApiError> {
        let mut reader = Reader::new(text, placeholders)?;
        let condition = parse_or(&mut reader)?;
        reader.expect_end()?;
        Ok(condition)
    }

    /// Whether `item` fulfils it; an item that does not exist is an empty one.
    pub fn holds(&self, item: &Item) -> bool {
        match self {
            Condition::And(all) => all.iter().all(|condition| condition.holds(item)),
            Condition::Or(any) => any.iter().any(|condition| condition.holds(item)),
            Condition::Not(condition) => !condition.holds(item),
            Condition::Exists(name) => item.contains_key(name),
            Condition::Missing(name) => !item.contains_key(name),
            Condition::BeginsWith(whole, start) => match (whole.string(item), start.string(item)) {
                (Some(whole), Some(start)) => whole.starts_with(start),
                _ => false,
            },
            Condition::Compare(left, sign, right) => compare(left.value(item), sign, right.value(item)),
            Condition::Between(middle, low, high) => {
                let middle = middle.value(item);
                compare(middle, ">=", low.value(item)) && compare(middle, "<=", high.value(item))
            }
            Condition::In(operand, list) => {
                let value = operand.value(item);
                list.iter().any(|candidate| compare(value, "=", candidate.value(item)))
            }
        }
    }

    /// The parts of a conjunction.
    pub fn conjuncts(&self) -> Vec<&Condition> {
        match self {
            Condition::And(all) => all.iter().flat_map(Condition::conjuncts).collect(),
            single => vec![single],
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, item: &'a Item) -> Option<&'a Value> {
        match self {
            Operand::Attribute(name) => item.get(name),
            Operand::Value(value) => Some(value),
        }
    }

    fn string<'a>(&'a self, item: &'a Item) -> Option<&'a str> {
        self.value(item)?.get("S")?.as_str()
    }
}

fn parse_or(reader: &mut Reader<'_>) -> Result<Condition, ApiError> {
    let mut any = vec![parse_and(reader)?];
    while reader.take_keyword("OR") {
        any.push(parse_and(reader)?);
    }
    Ok(if any.len() == 1 { any.remove(0) } else { Condition::Or(any) })
}

fn parse_and(reader: &mut Reader<'_>) -> Result<Condition, ApiError> {
    let mut all = vec![parse_not(reader)?];
    while reader.take_keyword("AND") {
        all.push(parse_not(reader)?);
    }
    Ok(if all.len() == 1 { all.remove(0) } else { Condition::And(all) })
}

fn parse_not(reader: &mut Reader<'_>) -> Result<Condition, ApiError> {
    if reader.take_keyword("NOT") {
        return Ok(Condition::Not(Box::new(parse_not(reader)?)));
    }
    if reader.take_sign("(") {
        let inner = parse_or(reader)?;
        reader.expect_sign(")")?;
        return Ok(inner);
    }
    for (function, condition) in [
        ("attribute_exists", Condition::Exists as fn(String) -> Condition),
        ("attribute_not_exists", Condition::Missing),
    ] {
        if reader.at_call(function) {
            reader.next();
            reader.expect_sign("(")?;
            let name = reader.attribute()?;
            reader.expect_sign(")")?;
            return Ok(condition(name));
        }
    }
    if reader.at_call("begins_with") {
        reader.next();
        reader.expect_sign("(")?;
        let whole = parse_operand(reader)?;
        reader.expect_sign(",")?;
        let start = parse_operand(reader)?;
        reader.expect_sign(")")?;
        return Ok(Condition::BeginsWith(whole, start));
    }
    parse_comparison(reader)
}

fn parse_comparison(reader: &mut Reader<'_>) -> Result<Condition, ApiError> {
    let left = parse_operand(reader)?;
    if reader.take_keyword("BETWEEN") {
        let low = parse_operand(reader)?;
        if !reader.take_keyword("AND") {
            return Err(reader.syntax_error());
        }
        return Ok(Condition::Between(left, low, parse_operand(reader)?));
    }
    if reader.take_keyword("IN") {
        reader.expect_sign("(")?;
        let mut list = vec![parse_operand(reader)?];
        while reader.take_sign(",") {
            list.push(parse_operand(reader)?);
        }
        reader.expect_sign(")")?;
        return Ok(Condition::In(left, list));
    }
    match reader.next() {
        Some(Token::Sign(sign @ ("=" | "<>" | "<" | "<=" | ">" | ">="))) => {
            Ok(Condition::Compare(left, sign, parse_operand(reader)?))
        }
        _ => Err(reader.syntax_error()),
    }
}

fn parse_operand(reader: &mut Reader<'_>) -> Result<Operand, ApiError> {
    match reader.take_value()? {
        Some(value) => Ok(Operand::Value(value)),
        None => reader.attribute().map(Operand::Attribute),
    }
}

/// As DynamoDB compares: a missing attribute and another type differ from everything, and have no order.
fn compare(left: Option<&Value>, sign: &str, right: Option<&Value>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return sign == "<>" };
    let ordering = order(left, right);
    match sign {
        "=" => ordering == Some(Ordering::Equal) || left == right,
        "<>" => !(ordering == Some(Ordering::Equal) || left == right),
        "<" => ordering == Some(Ordering::Less),
        "<=" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        ">" => ordering == Some(Ordering::Greater),
        ">=" => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    }
}

/// The order of two strings or two numbers.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (text(left, "S"), text(right, "S")) {
        return Some(left.cmp(right));
    }
    let (left, right) = (text(left, "N")?, text(right, "N")?);
    match (left.parse::<i128>(), right.parse::<i128>()) {
        (Ok(left), Ok(right)) => Some(left.cmp(&right)),
        _ => left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?),
    }
}

fn text<'a>(value: &'a Value, kind: &str) -> Option<&'a str> {
    value.get(kind)?.as_str()
}
