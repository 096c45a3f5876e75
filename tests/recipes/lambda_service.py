"""Lambda's side of a Kinesis event source: batches from each shard's checkpoint, failures reported, invocations that die or
overlap. Like the real one it delivers at least once and in each shard's order."""

from history import event_of


class Died(BaseException):
    """The function's process is gone: out of time or memory. It catches none of this."""


class Failed(Exception):
    """The table does not answer: the handler sees it."""


class Context:
    """What an invocation knows of its time, which passes when `spend` is called. At its end the process is gone."""

    def __init__(self, timeout_ms):
        self.left_ms = timeout_ms

    def get_remaining_time_in_millis(self):
        return self.left_ms

    def spend(self, ms):
        self.left_ms -= ms
        if self.left_ms <= 0:
            raise Died


class Lambda:
    """Drives `invoke(event, context)` over a Kinesis stream until every shard is at its end."""

    # Less than a batch may take, more than a record does.
    TIMEOUT_MS = 12_000
    MOST_MS_A_WRITE = 1_000

    def __init__(self, random, kinesis, invoke):
        self.random, self.kinesis, self.invoke = random, kinesis, invoke
        self.checkpoints = [0] * len(kinesis.shards)
        self.event = self.context = None
        self.overlapping = False
        self.invocations = 0

    def run(self):
        while waiting := [n for n, shard in enumerate(self.kinesis.shards) if self.checkpoints[n] < len(shard)]:
            self.deliver(self.random.choice(waiting))

    def deliver(self, shard):
        start = self.checkpoints[shard]
        records = self.kinesis.shards[shard][start : start + self.random.randint(1, 12)]
        self.event = event_of(shard, records)
        self.invocations += 1
        try:
            answer = self.invoked()
        except Died:
            return  # the whole batch again
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        numbers = [record["number"] for record in records]
        assert failed <= set(numbers), "a failure that is no record of the batch"
        self.checkpoints[shard] += min((numbers.index(number) for number in failed), default=len(numbers))
        if self.random.random() < 0.05:
            # Lambda itself lost its place.
            self.checkpoints[shard] = self.random.randint(0, self.checkpoints[shard])

    def invoked(self):
        """One invocation with the batch at hand, which has its own time."""
        around, self.context = self.context, Context(self.TIMEOUT_MS)
        try:
            return self.invoke(self.event, self.context)
        finally:
            self.context = around

    def trouble(self):
        """At a write: it takes its time, fails, the function dies, or a second invocation of the same batch overtakes this
        one."""
        self.context.spend(self.random.randint(0, self.MOST_MS_A_WRITE))
        luck = self.random.random()
        if luck < 0.05:
            raise Failed
        if luck < 0.08:
            raise Died
        if luck < 0.11 and not self.overlapping:
            self.overlapping = True
            try:
                self.invoked()
            except Died:
                pass
            finally:
                self.overlapping = False
