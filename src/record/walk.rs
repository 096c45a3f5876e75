//! A step into JSON text: an object's members or an array's elements, one by one, each still unparsed.
//!
//! Nothing is built and nothing below is looked at. Keys and images come from a page, which has checked that they are JSON
//! and objects, so for them a step cannot fail; of other text it may, and then it says so by `None`.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// Hands each member of the object `json` to `visit`, in their order; a name may come twice.
pub(super) fn members<'a>(json: &'a str, visit: impl FnMut(JsonStr<'a>, Json<'a>)) -> Option<()> {
    #[cfg(test)]
    steps::count();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_map(Members(visit)).ok()?;
    deserializer.end().ok()
}

/// Hands each element of the array `json` to `visit`, in their order.
pub(super) fn elements<'a>(json: &'a str, visit: impl FnMut(Json<'a>)) -> Option<()> {
    #[cfg(test)]
    steps::count();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_seq(Elements(visit)).ok()?;
    deserializer.end().ok()
}

struct Members<F>(F);

impl<'de, F: FnMut(JsonStr<'de>, Json<'de>)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key()? {
            (self.0)(name, map.next_value()?);
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(Json<'de>)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// How many objects and arrays were stepped into, for the tests that say what is not read.
#[cfg(test)]
pub(super) mod steps {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    pub fn count() {
        STEPS.set(STEPS.get() + 1);
    }

    /// The steps taken by `run`, on this thread.
    pub fn of<T>(run: impl FnOnce() -> T) -> (usize, T) {
        let before = STEPS.get();
        let result = run();
        (STEPS.get() - before, result)
    }
}
