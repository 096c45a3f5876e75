"""The Lambda recipe against histories with crashes in them. SEEDS=n tries more, SEED=n one; BRIDGE_TEST_ENDPOINT has the same
against a DynamoDB there (ministack, LocalStack), with fewer."""

import json
import logging
import os
import pathlib
import random
import re
import sys
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "deploy" / "consumers")]

import history  # noqa: E402
import lambda_handler  # noqa: E402
import real_table  # noqa: E402
from lambda_service import Lambda  # noqa: E402
from memory_table import MemoryTable  # noqa: E402

NOW = 1_700_000_000
ENVIRONMENT = {"TARGET_TABLE": "copies"}


class Wrong(Exception):
    """What the judge found."""


def story(seed, table=None, count=None):
    """One history through the handler; its judge. Raises Wrong. Returns how much was delivered and dropped."""
    rng = random.Random(seed)
    life = history.changes(rng, count or rng.randint(1, 60))
    form, aggregate = rng.choice(["dynamodb_json", "json"]), rng.random() < 0.5
    kinesis = history.Kinesis(rng.randint(1, 3))
    # Without the library nothing that is aggregated can be read.
    history.bridge(rng, life, kinesis, form, aggregate and lambda_handler.deaggregate_records is not None)
    table = table or MemoryTable()
    service = Lambda(rng, kinesis, lambda *given: lambda_handler.handler(*given, client=table, now=lambda: NOW))
    table.before = table.after = service.trouble
    with mock.patch.dict(os.environ, ENVIRONMENT):
        service.run()
    judge(life, table, form)
    return kinesis.stored, len(life), service.invocations


def judge(life, table, form):
    """Each item's changes, all of them, in order, once; and what is left of the item is what its last change left."""
    expected, last = {}, {}
    for change in life:
        key = lambda_handler.change_of(change.payload(form))["pk"]
        expected.setdefault(key, []).append(change.number)
        last[key] = change
    found = {}
    for key, number in table.applied:
        found.setdefault(key, []).append(int(number))
    if found != expected:
        wrong = [key for key in set(found) | set(expected) if found.get(key) != expected.get(key)]
        raise Wrong(f"{wrong[0]}: applied {found.get(wrong[0])}, written {expected.get(wrong[0])}")
    for key, change in last.items():
        item = table.items[key]
        if change.event == "REMOVE":
            if "item" in item or int(item["expires_at"]["N"]) <= NOW:
                raise Wrong(f"{key}: no tombstone: {item}")
        elif item["item"]["M"]["version"] != {"N": str(change.version)} or "expires_at" in item:
            raise Wrong(f"{key}: {item}")


def seeds():
    if "SEED" in os.environ:
        return [int(os.environ["SEED"])]
    return range(int(os.environ.get("SEEDS", "1000")))


def first_wrong():
    for seed in range(200):
        try:
            story(seed)
        except Wrong as wrong:
            return str(wrong)
    return None


