"""`doctor`: what it says of this machine, of one that computes something else, and of an Ascend that is played."""

from __future__ import annotations

import itertools
import json
from argparse import Namespace

import mindspore as ms
import numpy as np
import pytest
from helpers.commands import python, refused_here, run

from ms_gan import recipes, runtime
from ms_gan.cli import doctor
from ms_gan.doctor import machine, trials
from ms_gan.recipes import FAMILIES

NAMES = ("loss_d", "loss_g", "accuracy_real")
GOLDEN = np.array([[1.0, 0.5, 0.25], [1.0, 0.01, 0.5]])


def test_this_machine_computes_what_it_should(tmp_path, capsys):
    file = tmp_path / "report.txt"
    done = run("doctor", "--output", file, ASCEND_OPP_PATH=str(tmp_path))
    lines = done.stdout.splitlines()
    verdicts = [line.split()[0] for line in lines if line.startswith(("ok", "note", "wrong"))]
    assert any("kernels: ms_gan's kernels" in line or "kernels: MindSpore's" in line for line in lines)
    assert verdicts == ["ok"] * (2 * len(trials.TRIALS) + 2), done.stdout
    assert "nothing is wrong" in lines and file.read_text().splitlines() == lines[:-1]
    assert str(tmp_path) not in file.read_text(), "it tells no paths"
    assert "is there already" in refused_here(capsys, "doctor", "--output", file)


def test_what_is_wrong_is_counted_written_and_an_exit_status(tmp_path, monkeypatch):
    def look(target, device_id):
        return iter([("wrong", "a"), ("ok", "b"), ("wrong", f"{target} {device_id}"), ("ok", "c")])

    file = tmp_path / "report.txt"
    file.write_text("an older report")
    monkeypatch.setattr(doctor, "look", look)
    options = Namespace(output=str(file), overwrite=True, device_target="Ascend", device_id=3)
    assert doctor.run(options) == 1
    expected = ["wrong  a", "ok     b", "wrong  Ascend 3", "ok     c", "2 things are wrong"]
    assert file.read_text().splitlines() == expected
    monkeypatch.setattr(doctor, "look", lambda *_: iter([("note", "a")]))
    assert doctor.run(options) == 0 and file.read_text().splitlines()[-1] == "nothing is wrong"


def test_the_trials_are_of_all_families_and_their_golden_numbers_of_all_scalars():
    golden = json.loads(trials.GOLDEN.read_text())
    assert {trials.small(name).family for name in trials.TRIALS} == set(FAMILIES)
    assert golden.keys() == trials.TRIALS.keys()
    assert all(np.isfinite(rows).all() and len(rows) == trials.UPDATES for rows in golden.values())
    assert all(recipes.load(name) for name in golden)


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        (0.0, "ok", "0 from a CPU's numbers"),
        (5e-4, "ok", "0.0005 from"),
        (5e-3, "note", "more than rounding"),
        (5e-2, "wrong", "1.05, not 1"),
        (np.nan, "wrong", "nan, not 1"),
    ],
)
def test_what_is_apart_is_judged_by_how_far(change, verdict, said):
    found = GOLDEN.copy()
    found[0, 0] += change
    found[1, 2] = 0.75  # one image more: that is no matter of rounding
    finding = trials.judged("x", NAMES, found, GOLDEN)
    assert finding.verdict == verdict and said in finding.line
    if verdict == "wrong":
        assert "loss_d of update 1" in finding.line


def test_next_to_nothing_counts_as_a_thousandth():
    golden = GOLDEN.copy()
    golden[1, 1] = 1e-7
    found = golden.copy()
    found[1, 1] += 5e-7
    assert trials.judged("x", NAMES, found, golden).line.startswith("x: 0.0005 from")


