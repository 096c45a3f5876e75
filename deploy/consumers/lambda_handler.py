"""An AWS Lambda function behind the bridge's Kinesis stream: it keeps a copy of each item in a table of its own, and applies
each change once and in order, however often Kinesis, Lambda or the bridge deliver it.

How: beside each copy stands the sequence number of the last change applied (the high watermark). Copy and watermark go to the
table in one conditional write, so nothing comes between them; a change that is not above the watermark is dropped. A removed
item leaves a tombstone with its watermark, or a late repeat would bring it back; time to live takes it away in the end.

The table: partition key `pk` (a string), time to live on `expires_at`. The event source mapping: ReportBatchItemFailures on.
Package `aws-kinesis-agg` with it where the bridge aggregates. README.md beside this file says the rest.

    TARGET_TABLE     the table's name
    TOMBSTONE_DAYS   how long a tombstone stays; more than the Kinesis stream's retention (default 9)
    ACCEPT_REPLAY    the --mark of a `rewind` whose changes are to be applied again
"""

import base64
import hashlib
import json
import logging
import os
import time
from decimal import Decimal

try:
    from aws_kinesis_agg.deaggregator import deaggregate_records
except ImportError:
    deaggregate_records = None

log = logging.getLogger(__name__)

# Sequence numbers have 21 to 40 digits, and DynamoDB's numbers hold 38: they are kept as text, of one length, so that their
# order as text is their order as numbers.
DIGITS = 40
# What each aggregate of the Kinesis Producer Library begins with.
AGGREGATE = b"\xf3\x89\x9a\xc2"
MOST_KEY_BYTES = 1024
# Kept at the invocation's end, so that it can still answer: a record may take longer than all before it.
RESERVE_MS = 10_000

IS_NEWER = "attribute_not_exists(seq) OR seq < :seq"
# The first change of a replay starts the item's watermark over; from then on it is that replay's.
IS_NEWER_OR_REPLAY = IS_NEWER + " OR attribute_not_exists(replay) OR replay <> :replay"


def handler(event, context, client=None, now=time.time):
    """Lambda's entry point. Stops at the first record that fails, or for which no time is left: Lambda delivers it and all
    behind it again, in order."""
    client = client or dynamodb()
    remaining = Remaining(context)
    for record in event["Records"]:
        sequence_number = record["kinesis"]["sequenceNumber"]
        stopped = {"batchItemFailures": [{"itemIdentifier": sequence_number}]}
        if not remaining.suffices():
            log.info("no time for record %s of %s: it comes again", sequence_number, record.get("eventSourceARN"))
            return stopped
        try:
            for data in payloads(record):
                apply(client, change_of(data), now())
        except Exception as error:
            # Not the record itself, which holds an item, nor the error's text, which may quote it.
            log.error("record %s of %s: %s", sequence_number, record.get("eventSourceARN"), code_of(error))
            return stopped
    return {"batchItemFailures": []}


class Remaining:
    """The invocation's time. One that runs out of it answers nothing, and the whole batch comes again: a batch that takes
    too long would do so for ever. So the records done are reported before that, and Lambda goes on behind them."""

    def __init__(self, context):
        # Not every runtime tells.
        self.left_ms = getattr(context, "get_remaining_time_in_millis", None)
        self.before_ms = None
        self.slowest_ms = 0

    def suffices(self):
        """Asked before each record: whether it can be done as well. The first always can, or nothing would get on."""
        if self.left_ms is None:
            return True
        left_ms = self.left_ms()
        if self.before_ms is None:
            self.reserve_ms = min(RESERVE_MS, left_ms / 4)
        else:
            self.slowest_ms = max(self.slowest_ms, self.before_ms - left_ms)
        self.before_ms = left_ms
        return left_ms >= self.slowest_ms + self.reserve_ms


def dynamodb():
    """One client for all invocations of this process."""
    global _client
    if _client is None:
        import boto3

        _client = boto3.client("dynamodb")
    return _client


_client = None


def code_of(error):
    """What AWS calls it; else the exception's type."""
    response = getattr(error, "response", None)
    return response["Error"]["Code"] if response else type(error).__name__


