//! `[pipeline.record]`'s choice of changes, and the pipelines that read one table.

use super::*;
use crate::record::selection::{Attributes, Events, Images, TtlDeletes};

fn parse(record: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "[[pipeline]]\nname = \"orders\"\nsource.table = \"orders\"\nsink.stream = \"s\"\n[pipeline.record]\n{record}"
    );
    Config::parse(&text, ConfigSource::File("bridge.toml".into()), &|name| {
        (name == "STATE").then(|| "open".to_owned())
    })
}

fn selection(record: &str) -> Selection {
    let config = parse(record).unwrap_or_else(|error| panic!("{error}"));
    config.pipelines[0].record.selection.clone()
}

/// Panics unless this is refused for one reason, which has these parts.
#[track_caller]
fn refused(record: &str, parts: &[&str]) {
    let error = parse(record).expect_err(record).to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn every_choice_is_read() {
    assert_eq!(selection(""), Selection::default());
    for (text, format, key) in [
        ("", Format::DynamodbJson, PartitionKeyMode::PartitionKey),
        ("format = \"json\"\npartition_key = \"item_key\"", Format::Json, PartitionKeyMode::ItemKey),
    ] {
        let record = parse(text).expect("a configuration").pipelines.remove(0).record;
        assert_eq!((record.format, record.partition_key), (format, key));
    }
    let all = selection(
        "events = [\"insert\", \"remove\", \"modify\"]\nttl_deletes = \"include\"\nimages = \"as_streamed\"\n\
         drop_unchanged = false",
    );
    assert_eq!(all, Selection::default());
    let some = selection(
        "events = [\"modify\", \"remove\"]\nttl_deletes = \"exclude\"\nimages = \"new\"\ndrop_unchanged = true\n\
         include_attributes = [\"a\", \"${STATE}\"]\nfilter = '{\"eventName\": [\"MODIFY\"]}'",
    );
    assert_eq!(some.events, Events { insert: false, modify: true, remove: true });
    assert_eq!((some.ttl_deletes, some.images), (TtlDeletes::Exclude, Images::New));
    assert_eq!(some.attributes, Attributes::Only(vec!["a".to_owned(), "open".to_owned()]));
    assert!(some.drop_unchanged && some.filter.is_some() && !some.is_everything());
    let but = selection("exclude_attributes = [\"a\"]\nimages = \"old\"");
    assert_eq!((but.attributes, but.images), (Attributes::AllBut(vec!["a".to_owned()]), Images::Old));
    // Not carried, but it says what counts as unchanged.
    selection("images = \"keys\"\ninclude_attributes = [\"a\"]\ndrop_unchanged = true");
    selection("ttl_deletes = \"only\"\nimages = \"old\"\nevents = [\"remove\"]");
}

#[test]
fn contradictions_name_key_and_remedy() {
    for (record, parts) in [
        ("events = []", ["bridge.toml:6: pipeline[0].record.events: ", "remove the key"]),
        ("events = [\"insert\", \"update\"]", ["record.events: \"update\"", "\"modify\""]),
        ("events = [\"insert\", \"insert\"]", ["record.events: \"insert\" stands twice", "once"]),
        ("events = \"insert\"", ["record.events: expected a list", "found the string"]),
        ("events = [1]", ["record.events: expected a list", "found the integer 1"]),
        ("ttl_deletes = \"none\"", ["record.ttl_deletes: \"none\"", "\"exclude\""]),
        ("images = \"both\"", ["record.images: \"both\"", "\"as_streamed\""]),
        ("drop_unchanged = \"yes\"", ["record.drop_unchanged", "true or false"]),
        ("include_attributes = []", ["record.include_attributes: an empty list", "images = \"keys\""]),
        ("include_attributes = [\"a\", \"a\"]", ["\"a\" stands twice", "write it once"]),
        ("exclude_attributes = [\"\"]", ["record.exclude_attributes: \"\"", "is no attribute's name"]),
        ("include_attributes = [\"${NOBODY}\"]", ["record.include_attributes", "NOBODY is not set"]),
        (
            "include_attributes = [\"a\"]\nexclude_attributes = [\"b\"]",
            ["bridge.toml:7: pipeline[0].record.exclude_attributes", "exclude each other"],
        ),
        (
            "images = \"keys\"\nexclude_attributes = [\"b\"]",
            [":7: pipeline[0].record.exclude_attributes", "carries none"],
        ),
        (
            "events = [\"insert\"]\nttl_deletes = \"only\"",
            [":7: pipeline[0].record.ttl_deletes", "lacks \"remove\""],
        ),
        ("events = [\"insert\"]\ndrop_unchanged = true", ["record.drop_unchanged", "lacks \"modify\""]),
        ("ttl_deletes = \"only\"\ndrop_unchanged = true", ["record.drop_unchanged", "carries deletes alone"]),
        ("ttl_deletes = \"only\"\nimages = \"new\"", ["record.images", "deletes do not have"]),
        ("events = [\"insert\"]\nimages = \"old\"", ["record.images", "inserts do not have"]),
        ("filter = 5", ["record.filter: expected an event pattern", "found the integer 5"]),
        ("filter = ''", ["record.filter: this is not JSON", "line 1, column 1 of the pattern"]),
        ("event = [\"insert\"]", ["record.event: unknown key", "did you mean `events`?"]),
    ] {
        refused(record, &parts);
    }
}

/// Refused for what the carried kinds of change lack, as `images` is; not where the filter matches without.
#[test]
fn a_filter_on_an_image_that_no_carried_change_has() {
    const NEW: &str = r#"{"dynamodb": {"NewImage": {"a": {"S": ["x"]}}}}"#;
    const OLD: &str = r#"{"dynamodb": {"OldImage": {"a": {"S": ["x"]}}}}"#;
    const BOTH: &str = r#"{"dynamodb": {"NewImage": {"a": {"S": ["x"]}}, "OldImage": {"a": {"S": ["y"]}}}}"#;
    const EITHER: &str =
        r#"{"dynamodb": {"$or": [{"NewImage": {"a": {"S": ["x"]}}}, {"OldImage": {"a": {"S": ["x"]}}}]}}"#;
    const NONE: &str = r#"{"dynamodb": {"OldImage": {"a": {"S": [{"exists": false}]}}}}"#;
    for (choice, filter, parts) in [
        ("events = [\"remove\"]", NEW, Some("deletes do not have `dynamodb.NewImage` (line 2, column 15")),
        ("ttl_deletes = \"only\"", NEW, Some("nothing that `ttl_deletes` carries: deletes do not have")),
        ("ttl_deletes = \"only\"", BOTH, Some("or change `ttl_deletes`")),
        ("events = [\"insert\"]", OLD, Some("inserts do not have `dynamodb.OldImage`")),
        (
            "events = [\"insert\", \"remove\"]",
            BOTH,
            Some("`dynamodb.OldImage` (line 2, column 48 of the pattern), and deletes"),
        ),
        ("events = [\"remove\"]", OLD, None),
        ("ttl_deletes = \"only\"", OLD, None),
        ("events = [\"insert\"]", NEW, None),
        ("events = [\"insert\", \"remove\"]", NEW, None),
        ("events = [\"insert\", \"remove\"]", OLD, None),
        ("events = [\"modify\"]", BOTH, None),
        ("", BOTH, None),
        ("events = [\"insert\"]", EITHER, None),
        ("events = [\"remove\"]", EITHER, None),
        ("events = [\"insert\"]", NONE, None),
    ] {
        let record = format!("{choice}\nfilter = '''\n\n{filter}'''");
        match parts {
            Some(part) => refused(&record, &["bridge.toml:9: pipeline[0].record.filter: ", part]),
            None => assert!(selection(&record).filter.is_some()),
        }
    }
}

/// In the file where the string stands there as it is, else in the pattern alone.
#[test]
fn a_mistake_in_a_filter_is_pointed_at_in_the_file() {
    let wrong = "{\n  \"eventName\": [\"INSERT\"],\n  \"dynamodb\": {\"NewImage\": {\"a\": [\"x\"]}}\n}";
    let at = "line 3, column 35 of the pattern";
    refused(&format!("filter = '''\n{wrong}'''"), &["bridge.toml:9: pipeline[0].record.filter: ", at]);
    refused(&format!("filter = '''{wrong}\n'''"), &["bridge.toml:8: pipeline[0].record.filter: ", at]);
    refused(&format!("\n\nfilter =   '''\n{wrong}'''"), &["bridge.toml:11: pipeline[0].record.filter: ", at]);
    refused("filter = '{\"a\": [1]}'", &["bridge.toml:6: pipeline[0].record.filter: ", "line 1, column 2"]);
    let escaped = wrong.replace('"', "\\\"").replace('\n', "\\n");
    refused(&format!("filter = \"{escaped}\""), &["bridge.toml:6: pipeline[0].record.filter: ", at]);
    let put_in = wrong.replace("\"x\"", "\"${STATE}\"");
    refused(&format!("filter = '''\n{put_in}'''"), &["bridge.toml:6: pipeline[0].record.filter: ", at]);
}

fn source(name: &str, source: &str) -> String {
    format!("[[pipeline]]\nname = \"{name}\"\n[pipeline.source]\n{source}\n[pipeline.sink]\nstream = \"s\"\n")
}

fn sources(all: &[&str]) -> Result<Config, ConfigError> {
    let names = ["p1", "p2", "p3", "p4"].iter().zip(all);
    let text: String = names.map(|(name, of)| source(name, of)).collect();
    Config::parse(&text, ConfigSource::StandardInput, &|_| None)
}

#[test]
fn two_pipelines_read_a_table_and_not_three() {
    const NAME: &str = "table = \"orders\"\nregion = \"eu-west-1\"";
    const ARN: &str = "table = \"arn:aws:dynamodb:eu-west-1:123456789012:table/orders\"";
    const STREAM: &str = "stream_arn = \"arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2025\"";
    for (all, at) in [
        ([NAME, NAME, NAME], Some("pipeline[2].source.table")),
        ([ARN, STREAM, ARN], Some("pipeline[2].source.table")),
        ([ARN, ARN, STREAM], Some("pipeline[2].source.stream_arn")),
        ([NAME, NAME, "table = \"other\"\nregion = \"eu-west-1\""], None),
        ([NAME, NAME, "table = \"orders\"\nregion = \"eu-west-2\""], None),
        ([NAME, NAME, "table = \"orders\"\nregion = \"eu-west-1\"\nendpoint_url = \"http://h\""], None),
        (
            [
                NAME,
                NAME,
                "table = \"orders\"\nregion = \"eu-west-1\"\nrole_arn = \"arn:aws:iam::123456789012:role/r\"",
            ],
            None,
        ),
        ([ARN, ARN, "table = \"arn:aws:dynamodb:eu-west-1:210987654321:table/orders\""], None),
        // One table or two: the start knows.
        ([NAME, NAME, ARN], None),
    ] {
        match (sources(&all), at) {
            (Ok(_), None) => {}
            (Err(error), Some(at)) => {
                let error = error.to_string();
                let parts = [at, "\"orders\"", "p1 and p2", "two readers a shard", "fan out from Kinesis"];
                for part in parts {
                    assert!(error.contains(part), "{part:?} is not in: {error}");
                }
            }
            (outcome, _) => panic!("{all:?}: {outcome:?}"),
        }
    }
}