@pytest.mark.parametrize("name", trials.TRIALS)
def test_a_network_that_is_dead_and_a_penalty_that_is_not_computed_are_seen(name):
    scalars = trials.Trial(trials.small(name), runtime.set_up("CPU"), own_kernels=False).step.scalars
    golden = np.array(json.loads(trials.GOLDEN.read_text())[name])
    dead = {"penalty": 0.0, "penalty_real": 0.0, "penalty_fake": 0.0, "loss_d": np.log(2), "loss_g": np.log(2)}
    dead |= {"loss_kl": 0.0, "loss_reconstruction": 0.0}
    tried = [(which, dead[scalar]) for which, scalar in enumerate(scalars) if scalar in dead]
    assert tried
    for which, value in tried:
        found = golden.copy()
        found[:, which] = value
        assert trials.judged(name, scalars, found, golden).verdict == "wrong", scalars[which]


@pytest.fixture
def ascend(tmp_path, monkeypatch):
    """What an Ascend machine has on its disk, as far as it is looked at."""
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "version.info").write_text("Version=24.1.rc2\nascendhal_version=7.35\n")
    (tmp_path / "cann" / "aarch64-linux").mkdir(parents=True)
    install = tmp_path / "cann" / "aarch64-linux" / "ascend_toolkit_install.info"
    install.write_text("package_name=Ascend-cann-toolkit\nversion=8.0.RC3\ninnerversion=V100R001\n")
    monkeypatch.setenv("ASCEND_DRIVER_PATH", str(tmp_path / "driver"))
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "cann"))
    monkeypatch.setenv("PATH", str(tmp_path))

    def smi(script):
        (tmp_path / "npu-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "npu-smi").chmod(0o755)

    return smi


def test_an_ascend_is_asked_for_driver_cann_and_devices(ascend):
    ascend('printf "| npu-smi $1 24.1.rc2 |\\n| NPU  Chip | Process id | Process name |\\n| 0 0 | 123 | python |\\n"')
    assert machine.has_ascend()
    assert dict(machine.ascend()) == {
        "driver": "24.1.rc2",
        "CANN": "8.0.RC3",
        "npu-smi": "| npu-smi info 24.1.rc2 |\n| NPU  Chip",
    }


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo dcmi module initialize failed >&2; exit 3", "status 3\ndcmi module initialize failed"),
        ("exec sleep 100", "gave no answer (TimeoutExpired)"),
        (None, "not found"),
    ],
)
def test_an_ascend_that_does_not_answer_is_reported(ascend, script, said, monkeypatch):
    monkeypatch.setattr(machine, "SMI_SECONDS", 0.5)
    if script:
        ascend(f"PATH=/usr/bin:/bin\n{script}")
    assert said in dict(machine.ascend())["npu-smi"]


def test_an_ascend_that_cannot_be_asked_is_reported(ascend, tmp_path):
    ascend("echo devices")
    (tmp_path / "npu-smi").write_text("#!/nonexistent/shell\n")
    assert "gave no answer (FileNotFoundError)" in dict(machine.ascend())["npu-smi"]


def test_an_ascend_is_known_by_its_tool_or_by_its_variables(ascend, monkeypatch, tmp_path):
    absent = tuple((name, variable, str(tmp_path / "absent"), files) for name, variable, _, files in machine.INSTALLED)
    monkeypatch.setattr(machine, "INSTALLED", absent)
    assert machine.has_ascend(), "by the variables"
    for name in ("ASCEND_DRIVER_PATH", "ASCEND_HOME_PATH"):
        monkeypatch.delenv(name)
    found = machine.has_ascend()
    ascend("echo devices")
    assert (found, machine.has_ascend()) == (False, True), "by its tool"


def test_memory_is_told_in_gibibytes(monkeypatch):
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**22}.get)
    assert dict(machine.software())["memory"] == "16 GiB"


def test_what_is_not_installed_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("ASCEND_DRIVER_PATH", str(tmp_path))
    assert dict(machine.ascend())["driver"] == "no version found; is ASCEND_DRIVER_PATH set?"


