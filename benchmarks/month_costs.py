"""Measure the costs of 13 months: processor time of a cycle, size of the state, and time of a report of a month."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from hour_costs import MANY, measure_command
from model_costs import TRAFFIC
from runs import COMMAND, process

from maas_usage_check.cloud.cloud_eye import CloudEye, Dimensions
from maas_usage_check.config import load_file
from maas_usage_check.emulator.demo import DEMO_CREDENTIALS
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.emulator.loopback_server import serve_emulator
from maas_usage_check.emulator.simulated_models import SimulatedModels
from maas_usage_check.emulator.simulated_usage import SimulatedUsage
from maas_usage_check.ledger.hour_values import DAY, FIELDS, HOUR, HOURS_KEPT, KEPT

MODELS, KEYS = 30, 20
PAIRS = 8
NUMBERS = "20000000 + i * 977 % 9000000, 19000000 + i * 883 % 9000000, 900000 + i * 61 % 99999, 1000 + i % 999, i % 99"
"""Of an hour: as large as those of a busy one."""
COUNT = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1) "
HOURS = (
    f"{COUNT} INSERT OR IGNORE INTO hours SELECT id, :start + i * {HOUR}, {NUMBERS}, 1, :start + i * {HOUR} + 18123456 "
    "FROM series, n WHERE began > 0 ORDER BY id, i"
)
DAYS = (
    f"{COUNT} INSERT INTO days SELECT id, :start + i * {DAY}, :start + (i + 1) * {DAY}, 1, 24, {NUMBERS}, 0 "
    "FROM series, n WHERE began > 0 ORDER BY id, i"
)
YEAR_S = 365 * 86_400
MIB = 1024**2


def serve(urls: Any) -> None:
    """Serve an emulator in a process of its own; only its models have use, so that nothing contradicts the ledger."""
    usage, models = SimulatedUsage(busy=lambda at: False), SimulatedModels(MODELS, KEYS, TRAFFIC)
    with serve_emulator(Emulator(DEMO_CREDENTIALS, usage, requests_per_minute=10**9, models=models)) as url:
        urls.put(url)
        time.sleep(3600)


def write_config(folder: Path, url: str) -> Path:
    """Write the configuration of 60 series, 30 models and 20 keys, with teams, prices and budgets."""
    models = SimulatedModels(MODELS, KEYS, TRAFFIC)
    prices = "".join(f"        {model}: {{prompt: 2.0, completion: 8.0}}\n" for model in models.ids())
    keys = "".join(f"      {key}: {MANY['api_keys'][i % 9]}\n" for i, key in enumerate(models.key_labels))
    teams = "".join(
        f"      {label}s: {{api_keys: [{label}], budget: {{tokens: 1000000000}}}}\n" for label in MANY["api_keys"]
    )
    names = "".join(f"    {key}: {value}\n" for key, value in MANY.items())
    path = folder / "conf.yaml"
    path.write_text(
        f"instances:\n  - endpoint: {url}\n    iam_endpoint: {url}\n    cloud_eye_endpoint: {url}\n"
        f"    project_id: {PROJECT_ID}\n    hourly: true\n    models: true\n    timezone: UTC\n    ranges: [last_1d]\n"
        f"    max_requests_per_minute: 86400\n    deadline: 300\n    timeout: 60\n    state_dir: {folder}/state\n"
        f"{names}    key_names:\n{keys}    teams:\n{teams}    budget: {{tokens: 1000000000, cost: 1000}}\n"
        f"    prices:\n      currency: CNY\n      models:\n{prices}"
    )
    return path


def state_of(folder: Path) -> Path:
    """Return the state's file."""
    (path,) = (folder / "state").glob("*.sqlite3")
    return path


