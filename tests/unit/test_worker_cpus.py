"""CPU quotas, on trees as kernels show them."""

import math
import os

import pytest
from butler_workers.cpus import available_cpus, cgroup_cpus


@pytest.fixture
def host(tmp_path):
    """Writes /proc/self and folders of cgroups; ``{}`` in a mount is where they are."""

    def make(*, cgroup, mountinfo, quotas):
        (tmp_path / "cgroup").write_text("\n".join(cgroup) + "\n")
        mounts = [line.replace("{}", str(tmp_path / "fs")) for line in mountinfo]
        (tmp_path / "mountinfo").write_text("\n".join(mounts) + "\n")
        for path, text in quotas.items():
            file = tmp_path / "fs" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make


V2 = "30 23 0:26 / {} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
SERVICE = "/system.slice/butler-worker@main.service"


def test_without_a_quota_there_is_no_limit(host):
    proc = host(
        cgroup=[f"0::{SERVICE}"], mountinfo=[V2], quotas={f"{SERVICE[1:]}/cpu.max": "max 100000\n"}
    )
    assert cgroup_cpus(proc) == math.inf
    assert available_cpus(proc) == len(os.sched_getaffinity(0))


def test_the_quota_of_a_systemd_unit_is_that_of_its_own_folder(host):
    quotas = {f"{SERVICE[1:]}/cpu.max": "150000 100000\n"}
    proc = host(cgroup=[f"0::{SERVICE}"], mountinfo=[V2], quotas=quotas)
    assert cgroup_cpus(proc) == 1.5


def test_the_smallest_quota_on_the_way_up_holds(host):
    quotas = {
        f"{SERVICE[1:]}/cpu.max": "400000 100000\n",
        "system.slice/cpu.max": "50000 100000\n",
        "other.slice/cpu.max": "1000 100000\n",
    }
    proc = host(cgroup=[f"0::{SERVICE}"], mountinfo=[V2], quotas=quotas)
    assert cgroup_cpus(proc) == 0.5
    assert available_cpus(proc) == 1


def test_a_container_in_a_namespace_of_its_own_sees_its_quota_at_the_mount(host):
    proc = host(cgroup=["0::/"], mountinfo=[V2], quotas={"cpu.max": "250000 100000\n"})
    assert cgroup_cpus(proc) == 2.5


def test_a_path_that_leads_out_of_the_namespace_ends_at_the_mount(host):
    proc = host(
        cgroup=["0::/../../init.scope"], mountinfo=[V2], quotas={"cpu.max": "100000 100000\n"}
    )
    assert cgroup_cpus(proc) == 1


HYBRID = [
    "36 31 0:33 / {}/unified rw - cgroup2 cgroup2 rw",
    "33 31 0:30 / {}/memory rw - cgroup cgroup rw,memory",
    "32 31 0:29 {root} {}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
]


@pytest.mark.parametrize(
    ("root", "folder"), [("/", "cpu,cpuacct/docker/abc"), ("/docker/abc", "cpu,cpuacct")]
)
def test_version_1_is_read_whether_a_container_sees_the_whole_tree_or_its_part(host, root, folder):
    quotas = {f"{folder}/cpu.cfs_quota_us": "300000\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    proc = host(
        cgroup=["4:memory:/docker/abc", "3:cpu,cpuacct:/docker/abc", "0::/"],
        mountinfo=[line.replace("{root}", root) for line in HYBRID],
        quotas=quotas,
    )
    assert cgroup_cpus(proc) == 3


def test_version_1_writes_minus_one_for_no_quota(host):
    quotas = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    proc = host(
        cgroup=["3:cpu,cpuacct:/"],
        mountinfo=[line.replace("{root}", "/") for line in HYBRID],
        quotas=quotas,
    )
    assert cgroup_cpus(proc) == math.inf


def test_a_system_without_cgroups_has_no_limit(tmp_path):
    assert cgroup_cpus(tmp_path) == math.inf
    assert available_cpus(tmp_path) == len(os.sched_getaffinity(0))
