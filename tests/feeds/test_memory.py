"""What this process uses and may use: on this machine, and as containers write it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.cgroup import least_limit, limit_files
from rxfeed.feeds.memory import ProcessMemory
from rxfeed.limits import DynamicLimits

GIB = 1 << 30
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
NONE = "9223372036854771712"


def machine(root: Path, groups: str, mounts: str, files: dict[str, str]) -> int | None:
    """What a machine allows whose files say this."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return least_limit(limit_files(root))


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "limit"),
    [
        pytest.param("0::/", V2, {"sys/fs/cgroup/memory.max": f"{GIB}"}, GIB, id="v2, from inside a container"),
        pytest.param("0::/", V2, {"sys/fs/cgroup/memory.max": "max"}, None, id="v2, max"),
        pytest.param(
            "0::/a.slice/b.service", V2,
            {"sys/fs/cgroup/a.slice/memory.max": f"{GIB}", "sys/fs/cgroup/a.slice/b.service/memory.max": f"{3 * GIB}"},
            GIB, id="v2, nested, the outer one is tighter",
        ),
        pytest.param(
            "0::/a.slice/b.service", V2,
            {"sys/fs/cgroup/a.slice/memory.max": "max", "sys/fs/cgroup/a.slice/b.service/memory.max": f"{3 * GIB}"},
            3 * GIB, id="v2, nested, the inner one",
        ),
        pytest.param(
            "0::/a", V2, {"sys/fs/cgroup/a/memory.max": f"{3 * GIB}", "sys/fs/cgroup/a/memory.high": f"{2 * GIB}"},
            2 * GIB, id="v2, throttled before",
        ),
        pytest.param("0::/../other", V2, {"sys/fs/cgroup/memory.max": f"{GIB}"}, GIB, id="v2, outside of the namespace"),
        pytest.param(
            "0::/docker/1f", V2.replace("0:28 / ", "0:28 /docker/1f "), {"sys/fs/cgroup/memory.max": f"{GIB}"},
            GIB, id="v2, the group is what is mounted",
        ),
        pytest.param(
            "0::/k", V2.replace("/sys/fs/cgroup", "/mnt/c\\040g"), {"mnt/c g/k/memory.max": f"{GIB}"}, GIB, id="v2, a space",
        ),
        pytest.param(
            "4:memory:/docker/1f\n0::/", V1.format(root="/docker/1f"),
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}"}, GIB, id="v1, in a container",
        ),
        pytest.param(
            "7:cpu,memory:/a/b:c", V1.format(root="/").replace("rw,memory", "rw,cpu,memory"),
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": NONE,
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{2 * GIB}",
                "sys/fs/cgroup/memory/a/b:c/memory.limit_in_bytes": NONE,
            },
            2 * GIB, id="v1, nested",
        ),
        pytest.param(
            "4:memory:/", V1.format(root="/"), {"sys/fs/cgroup/memory/memory.limit_in_bytes": NONE}, None, id="v1, unlimited",
        ),
        pytest.param(
            "4:memory:/a\n0::/a", f"{V2.replace('/sys/fs/cgroup', '/sys/fs/cgroup/unified')}\n{V1.format(root='/')}",
            {"sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{GIB}"}, GIB, id="both, memory is of v1",
        ),
        pytest.param("3:cpu:/a", V1.format(root="/"), {}, None, id="no group of memory"),
        pytest.param("0::/a", "no - mounts", {"sys/fs/cgroup/a/memory.max": f"{GIB}"}, None, id="not mounted"),
        pytest.param("0::/a", V2, {"sys/fs/cgroup/a/memory.max": "a lot"}, None, id="not a number"),
        pytest.param("0::/a", V2, {"sys/fs/cgroup/a/memory.max": "0"}, None, id="nothing at all"),
        pytest.param("garbage", "garbage\n1 2 3 - x\n\n", {}, None, id="garbage"),
    ],
)  # fmt: skip
def test_what_control_groups_allow(tmp_path: Path, groups: str, mounts: str, files: dict[str, str], limit: int | None) -> None:
    assert machine(tmp_path, groups, mounts, files) == limit


def test_no_control_groups(tmp_path: Path) -> None:
    assert limit_files(tmp_path) == []
    assert least_limit([]) is None


def test_a_limit_that_changes_is_read_again(tmp_path: Path) -> None:
    machine(tmp_path, "0::/", V2, {"sys/fs/cgroup/memory.max": f"{1 << 26}"})
    probe = ProcessMemory(tmp_path)
    assert probe().limit == 1 << 26
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{1 << 25}")
    assert probe().limit == 1 << 25
    (tmp_path / "sys/fs/cgroup/memory.max").unlink()
    assert probe().limit == ProcessMemory(tmp_path / "nothing")().limit


def test_this_machine_s() -> None:
    probe = ProcessMemory()
    before = probe()
    assert before.limit is not None
    assert 1 << 20 < before.used < before.limit
    held = bytearray(b"x" * (64 << 20))
    assert probe().used - before.used > 32 << 20
    assert len(held) == 64 << 20


def test_capacities_by_this_machine_s() -> None:
    limits = DynamicLimits(ProcessMemory(), clock=VirtualClock(), target=1 << 20)
    bars = limits.capacity("bars", default=1_000, least=10)
    limits.look()
    assert (bars.current, limits.stats.failures) == (10, 0)
