//! The checkpoint as the lease table stores it, read from outside as an operator would: how far a restart would not
//! need to go back.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::error::DemoError;
use crate::stream::SequenceNumber;

/// The delivered changes that no stored checkpoint covers yet, and how many are covered.
#[derive(Debug, Default)]
pub struct Checkpoints {
    uncovered: BTreeSet<SequenceNumber>,
    covered: usize,
}

impl Checkpoints {
    /// A change that landed for the first time.
    pub fn landed(&mut self, number: SequenceNumber) {
        self.uncovered.insert(number);
    }

    /// The farthest stored checkpoint. The demo's table has one stream shard, so all before it is covered.
    pub fn stored(&mut self, checkpoint: &SequenceNumber) {
        let mut beyond = self.uncovered.split_off(checkpoint);
        let itself = usize::from(beyond.remove(checkpoint));
        self.covered += self.uncovered.len() + itself;
        self.uncovered = beyond;
    }

    /// Changes that a restart would not deliver again.
    pub fn covered(&self) -> usize {
        self.covered
    }
}

/// The farthest checkpoint among a pipeline's shard rows; none before the first, or before the lease table exists.
///
/// # Errors
/// When the lease table cannot be read for another reason than that it is not there.
pub async fn read(
    client: &aws_sdk_dynamodb::Client,
    lease_table: &str,
    pipeline: &str,
) -> Result<Option<SequenceNumber>, DemoError> {
    let call = client
        .query()
        .table_name(lease_table)
        .consistent_read(true)
        .key_condition_expression("pk = :pk AND begins_with(sk, :shard)")
        .expression_attribute_values(":pk", AttributeValue::S(format!("pipeline#{pipeline}")))
        .expression_attribute_values(":shard", AttributeValue::S("shard#".to_owned()));
    let answer = match call.send().await {
        Ok(answer) => answer,
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
            return Ok(None);
        }
        Err(error) => return Err(DemoError::sdk(format!("read the lease table {lease_table}"), &error)),
    };
    let numbers = answer.items().iter().filter_map(|row| row.get("checkpoint")?.as_s().ok());
    Ok(numbers.filter_map(|number| SequenceNumber::parse(number).ok()).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u32) -> SequenceNumber {
        SequenceNumber::parse(&value.to_string()).expect("digits")
    }

    #[test]
    fn a_checkpoint_covers_itself_and_all_before_it() {
        let mut checkpoints = Checkpoints::default();
        for value in [8, 9, 10, 11] {
            checkpoints.landed(number(value));
        }
        checkpoints.stored(&number(10));
        assert_eq!(checkpoints.covered(), 3);
        checkpoints.stored(&number(10));
        assert_eq!(checkpoints.covered(), 3);
        checkpoints.stored(&number(99));
        assert_eq!(checkpoints.covered(), 4);
    }
}
