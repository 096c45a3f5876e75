"""The Lambda recipe where the table refuses a write: what it would refuse for ever, and what it will take another time."""

import json
import os
import pathlib
import sys
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "deploy" / "consumers")]

import history  # noqa: E402
import lambda_handler  # noqa: E402
import real_table  # noqa: E402
from memory_table import ClientError, MemoryTable  # noqa: E402

SECRET = "secret"


def change(number, value, event="MODIFY"):
    """The item whose `value` is that."""
    record = json.loads(history.Change(number, ("c", 1), event, number).payload("dynamodb_json"))
    record["dynamodb"]["NewImage"]["value"] = value
    return json.dumps(record).encode()


def large():
    """An item that its own table takes, just."""
    return {"S": SECRET + "x" * (400 * 1024 - 100)}


def deep():
    """As deep as DynamoDB takes it: the attribute, maps in it, and what the last one holds, 32 levels."""
    value = {"S": SECRET}
    for _ in range(31):
        value = {"M": {"m": value}}
    return value


class Copies:
    """Wants a table of its own as `table`."""

    def handle(self, *payloads):
        records = [{"key": "k", "number": str(n), "data": data} for n, data in enumerate(payloads)]
        with mock.patch.dict(os.environ, TARGET_TABLE=self.table.name):
            return lambda_handler.handler(history.event_of(0, records), None, client=self.table)

    def copy(self):
        (item,) = self.table.items.values()
        return item

    def numbers(self):
        return [int(number) for _, number in self.table.applied]

    def is_incomplete_until_a_copy_fits(self, value):
        with self.assertLogs(lambda_handler.log) as logs:
            answer = self.handle(change(1, {"S": "small"}), change(2, value))
        self.assertEqual(answer, {"batchItemFailures": []})
        self.assertEqual((self.copy().get("incomplete"), "item" in self.copy()), ({"BOOL": True}, False))
        self.assertRegex(str(logs.output), "change 2: ValidationException")
        self.assertNotIn(SECRET, str(logs.output))
        self.handle(change(2, value), change(3, {"S": "small"}))
        self.assertEqual((self.copy()["item"]["M"]["value"], "incomplete" in self.copy()), ({"S": "small"}, False))
        # A late repeat does not undo that.
        self.handle(change(2, value))
        self.assertIn("item", self.copy())
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_a_copy_that_is_too_large_for_any_table_is_incomplete(self):
        self.is_incomplete_until_a_copy_fits(large())

    def test_a_copy_that_is_too_deep_for_any_table_is_incomplete(self):
        self.is_incomplete_until_a_copy_fits(deep())


class Refused(Copies, unittest.TestCase):
    def setUp(self):
        self.table = MemoryTable()
        self.table.name = "copies"

    def writes_until_failure(self, code, payload):
        self.table.before = mock.Mock(side_effect=ClientError(code, f"the request was {SECRET}"))
        with self.assertLogs(lambda_handler.log) as logs:
            answer = self.handle(payload, change(2, {"S": SECRET}))
        self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "0"}]})
        self.assertRegex(logs.output[-1], code)
        self.assertNotIn(SECRET, str(logs.output))
        return self.table.before.call_count

    def test_what_the_table_may_take_another_time_stays_a_failure(self):
        for code in ("ProvisionedThroughputExceededException", "ResourceNotFoundException", "AccessDeniedException"):
            self.assertEqual(self.writes_until_failure(code, change(1, {"S": SECRET})), 1)

    def test_a_table_that_refuses_even_the_incomplete_form_is_a_failure(self):
        # Its key is another, say.
        self.assertEqual(self.writes_until_failure("ValidationException", change(1, {"S": SECRET})), 2)

    def test_what_has_no_copy_is_tried_once(self):
        removed = history.Change(1, ("c", 1), "REMOVE", 1).payload("dynamodb_json")
        self.assertEqual(self.writes_until_failure("ValidationException", removed), 1)


@unittest.skipUnless(real_table.ENDPOINT, "no BRIDGE_TEST_ENDPOINT")
class RefusedAgainstDynamoDb(Copies, unittest.TestCase):
    def setUp(self):
        kind = "large" if "large" in self.id() else "deep"
        self.table = self.enterContext(real_table.made(f"refused-{kind}-{os.getpid()}"))


if __name__ == "__main__":
    unittest.main()