def payloads(record):
    """The bridge's records in one Kinesis record: itself, or those of an aggregate."""
    data = base64.b64decode(record["kinesis"]["data"])
    if not data.startswith(AGGREGATE):
        return [data]
    if deaggregate_records is None:
        raise RuntimeError("an aggregate came: package aws-kinesis-agg with this function")
    return [base64.b64decode(one["kinesis"]["data"]) for one in deaggregate_records([record])]


def change_of(data):
    """What the change is, whichever format the bridge writes."""
    record = json.loads(data, parse_float=Decimal)
    if "dynamodb" in record:
        change = record["dynamodb"]
        table, keys, image = record["tableName"], change["Keys"], change.get("NewImage")
        number, removed = change["SequenceNumber"], record["eventName"] == "REMOVE"
    else:
        table, keys, image = record["table"], record["keys"], record.get("new")
        image = None if image is None else {name: attribute(value) for name, value in image.items()}
        number, removed = record["sequence_number"], record["op"] == "remove"
    return {
        "pk": item_key(table, keys),
        "seq": padded(number),
        "removed": removed,
        "image": image,
        "replay": record.get("replay"),
    }


def item_key(table, keys):
    """An item's key as one string: all key attributes, by name, whatever order they came in."""
    text = json.dumps([table, sorted(keys.items())], separators=(",", ":"), ensure_ascii=False, default=str)
    data = text.encode()
    return text if len(data) <= MOST_KEY_BYTES else "sha256:" + hashlib.sha256(data).hexdigest()


def padded(number):
    if not number.isascii() or not number.isdigit() or len(number) > DIGITS:
        raise ValueError("not a sequence number")
    return number.zfill(DIGITS)


def attribute(value):
    """A plain value as DynamoDB has it. Sets have become lists and binaries text: the `json` format does not tell them apart."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": [attribute(one) for one in value]}
    return {"M": {name: attribute(one) for name, one in value.items()}}


def apply(client, change, now):
    """True where the change was new. A copy has a key and a watermark more than its item, and lies a level deeper: where
    the item is as large or as deep as DynamoDB allows, the table refuses it, and would for ever."""
    try:
        return write(client, change, now)
    except Exception as error:
        if code_of(error) != "ValidationException" or change["removed"] or change["image"] is None:
            raise
    is_new = write(client, dict(change, image=None), now)
    if is_new:
        log.warning("change %s: ValidationException, its copy is incomplete", change["seq"].lstrip("0"))
    return is_new


def write(client, change, now):
    """Effect and watermark in one write. True where the change was new."""
    values = {":seq": {"S": change["seq"]}}
    sets, removes = ["seq = :seq"], []
    if change["removed"]:
        days = int(os.environ.get("TOMBSTONE_DAYS", "9"))
        values[":end"] = {"N": str(int(now) + days * 86400)}
        sets.append("expires_at = :end")
        removes += ["#item", "incomplete"]
    elif change["image"] is None:
        # The stream holds no new image, it was too large for Kinesis (`truncated`), or the table refused it: the copy can
        # only say so.
        values[":yes"] = {"BOOL": True}
        sets.append("incomplete = :yes")
        removes += ["#item", "expires_at"]
    else:
        values[":item"] = {"M": change["image"]}
        sets.append("#item = :item")
        removes += ["incomplete", "expires_at"]
    condition = IS_NEWER
    accepted = os.environ.get("ACCEPT_REPLAY")
    if accepted and change["replay"] == accepted:
        values[":replay"] = {"S": accepted}
        sets.append("replay = :replay")
        condition = IS_NEWER_OR_REPLAY
    try:
        client.update_item(
            TableName=os.environ["TARGET_TABLE"],
            Key={"pk": {"S": change["pk"]}},
            UpdateExpression="SET " + ", ".join(sets) + " REMOVE " + ", ".join(removes),
            ConditionExpression=condition,
            ExpressionAttributeNames={"#item": "item"},
            ExpressionAttributeValues=values,
        )
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True
