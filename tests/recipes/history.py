"""Histories with crashes in them, from a seed: what items went through, how a bridge that crashes brings it to Kinesis, and
how Lambda that crashes hands it to a function. It knows what may happen (README, "What it promises"), nothing of the handler."""

import base64
import hashlib
import json

# Sequence numbers have 21 to 40 digits: they start where they soon grow a digit, and leap.
FIRST = 999_999_999_999_999_999_990
LEAPS = [10**22, 10**27, 10**33, 10**38]


class Change:
    def __init__(self, number, item, event, version):
        self.number, self.item, self.event, self.version = number, item, event, version

    def payload(self, form, mark=None):
        """As the bridge writes it, in either of its formats."""
        customer, order = self.item
        if form == "json":
            record = {"op": self.event.lower(), "table": "orders", "keys": {"customer": customer, "order": order}}
            if self.event != "REMOVE":
                record["new"] = {"customer": customer, "order": order, "version": self.version}
            record.update(at=1700000000000, sequence_number=str(self.number), event_id="e", ttl=False)
        else:
            keys = {"customer": {"S": customer}, "order": {"N": str(order)}}
            change = {"ApproximateCreationDateTime": 1700000000000, "Keys": keys}
            if self.event != "REMOVE":
                change["NewImage"] = dict(keys, version={"N": str(self.version)})
            change.update(SizeBytes=10, SequenceNumber=str(self.number), StreamViewType="NEW_AND_OLD_IMAGES")
            record = {"awsRegion": "us-east-1", "eventID": "e", "eventName": self.event, "userIdentity": None,
                      "recordFormat": "application/json", "tableName": "orders", "dynamodb": change,
                      "eventSource": "aws:dynamodb"}
        if mark:
            record["replay"] = mark
        return json.dumps(record, separators=(",", ":")).encode()


def changes(random, count):
    """A table's life: inserts, changes, removals, items that come back. Their numbers grow, over all shards and streams."""
    items = [(f"customer-{n % 3}", n) for n in range(random.randint(1, 8))]
    alive, number, life = set(), FIRST, []
    for version in range(count):
        number += random.choice([1, 1, 7, 10**18]) if random.random() > 0.02 else random.choice(LEAPS)
        item = random.choice(items)
        removed = item in alive and random.random() < 0.25
        event = "REMOVE" if removed else "MODIFY" if item in alive else "INSERT"
        (alive.discard if removed else alive.add)(item)
        life.append(Change(number, item, event, version))
    return life


def lane(change):
    """The Kinesis partition key: the item's own partition key."""
    return change.item[0]


class Kinesis:
    def __init__(self, shards):
        self.shards = [[] for _ in range(shards)]
        self.stored = 0

    def put(self, key, data):
        self.stored += 1
        number = str(49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898 + self.stored)
        shard = int.from_bytes(hashlib.md5(key.encode()).digest(), "big") * len(self.shards) >> 128
        self.shards[shard].append({"key": key, "number": number, "data": data})


def bridge(random, life, kinesis, form, aggregate):
    """Brings all changes: each key's in order, keys in any order. It crashes and goes on from an older checkpoint; answers
    get lost, so that a record is put again; what a dead worker sent arrives later still."""
    shards = random.randint(1, 3)
    streams = [[c for c in life if hash_of(lane(c)) % shards == shard] for shard in range(shards)]
    late = []
    for stream in streams:
        stored = 0
        while stored < len(stream):
            stored = one_run(random, stream, stored, kinesis, form, aggregate, late)
    for key, data in late:
        kinesis.put(key, data)


def one_run(random, stream, checkpoint, kinesis, form, aggregate, late):
    """From the checkpoint to the end or to a crash. Returns the checkpoint that the next run finds."""
    lanes, position = {}, {}
    for index in range(checkpoint, len(stream)):
        lanes.setdefault(lane(stream[index]), []).append(index)
        position[index] = False
    crash_after = random.randint(1, len(position) * 2)
    while any(lanes.values()) and crash_after > 0:
        crash_after -= 1
        key = random.choice([key for key, waiting in lanes.items() if waiting])
        head = lanes[key][: random.randint(1, 4) if aggregate else 1]
        payloads = [stream[index].payload(form) for index in head]
        data = aggregated(key, payloads) if len(head) > 1 else payloads[0]
        kinesis.put(key, data)
        if random.random() < 0.1:
            late.append((key, data))
        if late and random.random() < 0.1:
            kinesis.put(*late.pop(random.randrange(len(late))))
        if random.random() < 0.15:
            continue  # the answer is lost: sent again, and nothing of this key before it
        del lanes[key][: len(head)]
        position.update(dict.fromkeys(head, True))
    done = checkpoint
    while done < len(stream) and position[done]:
        done += 1
    if done == len(stream):
        return done
    return random.randint(checkpoint, done)


def hash_of(text):
    return int(hashlib.md5(text.encode()).hexdigest(), 16)


def aggregated(key, payloads):
    """A record of the Kinesis Producer Library: magic, protobuf, MD5."""
    body = field(1, key.encode())
    for data in payloads:
        body += field(3, b"\x08\x00" + field(3, data))
    return b"\xf3\x89\x9a\xc2" + body + hashlib.md5(body).digest()


def field(number, data):
    length, digits = len(data), []
    while True:
        digits.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
        if not length:
            return bytes([number << 3 | 2, *digits]) + data


def event_of(shard, records):
    """A batch as Lambda hands it over."""
    arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders-cdc"
    return {"Records": [{
        "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": record["key"], "sequenceNumber": record["number"],
                    "data": base64.b64encode(record["data"]).decode(), "approximateArrivalTimestamp": 1700000000.1},
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
        "eventID": f"shardId-{shard:012}:{record['number']}", "eventSourceARN": arn,
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/consumer"} for record in records]}
