"""The recipes, whole: a table in one account and Region, a Kinesis stream in another of each, leases in a third, the built
bridge between them (killed and started again), and the Lambda recipe behind an event source mapping. In the end its table is a
copy of the first.

    BRIDGE=target/debug/ddb-kinesis-bridge BRIDGE_TEST_ENDPOINT=http://127.0.0.1:4566 python tests/recipes/end_to_end.py

Wants an endpoint that serves DynamoDB, its streams, Kinesis, STS and Lambda and keeps accounts and Regions apart: MiniStack does,
and runs functions without Docker.
"""

import base64
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import zipfile

import boto3
from aws_kinesis_agg.deaggregator import deaggregate_records

HERE = pathlib.Path(__file__).parent
HANDLER = HERE.parent.parent / "deploy" / "consumers" / "lambda_handler.py"
ENDPOINT = os.environ["BRIDGE_TEST_ENDPOINT"]
RUN = f"recipes-{os.getpid()}-{int(time.time())}"
SOURCE, STREAM, COPIES, FUNCTION = (f"{RUN}-{name}" for name in ("orders", "cdc", "copies", "consumer"))
LEASES_ROLE = "arn:aws:iam::111111111111:role/bridge-leases"
SOURCE_ROLE = "arn:aws:iam::222222222222:role/bridge-source"
SINK_ROLE = "arn:aws:iam::333333333333:role/bridge-sink"
# Nothing has moved for so long: given up. Far longer than anything takes on a busy machine.
STUCK_S = 120

CONFIG = f"""
[lease_table]
name = "{RUN}-leases"
region = "us-east-1"
endpoint_url = "{ENDPOINT}"
role_arn = "{LEASES_ROLE}"
heartbeat_interval = "200ms"
failover_time = "1s"
[http]
listen = ""
[[pipeline]]
name = "orders"
[pipeline.source]
table = "{SOURCE}"
region = "us-east-1"
endpoint_url = "{ENDPOINT}"
role_arn = "{SOURCE_ROLE}"
external_id = "source-1"
[pipeline.sink]
stream = "{STREAM}"
region = "eu-west-1"
endpoint_url = "{ENDPOINT}"
role_arn = "{SINK_ROLE}"
external_id = "sink-1"
aggregation = "kpl"
[pipeline.record]
format = "dynamodb_json"
"""


def own(service, region="us-east-1"):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=region, aws_access_key_id="test",
                        aws_secret_access_key="test")


def session(role):
    given = own("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return dict(aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"])


def within(role, region, *services):
    """Clients in that role's account."""
    keys = session(role)
    return [boto3.client(service, endpoint_url=ENDPOINT, region_name=region, **keys) for service in services]


(source,) = within(SOURCE_ROLE, "us-east-1", "dynamodb")
copies, kinesis, functions = within(SINK_ROLE, "eu-west-1", "dynamodb", "kinesis", "lambda")


def make():
    attributes = [{"AttributeName": "customer", "AttributeType": "S"}, {"AttributeName": "order", "AttributeType": "N"}]
    source.create_table(TableName=SOURCE, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=attributes,
                        KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"},
                                   {"AttributeName": "order", "KeyType": "RANGE"}],
                        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    copies.create_table(TableName=COPIES, BillingMode="PAY_PER_REQUEST",
                        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    kinesis.create_stream(StreamName=STREAM, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=STREAM)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(HANDLER, HANDLER.name)
    keys = {name.upper(): value for name, value in session(SINK_ROLE).items()}
    variables = {"TARGET_TABLE": COPIES, "AWS_ENDPOINT_URL": ENDPOINT, "AWS_DEFAULT_REGION": "eu-west-1", **keys}
    functions.create_function(FunctionName=FUNCTION, Runtime="python3.11", Role="arn:aws:iam::333333333333:role/consumer",
                              Handler="lambda_handler.handler", Code={"ZipFile": package.getvalue()}, Timeout=60,
                              Environment={"Variables": variables})
    arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]
    functions.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=arn, StartingPosition="TRIM_HORIZON",
                                          BatchSize=50, BisectBatchOnFunctionError=True,
                                          FunctionResponseTypes=["ReportBatchItemFailures"])


def write(rng, changes, alive, version):
    for _ in range(changes):
        version += 1
        order = rng.randrange(15)
        key = {"customer": {"S": f"customer-{order % 4}"}, "order": {"N": str(order)}}
        if order in alive and rng.random() < 0.25:
            source.delete_item(TableName=SOURCE, Key=key)
            alive.discard(order)
        else:
            source.put_item(TableName=SOURCE, Item=dict(key, version={"N": str(version)}))
            alive.add(order)
    return version


