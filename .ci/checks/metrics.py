"""Dashboard, alerts and runbook agree with the metrics that the program registers, and with each other.

  python3 .ci/checks/metrics.py RULES    writes every expression of the dashboard into RULES as rules, for promtool to parse

Needs PyYAML.
"""

import json
import pathlib
import re
import sys

import yaml

PREFIX = "ddb_kinesis_bridge_"
# The contract: what operators build on. A metric that is not here, or is and has no panel, is an error.
COUNTERS = """changes_read changes_delivered changes_filtered records_put put_retries lease_losses checkpoints gaps truncated
    order_inversions get_records_calls api_errors""".split()
GAUGES = """shard_lag_seconds oldest_unacknowledged_seconds seconds_until_trim leases_owned halted_shards
    paced_target_shards held_bytes buffered_bytes build_info""".split()
HISTOGRAMS = ["put_duration_seconds", "delivery_lag_seconds"]
NAMES = {f"{PREFIX}{name}_total" for name in COUNTERS} | {f"{PREFIX}{name}" for name in GAUGES}
NAMES |= {f"{PREFIX}{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}

problems = []


def used(expression):
    names = set(re.findall(rf"{PREFIX}[a-z_]+", expression))
    problems.extend(f"`{name}` is no metric: {expression}" for name in sorted(names - NAMES))
    return names


def family(name):
    return re.sub(r"_(bucket|sum|count)$", "", name) if name.startswith(tuple(PREFIX + h for h in HISTOGRAMS)) else name


def dashboard():
    """The dashboard's expressions, Grafana's variables filled in."""
    board = json.loads(pathlib.Path("deploy/grafana/dashboard.json").read_text())
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    for variable in variables.values():
        used(json.dumps(variable.get("query", "")))
    ids, taken, expressions = set(), {}, []
    for panel in board["panels"]:
        if panel["id"] in ids:
            problems.append(f"dashboard: two panels have the id {panel['id']}")
        ids.add(panel["id"])
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if x >= 24 or taken.setdefault((x, y), panel["title"]) != panel["title"]:
                    problems.append(f"dashboard: `{panel['title']}` lies outside, or on `{taken.get((x, y))}`")
                    break
        if panel["type"] == "row":
            continue
        if panel["datasource"]["uid"] != "${datasource}" or not panel["description"] or not panel["targets"]:
            problems.append(f"dashboard: `{panel['title']}` lacks the data source variable, a description or a query")
        for target in panel["targets"]:
            unknown = set(re.findall(r"\$\{?([a-z_]+)", target["expr"])) - variables.keys() - {"__rate_interval"}
            problems.extend(f"dashboard: no variable ${name}: {target['expr']}" for name in sorted(unknown))
            expressions.append(
                target["expr"].replace("$__rate_interval", "5m").replace("$pipeline", ".*").replace("$instance", ".*")
            )
    shown = {family(name) for expression in expressions for name in used(expression)}
    missing = {family(name) for name in NAMES} - shown
    problems.extend(f"dashboard: no panel shows `{name}`" for name in sorted(missing))
    return expressions


def alerts():
    groups = yaml.safe_load(pathlib.Path("deploy/prometheus/alerts.yaml").read_text())["groups"]
    tests = yaml.safe_load(pathlib.Path("deploy/prometheus/alerts_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    # GitHub's anchors.
    headings = set()
    for page in ("README.md", "deploy/runbook.md"):
        file = pathlib.Path(page)
        lines = file.read_text().splitlines() if file.exists() else []
        headings |= {
            re.sub(r"[^a-z0-9 -]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            for line in lines
            if line.startswith("#")
        }
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        name, annotations = rule["alert"], rule["annotations"]
        used(rule["expr"])
        if (
            rule["labels"]["severity"] not in ("warning", "critical")
            or not annotations["summary"]
            or not annotations["description"]
        ):
            problems.append(f"{name}: severity, summary or description")
        if annotations["runbook_url"].partition("#")[2] not in headings:
            problems.append(f"{name}: the runbook has no heading for {annotations['runbook_url']}")
        for firing in (True, False):
            if not any(case["alertname"] == name and bool(case["exp_alerts"]) is firing for case in cases):
                problems.append(f"{name}: no test in which it {'fires' if firing else 'does not fire'}")
    return rules


def registered():
    """Names registered by the program, each told by its help text behind it, against the contract."""
    source = "\n".join(file.read_text() for file in sorted(pathlib.Path("src/ops").rglob("*.rs")))
    found = set(re.findall(r'\(\s*(?:[a-z_.]+,\s*)?"([a-z_]+)",\s*"[A-Z]', source))
    contract = {*COUNTERS, *HISTOGRAMS, *(name.removesuffix("_info") for name in GAUGES)}
    problems.extend(
        f"`{name}` is registered in src/ops, and neither the contract nor a panel has it"
        for name in sorted(found - contract)
    )
    problems.extend(f"`{name}` is promised, and src/ops registers no such metric" for name in sorted(contract - found))
    return found


expressions, rules, found = dashboard(), alerts(), registered()
if problems:
    sys.exit("\n".join(problems))
# JSON is YAML.
records = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(expressions)]
pathlib.Path(sys.argv[1]).write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
print(
    f"{len(found)} metrics, each with a panel; {len(expressions)} expressions; {len(rules)} alerts, each with tests and a runbook heading"
)
