//! GetRecords answers made beforehand: pages of changes of one size, every change of another item.

use std::fmt::Write as _;

use bytes::Bytes;

pub const STREAM_ARN: &str =
    "arn:aws:dynamodb:eu-central-1:111122223333:table/orders/stream/2026-01-01T00:00:00.000";

/// How large one change is in a GetRecords answer, and what it holds.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    /// Bytes of one record in the answer.
    pub record_bytes: usize,
    /// DynamoDB ends a page at 1 MB or 1,000 records.
    pub records_a_page: usize,
    pub view_type: &'static str,
}

pub const SHAPES: [Shape; 3] = [
    Shape { name: "0.3 KB", record_bytes: 330, records_a_page: 1_000, view_type: "KEYS_ONLY" },
    Shape { name: "1.1 KB", record_bytes: 1_100, records_a_page: 900, view_type: "NEW_AND_OLD_IMAGES" },
    Shape { name: "8 KB", record_bytes: 8_000, records_a_page: 125, view_type: "NEW_AND_OLD_IMAGES" },
];

/// `pages` pages for each of `shards` shards, without their iterators.
pub struct Pages {
    pub shape: Shape,
    shards: Vec<Vec<Bytes>>,
}

impl Pages {
    pub fn new(shape: Shape, shards: usize, pages: usize) -> Pages {
        let shards = (0..shards).map(|shard| (0..pages).map(|page| body(shape, shard, page)).collect());
        Pages { shape, shards: shards.collect() }
    }

    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// A page's records with their closing bracket; the iterator's member follows it.
    pub fn page(&self, shard: usize, page: usize) -> Option<&Bytes> {
        self.shards.get(shard)?.get(page)
    }

    pub fn changes(&self) -> usize {
        self.all().count() * self.shape.records_a_page
    }

    /// All pages.
    pub fn all(&self) -> impl Iterator<Item = &Bytes> {
        self.shards.iter().flatten()
    }
}

/// A page with its iterator.
pub fn whole(page: &[u8], iterator: &str) -> Vec<u8> {
    let mut whole = Vec::with_capacity(page.len() + iterator.len() + 32);
    whole.extend_from_slice(page);
    whole.extend_from_slice(format!(r#","NextShardIterator":"{iterator}"}}"#).as_bytes());
    whole
}

fn body(shape: Shape, shard: usize, page: usize) -> Bytes {
    let mut body = String::with_capacity(shape.records_a_page * (shape.record_bytes + 8));
    body.push_str(r#"{"Records":["#);
    for index in 0..shape.records_a_page {
        if index > 0 {
            body.push(',');
        }
        let start = body.len();
        record(&mut body, shape, shard, page * shape.records_a_page + index);
        let length = body.len() - start;
        assert!(length.abs_diff(shape.record_bytes) <= shape.record_bytes / 20, "{length} bytes: {body}");
    }
    body.push(']');
    body.into()
}

/// One change of an item like those that shops keep: short attributes of every kind, and a text that fills it up.
fn record(out: &mut String, shape: Shape, shard: usize, number: usize) {
    let id = format!("order-{shard:04}-{number:08}");
    let start = out.len();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        r#"{{"awsRegion":"eu-central-1","eventID":"{:032x}","eventName":"MODIFY","eventSource":"aws:dynamodb","eventVersion":"1.1","dynamodb":{{"ApproximateCreationDateTime":1.75E9,"Keys":{{"id":{{"S":"{id}"}}}}"#,
        shard << 32 | number
    );
    let rest = format!(
        r#","SequenceNumber":"{}{number:09}","SizeBytes":{},"StreamViewType":"{}"}}}}"#,
        300_000_000_000 + shard,
        shape.record_bytes / 2,
        shape.view_type
    );
    if shape.view_type != "KEYS_ONLY" {
        let left = shape.record_bytes.saturating_sub(out.len() - start + rest.len());
        for (member, state) in [("NewImage", "shipped"), ("OldImage", "packed")] {
            let _ = write!(out, r#","{member}":"#);
            image(out, &id, state, left / 2 - member.len() - 4);
        }
    }
    out.push_str(&rest);
}

fn image(out: &mut String, id: &str, state: &str, bytes: usize) {
    let start = out.len();
    let _ = write!(
        out,
        r#"{{"id":{{"S":"{id}"}},"state":{{"S":"{state}"}},"total":{{"N":"129.95"}},"paid":{{"BOOL":true}},"tags":{{"SS":["new","eu"]}},"lines":{{"L":[{{"M":{{"sku":{{"S":"A-1"}},"n":{{"N":"2"}}}}}}]}},"note":{{"S":""#
    );
    let text = "a note \\\"quoted\\\" and a line that goes on; ";
    let wanted = bytes.saturating_sub(out.len() - start + 4);
    let mut filled = 0;
    while filled + text.len() <= wanted {
        out.push_str(text);
        filled += text.len();
    }
    out.extend(std::iter::repeat_n('x', wanted - filled));
    out.push_str(r#""}}"#);
}
