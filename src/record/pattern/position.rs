//! What a record holds, place by place: which names a pattern may use, and which values stand there.

use super::leaf::{Test, TextTest};

/// A place that a pattern's part is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The record itself.
    Record,
    /// The member `dynamodb`.
    Change,
    /// Null, or who deleted the item.
    Identity,
    /// `Keys` or an image, or a map inside: attributes by name.
    Attributes,
    /// An attribute's value: an object whose one member names its type.
    Value,
    /// A text, a number or the like, perhaps in an array.
    Scalar(Kind),
    /// Where a record never has anything.
    Nowhere,
}

/// What a scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// One of [`EVENTS`].
    Event,
    /// A text that is a number: below `N` and `NS`.
    Digits,
    Number,
    Bool,
    /// `NULL` says true, always.
    True,
}

const EVENTS: [&str; 3] = ["INSERT", "MODIFY", "REMOVE"];

const RECORD: &[(&str, Position)] = &[
    ("awsRegion", Position::Scalar(Kind::Text)),
    ("eventID", Position::Scalar(Kind::Text)),
    ("eventName", Position::Scalar(Kind::Event)),
    ("userIdentity", Position::Identity),
    ("recordFormat", Position::Scalar(Kind::Text)),
    ("tableName", Position::Scalar(Kind::Text)),
    ("dynamodb", Position::Change),
    ("eventSource", Position::Scalar(Kind::Text)),
    ("eventSourceARN", Position::Scalar(Kind::Text)),
];

const CHANGE: &[(&str, Position)] = &[
    ("ApproximateCreationDateTime", Position::Scalar(Kind::Number)),
    ("ApproximateCreationDateTimePrecision", Position::Scalar(Kind::Text)),
    ("Keys", Position::Attributes),
    ("NewImage", Position::Attributes),
    ("OldImage", Position::Attributes),
    ("SizeBytes", Position::Scalar(Kind::Number)),
    ("SequenceNumber", Position::Scalar(Kind::Text)),
    ("StreamViewType", Position::Scalar(Kind::Text)),
];

const IDENTITY: &[(&str, Position)] =
    &[("type", Position::Scalar(Kind::Text)), ("principalId", Position::Scalar(Kind::Text))];

const VALUE: &[(&str, Position)] = &[
    ("S", Position::Scalar(Kind::Text)),
    ("N", Position::Scalar(Kind::Digits)),
    ("B", Position::Scalar(Kind::Text)),
    ("BOOL", Position::Scalar(Kind::Bool)),
    ("NULL", Position::Scalar(Kind::True)),
    ("M", Position::Attributes),
    ("L", Position::Value),
    ("SS", Position::Scalar(Kind::Text)),
    ("NS", Position::Scalar(Kind::Digits)),
    ("BS", Position::Scalar(Kind::Text)),
];

