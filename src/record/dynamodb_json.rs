//! The `dynamodb_json` format: what Kinesis Data Streams for DynamoDB writes, plus what that lacks.
//!
//! Keys and images are copied byte for byte from the page. Members stand in the managed feature's order;
//! `SequenceNumber`, `StreamViewType`, `eventSourceARN`, `replay` and `truncated` are ours.

use super::envelope::{Source, put, put_number};
use super::truncated::Truncated;
use crate::stream::json::Json;
use crate::stream::page::{EventName, StreamRecord, UserIdentity};

/// Writes the payload of `record`, without the images in `truncated` and without the end that both formats share.
pub(super) fn write(out: &mut Vec<u8>, record: &StreamRecord<'_>, source: &Source, truncated: Truncated) {
    put(out, r#"{"awsRegion":"#);
    put(out, record.aws_region.map_or(source.region.as_str(), |region| region.as_json()));
    put(out, r#","eventID":"#);
    put(out, record.event_id.as_json());
    put(out, r#","eventName":"#);
    put(out, event_name(record.event_name));
    put(out, r#","userIdentity":"#);
    put_identity(out, record.user_identity);
    put(out, r#","recordFormat":"application/json","tableName":"#);
    put(out, &source.table);
    put(out, r#","dynamodb":{"#);
    put_change(out, record, truncated);
    put(out, r#"},"eventSource":"#);
    put(out, record.event_source.map_or(r#""aws:dynamodb""#, |event_source| event_source.as_json()));
    put(out, r#","eventSourceARN":"#);
    put(out, &source.arn);
}

/// The event's name as a JSON string.
pub(super) fn event_name(event: EventName) -> &'static str {
    match event {
        EventName::Insert => r#""INSERT""#,
        EventName::Modify => r#""MODIFY""#,
        EventName::Remove => r#""REMOVE""#,
    }
}

fn put_change(out: &mut Vec<u8>, record: &StreamRecord<'_>, truncated: Truncated) {
    put(out, r#""ApproximateCreationDateTime":"#);
    put_number(out, record.created_at_ms);
    put(out, r#","ApproximateCreationDateTimePrecision":"MILLISECOND","Keys":"#);
    put(out, record.keys.get());
    put_image(out, r#","NewImage":"#, record.new_image, truncated.new_image);
    put_image(out, r#","OldImage":"#, record.old_image, truncated.old_image);
    if let Some(size_bytes) = record.size_bytes {
        put(out, r#","SizeBytes":"#);
        put_number(out, size_bytes);
    }
    put(out, r#","SequenceNumber":""#);
    put(out, record.sequence_number.as_str());
    put(out, "\"");
    if let Some(view_type) = record.stream_view_type {
        put(out, r#","StreamViewType":"#);
        put(out, view_type.as_json());
    }
}

fn put_image(out: &mut Vec<u8>, member: &str, image: Option<Json<'_>>, dropped: bool) {
    if let Some(image) = image.filter(|_| !dropped) {
        put(out, member);
        put(out, image.get());
    }
}

/// The Streams API spells the members with capitals; the managed feature's consumers know them in lower case.
pub(super) fn put_identity(out: &mut Vec<u8>, identity: Option<UserIdentity<'_>>) {
    let Some(identity) = identity else { return put(out, "null") };
    put(out, r#"{"type":"#);
    put(out, identity.kind.map_or("null", |kind| kind.as_json()));
    put(out, r#","principalId":"#);
    put(out, identity.principal_id.map_or("null", |principal| principal.as_json()));
    put(out, "}");
}

#[cfg(test)]
mod tests;