def delivered():
    """Every record that the Kinesis stream holds: its changes."""
    found = []
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        iterator = iterator["ShardIterator"]
        while iterator:
            page = kinesis.get_records(ShardIterator=iterator)
            found += map(changes, page["Records"])
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return found


def changes(record):
    """The changes that a Kinesis record carries: one, or an aggregate's, as AWS' library finds them."""
    as_lambda = {"kinesisSchemaVersion": "1.0", "sequenceNumber": record["SequenceNumber"],
                 "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
                 "data": base64.b64encode(record["Data"]).decode()}
    found = deaggregate_records([{"kinesis": as_lambda}])
    return [json.loads(base64.b64decode(one["kinesis"]["data"]))["dynamodb"] for one in found]


def numbers():
    """The sequence number of every change in Kinesis, repeats and all."""
    return [change["SequenceNumber"] for record in delivered() for change in record]


def wait_for(what, look):
    until = time.monotonic() + STUCK_S
    while not (found := look()):
        if time.monotonic() > until:
            sys.exit(f"waited {STUCK_S} s in vain: {what}")
        time.sleep(0.2)
    return found


def scan(dynamodb, table):
    return dynamodb.scan(TableName=table, ConsistentRead=True)["Items"]


def is_copied():
    copied = [one["item"]["M"] for one in scan(copies, COPIES) if "item" in one]
    order = json.JSONEncoder(sort_keys=True).encode
    return sorted(map(order, copied)) == sorted(map(order, scan(source, SOURCE)))


def main():
    make()
    rng = random.Random(int(os.environ.get("SEED", "1")))
    environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
                   "AWS_ENDPOINT_URL_STS": ENDPOINT, "AWS_EC2_METADATA_DISABLED": "true", "PATH": os.environ["PATH"]}
    written, kills = 0, 3
    alive = set()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config, tempfile.TemporaryFile("w+") as log:
        config.write(CONFIG)
        config.flush()

        def command(name):
            return [os.environ["BRIDGE"], name, "--config", config.name]

        subprocess.run(command("check"), env=environment, check=True)
        without_roles = "".join(line for line in CONFIG.splitlines(True) if not line.startswith(("role_arn", "external_id")))
        own_account = subprocess.run([os.environ["BRIDGE"], "check", "--config", "-"], input=without_roles, text=True,
                                     env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if own_account.returncode != 1:
            sys.exit("the endpoint does not keep accounts apart: without roles `check` should find neither end")
        for life in range(kills + 1):
            before = len(numbers())
            # What waits when the bridge comes travels in aggregates.
            written = write(rng, 50, alive, written)
            bridge = subprocess.Popen(command("run"), env=environment, stdout=log, stderr=log)
            try:
                wait_for("some records", lambda: len(numbers()) > before + 20)
                # And what is written while it runs, alone or a few together.
                written = write(rng, 50, alive, written)
                if life < kills:
                    # In the middle: some of it has landed, and its checkpoint is behind.
                    bridge.kill()
                else:
                    wait_for("every change in Kinesis", lambda: len(set(numbers())) == written)
                    wait_for("the copy", is_copied)
                    bridge.terminate()
                    if bridge.wait(STUCK_S) != 0:
                        sys.exit(f"the bridge ended with {bridge.returncode}")
            except SystemExit:
                log.seek(0)
                print(log.read()[-10_000:])
                raise
            finally:
                bridge.kill()
                bridge.wait()
    records = delivered()
    aggregates = sum(len(record) > 1 for record in records)
    if aggregates == 0:
        sys.exit("no record carries more than one change: nothing was aggregated")
    repeats = sum(map(len, records)) - written
    tombstones = [one for one in scan(copies, COPIES) if "expires_at" in one]
    seen = {change["Keys"]["order"]["N"] for record in records for change in record}
    if len(tombstones) != len(seen) - len(alive):
        sys.exit(f"{len(tombstones)} tombstones, and {len(seen) - len(alive)} items were removed")
    print(f"{written} changes, {kills} kills: {len(records)} records in Kinesis, {aggregates} of them aggregates, with "
          f"{repeats} repeats; the copy has {len(alive)} items and {len(tombstones)} tombstones")


if __name__ == "__main__":
    main()
