"""What the deployments share is the same in each: how long a stop may take, the port, the health check; and the image's build
context holds all that cargo looks for.

Needs PyYAML and cargo; run it in the repository's root.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

problems = []


def text(path):
    return pathlib.Path(path).read_text()


def number(path, pattern):
    found = re.search(pattern, text(path), re.MULTILINE)
    if not found:
        sys.exit(f"{path}: nothing matches {pattern}")
    return int(found[1])


def stops():
    drain = number("src/config/sample.toml", r'^shutdown_timeout = "(\d+)s"')
    given = {
        "deploy/systemd/ddb-kinesis-bridge.service": r"^TimeoutStopSec=(\d+)$",
        "deploy/ecs/service.yaml": r"^\s+StopTimeout: (\d+)$",
        "deploy/docker/Dockerfile": r"should give it (\d+) s: shutdown_timeout is",
    }
    seconds = {path: number(path, pattern) for path, pattern in given.items()}
    problems.extend(
        f"{path}: {after} s to stop, and the drain may take {drain} s; 5 s more, please"
        for path, after in seconds.items()
        if after != drain + 5
    )
    ecs = number("deploy/ecs/service.yaml", r'shutdown_timeout = "(\d+)s"')
    if ecs != drain:
        problems.append(f"deploy/ecs/service.yaml: shutdown_timeout is {ecs} s, by default {drain} s")
    return drain, seconds


def port():
    listen = number("src/config/sample.toml", r'^listen = "127\.0\.0\.1:(\d+)"')
    for path, pattern in {
        "deploy/docker/Dockerfile": r"^EXPOSE (\d+)$",
        "deploy/ecs/service.yaml": r"ContainerPort: (\d+)",
        "localstack/environment": r"^BRIDGE_LISTEN=127\.0\.0\.1:(\d+)$",
    }.items():
        if number(path, pattern) != listen:
            problems.append(f"{path}: another port than {listen}")
    if f'listen = "0.0.0.0:{listen}"' not in text("deploy/ecs/service.yaml"):
        problems.append("deploy/ecs/service.yaml: the task does not listen on 0.0.0.0")


def image():
    lines = text("deploy/docker/Dockerfile").replace("\\\n", " ").splitlines()
    last = lines[max(n for n, line in enumerate(lines) if line.startswith("FROM ")) :]
    for what, pattern in {
        "a base without a shell": r"FROM scratch$",
        "the certificates that TLS trusts": r"COPY --from=build (/etc/ssl/certs/ca-certificates\.crt) \1$",
        "a numeric user other than root": r"USER [1-9]\d*:[1-9]\d*$",
        "a health check by the program": r'HEALTHCHECK .*CMD \["/usr/local/bin/ddb-kinesis-bridge", "health"\]$',
        "the program as its entry point": r'ENTRYPOINT \["/usr/local/bin/ddb-kinesis-bridge"\]$',
    }.items():
        if not any(re.match(pattern, line) for line in last):
            problems.append(f"deploy/docker/Dockerfile: its image lacks {what}")
    if "[CMD, /usr/local/bin/ddb-kinesis-bridge, health]" not in text("deploy/ecs/service.yaml"):
        problems.append("deploy/ecs/service.yaml: another health check than the image's")


def context():
    """Copies what .dockerignore lets through, and asks cargo whether it can make out the package."""
    rules = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    if rules[0] != "*" or len(kept) + 1 != len(rules):
        sys.exit(".dockerignore: this check knows `*` and then what is let through")
    with tempfile.TemporaryDirectory() as directory:
        for name in kept:
            path = pathlib.Path(name)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, pathlib.Path(directory) / name)
        command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version=1"]
        asked = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
        targets = json.loads(asked.stdout)["packages"][0]["targets"]
        there = {kind for target in targets if pathlib.Path(target["src_path"]).exists() for kind in target["kind"]}
        missing = [name for name in ("lib", "bin") if name not in there]
        missing += [name for name in ("Cargo.lock",) if not pathlib.Path(directory, name).exists()]
        problems.extend(f".dockerignore leaves out what the build needs: {name}" for name in missing)
        for source in pathlib.Path(directory).rglob("*.rs"):
            for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
                if not (source.parent / included).exists():
                    problems.append(
                        f".dockerignore leaves out {included}, which {source.relative_to(directory)} includes"
                    )
    copied = re.findall(r"^COPY --from=build /src/(.+) \S+$", text("deploy/docker/Dockerfile"), re.MULTILINE)
    missing = [name for names in copied for name in names.replace("/src/", "").split() if name not in kept]
    problems.extend(f".dockerignore leaves out {name}, which the image has" for name in missing)
    return kept


drain, seconds = stops()
port()
image()
kept = context()
if problems:
    sys.exit("\n".join(problems))
print(f"a drain takes {drain} s at most, and has {', '.join(f'{after} s ({path})' for path, after in seconds.items())}")
print(f"the image's context holds {', '.join(kept)}: cargo makes out the package")