def test_variables_are_told_without_paths_and_addresses(monkeypatch):
    monkeypatch.setenv("HCCL_CONNECT_TIMEOUT", "600")
    monkeypatch.setenv("ASCEND_OPP_PATH", "/home/somebody/opp")
    monkeypatch.setenv("MS_SCHED_HOST", "10.0.0.1")
    monkeypatch.setenv("MS_WORKER_IP", "TRAINER7")
    monkeypatch.setenv("MS_NODE_ID", "NODE1.CORP")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("HCCL_SOCKET_IFNAME", "somebody")
    monkeypatch.setenv("AWS_SECRET", "x")
    told = dict(machine.software())
    assert told["variable HCCL_CONNECT_TIMEOUT"] == "600"
    assert told["variable ONEDNN_MAX_CPU_ISA"] == "AVX2"
    hidden = ("ASCEND_OPP_PATH", "MS_SCHED_HOST", "MS_WORKER_IP", "MS_NODE_ID", "HCCL_SOCKET_IFNAME")
    assert {told[f"variable {name}"] for name in hidden} == {"(set)"}
    assert not any("SECRET" in name for name in told)


@pytest.mark.parametrize(
    "said, left",
    [
        ("no '/home/alice'", "no …"),
        ("'/home/alice smith/cache/x' is gone", "… is gone"),
        ('in "/home/alice/x y"', "in …"),
        ("no /home/somebody/ms_gan.so here", "no … here"),
        ("open ~/x", "open …"),
        ("connect to 10.1.2.3:8118 on host gpu-7.corp.example", "connect to … on host …"),
        ("ops.conv2d: 3/4 of it", "ops.conv2d: 3/4 of it"),
        ("connect to gpu-7.corp.example:8118 failed", "connect to … failed"),
        ("hostname: trainer7 not found", "hostname: … not found"),
        ("fe80::1ff:fe23 and alice@gpu-7", "… and …"),
        ("ret[507899], error: 3:4", "ret[507899], error: 3:4"),
    ],
)
def test_errors_are_told_without_paths_addresses_and_hosts(said, left):
    assert machine.told(RuntimeError(f"{said}\nC++ stack")) == f"RuntimeError: {left}"


@pytest.mark.parametrize("error", [RuntimeError("aclrtSetDevice failed, ret[507899]"), ImportError("libascendcl.so")])
def test_a_device_that_cannot_be_opened_is_reported_after_what_is_known(error, ascend, monkeypatch):
    ascend("echo devices")

    def fails(*_):
        raise error

    monkeypatch.setattr(runtime, "set_up" if isinstance(error, RuntimeError) else "import_mindspore", fails)
    *lines, last = doctor.look("auto", 0)
    assert ("", "CANN: 8.0.RC3") in lines and any(line.startswith("mindspore: ") for _, line in lines)
    assert last == ("wrong", f"MindSpore: {type(error).__name__}: {error}")


def test_an_ascend_is_reported_even_where_mindspore_has_none(ascend, monkeypatch):
    ascend("echo devices")
    for name in ("families", "export", "speed"):
        monkeypatch.setattr(trials, name, played(name))
    lines = list(doctor.look("auto", 0))
    assert ("", "CANN: 8.0.RC3") in lines and ("", "npu-smi: devices") in lines
    assert any(verdict == "note" and "the device is none" in line for verdict, line in lines)
    assert ("wrong", "export: does not run: RuntimeError: no …") in lines, "paths are left out"
    assert ("ok", "speed") in lines, "it goes on"
    assert list(doctor.look("Ascend", 0))[-1] == (
        "wrong",
        f"device target Ascend is not available to MindSpore {ms.__version__} on this machine",
    )
    monkeypatch.setattr(runtime, "set_up", lambda target, number: runtime.Device("Ascend", number))
    lines = list(doctor.look("auto", 3))
    assert ("", "device: Ascend 3") in lines and not any("is none" in line for _, line in lines)


