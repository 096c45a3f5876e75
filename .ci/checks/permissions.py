"""The task role of deploy/ecs/service.yaml allows the AWS calls that src/aws makes, and no other.

The calls are found in the source: an SDK's operations are methods without arguments (`client.put_item()`), their names come
from botocore's models, and whose they are from the SDK crates that the file names. Needs botocore and PyYAML.
"""

import pathlib
import re
import sys

import botocore.session
import yaml
from botocore import xform_name

SDKS = {"aws_sdk_dynamodb": "dynamodb", "aws_sdk_dynamodbstreams": "dynamodbstreams", "aws_sdk_kinesis": "kinesis"}
# IAM has the Streams API's actions under `dynamodb`, and asks for a transaction's members instead of the transaction.
PREFIX = {"dynamodb": "dynamodb", "dynamodbstreams": "dynamodb", "kinesis": "kinesis"}
# Actions of commands that an operator runs under an identity of their own (the task only runs `run` and `health`).
OPERATORS = {"dynamodb:Scan"}
MEMBERS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def operations(service):
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def called(root):
    """IAM actions by the files that need them."""
    known = {service: operations(service) for service in PREFIX}
    actions = {}
    for file in sorted(pathlib.Path(root).rglob("*.rs")):
        if file.name.endswith("tests.rs"):
            continue
        text = re.sub(r"//.*", "", file.read_text().split("#[cfg(test)]")[0])
        services = [service for crate, service in SDKS.items() if re.search(rf"\b{crate}::", text)]
        for method in re.findall(r"\.\s*([a-z_]+)\(\)", text):
            for service in services:
                if method not in known[service]:
                    continue
                name = known[service][method]
                names = [name]
                if name == "TransactWriteItems":
                    names = [member for kind, member in MEMBERS.items() if re.search(rf"\b{kind}::builder\(\)", text)]
                for name in names:
                    actions.setdefault(f"{PREFIX[service]}:{name}", set()).add(str(file))
    return actions


class Template(yaml.SafeLoader):
    """CloudFormation's short forms, as (name, value)."""


def short_form(loader, suffix, node):
    kinds = {yaml.ScalarNode: loader.construct_scalar, yaml.MappingNode: loader.construct_mapping}
    if isinstance(node, yaml.SequenceNode):
        return (suffix, loader.construct_sequence(node, deep=True))
    return (suffix, kinds[type(node)](node))


Template.add_multi_constructor("!", short_form)


def statements(template):
    for policy in template["Resources"]["TaskRole"]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if isinstance(statement, tuple):  # !If [condition, statement, another or AWS::NoValue]
                yield from (branch for branch in statement[1][1:] if isinstance(branch, dict))
            else:
                yield statement


def main():
    template = yaml.load(pathlib.Path("deploy/ecs/service.yaml").read_text(), Loader=Template)
    needed = {action: files for action, files in called("src/aws").items() if action not in OPERATORS}
    allowed = set()
    for statement in statements(template):
        actions = statement["Action"]
        allowed.update([actions] if isinstance(actions, str) else actions)
        if statement["Resource"] == "*" and actions != "dynamodb:ListStreams":
            sys.exit(f"deploy/ecs/service.yaml: statement {statement['Sid']} is for every resource")
    # The SDK's calls know nothing of the key that Kinesis encrypts with.
    allowed.discard("kms:GenerateDataKey")
    problems = [
        f"{action} is called in {', '.join(sorted(needed[action]))} and not allowed"
        for action in sorted(needed.keys() - allowed)
    ]
    problems += [f"{action} is allowed and no call in src/aws needs it" for action in sorted(allowed - needed.keys())]
    if problems:
        sys.exit("deploy/ecs/service.yaml, TaskRole:\n  " + "\n  ".join(problems))
    print(f"{len(allowed)} actions are called, the same {len(allowed)} are allowed: {', '.join(sorted(allowed))}")


main()
