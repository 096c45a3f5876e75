//! DynamoDB expressions from a [`RowWrite`]'s clauses and effect: pure text and placeholder tables, sent by
//! [`super::lease_table`]. Every name and value stands behind a placeholder, so no attribute name can clash with one
//! of DynamoDB's reserved words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue as SdkValue;
use serde_dynamo::AttributeValue;

use crate::lease::table::{Clause, RowKey};

/// The lease table's key attributes.
pub(super) const PARTITION_KEY: &str = "pk";
pub(super) const SORT_KEY: &str = "sk";

/// The placeholders of one request.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    names: Vec<&'static str>,
    values: HashMap<String, SdkValue>,
}

impl Placeholders {
    /// The placeholder of an attribute's name, the same for every use.
    pub(super) fn name(&mut self, name: &'static str) -> String {
        let index = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        format!("#a{index}")
    }

    /// A new placeholder for a value.
    pub(super) fn value(&mut self, value: impl Into<SdkValue>) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value.into());
        placeholder
    }

    /// For `ExpressionAttributeNames`; `None` rather than empty, which DynamoDB refuses.
    pub(super) fn take_names(&mut self) -> Option<HashMap<String, String>> {
        let names: HashMap<String, String> = std::mem::take(&mut self.names)
            .into_iter()
            .enumerate()
            .map(|(index, name)| (format!("#a{index}"), name.to_owned()))
            .collect();
        (!names.is_empty()).then_some(names)
    }

    /// For `ExpressionAttributeValues`; `None` rather than empty, which DynamoDB refuses.
    pub(super) fn take_values(&mut self) -> Option<HashMap<String, SdkValue>> {
        let values = std::mem::take(&mut self.values);
        (!values.is_empty()).then_some(values)
    }
}

/// The `ConditionExpression` in which all clauses hold; `None` for no clauses.
pub(super) fn condition(clauses: &[Clause], placeholders: &mut Placeholders) -> Option<String> {
    let terms: Vec<String> = clauses.iter().map(|clause| term(clause, placeholders)).collect();
    (!terms.is_empty()).then(|| terms.join(" AND "))
}

fn term(clause: &Clause, placeholders: &mut Placeholders) -> String {
    match clause {
        Clause::RowAbsent => format!("attribute_not_exists({})", placeholders.name(PARTITION_KEY)),
        Clause::RowPresent => format!("attribute_exists({})", placeholders.name(PARTITION_KEY)),
        Clause::Equals(name, value) => {
            format!("{} = {}", placeholders.name(name), placeholders.value(value.clone()))
        }
        Clause::Missing(name) => format!("attribute_not_exists({})", placeholders.name(name)),
        // DynamoDB compares only values of one type, so an attribute that is no number is not below.
        Clause::Below(name, limit) => {
            format!("{} < {}", placeholders.name(name), placeholders.value(SdkValue::N(limit.to_string())))
        }
    }
}

/// The `UpdateExpression` that sets and removes these attributes; `None` where it would change nothing.
pub(super) fn update(
    set: &[(&'static str, AttributeValue)],
    remove: &[&'static str],
    placeholders: &mut Placeholders,
) -> Option<String> {
    let sets: Vec<String> = set
        .iter()
        .map(|(name, value)| format!("{} = {}", placeholders.name(name), placeholders.value(value.clone())))
        .collect();
    let removes: Vec<String> = remove.iter().map(|name| placeholders.name(name)).collect();
    let parts: Vec<String> = [("SET", sets), ("REMOVE", removes)]
        .into_iter()
        .filter(|(_, terms)| !terms.is_empty())
        .map(|(word, terms)| format!("{word} {}", terms.join(", ")))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// A row's key as the API takes it.
pub(super) fn key(key: &RowKey) -> HashMap<String, SdkValue> {
    HashMap::from([
        (PARTITION_KEY.to_owned(), SdkValue::S(key.pk.clone())),
        (SORT_KEY.to_owned(), SdkValue::S(key.sk.clone())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    #[test]
    fn a_condition_of_every_clause() {
        let mut placeholders = Placeholders::default();
        let clauses = [
            Clause::RowPresent,
            Clause::Equals("owner", text("me")),
            Clause::Missing("state"),
            Clause::Below("revision", 7),
            Clause::RowAbsent,
        ];
        assert_eq!(
            condition(&clauses, &mut placeholders).as_deref(),
            Some(
                "attribute_exists(#a0) AND #a1 = :v0 AND attribute_not_exists(#a2) AND #a3 < :v1 AND \
                 attribute_not_exists(#a0)"
            )
        );
        let names = placeholders.take_names().expect("names");
        assert_eq!(names.len(), 4);
        assert_eq!(names.get("#a0").map(String::as_str), Some("pk"));
        assert_eq!(names.get("#a3").map(String::as_str), Some("revision"));
        let values = placeholders.take_values().expect("values");
        assert_eq!(values.get(":v0"), Some(&SdkValue::S("me".to_owned())));
        assert_eq!(values.get(":v1"), Some(&SdkValue::N("7".to_owned())));
    }

    #[test]
    fn an_update_shares_names_with_its_condition() {
        let mut placeholders = Placeholders::default();
        let condition = condition(&[Clause::Below("revision", 7)], &mut placeholders);
        let update = update(
            &[("revision", AttributeValue::N("7".to_owned())), ("owner", text("me"))],
            &["draining"],
            &mut placeholders,
        );
        assert_eq!(condition.as_deref(), Some("#a0 < :v0"));
        assert_eq!(update.as_deref(), Some("SET #a0 = :v1, #a1 = :v2 REMOVE #a2"));
    }

    #[test]
    fn nothing_gives_no_expression() {
        let mut placeholders = Placeholders::default();
        assert_eq!(condition(&[], &mut placeholders), None);
        assert_eq!(update(&[], &[], &mut placeholders), None);
        assert_eq!(placeholders.take_names(), None);
        assert_eq!(placeholders.take_values(), None);
    }
}
