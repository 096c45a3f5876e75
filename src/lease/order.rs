//! An order to go back: what an operator asked `rewind` for. It is stored in the stream row before anything else
//! changes, so that workers keep away and that whoever finds it later can carry it to its end.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::stream::SequenceNumber;
use crate::stream::source::ShardId;

/// Where a shard is to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The oldest change that the stream still holds.
    TrimHorizon,
    /// Right behind this change: it is the last that is not carried again.
    After(SequenceNumber),
}

const TRIM_HORIZON: &str = "trim_horizon";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == TRIM_HORIZON {
            return Ok(Target::TrimHorizon);
        }
        let number = SequenceNumber::parse(text).map(Target::After);
        number.map_err(|_| format!("expected {TRIM_HORIZON} or a sequence number (digits only)"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::TrimHorizon => f.write_str(TRIM_HORIZON),
            Target::After(number) => number.fmt(f),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

/// What is put into the records that are carried again: 1 to 128 characters, all of them printable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mark(String);

impl Mark {
    const MOST_CHARACTERS: usize = 128;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().count();
        if length == 0 || length > Self::MOST_CHARACTERS || text.chars().any(char::is_control) {
            return Err(format!(
                "expected 1 to {} characters without control characters, such as replay-2024-05-06",
                Self::MOST_CHARACTERS
            ));
        }
        Ok(Mark(text.to_owned()))
    }
}

impl TryFrom<String> for Mark {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.0
    }
}

/// What an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// This shard and what comes behind it; `None`: the whole pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardId>,
    /// `None`: every shard stays where it is, the order is to adopt alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// The configuration's table, sink and partition key mode take the place of the stored ones.
    #[serde(default)]
    pub adopt: bool,
}

/// As the command line spells it.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.shard.iter().map(|shard| format!("--shard {shard}")));
        words.extend(self.to.iter().map(|to| format!("--to {to}")));
        words.extend(self.mark.iter().map(|mark| format!("--mark {:?}", mark.as_str())));
        words.extend(self.adopt.then(|| "--adopt".to_owned()));
        f.write_str(&words.join(" "))
    }
}

/// An order that is being carried out, in the stream row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewind {
    pub order: Order,
    /// Epoch milliseconds.
    pub ordered_at_ms: u64,
    /// No change made later can have been delivered before the rows were frozen, epoch milliseconds.
    pub until_ms: u64,
    /// Every row is where it is to go on from; what is left is to give the rows free.
    pub is_reset: bool,
}

impl Rewind {
    /// `import-kcl` keeps workers away as a rewind does. The command line cannot spell its order: it asks for nothing.
    pub fn of_import(now_ms: u64) -> Self {
        let order = Order { shard: None, to: None, mark: None, adopt: false };
        Rewind { order, ordered_at_ms: now_ms, until_ms: now_ms, is_reset: true }
    }

    pub fn is_import(&self) -> bool {
        self.order.to.is_none() && !self.order.adopt
    }

    /// What an operator types to have it carried to its end.
    pub fn command(&self, pipeline: &str) -> String {
        if self.is_import() {
            format!(
                "ddb-kinesis-bridge import-kcl --pipeline {pipeline} --apply, with the arguments of the first time"
            )
        } else {
            format!("ddb-kinesis-bridge rewind --pipeline {pipeline} {}", self.order)
        }
    }

    /// What it is, in words.
    pub fn noun(&self) -> &'static str {
        if self.is_import() { "an import" } else { "a rewind" }
    }
}

/// In the row of a shard that went back: what is being carried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Changes made up to then may have been delivered before, epoch milliseconds. It also tells one rewind from the next.
    pub until_ms: u64,
    /// Changes made before were carried before, epoch milliseconds: that retention passes them is no gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_until_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_horizon_or_a_sequence_number() {
        assert_eq!("trim_horizon".parse(), Ok(Target::TrimHorizon));
        assert_eq!("0042".parse::<Target>().expect("digits").to_string(), "0042");
        for text in ["", "latest", "TRIM_HORIZON", "-1", "12a"] {
            assert!(text.parse::<Target>().expect_err(text).contains("sequence number"), "{text}");
        }
    }

    #[test]
    fn a_mark_is_short_and_printable() {
        for text in ["x", "Ünï \"quoted\" \\", &"ü".repeat(128)] {
            assert_eq!(text.parse::<Mark>().expect("a mark").as_str(), text);
        }
        for text in ["", "a\nb", "\u{7f}", &"x".repeat(129)] {
            assert!(text.parse::<Mark>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_import_is_no_rewind_that_can_be_typed() {
        let import = Rewind::of_import(5);
        assert!(import.is_import() && import.command("p").contains("import-kcl --pipeline p --apply"));
        let order = Order { shard: None, to: None, mark: None, adopt: true };
        let rewind = Rewind { order, ..import };
        assert_eq!((rewind.is_import(), rewind.noun()), (false, "a rewind"));
        assert_eq!(rewind.command("p"), "ddb-kinesis-bridge rewind --pipeline p --adopt");
    }

    #[test]
    fn an_order_reads_as_it_was_typed() {
        let order = Order {
            shard: Some(ShardId::new("shardId-1")),
            to: Some(Target::TrimHorizon),
            mark: "again".parse().ok(),
            adopt: true,
        };
        assert_eq!(order.to_string(), "--shard shardId-1 --to trim_horizon --mark \"again\" --adopt");
    }
}
