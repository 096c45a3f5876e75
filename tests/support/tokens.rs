//! The words of DynamoDB's expressions, and the placeholders they may use.
//!
//! Owns tokens, reserved words, and the account of which placeholders were used: DynamoDB refuses an expression
//! with an undefined one, and a request with an unused one.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::answer::{ApiError, Input};
use super::items::check_value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A bare name, keyword or function.
    Word(String),
    /// `#name`, with the sign.
    Name(String),
    /// `:value`, with the sign.
    Value(String),
    /// One of `= <> < <= > >= ( ) , + -`.
    Sign(&'static str),
}

/// Longer signs first, since they begin with shorter ones.
const SIGNS: [&str; 11] = ["<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-"];

pub fn tokenize(text: &str) -> Result<Vec<Token>, ApiError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let marked = matches!(first, '#' | ':');
            let body = if marked { &rest[1..] } else { rest };
            let length = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
            let word = &rest[..length + usize::from(marked)];
            if length == 0 {
                let message = format!("the fake does not understand {first:?} in the expression {text:?}");
                return Err(ApiError::validation(message));
            }
            tokens.push(match first {
                '#' => Token::Name(word.to_owned()),
                ':' => Token::Value(word.to_owned()),
                _ => Token::Word(word.to_owned()),
            });
            rest = &rest[word.len()..];
        }
        rest = rest.trim_start();
    }
    if tokens.is_empty() {
        return Err(ApiError::validation("Invalid expression: The expression can not be empty;"));
    }
    Ok(tokens)
}

/// A request's `ExpressionAttributeNames` and `ExpressionAttributeValues`.
pub struct Placeholders<'a> {
    names: Option<&'a Map<String, Value>>,
    values: Option<&'a Map<String, Value>>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Placeholders<'a> {
    pub fn of(input: &Input<'a>) -> Result<Placeholders<'a>, ApiError> {
        let names = input.map("ExpressionAttributeNames")?;
        let values = input.map("ExpressionAttributeValues")?;
        values.into_iter().flat_map(|map| map.values()).try_for_each(check_value)?;
        Ok(Placeholders { names, values, used: RefCell::default() })
    }

    fn name(&self, placeholder: &str) -> Result<String, ApiError> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        let name = self.names.and_then(|names| names.get(placeholder)).and_then(Value::as_str);
        name.map(str::to_owned).ok_or_else(|| undefined("name", placeholder))
    }

    fn value(&self, placeholder: &str) -> Result<Value, ApiError> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        let value = self.values.and_then(|values| values.get(placeholder));
        value.cloned().ok_or_else(|| undefined("value", placeholder))
    }

    /// Refuses placeholders that no expression used.
    pub fn all_used(&self) -> Result<(), ApiError> {
        let used = self.used.borrow();
        let defined = self.names.into_iter().chain(self.values).flat_map(Map::keys);
        match defined.into_iter().find(|placeholder| !used.contains(*placeholder)) {
            None => Ok(()),
            Some(placeholder) => Err(ApiError::validation(format!(
                "Value provided in ExpressionAttributeNames or ExpressionAttributeValues unused in expressions: \
                 keys: {{{placeholder}}}"
            ))),
        }
    }
}

fn undefined(what: &str, placeholder: &str) -> ApiError {
    ApiError::validation(format!(
        "Invalid expression: An expression attribute {what} used in the document path is not defined; attribute \
         {what}: {placeholder}"
    ))
}

fn is_reserved(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    include_str!("reserved_words.txt").split_whitespace().any(|reserved| reserved == word)
}

/// Reads tokens one after the other.
pub struct Reader<'a> {
    tokens: std::vec::IntoIter<Token>,
    text: String,
    placeholders: &'a Placeholders<'a>,
}

impl<'a> Reader<'a> {
    pub fn new(text: &str, placeholders: &'a Placeholders<'a>) -> Result<Reader<'a>, ApiError> {
        Ok(Reader { tokens: tokenize(text)?.into_iter(), text: text.to_owned(), placeholders })
    }

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.as_slice().first()
    }

    fn peek_second(&self) -> Option<&Token> {
        self.tokens.as_slice().get(1)
    }

    /// Whether a call of `function` comes next.
    pub fn at_call(&self, function: &str) -> bool {
        self.peek() == Some(&Token::Word(function.to_owned()))
            && self.peek_second() == Some(&Token::Sign("("))
    }

    pub fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }

    /// Takes the keyword if it comes next, in any case of letters.
    pub fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        if found {
            self.next();
        }
        found
    }

    pub fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        if found {
            self.next();
        }
        found
    }

    pub fn expect_sign(&mut self, sign: &str) -> Result<(), ApiError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub fn expect_end(&self) -> Result<(), ApiError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub fn syntax_error(&self) -> ApiError {
        let next = self.peek();
        ApiError::validation(format!("Invalid expression: Syntax error; at {next:?} of {:?}", self.text))
    }

    /// An attribute's name.
    pub fn attribute(&mut self) -> Result<String, ApiError> {
        match self.next() {
            Some(Token::Name(name)) => self.placeholders.name(&name),
            Some(Token::Word(word)) if is_reserved(&word) => Err(ApiError::validation(format!(
                "Invalid expression: Attribute name is a reserved keyword; reserved keyword: {word}"
            ))),
            Some(Token::Word(word)) => Ok(word),
            _ => Err(self.syntax_error()),
        }
    }

    /// The value of a `:placeholder`, if one comes next.
    pub fn take_value(&mut self) -> Result<Option<Value>, ApiError> {
        match self.peek() {
            Some(Token::Value(_)) => match self.next() {
                Some(Token::Value(placeholder)) => self.placeholders.value(&placeholder).map(Some),
                _ => Err(self.syntax_error()),
            },
            _ => Ok(None),
        }
    }
}
