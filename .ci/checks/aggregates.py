"""Takes the records of tests/edges (`for_another_reader`) apart with AWS' own de-aggregator for Python, and compares with
what was written: each change once, each item's in order, each under its own partition key.

    python aggregates.py FOLDER     FOLDER holds written.jsonl and stored.jsonl
"""

import base64
import json
import pathlib
import sys

from aws_kinesis_agg.deaggregator import deaggregate_records

MAGIC = b"\xf3\x89\x9a\xc2"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def event(stored, data):
    """A record as a Lambda function gets it."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": stored["partition_key"],
            "sequenceNumber": stored["sequence_number"],
            "approximateArrivalTimestamp": 0,
            "data": base64.b64encode(data),
        }
    }


def spelt(keys):
    """An item's key as the tests spell it."""
    scalars = sorted((name, next(iter(value.values()))) for name, value in keys.items())
    return ",".join(f"{name}={len(value.encode())}:{value}" for name, value in scalars)


def taken_apart(stored):
    """Every change, in order of arrival; and what is wrong with a record that holds it."""
    changes = []
    for record, data in stored:
        for one in deaggregate_records([event(record, data)]):
            kinesis = one["kinesis"]
            if kinesis["partitionKey"] != record["partition_key"] or kinesis.get("explicitHashKey"):
                return changes, f"a change under another key than its record's, {record['partition_key']}"
            try:
                change = json.loads(base64.b64decode(kinesis["data"]))["dynamodb"]
            except ValueError:
                return changes, f"no payload, but bytes of a record of {record['partition_key']}"
            changes.append((spelt(change["Keys"]), change["SequenceNumber"]))
    return changes, None


def compare(written, stored):
    """What is wrong; None where all is well."""
    try:
        changes, wrong = taken_apart(stored)
    except Exception as error:  # whatever the library makes of a record that it cannot read
        return f"the library fails: {error!r}"
    if wrong:
        return wrong
    if sorted(changes) != sorted(written):
        return f"{len(changes)} changes, not the {len(written)} that were written"
    last = {}
    for item, number in changes:
        if int(number) < last.get(item, 0):
            return f"{item}: {number} after {last[item]}"
        last[item] = int(number)
    return None


def damaged(stored, damage):
    """The same, but for one byte of the first aggregate."""
    index = next(n for n, (_, data) in enumerate(stored) if data.startswith(MAGIC))
    record, data = stored[index]
    return stored[:index] + [(record, damage(data))] + stored[index + 1 :]


def main():
    folder = pathlib.Path(sys.argv[1])
    written = [(line["item"], line["sequence_number"]) for line in lines(folder / "written.jsonl")]
    stored = [(line, base64.b64decode(line["data"])) for line in lines(folder / "stored.jsonl")]
    aggregates = sum(data.startswith(MAGIC) for _, data in stored)
    if aggregates < 10 or aggregates == len(stored):
        sys.exit(f"{aggregates} of {len(stored)} records are aggregates: that proves little")
    wrong = compare(written, stored)
    if wrong:
        sys.exit(f"aggregates: {wrong}")
    # A reader that takes everything proves nothing.
    for what, damage in [
        ("a wrong digest", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("a wrong length", lambda data: data[:5] + bytes([data[5] ^ 1]) + data[6:]),
        ("a record that is missing", lambda data: b"{}"),
    ]:
        if not compare(written, damaged(stored, damage)):
            sys.exit(f"aggregates: {what} is not found")
    print(f"{len(written)} changes in {len(stored)} records, {aggregates} of them aggregates: all read by aws-kinesis-agg")


main()
