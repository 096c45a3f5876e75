//! Items and attribute values between serde_dynamo's types, which the lease table's port speaks, and the SDK's. The way
//! back is written here because serde_dynamo's own conversion panics on a type that it does not know.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue as SdkValue;
use aws_smithy_types::Blob;
use serde_dynamo::{AttributeValue, Item};

/// An item for a request.
pub(super) fn to_sdk(item: &Item) -> HashMap<String, SdkValue> {
    HashMap::<String, AttributeValue>::from(item.clone())
        .into_iter()
        .map(|(name, value)| (name, SdkValue::from(value)))
        .collect()
}

/// An item of an answer; the error names the attribute whose type is not known.
pub(super) fn from_sdk(item: HashMap<String, SdkValue>) -> Result<Item, String> {
    let attributes: HashMap<String, AttributeValue> = item
        .into_iter()
        .map(|(name, value)| match value_from_sdk(value) {
            Some(value) => Ok((name, value)),
            None => Err(format!("attribute `{name}` has a type that this version does not know")),
        })
        .collect::<Result<_, _>>()?;
    Ok(Item::from(attributes))
}

fn value_from_sdk(value: SdkValue) -> Option<AttributeValue> {
    Some(match value {
        SdkValue::S(text) => AttributeValue::S(text),
        SdkValue::N(digits) => AttributeValue::N(digits),
        SdkValue::B(blob) => AttributeValue::B(blob.into_inner()),
        SdkValue::Bool(truth) => AttributeValue::Bool(truth),
        SdkValue::Null(null) => AttributeValue::Null(null),
        SdkValue::Ss(set) => AttributeValue::Ss(set),
        SdkValue::Ns(set) => AttributeValue::Ns(set),
        SdkValue::Bs(set) => AttributeValue::Bs(set.into_iter().map(Blob::into_inner).collect()),
        SdkValue::L(list) => AttributeValue::L(list.into_iter().map(value_from_sdk).collect::<Option<_>>()?),
        SdkValue::M(map) => AttributeValue::M(
            map.into_iter()
                .map(|(name, value)| Some((name, value_from_sdk(value)?)))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_goes_there_and_back() {
        let item = Item::from(HashMap::from([
            ("s".to_owned(), AttributeValue::S(String::new())),
            ("n".to_owned(), AttributeValue::N("1.50".to_owned())),
            ("b".to_owned(), AttributeValue::B(vec![0, 255])),
            ("bool".to_owned(), AttributeValue::Bool(false)),
            ("null".to_owned(), AttributeValue::Null(true)),
            ("ss".to_owned(), AttributeValue::Ss(vec!["a".to_owned()])),
            ("ns".to_owned(), AttributeValue::Ns(vec!["1".to_owned()])),
            ("bs".to_owned(), AttributeValue::Bs(vec![vec![1]])),
            (
                "l".to_owned(),
                AttributeValue::L(vec![AttributeValue::M(HashMap::from([(
                    "deep".to_owned(),
                    AttributeValue::S("é".to_owned()),
                )]))]),
            ),
        ]));
        assert_eq!(from_sdk(to_sdk(&item)), Ok(item));
    }
}
