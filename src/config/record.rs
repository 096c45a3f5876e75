//! Stage two, `[pipeline.record]`: how records are written, which changes are carried, and what of each.

use std::sync::Arc;

use super::section::Section;
use super::settings::Record;
use super::values::quoted;
use crate::record::envelope::Format;
use crate::record::key::PartitionKeyMode;
use crate::record::pattern::{Lack, Pattern};
use crate::record::selection::{Attributes, Events, Images, Selection, TtlDeletes};

pub(super) fn record(section: &Section<'_>) -> Record {
    let format = [("dynamodb_json", Format::DynamodbJson), ("json", Format::Json)];
    let keys = [("partition_key", PartitionKeyMode::PartitionKey), ("item_key", PartitionKeyMode::ItemKey)];
    let record = Record {
        format: section.choice("format", Format::DynamodbJson, &format),
        partition_key: section.choice("partition_key", PartitionKeyMode::PartitionKey, &keys),
        selection: selection(section),
    };
    section.reject_unknown_keys();
    record
}

fn selection(section: &Section<'_>) -> Selection {
    let ttl_deletes =
        [("include", TtlDeletes::Include), ("exclude", TtlDeletes::Exclude), ("only", TtlDeletes::Only)];
    let images = [
        ("as_streamed", Images::AsStreamed),
        ("keys", Images::Keys),
        ("new", Images::New),
        ("old", Images::Old),
    ];
    let before = section.problems();
    let selection = Selection {
        events: events(section),
        ttl_deletes: section.choice("ttl_deletes", TtlDeletes::Include, &ttl_deletes),
        images: section.choice("images", Images::AsStreamed, &images),
        attributes: attributes(section),
        drop_unchanged: section.boolean("drop_unchanged", false),
        filter: filter(section),
    };
    // With a value thrown away, what is left may contradict itself where the text does not.
    if section.problems() == before {
        reject_contradictions(section, &selection);
    }
    selection
}

fn events(section: &Section<'_>) -> Events {
    const EXPECTED: &str = r#"a list of "insert", "modify" and "remove", such as ["insert", "modify"]"#;
    let Some(words) = section.words("events", EXPECTED) else { return Events::default() };
    let mut events = Events { insert: false, modify: false, remove: false };
    for word in &words {
        let event = match word.as_str() {
            "insert" => &mut events.insert,
            "modify" => &mut events.modify,
            "remove" => &mut events.remove,
            _ => {
                section.reject("events", format!("{} is no kind of change; write {EXPECTED}", quoted(word)));
                return Events::default();
            }
        };
        if std::mem::replace(event, true) {
            section.reject("events", format!("{word:?} stands twice; write it once"));
        }
    }
    if words.is_empty() {
        section.reject(
            "events",
            "an empty list carries nothing; name a kind of change, or remove the key for all",
        );
    }
    events
}

fn attributes(section: &Section<'_>) -> Attributes {
    let include = names(section, "include_attributes");
    let exclude = names(section, "exclude_attributes");
    match (include, exclude) {
        (Some(_), Some(_)) => {
            section.reject(
                "exclude_attributes",
                "`include_attributes` and `exclude_attributes` exclude each other; keep the one that says it shorter",
            );
            Attributes::All
        }
        (Some(names), None) => Attributes::Only(names),
        (None, Some(names)) => Attributes::AllBut(names),
        (None, None) => Attributes::All,
    }
}

/// The longest name of an attribute that is no key, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 65_535;

fn names(section: &Section<'_>, key: &str) -> Option<Vec<String>> {
    const EXPECTED: &str = r#"a list of top-level attributes' names, such as ["status", "total"]"#;
    let names = section.words(key, EXPECTED)?;
    if names.is_empty() {
        section.reject(
            key,
            "an empty list; name an attribute, or remove the key (`images = \"keys\"` leaves out all)",
        );
    }
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > MAX_ATTRIBUTE_BYTES {
            section.reject(key, format!("{} is no attribute's name; write {EXPECTED}", quoted(name)));
        } else if names[..at].contains(name) {
            section.reject(key, format!("{} stands twice; write it once", quoted(name)));
        }
    }
    Some(names)
}

