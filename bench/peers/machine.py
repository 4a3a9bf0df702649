"""The machine and the versions of everything that is compared."""

import importlib.metadata
import pathlib
import platform
import resource
import time

PACKAGES = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "ncnn": "ncnn",
    "torch": "PyTorch",
}


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_gib():
    return int(pathlib.Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 2**20


def describe(setting):
    """Lines of Markdown."""
    version = [line.strip() for line in setting.mkd("--version").splitlines()]
    peers = [f"{name} {importlib.metadata.version(package)}" for package, name in PACKAGES.items()]
    header = pathlib.Path("/usr/include/oneapi/dnnl/dnnl_version.h").read_text(encoding="utf-8")
    numbers = [
        line.split()[2]
        for line in header.splitlines()
        if line.startswith("#define DNNL_VERSION_") and line.split()[2].isdigit()
    ]
    return [
        f"* processor: {processor()}; {setting.threads} threads for every program",
        f"* memory: {memory_gib():.0f} GiB; Linux {platform.release()}",
        f"* mkd: {', '.join(version)}",
        f"* peers: {', '.join(peers)}, oneDNN {'.'.join(numbers[:3])}, "
        f"Python {platform.python_version()}",
    ]


class Load:
    """How busy other processes have kept the machine since this was made."""

    def __init__(self):
        self.start = self.read()

    @staticmethod
    def read():
        ticks = [
            int(word)
            for word in pathlib.Path("/proc/stat")
            .read_text(encoding="utf-8")
            .split("\n")[0]
            .split()[1:9]
        ]
        busy = sum(ticks) - ticks[3] - ticks[4]
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        used = sum(usage.ru_utime + usage.ru_stime for usage in own)
        return sum(ticks) / 100, busy / 100, used, time.time()

    def of_others(self):
        """Share of the machine's time, 0 to 1."""
        total, busy, used, _ = (after - before for after, before in zip(self.read(), self.start))
        return max(0.0, (busy - used) / total) if total else 0.0

    def minutes(self):
        return (self.read()[3] - self.start[3]) / 60
