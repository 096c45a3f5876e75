//! The `json` format: one flat object with plain values, for consumers that know nothing of DynamoDB.

use super::envelope::{Source, put, put_number};
use super::plain::{self, ItemError};
use super::truncated::Truncated;
use crate::stream::page::{EventName, StreamRecord};

/// Writes the payload of `record`, without the images in `truncated` and without the end that both formats share. On an
/// error `out` holds a part of it.
pub(super) fn write(
    out: &mut Vec<u8>,
    record: &StreamRecord<'_>,
    source: &Source,
    truncated: Truncated,
) -> Result<(), FieldError> {
    put(
        out,
        match record.event_name {
            EventName::Insert => r#"{"op":"insert","table":"#,
            EventName::Modify => r#"{"op":"modify","table":"#,
            EventName::Remove => r#"{"op":"remove","table":"#,
        },
    );
    put(out, &source.table);
    put(out, r#","keys":"#);
    plain::write_item(record.keys, out).map_err(|error| FieldError { field: "Keys", error })?;
    if let Some(image) = record.new_image.filter(|_| !truncated.new_image) {
        put(out, r#","new":"#);
        plain::write_item(image, out).map_err(|error| FieldError { field: "NewImage", error })?;
    }
    if let Some(image) = record.old_image.filter(|_| !truncated.old_image) {
        put(out, r#","old":"#);
        plain::write_item(image, out).map_err(|error| FieldError { field: "OldImage", error })?;
    }
    put(out, r#","at":"#);
    put_number(out, record.created_at_ms);
    put(out, r#","sequence_number":""#);
    put(out, record.sequence_number.as_str());
    put(out, r#"","event_id":"#);
    put(out, record.event_id.as_json());
    put(out, if record.is_ttl_delete() { r#","ttl":true"# } else { r#","ttl":false"# });
    Ok(())
}

/// Keys or an image that is not DynamoDB JSON.
#[derive(Debug)]
pub(super) struct FieldError {
    /// `Keys`, `NewImage` or `OldImage`.
    pub(super) field: &'static str,
    /// What is wrong with it.
    pub(super) error: ItemError,
}

#[cfg(test)]
mod tests;
