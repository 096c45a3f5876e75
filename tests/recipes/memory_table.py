"""A table in memory that takes UpdateItem as DynamoDB does: the expressions are evaluated, not understood in advance, so that
a wrong one has its wrong effect. One write is one step; `before` runs ahead of each, and may fail or do something else."""

import re


# What DynamoDB allows an item.
MOST_BYTES = 400 * 1024
MOST_LEVELS = 32


class ClientError(Exception):
    """As botocore raises it: with the code that AWS gave, and a text that may quote the request."""

    def __init__(self, code, message=""):
        super().__init__(f"An error occurred ({code}): {message}")
        self.response = {"Error": {"Code": code, "Message": message}}


class ConditionalCheckFailedException(ClientError):
    def __init__(self):
        super().__init__("ConditionalCheckFailedException")


class Exceptions:
    ConditionalCheckFailedException = ConditionalCheckFailedException


class MemoryTable:
    exceptions = Exceptions

    def __init__(self, before=lambda: None, after=lambda: None):
        self.items = {}
        # (key, sequence number) of each write that took place.
        self.applied = []
        self.before = before
        self.after = after

    def update_item(self, *, TableName, Key, UpdateExpression, ConditionExpression,
                    ExpressionAttributeNames, ExpressionAttributeValues):
        self.before()
        names, values = ExpressionAttributeNames, ExpressionAttributeValues
        used = set(re.findall(r"[:#]\w+", UpdateExpression + " " + ConditionExpression))
        if used != set(names) | set(values):
            raise ValueError(f"placeholders used and given differ: {used ^ (set(names) | set(values))}")
        if any(levels(value) > MOST_LEVELS for value in values.values()):
            raise ClientError("ValidationException", f"Nesting Levels have exceeded supported limits: {values}")
        key = Key["pk"]["S"]
        item = self.items.get(key, {})
        if not any(holds(clause, item, values) for clause in ConditionExpression.split(" OR ")):
            raise ConditionalCheckFailedException()
        item = dict(item, **Key)
        sets, _, removes = UpdateExpression.removeprefix("SET ").partition(" REMOVE ")
        for assignment in sets.split(", "):
            name, value = assignment.split(" = ")
            item[names.get(name, name)] = values[value]
        for name in filter(None, removes.split(", ")):
            item.pop(names.get(name, name), None)
        if sum(len(name.encode()) + size_bytes(value) for name, value in item.items()) > MOST_BYTES:
            raise ClientError("ValidationException", f"Item size has exceeded the maximum allowed size: {values}")
        self.items[key] = item
        self.applied.append((key, values[":seq"]["S"]))
        self.after()

    def delete_expired(self, now):
        """Time to live."""
        gone = [key for key, item in self.items.items() if int(item.get("expires_at", {"N": str(2**63)})["N"]) < now]
        for key in gone:
            del self.items[key]


def levels(value):
    """The attribute itself is the first."""
    ((kind, held),) = value.items()
    inner = held.values() if kind == "M" else held if kind == "L" else []
    return 1 + max(map(levels, inner), default=0)


def size_bytes(value):
    """Nearly as DynamoDB counts: enough to tell what is far above the limit from what is not."""
    ((kind, held),) = value.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_bytes(one) for name, one in held.items())
    if kind == "L":
        return 3 + sum(1 + size_bytes(one) for one in held)
    return len(held.encode()) if isinstance(held, str) else 1


def holds(clause, item, values):
    """One comparison. An attribute that is not there makes it false, as in DynamoDB, save `<>`."""
    absent = re.fullmatch(r"attribute_not_exists\((\w+)\)", clause)
    if absent:
        return absent[1] not in item
    name, comparison, value = clause.split(" ")
    if comparison == "<>":
        return item.get(name) != values[value]
    if name not in item or set(item[name]) != set(values[value]):
        return False
    if comparison != "<":
        raise ValueError(f"the table does not know {comparison}")
    (left,), (right,) = item[name].values(), values[value].values()
    # By UTF-8's bytes, as DynamoDB compares strings.
    return left.encode() < right.encode()
