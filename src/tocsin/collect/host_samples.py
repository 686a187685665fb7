"""This host's figures under node_exporter's names, read from /proc and /sys through psutil.

Every function yields (name, labels, value); a source that this kernel or container does not have yields nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

HostSample = tuple[str, dict[str, str], float]

# node_exporter's own defaults: pseudo file systems say nothing about a disk.
_IGNORED_FS = re.compile(
    r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|"
    r"pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$"
)
_IGNORED_MOUNTS = re.compile(r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)")
_IGNORED_DISKS = re.compile(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$")
_SECTOR = 512
_TICKS = os.sysconf("SC_CLK_TCK")


def all_samples() -> list[HostSample]:
    """Everything. A source that fails leaves the others."""
    out: list[HostSample] = []
    for source in SOURCES:
        try:
            out.extend(source())
        except (OSError, psutil.Error, ValueError, IndexError, KeyError):
            continue
    return out


def cpu() -> Iterator[HostSample]:
    """Seconds by processor and mode; guest time is part of user, as in node_exporter."""
    modes = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    for line in Path("/proc/stat").read_text().splitlines():
        parts = line.split()
        if re.fullmatch(r"cpu\d+", parts[0]):
            for mode, ticks in zip(modes, parts[1:], strict=False):
                yield "node_cpu_seconds_total", {"cpu": parts[0][3:], "mode": mode}, int(ticks) / _TICKS
        elif parts[0] == "btime":
            yield "node_boot_time_seconds", {}, float(parts[1])
        elif parts[0] == "ctxt":
            yield "node_context_switches_total", {}, float(parts[1])
        elif parts[0] == "processes":
            yield "node_forks_total", {}, float(parts[1])
        elif parts[0] in ("procs_running", "procs_blocked"):
            yield f"node_{parts[0]}", {}, float(parts[1])


def load() -> Iterator[HostSample]:
    for name, value in zip(("node_load1", "node_load5", "node_load15"), Path("/proc/loadavg").read_text().split(), strict=False):
        yield name, {}, float(value)


def memory() -> Iterator[HostSample]:
    """Every line of /proc/meminfo, in bytes where it is in kB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        name = name.replace("(", "_").replace(")", "")
        if len(parts) == 2:
            yield f"node_memory_{name}_bytes", {}, float(parts[0]) * 1024
        else:
            yield f"node_memory_{name}", {}, float(parts[0])


def filesystems() -> Iterator[HostSample]:
    seen: set[str] = set()
    for part in psutil.disk_partitions(all=True):
        mount = part.mountpoint
        if _IGNORED_FS.match(part.fstype) or _IGNORED_MOUNTS.match(mount) or mount in seen:
            continue
        seen.add(mount)
        labels = {"device": part.device, "fstype": part.fstype, "mountpoint": mount}
        try:
            stat = os.statvfs(mount)
        except OSError:
            yield "node_filesystem_device_error", labels, 1.0
            continue
        yield "node_filesystem_device_error", labels, 0.0
        yield "node_filesystem_size_bytes", labels, float(stat.f_blocks * stat.f_frsize)
        yield "node_filesystem_free_bytes", labels, float(stat.f_bfree * stat.f_frsize)
        yield "node_filesystem_avail_bytes", labels, float(stat.f_bavail * stat.f_frsize)
        yield "node_filesystem_files", labels, float(stat.f_files)
        yield "node_filesystem_files_free", labels, float(stat.f_ffree)
        yield "node_filesystem_readonly", labels, float(bool(stat.f_flag & os.ST_RDONLY))


def disks() -> Iterator[HostSample]:
    """/proc/diskstats: the columns are described in the kernel's iostats document."""
    for line in Path("/proc/diskstats").read_text().splitlines():
        parts = line.split()
        if len(parts) < 14 or _IGNORED_DISKS.match(parts[2]):
            continue
        labels = {"device": parts[2]}
        n = [int(part) for part in parts[3:]]
        yield "node_disk_reads_completed_total", labels, float(n[0])
        yield "node_disk_read_bytes_total", labels, float(n[2] * _SECTOR)
        yield "node_disk_read_time_seconds_total", labels, n[3] / 1000
        yield "node_disk_writes_completed_total", labels, float(n[4])
        yield "node_disk_written_bytes_total", labels, float(n[6] * _SECTOR)
        yield "node_disk_write_time_seconds_total", labels, n[7] / 1000
        yield "node_disk_io_now", labels, float(n[8])
        yield "node_disk_io_time_seconds_total", labels, n[9] / 1000
        yield "node_disk_io_time_weighted_seconds_total", labels, n[10] / 1000


