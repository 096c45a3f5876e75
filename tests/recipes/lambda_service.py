"""Lambda's side of a Kinesis event source: batches from each shard's checkpoint, failures reported, invocations that die or
overlap. Like the real one it delivers at least once and in each shard's order."""

from history import event_of


class Died(BaseException):
    """The function's process is gone: out of time or memory. It catches none of this."""


class Failed(Exception):
    """The table does not answer: the handler sees it."""


class Lambda:
    """Drives `invoke(event)` over a Kinesis stream until every shard is at its end."""

    def __init__(self, random, kinesis, invoke):
        self.random, self.kinesis, self.invoke = random, kinesis, invoke
        self.checkpoints = [0] * len(kinesis.shards)
        self.event = None
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
            answer = self.invoke(self.event)
        except Died:
            return  # the whole batch again
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        numbers = [record["number"] for record in records]
        assert failed <= set(numbers), "a failure that is no record of the batch"
        self.checkpoints[shard] += min((numbers.index(number) for number in failed), default=len(numbers))
        if self.random.random() < 0.05:
            # Lambda itself lost its place.
            self.checkpoints[shard] = self.random.randint(0, self.checkpoints[shard])

    def trouble(self):
        """At a write: it fails, the function dies, or a second invocation of the same batch overtakes this one."""
        luck = self.random.random()
        if luck < 0.05:
            raise Failed
        if luck < 0.08:
            raise Died
        if luck < 0.11 and not self.overlapping:
            self.overlapping = True
            try:
                self.invoke(self.event)
            except Died:
                pass
            finally:
                self.overlapping = False
