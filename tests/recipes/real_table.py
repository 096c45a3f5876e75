"""A table in the DynamoDB behind BRIDGE_TEST_ENDPOINT, with the same face as the one in memory: its answers, and our record of
what it took."""

import contextlib
import os

from memory_table import MemoryTable

ENDPOINT = os.environ.get("BRIDGE_TEST_ENDPOINT")


class RealTable(MemoryTable):
    def __init__(self, client, name):
        super().__init__()
        self.client, self.name, self.exceptions = client, name, client.exceptions

    def update_item(self, **request):
        self.before()
        self.client.update_item(**request)
        self.applied.append((request["Key"]["pk"]["S"], request["ExpressionAttributeValues"][":seq"]["S"]))
        self.after()

    @property
    def items(self):
        scanned = self.client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        return {item["pk"]["S"]: item for item in scanned}

    @items.setter
    def items(self, nothing):
        pass


@contextlib.contextmanager
def made(name):
    """As README says to make it, for as long as it is wanted."""
    import boto3

    client = boto3.client("dynamodb", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id="test",
                          aws_secret_access_key="test")
    client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST",
                        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    try:
        yield RealTable(client, name)
    finally:
        client.delete_table(TableName=name)