def played(name):
    """A trial that finds something at once."""

    def trial(device):
        if name == "export":
            raise RuntimeError("no /home/somebody/ms_gan.so\nC++ stack")
        finding = trials.Finding("ok", name)
        return iter([finding]) if name == "families" else finding

    return trial


def test_a_step_that_does_not_run_is_reported_and_the_others_go_on():
    code = (
        "from ms_gan import runtime\n"
        "from ms_gan.doctor import trials\n"
        "device = runtime.set_up('CPU')\n"
        "trials.TRIALS = {name: trials.TRIALS[name] for name in ('mlp', 'cvae_late')}\n"
        "init = trials.Trial.__init__\n"
        "def broken(self, recipe, device, own_kernels=True):\n"
        "    if recipe.name == 'mlp':\n"
        "        raise RuntimeError('no kernel for this\\nC++ stack')\n"
        "    init(self, recipe, device)\n"
        "trials.Trial.__init__ = broken\n"
        "for finding in trials.families(device):\n"
        "    print(finding.verdict, finding.line)\n"
    )
    done = python("-c", code)
    lines = done.stdout.splitlines()
    assert "wrong family gan (mlp): does not run: RuntimeError: no kernel for this" in lines, done.stderr
    assert [line.split()[0] for line in lines if "cvae_late" in line] == ["ok", "ok"]


@pytest.fixture
def one_trial(monkeypatch):
    """That of the smallest network alone."""
    monkeypatch.setattr(trials, "TRIALS", {"mlp": trials.TRIALS["mlp"]})
    return trials.Trial(trials.small("mlp"), runtime.set_up("CPU"), own_kernels=False)


def test_other_bytes_a_second_time_are_wrong(one_trial, monkeypatch):
    answer, number = trials.Trial.run, itertools.count()
    monkeypatch.setattr(trials.Trial, "run", lambda self: (answer(self)[0], str(next(number))))
    *_, numbers, twice = trials.families(runtime.set_up("CPU"))
    assert numbers.verdict == "ok" and twice == trials.Finding("wrong", "family gan (mlp): other bytes a second time")


def test_weights_that_the_last_update_left_otherwise_are_other_bytes(one_trial, monkeypatch):
    _, digest = one_trial.run()
    update, change = one_trial.update, []

    def updated(number):
        scalars = update(number)
        if number == trials.UPDATES - 1 and change:
            parameter = one_trial.step.generator.trainable_params()[0]
            parameter.set_data(parameter + 1e-6)
        return scalars

    monkeypatch.setattr(one_trial, "update", updated)
    assert one_trial.run()[1] == digest
    change.append(True)
    assert one_trial.run()[1] != digest


def test_an_export_is_of_a_trained_network_and_judged(monkeypatch):
    seen = []

    def exported(folder, what, formats):
        parameters = what.generator.get_parameters()
        seen.append((sum(float(abs(each.asnumpy()).sum()) for each in parameters), formats))
        raise trials.ParityError("it draws otherwise")

    def absent(packages):
        raise trials.UserError("onnx is not installed", "install it")

    monkeypatch.setattr(trials, "export_bundle", exported)
    device = runtime.set_up("CPU")
    assert trials.export(device) == trials.Finding("wrong", "export: it draws otherwise")
    monkeypatch.setattr(trials.Trial, "run", lambda self: None)
    trials.export(device)
    (trained, formats), (untrained, _) = seen
    assert trained != untrained and formats == ("mindir", "onnx")
    monkeypatch.undo()
    monkeypatch.setattr(trials, "require_packages", absent)
    finding = trials.export(device)
    assert finding.verdict == "note" and finding.line.endswith("the ONNX was not tried: onnx is not installed")


def test_the_time_of_a_step_is_told_in_milliseconds(monkeypatch):
    monkeypatch.setattr(trials.Trial, "update", lambda self, number: None)
    monkeypatch.setattr(trials.time, "perf_counter", itertools.count(0, 0.25).__next__)
    assert trials.speed(runtime.set_up("CPU")).line.endswith("250 ms (250 to 250)")
