//! What of a table's changes a pipeline carries: which changes, and what of each.
//!
//! A change that is left out costs its place in the watermark and no more: the event's kind is asked first, then the
//! filter, which looks only at what it names, then whether the chosen attributes changed.

use std::sync::Arc;

use super::envelope::Source;
use super::key::KeySchema;
use super::pattern::Pattern;
use super::shape;
use super::unchanged;
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;
use crate::stream::page::{EventName, StreamRecord};

/// Which changes are carried, and what of them. The default is everything, as it is streamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub events: Events,
    pub ttl_deletes: TtlDeletes,
    pub filter: Option<Arc<Pattern>>,
    /// Leaves out a modification after which the chosen attributes are what they were, and the item under the filter as before.
    pub drop_unchanged: bool,
    pub images: Images,
    pub attributes: Attributes,
}

/// The kinds of change that are carried; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    pub insert: bool,
    pub modify: bool,
    pub remove: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { insert: true, modify: true, remove: true }
    }
}

/// What happens to the deletes that time to live makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtlDeletes {
    #[default]
    Include,
    Exclude,
    /// Nothing else is carried.
    Only,
}

/// Which images are carried, of those that the stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Images {
    #[default]
    AsStreamed,
    /// None: the keys say which item it was.
    Keys,
    New,
    Old,
}

/// Which of an image's top-level attributes are carried; the keys' are, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attributes {
    #[default]
    All,
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Selection {
    /// Whether everything is carried as it is streamed.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the change is carried.
    pub(super) fn takes(&self, record: &StreamRecord<'_>, source: &Source, keys: &KeySchema) -> bool {
        self.events.take(record.event_name)
            && self.ttl_deletes.take(record)
            && self.filter.as_ref().is_none_or(|filter| filter.matches(record, source))
            && !(self.drop_unchanged && self.is_unchanged(record, source, keys))
    }

    fn is_unchanged(&self, record: &StreamRecord<'_>, source: &Source, keys: &KeySchema) -> bool {
        let (EventName::Modify, Some(new), Some(old)) =
            (record.event_name, record.new_image, record.old_image)
        else {
            return false;
        };
        unchanged::is_unchanged(new, old, |name| self.attributes.take(name, keys))
            && [old, new].into_iter().all(|image| self.lets_stay(record, image, source))
    }

    /// Whether the filter takes the change also if the item was like this before it and after it. Where it does not, the
    /// item came under the filter or left it, and that is a change whatever the chosen attributes say.
    fn lets_stay(&self, record: &StreamRecord<'_>, image: Json<'_>, source: &Source) -> bool {
        let still = || StreamRecord { new_image: Some(image), old_image: Some(image), ..record.clone() };
        self.filter.as_ref().is_none_or(|filter| filter.matches(&still(), source))
    }

    /// The images that go with a change, and for each its text where attributes were left out of it.
    pub(super) fn shape<'a>(&self, record: &StreamRecord<'a>, keys: &KeySchema) -> Shaped<'a> {
        let (new, old) = match self.images {
            Images::AsStreamed => (record.new_image, record.old_image),
            Images::Keys => (None, None),
            Images::New => (record.new_image, None),
            Images::Old => (None, record.old_image),
        };
        let cut = |image: Option<Json<'a>>| match self.attributes {
            Attributes::All => None,
            _ => shape::cut(image?, |name| self.attributes.take(name, keys)),
        };
        Shaped { new, old, new_cut: cut(new), old_cut: cut(old) }
    }
}

/// A change's images as they are carried.
pub(super) struct Shaped<'a> {
    new: Option<Json<'a>>,
    old: Option<Json<'a>>,
    new_cut: Option<String>,
    old_cut: Option<String>,
}

impl Shaped<'_> {
    /// The change with these images.
    pub(super) fn record<'s>(&'s self, record: &StreamRecord<'s>) -> StreamRecord<'s> {
        StreamRecord {
            new_image: self.new_cut.as_deref().map(Json::checked).or(self.new),
            old_image: self.old_cut.as_deref().map(Json::checked).or(self.old),
            ..record.clone()
        }
    }
}

impl Events {
    fn take(self, event: EventName) -> bool {
        match event {
            EventName::Insert => self.insert,
            EventName::Modify => self.modify,
            EventName::Remove => self.remove,
        }
    }
}

impl TtlDeletes {
    fn take(self, record: &StreamRecord<'_>) -> bool {
        match self {
            Self::Include => true,
            Self::Exclude => !record.is_ttl_delete(),
            Self::Only => record.is_ttl_delete(),
        }
    }
}

impl Attributes {
    fn take(&self, name: JsonStr<'_>, keys: &KeySchema) -> bool {
        let is_key =
            || name.is(&keys.partition_key) || keys.sort_key.as_deref().is_some_and(|key| name.is(key));
        let is_listed = |names: &[String]| names.iter().any(|listed| name.is(listed));
        match self {
            Self::All => true,
            Self::Only(names) => is_listed(names) || is_key(),
            Self::AllBut(names) => !is_listed(names) || is_key(),
        }
    }
}

#[cfg(test)]
mod tests;
