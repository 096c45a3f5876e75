//! What a pipeline asks for that its table's stream does not have: an image that the view type lacks, a filter on what is
//! never there. Found before anything is read; a stream that is enabled later with another view type is told of when its
//! changes come.

use std::fmt;

use super::key::KeySchema;
use super::pattern::Lack;
use super::selection::{Attributes, Images, Selection};

/// One thing asked for in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The key of `[pipeline.record]` that asks for it.
    pub key: &'static str,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record.{}: {}; {}", self.key, self.what, self.remedy)
    }
}

/// The images that a stream has.
#[derive(Clone, Copy, Debug)]
struct View {
    new: bool,
    old: bool,
}

impl View {
    /// `None` for a word that this version does not know.
    fn of(view_type: &str) -> Option<Self> {
        let (new, old) = match view_type {
            "KEYS_ONLY" => (false, false),
            "NEW_IMAGE" => (true, false),
            "OLD_IMAGE" => (false, true),
            "NEW_AND_OLD_IMAGES" => (true, true),
            _ => return None,
        };
        Some(Self { new, old })
    }

    fn is_empty(self) -> bool {
        !self.new && !self.old
    }
}

/// All that `selection` asks for in vain of a stream with this view type, on a table with these keys. Nothing is known of
/// a view type that this version does not know.
pub fn contradictions(selection: &Selection, view_type: &str, keys: &KeySchema) -> Vec<Contradiction> {
    let mut all = Vec::new();
    let Some(view) = View::of(view_type) else { return all };
    let mut say = |key, what: String, remedy: String| all.push(Contradiction { key, what, remedy });
    let has = format!("the stream's view type is {view_type}");
    let enable = |needed: &str| format!("enable the table's stream with {needed}");
    let missing = match selection.images {
        Images::New if !view.new => Some(("new", "NEW_IMAGE or NEW_AND_OLD_IMAGES")),
        Images::Old if !view.old => Some(("old", "OLD_IMAGE or NEW_AND_OLD_IMAGES")),
        _ => None,
    };
    if let Some((image, needed)) = missing {
        let what = format!("\"{image}\" asks for the {image} image, which the stream does not have: {has}");
        say("images", what, format!("{}, or choose other images", enable(needed)));
    }
    if selection.drop_unchanged && !(view.new && view.old) {
        let what =
            format!("compares the old image with the new one, and the stream does not have both: {has}");
        say("drop_unchanged", what, format!("{}, or remove the key", enable("NEW_AND_OLD_IMAGES")));
    }
    let list = match &selection.attributes {
        Attributes::All => None,
        Attributes::Only(_) => Some("include_attributes"),
        Attributes::AllBut(_) => Some("exclude_attributes"),
    };
    if let Some(key) = list.filter(|_| view.is_empty()) {
        let what = format!("chooses attributes of images, and the stream has none: {has}");
        say(key, what, format!("{}, or remove the key", enable("images")));
    }
    if let Some((what, remedy)) = filter_in_vain(selection, view, &has, keys) {
        say("filter", what, remedy);
    }
    all
}

fn filter_in_vain(
    selection: &Selection,
    view: View,
    has: &str,
    keys: &KeySchema,
) -> Option<(String, String)> {
    let is_key = |name: &str| name == keys.partition_key || keys.sort_key.as_deref() == Some(name);
    let Lack { name, place } =
        selection.filter.as_ref()?.never_there(|member, attribute| match (member, attribute) {
            ("NewImage", _) => view.new,
            ("OldImage", _) => view.old,
            ("Keys", Some(attribute)) => is_key(attribute),
            _ => true,
        })?;
    let (why, remedy) = if name.starts_with("dynamodb.Keys.") {
        let keys: Vec<&str> =
            [Some(keys.partition_key.as_str()), keys.sort_key.as_deref()].into_iter().flatten().collect();
        let why = format!("the table's key attributes are {}", keys.join(" and "));
        (why, "name one of these, or look for the attribute in an image")
    } else {
        (has.to_owned(), "enable the table's stream with that image, or filter by what there is")
    };
    Some((format!("`{name}` ({place} of the pattern) is never there: {why}"), remedy.to_owned()))
}

#[cfg(test)]
mod tests;