impl Position {
    /// The members there are; `None` where any name may be.
    fn names(self) -> Option<&'static [(&'static str, Position)]> {
        match self {
            Self::Record => Some(RECORD),
            Self::Change => Some(CHANGE),
            Self::Identity => Some(IDENTITY),
            Self::Value => Some(VALUE),
            Self::Attributes => None,
            Self::Scalar(_) | Self::Nowhere => Some(&[]),
        }
    }

    /// The place of a member, or why there is none of that name.
    pub(super) fn member(self, name: &str) -> Result<Position, String> {
        let Some(names) = self.names() else { return Ok(Position::Value) };
        if let Some((_, position)) = names.iter().find(|(known, _)| *known == name) {
            return Ok(*position);
        }
        let all: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
        Err(match self {
            Self::Scalar(_) => {
                format!(
                    "{}, so it has no member {name:?}; write a list of alternatives, {}",
                    self.what(),
                    self.example()
                )
            }
            Self::Value => format!(
                "{name:?} is not one of the types that an attribute's value is wrapped in; write one of {}",
                all.join(", ")
            ),
            _ => format!("the record has no member {name:?} here; it has {}", all.join(", ")),
        })
    }

    /// Whether an alternative can match what stands here, or why not.
    pub(super) fn takes(self, test: &Test) -> Result<(), String> {
        let fits = match (self, test) {
            (Self::Scalar(_), Test::Exists) | (Self::Identity, Test::Null) => true,
            // Null is there, so it would find what nobody deleted.
            (Self::Identity, Test::Exists) => return Err(self.not_of_a_leaf()),
            (Self::Scalar(Kind::Event), Test::Text(TextTest::Is(wanted))) if !wanted.any_case => {
                EVENTS.contains(&wanted.text.as_str())
            }
            (Self::Scalar(Kind::Text | Kind::Event), Test::Text(_)) => true,
            (Self::Scalar(Kind::Digits), Test::Text(_) | Test::Number(_)) => true,
            (Self::Scalar(Kind::Number), Test::Number(_)) => true,
            (Self::Scalar(Kind::Bool), Test::Bool(_)) | (Self::Scalar(Kind::True), Test::Bool(true)) => true,
            (Self::Scalar(Kind::Bool | Kind::True), Test::AnythingBut(_)) => false,
            (Self::Scalar(_), Test::AnythingBut(tests)) => {
                return tests.iter().try_for_each(|test| self.takes(test));
            }
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("{}, which this never matches; write {}", self.what(), self.example()))
        }
    }

    /// Whether `exists: false` can be told from its opposite here, or why not. It is about a value that is no object: of what
    /// is an object whenever it is there, it holds always.
    pub(super) fn takes_absence(self) -> Result<(), String> {
        match self {
            // A list in a whole pattern's place is refused for that.
            Self::Scalar(_) | Self::Nowhere | Self::Record => Ok(()),
            Self::Change | Self::Identity | Self::Attributes | Self::Value => Err(self.not_of_a_leaf()),
        }
    }

    fn not_of_a_leaf(self) -> String {
        let instead = match self {
            Self::Identity => {
                r#"[null] for what no service deleted, or ask for {"type": [{"exists": true}]}"#
            }
            Self::Value => r#"its type first, such as {"S": [{"exists": false}]}"#,
            Self::Attributes => {
                r#"an attribute's name and its type first, such as {"discount": {"S": [{"exists": false}]}}"#
            }
            _ => r#"a member first, such as {"SizeBytes": [{"exists": false}]}"#,
        };
        format!("{}, and exists is about a value that is no object; write {instead}", self.what())
    }

    fn what(self) -> &'static str {
        match self {
            Self::Record | Self::Change => "an object stands here",
            Self::Identity => "null stands here, or an object with type and principalId",
            Self::Nowhere => "nothing stands here",
            Self::Attributes => "an object of attributes stands here",
            Self::Value => "an attribute's value stands here, an object that names its type",
            Self::Scalar(Kind::Text) => "a text stands here",
            Self::Scalar(Kind::Event) => "INSERT, MODIFY or REMOVE stands here",
            Self::Scalar(Kind::Digits) => "a number stands here, which DynamoDB writes as a text",
            Self::Scalar(Kind::Number) => "a number stands here",
            Self::Scalar(Kind::Bool) => "true or false stands here",
            Self::Scalar(Kind::True) => "true stands here, always",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Record => r#"{"eventName": ["INSERT"]}"#,
            Self::Change => r#"{"NewImage": {…}}"#,
            Self::Identity => r#"[null], or {"type": ["Service"]}"#,
            Self::Nowhere => r#"[{"exists": false}]"#,
            Self::Attributes => r#"{"status": {"S": ["open"]}}, the attribute's name and its type first"#,
            Self::Value => r#"its type first, such as {"S": ["open"]} or {"N": [{"numeric": [">", 5]}]}"#,
            Self::Scalar(Kind::Text) => r#"it in quotes, such as ["open"] or [{"prefix": "op"}]"#,
            Self::Scalar(Kind::Event) => r#"it in capitals and quotes, such as ["INSERT"]"#,
            Self::Scalar(Kind::Digits) => {
                r#"a number or a text, such as [5], ["5"] or [{"numeric": [">", 5]}]"#
            }
            Self::Scalar(Kind::Number) => r#"a number, such as [5] or [{"numeric": [">", 5]}]"#,
            Self::Scalar(Kind::Bool) => r#"[true] or [false], without quotes"#,
            Self::Scalar(Kind::True) => "[true], without quotes",
        }
    }

    /// Whether the texts here are numbers.
    pub(super) fn holds_digits(self) -> bool {
        self == Self::Scalar(Kind::Digits)
    }
}
