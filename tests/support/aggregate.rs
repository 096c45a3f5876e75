//! Takes aggregated records apart, as a consumer would: by the description of the Kinesis Producer Library's format alone.

use md5::{Digest, Md5};

/// What every aggregated record begins with.
pub const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// What a Kinesis record carries, in order; a record that is no aggregate carries itself. The error says what is wrong with
/// an aggregate, also where it is one that the bridge must not make: of another key than its own, of several, or with hash
/// keys.
pub fn unpacked<'a>(partition_key: &str, data: &'a [u8]) -> Result<Vec<&'a [u8]>, String> {
    let Some(rest) = data.strip_prefix(&MAGIC) else { return Ok(vec![data]) };
    let (message, digest) =
        rest.split_at_checked(rest.len().wrapping_sub(16)).ok_or("no room for a digest")?;
    if Md5::digest(message).as_slice() != digest {
        return Err("the digest is not the message's".to_owned());
    }
    let (mut keys, mut records) = (vec![], vec![]);
    for field in fields(message)? {
        match field {
            Field { number: 1, value: Value::Bytes(key) } => keys.push(key),
            Field { number: 3, value: Value::Bytes(record) } => records.push(data_of(record)?),
            Field { number, .. } => return Err(format!("field {number} of an AggregatedRecord")),
        }
    }
    match keys.as_slice() {
        [key] if *key == partition_key.as_bytes() => Ok(records),
        _ => Err(format!("{} partition keys, expected the record's own", keys.len())),
    }
}

/// The data of one `Record`.
fn data_of(record: &[u8]) -> Result<&[u8], String> {
    match fields(record)?.as_slice() {
        [Field { number: 1, value: Value::Number(0) }, Field { number: 3, value: Value::Bytes(data) }] => {
            Ok(data)
        }
        other => Err(format!("a Record of {} fields, expected the index 0 and data", other.len())),
    }
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut message: &[u8]) -> Result<Vec<Field<'_>>, String> {
    let mut fields = vec![];
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).unwrap_or(usize::MAX);
                let (bytes, rest) =
                    message.split_at_checked(length).ok_or("a field longer than its message")?;
                message = rest;
                Value::Bytes(bytes)
            }
            other => return Err(format!("wire type {other}")),
        };
        fields.push(Field { number: tag >> 3, value });
    }
    Ok(fields)
}

fn varint(message: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = message.split_first().ok_or("a number without an end")?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number of more than nine bytes".to_owned())
}