fn filter(section: &Section<'_>) -> Option<Arc<Pattern>> {
    const EXPECTED: &str = r#"an event pattern in quotes, such as '{"eventName": ["INSERT"]}'"#;
    let text = section.parsed("filter", EXPECTED, |text| Ok(text.to_owned()))?;
    match Pattern::parse(&text) {
        Ok(pattern) => Some(Arc::new(pattern)),
        Err(error) => {
            section.reject_within("filter", &text, error.place.line, &error.to_string());
            None
        }
    }
}

/// What contradicts itself whatever the stream has.
fn reject_contradictions(section: &Section<'_>, selection: &Selection) {
    let Events { insert, modify, remove } = selection.events;
    let only_ttl = selection.ttl_deletes == TtlDeletes::Only;
    if only_ttl && !remove {
        let message = "\"only\" carries deletes alone, and `events` lacks \"remove\"; add it to `events`, or remove the key";
        section.reject("ttl_deletes", message);
        return;
    }
    let (has_new, has_old) = ((insert || modify) && !only_ttl, modify || remove);
    if selection.drop_unchanged && (!modify || only_ttl) {
        let why = if modify {
            "`ttl_deletes = \"only\"` carries deletes alone"
        } else {
            "`events` lacks \"modify\""
        };
        section.reject("drop_unchanged", format!("is about modifications, and {why}; remove one of the two"));
    }
    if selection.images == Images::New && !has_new {
        let message = "\"new\" asks for the new image, which deletes do not have, and nothing else is carried; write \"old\" or \"keys\"";
        section.reject("images", message);
    }
    if selection.images == Images::Old && !has_old {
        let message = "\"old\" asks for the old image, which inserts do not have, and nothing else is carried; write \"new\" or \"keys\"";
        section.reject("images", message);
    }
    reject_filter_in_vain(section, selection);
    let list = match selection.attributes {
        Attributes::All => return,
        Attributes::Only(_) => "include_attributes",
        Attributes::AllBut(_) => "exclude_attributes",
    };
    // Which attributes count for drop_unchanged is worth saying all the same.
    if selection.images == Images::Keys && !selection.drop_unchanged {
        let message =
            "chooses attributes of images, and `images = \"keys\"` carries none; remove one of the two";
        section.reject(list, message);
    }
}

/// A filter on images that the changes which are carried do not have.
fn reject_filter_in_vain(section: &Section<'_>, selection: &Selection) {
    let Some(filter) = &selection.filter else { return };
    let Events { insert, modify, remove } = selection.events;
    let only_ttl = selection.ttl_deletes == TtlDeletes::Only;
    if modify && !only_ttl {
        // A modification has both images.
        return;
    }
    let kinds = [(insert && !only_ttl, "inserts", "OldImage"), (remove, "deletes", "NewImage")];
    let carried = kinds.into_iter().filter(|(is_carried, ..)| *is_carried);
    let lacks =
        carried.map(|(_, kind, lacking)| Some((kind, filter.never_there(|member, _| member != lacking)?)));
    let lacks: Option<Vec<(&str, Lack)>> = lacks.collect();
    let Some((first, lacks)) = lacks.as_deref().and_then(|lacks| lacks.first().zip(Some(lacks))) else {
        return;
    };
    let why: Vec<String> = lacks
        .iter()
        .map(|(kind, Lack { name, place })| format!("{kind} do not have `{name}` ({place} of the pattern)"))
        .collect();
    let key = if only_ttl { "ttl_deletes" } else { "events" };
    let message = format!(
        "matches nothing that `{key}` carries: {}; filter by the image that is there, or change `{key}`",
        why.join(", and ")
    );
    section.reject_within("filter", filter.text(), first.1.place.line, &message);
}