class Histories(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_each_change_is_applied_once_and_in_order(self):
        stored = written = invocations = tried = 0
        for seed in seeds():
            with self.subTest(SEED=seed):
                delivered, changes, invoked = story(seed)
                stored, written, invocations, tried = stored + delivered, written + changes, invocations + invoked, tried + 1
        print(f"\n{tried} histories: {written} changes, {stored} Kinesis records, {invocations} invocations")
        self.assertGreater(invocations, 0)

    def test_the_same_seed_is_the_same_history(self):
        self.assertEqual(story(7), story(7))

    # The histories find what is done wrong.

    def test_a_watermark_compared_as_text_without_padding_is_found(self):
        with mock.patch.object(lambda_handler, "padded", lambda number: number):
            self.assertRegex(first_wrong(), "applied")

    def test_no_condition_is_found(self):
        with mock.patch.object(lambda_handler, "IS_NEWER", "attribute_not_exists(seq) OR seq <> :seq"):
            self.assertRegex(first_wrong(), "applied")

    def test_a_watermark_apart_from_its_effect_is_found(self):
        def in_two_steps(client, change, now):
            """Looks first, writes then: something else may come between."""
            known = client.items.get(change["pk"], {}).get("seq")
            if known is None or known["S"] < change["seq"]:
                with mock.patch.object(lambda_handler, "IS_NEWER", "attribute_not_exists(seq) OR seq <> :none"):
                    unconditional(client, change, now)

        whole = lambda_handler.apply

        def unconditional(client, change, now):
            plain = client.update_item

            def update_item(**request):
                request["ExpressionAttributeValues"][":none"] = {"S": "none"}
                return plain(**request)

            with mock.patch.object(client, "update_item", update_item):
                whole(client, change, now)

        with mock.patch.object(lambda_handler, "apply", in_two_steps):
            self.assertRegex(first_wrong(), "applied")

    def test_a_removal_without_a_tombstone_is_found(self):
        whole = lambda_handler.apply

        def deletes(client, change, now):
            applied = whole(client, change, now)
            if applied and change["removed"]:
                del client.items[change["pk"]]
            return applied

        with mock.patch.object(lambda_handler, "apply", deletes), self.assertRaises((Wrong, KeyError)):
            for seed in range(200):
                story(seed)

    def test_going_on_after_a_failure_is_found(self):
        def goes_on(event, context, client=None, now=None):
            failures = []
            for record in event["Records"]:
                failures += whole({"Records": [record]}, context, client, now)["batchItemFailures"]
            return {"batchItemFailures": failures}

        whole = lambda_handler.handler
        with mock.patch.object(lambda_handler, "handler", goes_on):
            self.assertRegex(first_wrong(), "applied")


class Records(unittest.TestCase):
    """The parts of the handler that a history does not show."""

    def setUp(self):
        patch = mock.patch.dict(os.environ, ENVIRONMENT)
        patch.start()
        self.addCleanup(patch.stop)
        self.table = MemoryTable()

    def handle(self, *payloads):
        records = [{"key": "k", "number": str(n), "data": data} for n, data in enumerate(payloads)]
        return lambda_handler.handler(history.event_of(0, records), None, client=self.table, now=lambda: NOW)

    def change(self, number, event="MODIFY", version=1):
        return history.Change(number, ("c", 1), event, version)

    def numbers(self):
        return [int(number) for _, number in self.table.applied]

    def test_a_record_that_cannot_be_read_stops_the_batch_there(self):
        with self.assertLogs(lambda_handler.log) as logs:
            answer = self.handle(self.change(1).payload("json"), b"secret", self.change(2).payload("json"))
        self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "1"}]})
        self.assertEqual(self.numbers(), [1])
        self.assertNotIn("secret", str(logs.output))

    def test_an_aggregate_is_taken_apart(self):
        if lambda_handler.deaggregate_records is None:
            self.skipTest("aws-kinesis-agg is not installed")
        payloads = [self.change(n).payload("dynamodb_json") for n in (1, 2, 3)]
        self.assertEqual(self.handle(history.aggregated("c", payloads)), {"batchItemFailures": []})
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_an_aggregate_without_the_library_is_a_failure(self):
        with mock.patch.object(lambda_handler, "deaggregate_records", None), self.assertLogs(lambda_handler.log):
            answer = self.handle(history.aggregated("c", [self.change(1).payload("json")]))
        self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "0"}]})

    def test_both_formats_name_an_item_alike_whatever_the_order_of_its_keys(self):
        for form in ("json", "dynamodb_json"):
            one = json.loads(self.change(1).payload(form))
            other = json.loads(self.change(1).payload(form))
            keys = one["keys"] if form == "json" else one["dynamodb"]["Keys"]
            turned = dict(reversed(keys.items()))
            if form == "json":
                other["keys"] = turned
            else:
                other["dynamodb"]["Keys"] = turned
            names = [lambda_handler.change_of(json.dumps(record))["pk"] for record in (one, other)]
            self.assertEqual(names[0], names[1])
        # A delimiter in a value makes no two keys one.
        pairs = [{"a": "x\",\"b", "b": "y"}, {"a": "x", "b": "b\",\"y"}]
        self.assertNotEqual(*(lambda_handler.item_key("t", keys) for keys in pairs))
        self.assertRegex(lambda_handler.item_key("t", {"a": "x" * 2000}), "^sha256:")

    def test_plain_values_keep_their_digits(self):
        text = (b'{"op":"insert","table":"t","keys":{"id":"a"},"new":{"n":12345678901234567890123456789012345678,'
                b'"d":0.1234567890123456789012345678901234567,"l":[true,null,"x"]},"sequence_number":"5"}')
        image = lambda_handler.change_of(text)["image"]
        self.assertEqual(image["n"], {"N": "12345678901234567890123456789012345678"})
        self.assertEqual(image["d"], {"N": "0.1234567890123456789012345678901234567"})
        self.assertEqual(image["l"], {"L": [{"BOOL": True}, {"NULL": True}, {"S": "x"}]})

    def test_a_change_without_an_image_says_so(self):
        record = json.loads(self.change(1).payload("dynamodb_json"))
        del record["dynamodb"]["NewImage"]
        self.handle(self.change(0).payload("dynamodb_json"), json.dumps(record).encode())
        (item,) = self.table.items.values()
        self.assertEqual((item["incomplete"], "item" in item), ({"BOOL": True}, False))

    def test_a_tombstone_outlasts_kinesis_and_then_goes(self):
        self.handle(self.change(1).payload("json"), self.change(2, "REMOVE").payload("json"))
        self.table.delete_expired(NOW + 8 * 86400)
        self.handle(self.change(1).payload("json"))
        self.assertEqual(self.numbers(), [1, 2])
        self.table.delete_expired(NOW + 10 * 86400)
        self.assertEqual(self.table.items, {})

    def test_a_replay_is_dropped_unless_it_is_let_through(self):
        def replay(mark):
            return [self.change(n, version=n).payload("json", mark) for n in (1, 2, 3)]

        self.handle(*(self.change(n, version=n).payload("json") for n in (1, 2, 3)))
        self.handle(*replay("again"))
        self.assertEqual(self.numbers(), [1, 2, 3])
        with mock.patch.dict(os.environ, ACCEPT_REPLAY="again"):
            # Itself delivered at least once, beside a change that is new.
            for payload in [*replay("again")[:2], *replay("again"), self.change(4).payload("json"), *replay("again")]:
                self.handle(payload)
            self.handle(*replay("another"))
        self.assertEqual(self.numbers(), [1, 2, 3, 1, 2, 3, 4])

    def test_what_is_no_sequence_number_is_refused(self):
        for number in ("", "-1", "1.0", "1" * 41, "٣"):
            with self.assertRaises(ValueError):
                lambda_handler.padded(number)


@unittest.skipUnless(real_table.ENDPOINT, "no BRIDGE_TEST_ENDPOINT")
class AgainstDynamoDb(unittest.TestCase):
    def test_each_change_is_applied_once_and_in_order(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        for seed in range(10):
            with self.subTest(SEED=seed), real_table.made(f"copies-{os.getpid()}-{seed}") as table:
                with mock.patch.dict(ENVIRONMENT, TARGET_TABLE=table.name):
                    story(seed, table)
        print(f"\n10 histories against {re.sub('//.*@', '//', real_table.ENDPOINT)}")


if __name__ == "__main__":
    unittest.main()
