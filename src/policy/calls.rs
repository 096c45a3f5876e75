//! Every call to AWS that the program makes, and the IAM actions that it takes. A test reads the adapters' source and finds
//! no other.

/// What a call is about: it decides the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    LeaseTable,
    /// Only where the configuration lets us create it.
    LeaseTableCreation,
    /// Which streams a table has.
    Listing,
    /// Why a table has none.
    Table,
    /// Reading a stream.
    Stream,
    Sink,
    /// A sink whose order is strict.
    StrictSink,
}

/// One API operation.
pub(super) struct Call {
    pub(super) part: Part,
    #[cfg_attr(not(test), expect(dead_code, reason = "what the tests compare with"))]
    pub(super) api: &'static str,
    pub(super) actions: &'static [&'static str],
}

const fn call(part: Part, api: &'static str, actions: &'static [&'static str]) -> Call {
    Call { part, api, actions }
}

pub(super) const CALLS: &[Call] = &[
    call(Part::LeaseTable, "DescribeTable", &["dynamodb:DescribeTable"]),
    call(Part::LeaseTable, "GetItem", &["dynamodb:GetItem"]),
    call(Part::LeaseTable, "Query", &["dynamodb:Query"]),
    call(Part::LeaseTable, "PutItem", &["dynamodb:PutItem"]),
    call(Part::LeaseTable, "UpdateItem", &["dynamodb:UpdateItem"]),
    call(Part::LeaseTable, "DeleteItem", &["dynamodb:DeleteItem"]),
    // A transaction has no action of its own: each member takes that of its kind.
    call(
        Part::LeaseTable,
        "TransactWriteItems",
        &["dynamodb:ConditionCheckItem", "dynamodb:PutItem", "dynamodb:DeleteItem"],
    ),
    call(Part::LeaseTableCreation, "CreateTable", &["dynamodb:CreateTable"]),
    call(Part::Listing, "ListStreams", &["dynamodb:ListStreams"]),
    call(Part::Table, "DescribeTable", &["dynamodb:DescribeTable"]),
    call(Part::Stream, "DescribeStream", &["dynamodb:DescribeStream"]),
    call(Part::Stream, "GetShardIterator", &["dynamodb:GetShardIterator"]),
    call(Part::Stream, "GetRecords", &["dynamodb:GetRecords"]),
    call(Part::Sink, "DescribeStreamSummary", &["kinesis:DescribeStreamSummary"]),
    call(Part::Sink, "ListShards", &["kinesis:ListShards"]),
    call(Part::Sink, "PutRecords", &["kinesis:PutRecords"]),
    call(Part::StrictSink, "DescribeStreamSummary", &["kinesis:DescribeStreamSummary"]),
    call(Part::StrictSink, "ListShards", &["kinesis:ListShards"]),
    call(Part::StrictSink, "PutRecord", &["kinesis:PutRecord"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Operations as the adapters spell them: in a constant, or where they sort a call's errors.
    fn named(source: &str) -> impl Iterator<Item = String> {
        let is_call = |before: &str| before.ends_with("from_sdk(") || before.ends_with(": &str = ");
        let is_name = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_uppercase())
                && text.chars().all(|c| c.is_ascii_alphabetic())
        };
        let parts: Vec<&str> = source.split('"').collect();
        let names = parts.windows(2).filter(move |pair| is_call(pair[0]) && is_name(pair[1]));
        names.map(|pair| pair[1].to_owned()).collect::<Vec<_>>().into_iter()
    }

    fn read(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the source is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, names);
            } else if !path.to_string_lossy().contains("tests") {
                let text = std::fs::read_to_string(&path).expect("text");
                names.extend(named(text.split("#[cfg(test)]").next().unwrap_or_default()));
            }
        }
    }

    #[test]
    fn no_adapter_makes_another_call() {
        let mut names = BTreeSet::new();
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws"), &mut names);
        // Not a call of the service's: why one was not made.
        names.remove("CredentialsDenied");
        // Its resource is the roles, which no part has: the policy allows it by itself.
        names.remove("AssumeRole");
        // `import-kcl` reads another program's table, once.
        names.remove("Scan");
        let known: BTreeSet<String> = CALLS.iter().map(|call| call.api.to_owned()).collect();
        assert_eq!(names, known);
    }
}
