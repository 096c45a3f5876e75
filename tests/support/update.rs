//! UpdateExpressions: `SET a = :v, b = if_not_exists(b, :zero) + :one REMOVE c`, and `ADD n :one` for numbers.
//!
//! Owns parsing and applying them to an item. Every right side is taken from the item as it was before.

use serde_json::{Value, json};

use super::answer::ApiError;
use super::items::Item;
use super::tokens::{Placeholders, Reader};

/// What an update does, in the order written.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    actions: Vec<(String, Action)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Set(Term),
    Remove,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Value(Value),
    Attribute(String),
    IfNotExists(String, Box<Term>),
    Sum(Box<Term>, Box<Term>),
    Difference(Box<Term>, Box<Term>),
}

impl Update {
    pub fn parse(text: &str, placeholders: &Placeholders<'_>) -> Result<Update, ApiError> {
        let mut reader = Reader::new(text, placeholders)?;
        let mut actions = Vec::new();
        let mut clauses = Vec::new();
        while reader.peek().is_some() {
            let clause = ["SET", "REMOVE", "ADD"].into_iter().find(|clause| reader.take_keyword(clause));
            let Some(clause) = clause else { return Err(reader.syntax_error()) };
            if clauses.contains(&clause) {
                let message =
                    format!("Invalid UpdateExpression: The {clause:?} section can only be used once");
                return Err(ApiError::validation(message));
            }
            clauses.push(clause);
            loop {
                actions.push(parse_action(clause, &mut reader)?);
                if !reader.take_sign(",") {
                    break;
                }
            }
        }
        let update = Update { actions };
        let names = update.names().collect::<Vec<_>>();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            None => Ok(update),
            Some((_, name)) => Err(ApiError::validation(format!(
                "Invalid UpdateExpression: Two document paths overlap with each other: [{name}]"
            ))),
        }
    }

    /// The attributes that it changes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|(name, _)| name.as_str())
    }

    pub fn apply(&self, before: &Item) -> Result<Item, ApiError> {
        let mut after = before.clone();
        for (name, action) in &self.actions {
            match action {
                Action::Set(term) => after.insert(name.clone(), term.value(before)?),
                Action::Remove => after.remove(name),
            };
        }
        Ok(after)
    }
}

fn parse_action(clause: &str, reader: &mut Reader<'_>) -> Result<(String, Action), ApiError> {
    let name = reader.attribute()?;
    let action = match clause {
        "REMOVE" => Action::Remove,
        "ADD" => {
            let value = reader.take_value()?.ok_or_else(|| reader.syntax_error())?;
            let zero = Term::Value(json!({"N": "0"}));
            let before = Term::IfNotExists(name.clone(), Box::new(zero));
            Action::Set(Term::Sum(Box::new(before), Box::new(Term::Value(value))))
        }
        _ => {
            reader.expect_sign("=")?;
            let left = parse_term(reader)?;
            if reader.take_sign("+") {
                Action::Set(Term::Sum(Box::new(left), Box::new(parse_term(reader)?)))
            } else if reader.take_sign("-") {
                Action::Set(Term::Difference(Box::new(left), Box::new(parse_term(reader)?)))
            } else {
                Action::Set(left)
            }
        }
    };
    Ok((name, action))
}

fn parse_term(reader: &mut Reader<'_>) -> Result<Term, ApiError> {
    if let Some(value) = reader.take_value()? {
        return Ok(Term::Value(value));
    }
    if reader.at_call("if_not_exists") {
        reader.next();
        reader.expect_sign("(")?;
        let name = reader.attribute()?;
        reader.expect_sign(",")?;
        let otherwise = parse_term(reader)?;
        reader.expect_sign(")")?;
        return Ok(Term::IfNotExists(name, Box::new(otherwise)));
    }
    reader.attribute().map(Term::Attribute)
}

impl Term {
    fn value(&self, item: &Item) -> Result<Value, ApiError> {
        match self {
            Term::Value(value) => Ok(value.clone()),
            Term::Attribute(name) => item.get(name).cloned().ok_or_else(|| {
                ApiError::validation(
                    "The provided expression refers to an attribute that does not exist in the item",
                )
            }),
            Term::IfNotExists(name, otherwise) => match item.get(name) {
                Some(value) => Ok(value.clone()),
                None => otherwise.value(item),
            },
            Term::Sum(left, right) => calculate(left, right, item, i128::checked_add),
            Term::Difference(left, right) => calculate(left, right, item, i128::checked_sub),
        }
    }
}

fn calculate(
    left: &Term,
    right: &Term,
    item: &Item,
    operation: fn(i128, i128) -> Option<i128>,
) -> Result<Value, ApiError> {
    let number = |term: &Term| {
        let value = term.value(item)?;
        let digits = value.get("N").and_then(Value::as_str);
        digits.and_then(|digits| digits.parse::<i128>().ok()).ok_or_else(|| {
            ApiError::validation(
                "An operand in the update expression has an incorrect data type (or no whole number)",
            )
        })
    };
    let result = operation(number(left)?, number(right)?);
    result
        .map(|result| json!({"N": result.to_string()}))
        .ok_or_else(|| ApiError::validation("Number overflow"))
}