def network() -> Iterator[HostSample]:
    """/proc/net/dev: receive columns 0-7, transmit 8-15."""
    names = ("bytes", "packets", "errs", "drop")
    for line in Path("/proc/net/dev").read_text().splitlines()[2:]:
        device, _, rest = line.partition(":")
        n = rest.split()
        for i, name in enumerate(names):
            yield f"node_network_receive_{name}_total", {"device": device.strip()}, float(n[i])
            yield f"node_network_transmit_{name}_total", {"device": device.strip()}, float(n[8 + i])


def pressure() -> Iterator[HostSample]:
    """PSI totals, seconds: how long tasks waited for a resource."""
    for resource in ("cpu", "io", "memory"):
        path = Path("/proc/pressure") / resource
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            kind, _, rest = line.partition(" ")
            total_us = int(rest.rpartition("total=")[2])
            name = "waiting" if kind == "some" else "stalled"
            if not (resource == "cpu" and kind == "full"):
                yield f"node_pressure_{resource}_{name}_seconds_total", {}, total_us / 1e6


def uname() -> Iterator[HostSample]:
    name = os.uname()
    domain = Path("/proc/sys/kernel/domainname")
    labels = {
        "sysname": name.sysname,
        "release": name.release,
        "version": name.version,
        "machine": name.machine,
        "nodename": name.nodename,
        "domainname": domain.read_text().strip() if domain.exists() else "(none)",
    }
    yield "node_uname_info", labels, 1.0


def system() -> Iterator[HostSample]:
    """File descriptors, entropy-free odds and ends that rules read."""
    allocated, _, maximum = Path("/proc/sys/fs/file-nr").read_text().split()
    yield "node_filefd_allocated", {}, float(allocated)
    yield "node_filefd_maximum", {}, float(maximum)
    for name in ("count", "max"):
        path = Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}")
        if path.exists():
            yield f"node_nf_conntrack_entries{'_limit' if name == 'max' else ''}", {}, float(path.read_text())


def sockets() -> Iterator[HostSample]:
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        protocol, _, rest = line.partition(":")
        parts = rest.split()
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            yield f"node_sockstat_{protocol}_{key}", {}, float(value)


def virtual_memory() -> Iterator[HostSample]:
    wanted = ("oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout")
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name in wanted:
            yield f"node_vmstat_{name}", {}, float(value)


def containers() -> Iterator[HostSample]:
    """Resource use of containers, from their cgroups (v2), under cAdvisor's names; `name` is the cgroup's short id."""
    root = Path("/sys/fs/cgroup")
    pattern = re.compile(r"^(?:docker-|cri-containerd-|libpod-|crio-)([0-9a-f]{12})[0-9a-f]*\.scope$")
    for path in (
        *root.glob("system.slice/*.scope"),
        *root.glob("kubepods.slice/**/*.scope"),
        *root.glob("machine.slice/*.scope"),
    ):
        found = pattern.match(path.name)
        if found is None:
            continue
        labels = {"name": found[1]}
        usage_us = re.search(r"usage_usec (\d+)", (path / "cpu.stat").read_text())
        if usage_us:
            yield "container_cpu_usage_seconds_total", labels, int(usage_us[1]) / 1e6
        used = int((path / "memory.current").read_text())
        inactive = re.search(r"inactive_file (\d+)", (path / "memory.stat").read_text())
        yield "container_memory_working_set_bytes", labels, float(max(used - int(inactive[1] if inactive else 0), 0))
        limit = (path / "memory.max").read_text().strip()
        yield "container_spec_memory_limit_bytes", labels, 0.0 if limit == "max" else float(limit)


SOURCES: tuple[Callable[[], Iterator[HostSample]], ...] = (
    cpu,
    load,
    memory,
    filesystems,
    disks,
    network,
    pressure,
    uname,
    system,
    sockets,
    virtual_memory,
    containers,
)