def fill(path: Path, statement: str, **values: int) -> None:
    """Run a statement on a state that nobody uses, and leave one file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        with connection:
            connection.execute("INSERT OR IGNORE INTO prices VALUES (1, 'CNY', '2.0', '8.0', '', '', 0)")
            connection.execute(statement, values)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def rows(
    make_folder: Callable[[], str], environ: Dict[str, str], row: Callable[[str, str, float, float], str]
) -> List[str]:
    """Measure everything; return the rows of the table."""
    few, many = Path(make_folder()), Path(make_folder())
    with process(serve) as url:
        collects = {folder: [COMMAND, "collect", "--config", str(write_config(folder, url))] for folder in (few, many)}
        subprocess.run(collects[few], env=environ, check=True, stdout=subprocess.DEVNULL)
        fill_hours(few)
        shutil.copytree(few / "state", many / "state")
        fill_days(many)
        pairs = []
        for _ in range(PAIRS + 2):
            pairs.append([measure_command(collects[folder], environ)[0] for folder in (few, many)])
        mine, theirs = (statistics.median(times) for times in zip(*pairs[2:]))
        months = [time.strftime("%Y-%m", time.gmtime(time.time() - days * 86_400)) for days in (40, 120)]
        reports = {
            f"{month} {by}": seconds(
                [COMMAND, "report", "--config", str(many / "conf.yaml"), "--month", month, "--by", by], environ
            )
            for month in months
            for by in ("service", "key", "team", "model")
        }
        make_models_larger(many)
        charges = [COMMAND, "report", "--config", str(many / "conf.yaml"), "--format", "focus"]
        for option, at in (("--from", time.time() - YEAR_S), ("--to", time.time())):
            charges += [option, time.strftime("%Y-%m-%d", time.gmtime(at))]
        charges_s, charges_bytes = measure_command(charges, environ)
    fill_unused(many)
    mib = sum(path.stat().st_size for path in (many / "state").iterdir()) / MIB
    slowest = max(reports, key=lambda name: reports[name])
    what = "60 series and 30 models x 20 keys: processor time of a `collect` with 13 months / with 62 days"
    took, by = reports[slowest], slowest.split()[1]
    return [
        row(what, f"{theirs:.2f} s / {mine:.2f} s", theirs / mine, 1.1),
        row("the same: size of the state", f"{mib:.1f} MiB", mib / 60, 1),
        row(f"the same: `report --month --by {by}`, the slowest", f"{took:.2f} s", took / 2, 1),
        row("the same: `report --format focus` of a year by day", f"{charges_s:.1f} s", charges_s / 60, 1),
        row("the same: its memory", f"{charges_bytes / MIB:.0f} MiB", charges_bytes / MIB / 150, 1),
    ]


def first_hour() -> int:
    """Return the first of the hours that are kept as hours."""
    return int(time.time()) * 1000 // DAY * DAY - HOURS_KEPT + DAY


def fill_hours(folder: Path) -> None:
    """Add 62 days of hours to each series that a cycle has begun."""
    state, first = state_of(folder), first_hour()
    fill(state, HOURS, start=first, count=int(time.time()) * 1000 // HOUR - first // HOUR)
    fill(state, f"UPDATE series SET began = {first}, hours_from = {first} WHERE began > 0")
    fill(state, f"UPDATE hours SET changed = changed - {2 * HOUR} WHERE changed > 0")  # they were emitted


def fill_days(folder: Path) -> None:
    """Add the days of the 11 months before these hours."""
    fill(state_of(folder), DAYS, start=first_hour() - KEPT + HOURS_KEPT, count=(KEPT - HOURS_KEPT) // DAY)


def fill_unused(folder: Path) -> None:
    """Give use to the hours that cycles have stored without any."""
    columns, by_hour = "total_tokens, prompt_tokens, completion_tokens, requests, errors", f"start / {HOUR}"
    fill(state_of(folder), f"UPDATE hours SET ({columns}) = ({NUMBERS.replace('i', by_hour)}) WHERE total_tokens = 0")


def make_models_larger(folder: Path) -> None:
    """Multiply the use of models, so that it is more than that of their keys, as in the cloud."""
    instance = load_file(str(folder / "conf.yaml"))[0]
    names = [
        CloudEye().hour_series(instance, PROJECT_ID, Dimensions(model, "")).name for model in instance.prices.models
    ]
    found = ", ".join(f"'{name}'" for name in names)
    sums = ", ".join(f"{name} = {name} * {KEYS + 1}" for name in FIELDS)
    for table in ("hours", "days"):
        fill(
            state_of(folder),
            f"UPDATE {table} SET {sums} WHERE series IN (SELECT id FROM series WHERE name IN ({found}))",
        )


def seconds(command: List[str], environ: Dict[str, str]) -> float:
    """Run a command; return its seconds."""
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
