"""What is found of this machine, and how limits are read."""

from pathlib import Path

import pytest

from smidgen.models.hardware import Hardware, cpu_quota, memory_limit, parse_nvidia_smi, probe


@pytest.fixture
def hardware() -> Hardware:
    return Hardware(
        physical_cores=8,
        logical_cores=16,
        cpu_quota=0.0,
        total_bytes=16 << 30,
        available_bytes=8 << 30,
        memory_limit=0,
        swap_bytes=0,
        cpu_name="test",
        simd=("avx2",),
        gpus=(),
        disk_free_bytes=1 << 30,
        system="Linux",
        machine="x86_64",
    )


def group(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content + "\n")
    return folder


def test_a_probe_finds_a_machine(tmp_path) -> None:
    found = probe(tmp_path / "not" / "there" / "yet")
    assert 1 <= found.threads <= found.logical_cores and 1 <= found.physical_cores <= found.logical_cores
    assert 0 < found.available_bytes <= found.total_bytes and found.disk_free_bytes > 0
    assert found.cpu_name and found.system


@pytest.mark.parametrize(
    ("cores", "quota", "threads"),
    [(8, 0.0, 8), (8, 4.0, 4), (8, 1.5, 1), (8, 0.1, 1), (2, 16.0, 2), (4, 3.8, 4)],
)
def test_threads_are_physical_cores_within_the_quota(hardware, cores, quota, threads) -> None:
    import msgspec

    assert msgspec.structs.replace(hardware, physical_cores=cores, cpu_quota=quota).threads == threads


def test_quotas_of_both_cgroup_versions(tmp_path) -> None:
    second = group(tmp_path / "a", cpu__max="150000 100000")
    first = group(tmp_path / "b", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    free = [group(tmp_path / "c", cpu__max="max 100000"), group(tmp_path / "d", cpu__cfs_quota_us="-1"), tmp_path / "e"]
    assert cpu_quota([second]) == 1.5 and cpu_quota([first]) == 2.0
    assert cpu_quota([first, second, *free]) == 1.5 and cpu_quota(free) == 0.0


def test_memory_limits_of_both_cgroup_versions(tmp_path) -> None:
    stat = "anon 5\ninactive_file 300\nactive_file 10"
    second = group(tmp_path / "a", memory__max="1000", memory__current="500", memory__stat=stat)
    first = group(tmp_path / "b", memory__limit_in_bytes="5000", memory__usage_in_bytes="4900", memory__stat="")
    free = group(tmp_path / "c", memory__max="max"), group(tmp_path / "d", memory__limit_in_bytes=str(2**63 - 4096))
    assert memory_limit([second]) == (1000, 200), "page cache that can be dropped isn't in use"
    assert memory_limit([second, first]) == (5000, 4900), "the group with the least room counts"
    assert memory_limit([*free, tmp_path / "e"]) == (0, 0)


def test_nvidia_smi_s_lines_and_its_errors() -> None:
    (gpu,) = parse_nvidia_smi("NVIDIA RTX A2000, 12 GB, 12282, 11000\n")
    assert (gpu.name, gpu.total_bytes, gpu.free_bytes) == ("NVIDIA RTX A2000, 12 GB", 12282 << 20, 11000 << 20)
    assert list(parse_nvidia_smi("NVIDIA-SMI has failed because it couldn't communicate\n\nx, y")) == []
