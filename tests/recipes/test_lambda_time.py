"""The Lambda recipe against its invocation's end: a batch that takes longer than that still gets on."""

import logging
import os
import pathlib
import sys
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "deploy" / "consumers")]

import history  # noqa: E402
import lambda_handler  # noqa: E402
from lambda_service import Context, Died  # noqa: E402
from memory_table import MemoryTable  # noqa: E402

NOW = 1_700_000_000


class Time(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.dict(os.environ, TARGET_TABLE="copies")
        patch.start()
        self.addCleanup(patch.stop)
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.table = MemoryTable()

    def records(self, count):
        changes = [history.Change(n, ("c", n), "INSERT", n) for n in range(count)]
        return [{"key": "k", "number": str(change.number), "data": change.payload("json")} for change in changes]

    def invoke(self, records, context, write_ms=lambda: 0):
        """Returns how many records of the batch are done with."""
        self.table.before = lambda: context.spend(write_ms())
        answer = lambda_handler.handler(history.event_of(0, records), context, client=self.table, now=lambda: NOW)
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        numbers = [record["number"] for record in records]
        return numbers.index(failed[0]) if failed else len(numbers)

    def test_a_batch_that_outlasts_the_timeout_gets_on(self):
        # As 100 aggregates of 90 changes at 10 ms: 90 s of work, 60 s of time.
        waiting, invocations = self.records(100), 0
        while waiting:
            invocations += 1
            self.assertLessEqual(invocations, 2, "the same batch again")
            try:
                waiting = waiting[self.invoke(waiting, Context(60_000), lambda: 900) :]
            except Died:
                pass  # the whole batch again
        self.assertEqual(len(self.table.applied), 100)

    def test_it_stops_while_the_slowest_record_and_a_reserve_are_left(self):
        # 60 - n s are left after n records: enough for one more of 1 s and the reserve of 10 s until n is 50.
        self.assertEqual(self.invoke(self.records(100), Context(60_000), lambda: 1_000), 50)
        # The reserve is a quarter of a short time: 20 - n >= 1 + 5.
        self.assertEqual(self.invoke(self.records(100), Context(20_000), lambda: 1_000), 15)
        # One record took 20 s, the first: 41 - n >= 20 + 10.
        slow = iter([20_000])
        self.assertEqual(self.invoke(self.records(100), Context(60_000), lambda: next(slow, 1_000)), 12)

    def test_a_batch_that_fits_is_done_to_its_end(self):
        self.assertEqual(self.invoke(self.records(50), Context(60_000), lambda: 1_000), 50)

    def test_the_first_record_is_tried_however_little_time_there_is(self):
        self.assertEqual(self.invoke(self.records(3), Context(2_000), lambda: 1_900), 1)

    def test_a_context_that_does_not_tell_the_time_does(self):
        for context in (None, object()):
            event = history.event_of(0, self.records(3))
            answer = lambda_handler.handler(event, context, client=self.table, now=lambda: NOW)
            self.assertEqual(answer, {"batchItemFailures": []})


if __name__ == "__main__":
    unittest.main()
