"""Each fault that a search must survive, again and again: how often nothing was lost or doubled.

    python benchmarks/faults.py --out benchmarks/results/faults.jsonl

Every repeat runs a test that injects the fault and checks the trials afterwards. One line of JSON a
fault, as it is done. Those of Ray and PostgreSQL are skipped where they are not installed. About
40 minutes for 20 repeats on two cores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
NO_TEST = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)
POOL, RAY = "tests/evaluation/test_pool.py", "tests/evaluation/test_ray.py"
STORE, LEASES = "tests/store/test_store.py", "tests/store/test_leases.py"
FAULTS = {
    "a worker is killed, idle and in training": (
        f"{POOL}::test_a_job_survives_one_death_of_its_worker_but_not_two_and_the_pool_goes_on"
    ),
    "a trial hangs, one eats memory, one diverges": (
        f"{POOL}::test_time_memory_and_numbers_that_run_away_are_failed_trials"
    ),
    "the driver is killed in training": (
        f"{POOL}::test_a_worker_in_mid_training_ends_with_a_parent_that_is_killed_or_interrupted"
    ),
    "the command is killed and goes on": (
        "tests/cli/test_commands.py::test_a_killed_run_goes_on_and_trains_no_finished_trial_again"
    ),
    "a driver that shares the store is killed": (
        f"{LEASES}::test_what_a_killed_driver_began_is_taken_over_at_once_where_it_ran"
    ),
    "a writer is killed": f"{STORE}::test_what_a_killed_writer_had_added_is_there",
    "the store is locked": f"{STORE}::test_a_writer_waits_for_another",
    "the disk is full": f"{STORE}::test_a_full_disk_is_a_store_error_and_the_store_stays_whole",
    "a clock is set back": f"{LEASES}::test_clocks_of_drivers_do_not_count_on_a_server",
    "PostgreSQL is restarted": (
        "tests/store/test_postgres.py::test_writers_and_readers_go_on_when_the_server_is_restarted"
    ),
    "Ray: a node is killed": f"{RAY}::test_a_node_that_dies_costs_only_what_was_running_there",
    "Ray: a trial crashes its interpreter": (
        f"{RAY}::test_a_job_that_kills_its_process_fails_after_three_tries_and_the_others_go_on"
    ),
    "Ray: a trial hangs, one eats memory": (
        f"{RAY}::test_time_and_memory_are_limited_as_in_the_local_pool"
    ),
}


def survived(test: str) -> bool | None:
    """Whether a test passed; None: it was skipped."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", test]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode in NO_TEST:
        raise SystemExit(f"{test} is no test: {ran.stdout[-500:]}")
    if ran.returncode:
        print(ran.stdout[-3000:], ran.stderr[-1000:], file=sys.stderr, flush=True)
        return False
    return None if "passed" not in ran.stdout.splitlines()[-1] else True


def main() -> None:
    parser = argparse.ArgumentParser(description="How often each fault is survived.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="faults whose names have this in them")
    given = parser.parse_args()
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for fault, test in FAULTS.items():
        if given.only not in fault:
            continue
        outcomes, seconds = [], []
        for _ in range(given.repeats):
            started = time.perf_counter()
            outcomes.append(survived(test))
            seconds.append(time.perf_counter() - started)
            if outcomes[0] is None:
                break
        if outcomes[0] is None:
            print(f"{fault}: skipped", flush=True)
            continue
        row = {
            "fault": fault,
            "survived": sum(map(bool, outcomes)),
            "of": given.repeats,
            "seconds, median": round(median(seconds), 1),
            **about,
        }
        print(row, flush=True)
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
