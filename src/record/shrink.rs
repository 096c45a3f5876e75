//! Taking an image out of a payload that is already written.
//!
//! The limit is read from the target stream, and it can be lowered afterwards: then Kinesis refuses a record that
//! our limit allowed. By that time the page is gone, so the payload itself is cut.

use super::envelope::{Format, put};
use super::truncated::Truncated;
use super::walk::members;
use crate::stream::json_str::JsonStr;

/// Writes `data`, a payload of an [`Encoder`](super::envelope::Encoder), with one image less: the old one if it
/// is there, else the new one; `truncated` says so. The rest stays byte for byte.
///
/// `None` when no image is left, or when `data` is no payload of this format.
pub fn shrink(format: Format, data: &[u8]) -> Option<Vec<u8>> {
    let payload = Object::parse(std::str::from_utf8(data).ok()?)?;
    let before = payload.truncated()?;
    match format {
        Format::DynamodbJson => {
            let change = Object::parse(payload.get("dynamodb")?)?;
            let (image, truncated) = change.next_cut(before, "OldImage", "NewImage")?;
            let change = change.without(image).render(Truncated::NONE);
            let change = std::str::from_utf8(&change).ok()?;
            Some(payload.with("dynamodb", change).render(truncated))
        }
        Format::Json => {
            let (image, truncated) = payload.next_cut(before, "old", "new")?;
            Some(payload.without(image).render(truncated))
        }
    }
}

/// A JSON object's members in their order: the name as it stands, the value unparsed.
struct Object<'a>(Vec<(JsonStr<'a>, &'a str)>);

impl<'a> Object<'a> {
    fn parse(json: &'a str) -> Option<Self> {
        let mut all = Vec::new();
        members(json, |name, value| all.push((name, value.get())))?;
        Some(Self(all))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|(member, value)| member.is(name).then_some(*value))
    }

    fn without(&self, name: &str) -> Self {
        Self(self.0.iter().copied().filter(|(member, _)| !member.is(name)).collect())
    }

    /// The same members, with another value in the one of this name.
    fn with<'b>(&self, name: &str, value: &'b str) -> Object<'b>
    where
        'a: 'b,
    {
        let members =
            self.0.iter().map(|(member, old)| (*member, if member.is(name) { value } else { *old }));
        Object(members.collect())
    }

    /// The image to take out next, and what the payload lacks then.
    fn next_cut(
        &self,
        before: Truncated,
        old: &'static str,
        new: &'static str,
    ) -> Option<(&'static str, Truncated)> {
        let after = before.one_more(self.get(old).is_some(), self.get(new).is_some())?;
        Some((if after.old_image == before.old_image { new } else { old }, after))
    }

    /// What this payload says it lacks.
    fn truncated(&self) -> Option<Truncated> {
        let Some(names) = self.get("truncated") else { return Some(Truncated::NONE) };
        let names: Vec<&str> = serde_json::from_str(names).ok()?;
        let has = |image| names.contains(&image);
        Some(Truncated { old_image: has("OldImage"), new_image: has("NewImage") })
    }

    /// Writes the members, with `truncated` as the last in place of the one there was.
    fn render(&self, truncated: Truncated) -> Vec<u8> {
        let mut out = Vec::new();
        let mut separator = "{";
        for (name, value) in self.0.iter().filter(|(name, _)| !name.is("truncated")) {
            put(&mut out, separator);
            put(&mut out, name.as_json());
            put(&mut out, ":");
            put(&mut out, value);
            separator = ",";
        }
        if separator == "{" {
            put(&mut out, "{");
        }
        truncated.write_member(&mut out);
        put(&mut out, "}");
        out.shrink_to_fit();
        out
    }
}

#[cfg(test)]
mod tests;
