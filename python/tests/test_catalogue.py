"""Problems of the catalogue, called from Python."""

import ast
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import hypertape as ht
from hypertape import _core

SCRIPT = shutil.which("hypertape", path=os.path.dirname(sys.executable))


def test_a_known_hypergradient():
    """``quadratic``: the loss after 5 steps in closed form (``hypertape gradient quadratic`` prints the same)."""
    problem = ht.load("quadratic")
    r = problem.hypergradient()
    told = command("gradient", "quadratic", "--json")
    assert f'"loss":{r.loss!r}' in told and r.cost.hvps == 5
    head = told.split('"gradient_head":[')[1].split("]")[0].split(",")
    assert [float(v) for v in head] == list(r.gradient)


def command(*arguments):
    done = subprocess.run([sys.executable, "-m", "hypertape", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_estimators_schedules_rules_and_precisions():
    problem = ht.load("w4")
    exact = problem.hypergradient(steps=40)
    assert exact.schedule == "store-all" and exact.warnings == [] and exact.cost.bytes_predicted == exact.cost.bytes_measured
    for schedule in ("binomial:c=4", "uniform:k=5", "constant", "mixed:c=4,tape=1"):
        same = problem.hypergradient(steps=40, schedule=schedule)
        np.testing.assert_array_equal(same.gradient, exact.gradient)
    for estimator in ("forward", "full-tape"):
        # Roundings of 40 steps.
        np.testing.assert_allclose(problem.hypergradient(steps=40, estimator=estimator).gradient, exact.gradient, rtol=1e-11)
    ridge = ht.load("w1-ridge")
    for name, kind in {"float32": np.float32, "f32": np.float32, np.float32: np.float32, "f64": np.float64, float: np.float64, None: np.float64}.items():
        assert ridge.hypergradient(steps=5, dtype=name).gradient.dtype == kind
    for name in ("f128", "f16", "half", "real", 3, int, ""):
        with pytest.raises(ht.InputError, match="dtype: found .*, expected float64 or float32"):
            ridge.hypergradient(steps=5, dtype=name)
    adam = ht.load("quadratic").hypergradient(rule="adam:b1=0.8", lr=0.05)
    assert np.isfinite(adam.gradient).all() and adam.sensitivity > 0


def test_a_budget_is_kept_by_checkpoints():
    problem = ht.load("w3")
    free = problem.hypergradient()
    tight = problem.hypergradient(memory=free.cost.bytes_measured // 2)
    assert tight.cost.bytes_measured <= free.cost.bytes_measured // 2 and tight.schedule.startswith("binomial")
    assert tight.cost.plain_steps > free.cost.plain_steps
    for name, part in tight.gradient.items():
        np.testing.assert_array_equal(part, free.gradient[name])
    with pytest.raises(ht.RunError) as caught:
        problem.hypergradient(memory="1KiB")
    error = caught.value
    assert error.limit == 1024 and error.needed > 1024 and isinstance(error, RuntimeError)
    assert pickle.loads(pickle.dumps(error)).needed == error.needed
    plan = problem.plan(memory="1MiB", draws=2, steps=20)
    assert all(row.bytes <= 2**20 for row in plan.schedules) and plan.schedule in repr(plan)
    assert "exact" in plan.estimators["estimator"]


def test_certificates_and_checks():
    problem = ht.load("quadratic")
    rows = problem.certify(["full-tape", "ufom:q=0.5", "truncated:k=2"], draws=300)
    verdicts = dict(zip(rows["estimator"], rows["verdict"]))
    assert verdicts["exact"] == verdicts["full-tape"] == "exact" and verdicts["truncated:k=2"] == "biased"
    assert verdicts["ufom:q=0.5"] == "unbiased" and "unbiased" in repr(rows)
    checks = problem.check()
    assert checks.failed == [] and "ok" in repr(checks) and len(checks) > 8


def test_a_run_its_records_its_callback_its_limits(tmp_path, capsys):
    problem, seen = ht.load("quadratic"), []
    run = problem.run(iterations=9, outer="adam", outer_lr=0.1, callback=lambda record, x: seen.append((record["loss"], x.copy())))
    assert run.iterations == 9 == len(seen) and run.ended == "iterations"
    assert list(run.records["loss"]) == [loss for loss, _ in seen] and run.records["hvps"].sum() == 45
    np.testing.assert_array_equal(seen[0][1], problem.x)
    assert run.records["loss"][-1] < run.records["loss"][0] and "9 iterations" in repr(run)
    assert run.w.shape == problem.w.shape

    def stop(record, x):
        if record["iteration"] == 3:
            raise StopIteration

    assert problem.run(iterations=9, callback=stop).ended == "callback"
    with pytest.raises(ZeroDivisionError):
        problem.run(iterations=9, callback=lambda *_: 1 / 0)
    assert problem.run(iterations=99, oracle_calls=50).ended == "oracle calls"
    for limit in (dict(time="5s"), dict(time=-1.0), dict(gradient_norm=float("nan")), dict(oracle_calls=2.5), dict(outer_lr="0.1")):
        with pytest.raises(ht.InputError, match=f"{next(iter(limit))}: found"):
            problem.run(iterations=9, **limit)
    assert capsys.readouterr().err == "" and {len(column) for column in run.records.values()} == {9}
    problem.run(iterations=9, progress=True)
    assert "==] 9/9  outer loss" in capsys.readouterr().err

    # Four iterations and then five give the same as nine, bit for bit.
    options = dict(outer="adam", outer_lr=0.1, save=tmp_path)
    problem.run(iterations=4, **options)
    again = problem.run(iterations=9, resume=True, **options)
    np.testing.assert_array_equal(again.x, run.x)
    assert len(again.records["loss"]) == 9
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x"], run.x)
    with pytest.raises(ht.InputError, match="a run is saved there and would be lost"):
        problem.run(iterations=1, **options)
    with pytest.raises(ht.InputError, match="found lr 0.3, expected 0.2"):
        problem.run(iterations=9, resume=True, lr=0.2, **options)
    for folder, why in {tmp_path / "none": "there is no such folder", tmp_path / "empty": "no state.json in it"}.items():
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ht.InputError, match=f"{why}, and so no run to resume"):
            problem.run(iterations=9, resume=True, save=folder)
        assert not (tmp_path / "none").exists()


def test_outer_points_and_bad_input():
    problem = ht.load("quadratic")
    base = problem.hypergradient().gradient
    step = 1e-6
    for k in range(2):
        moved = problem.x
        moved[k] += step
        up = problem.loss(moved)
        moved[k] -= 2 * step
        # Central differences of a loss near 1: an error of 1e-10.
        assert abs((up - problem.loss(moved)) / (2 * step) - base[k]) < 1e-8
    for bad, told in {
        "steps": dict(steps=-1), "steps: found 2.5": dict(steps=2.5), "lr: found 0": dict(lr=0), "lr: found 'a'": dict(lr="a"),
        "memory: found '1X'": dict(memory="1X"), "dtype: found 'int'": dict(dtype="int"), "nearest": dict(estimator="exactt"),
        "threads": dict(threads=0), "option 'step': did you mean steps?": dict(step=3), "option 'zz', expected one of x, estimator, dtype, batch, lanes, steps": dict(zz=3), "or 'auto'": dict(lr="fast"), "x: found shape": dict(x=np.zeros(3)), "expected real numbers": dict(x=["a", "b"]),
        "binomial needs c": dict(schedule="binomial"), "adma": dict(rule="adma"),
    }.items():  # fmt: skip
        with pytest.raises(ht.InputError) as caught:
            problem.hypergradient(**told)
        assert "\n" not in str(caught.value) and isinstance(caught.value, ValueError), bad
        if bad != "nearest":
            assert bad in str(caught.value)
    with pytest.raises(ht.InputError, match="quadratic"):
        ht.load("quadratik")
    with pytest.raises(ht.RunError) as caught:
        problem.hypergradient(steps=5000, lr=50.0)
    assert caught.value.lr == 50.0 and caught.value.step > 0


def test_every_kind_of_array_is_taken_as_a_point():
    problem = ht.load("quadratic")
    x = np.array([0.25, -0.5])
    expected = problem.hypergradient(x).gradient
    wide = np.array([[0.25, 9.0], [-0.5, 9.0]])
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (x.astype(np.float32), x.astype(np.float16), x.astype(">f8"), wide[:, 0], frozen, [0.25, -0.5], x[::-1][::-1]):
        np.testing.assert_array_equal(problem.hypergradient(same).gradient, expected)
    np.testing.assert_array_equal(problem.hypergradient(np.array([1, 0])).gradient, problem.hypergradient([1.0, 0.0]).gradient)
    for bad in (np.array([1j, 0]), np.array([object(), 1]), np.zeros((2, 1, 1)), np.zeros(0), np.zeros((1, 2)), "x"):
        with pytest.raises(ht.InputError):
            problem.hypergradient(bad)


def test_the_lock_is_released_and_two_threads_run_two_problems():
    problem = ht.load("w1-ridge")
    options = dict(steps=60)
    expected = problem.hypergradient(**options).gradient
    found, ticks = [None, None], 0

    def work(k):
        found[k] = problem.hypergradient(**options).gradient

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ticks += 1
        time.sleep(0.0005)
    for gradient in found:
        np.testing.assert_array_equal(gradient, expected)
    assert ticks > 3


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_a_run_within_a_step_and_saves(tmp_path):
    # What was started in the background may ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    problem = ht.load("w1-logreg")
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        problem.run(iterations=10**6, steps=20, save=tmp_path, progress=False)
    again = problem.run(iterations=10**6, steps=20, save=tmp_path, resume=True, time=0.5)
    assert again.iterations > 1
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        problem.hypergradient(steps=10**7, schedule="constant")
    assert np.isfinite(problem.hypergradient(steps=3).gradient).all()


def test_the_command_line_is_in_the_package(tmp_path):
    assert command("--version").startswith("hypertape ")
    assert "quadratic" in command("problems")
    study = tmp_path / "study.toml"
    study.write_text('[[grid]]\nproblem = "quadratic"\nestimator = ["exact", "forward"]\niterations = 2\n')
    # Each cell runs in its own process, which is the interpreter again.
    assert "forward" in command("study", str(study), "--out", str(tmp_path / "out"))
    bad = subprocess.run([sys.executable, "-m", "hypertape", "gradient", "nothing"], capture_output=True, text=True)
    assert bad.returncode == 2 and bad.stderr.startswith("error: ")


@pytest.mark.skipif(not SCRIPT, reason="the package is not installed: no script")
def test_the_script_is_the_command_line():
    for arguments in (["--version"], ["gradient", "quadratic", "--json"]):
        done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        # Equal to the output of the module, except for seconds.
        assert done.stdout.partition('"seconds"')[0] == command(*arguments).partition('"seconds"')[0]
    done = subprocess.run([SCRIPT, "gradient", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ")


def test_stubs_and_docs_tell_of_everything():
    stubs = ast.parse((Path(ht.__file__).parent / "_core.pyi").read_text()).body
    methods = lambda stub: {part.name for part in stub.body if isinstance(part, ast.FunctionDef)} - {"__init__"}  # noqa: E731
    own = lambda thing: {name for name in vars(thing) if not name.startswith("_")}  # noqa: E731
    classes = {stub.name: stub for stub in stubs if isinstance(stub, ast.ClassDef) and not stub.bases}
    functions = {stub.name for stub in stubs if isinstance(stub, ast.FunctionDef)}
    assert own(_core) == functions | classes.keys()
    for name, stub in classes.items():
        assert own(getattr(_core, name)) == methods(stub), name
    for name in ht.__all__:
        thing = getattr(ht, name)
        parts = [getattr(thing, part) for part in own(thing) if callable(getattr(thing, part))] if isinstance(thing, type) else []
        assert all(part.__doc__ for part in [thing, *parts]), name


def test_choices_are_listed():
    assert {"exact", "ufom", "cg"} <= set(ht.choices("estimators")) and "adam" in ht.choices("rules")
    with pytest.raises(ht.InputError, match="choices: found 'estimator', expected one of estimators, algorithms, rules"):
        ht.choices("estimator")


def test_messages_show_no_digits_of_rounding():
    x = 0.1 * 3
    problem = ht.Problem(lambda w, x: np.sum((w - x) ** 2), lambda w, x: np.sum(w**2), 1.0, np.ones(3), lr=x)
    assert repr(problem).endswith("lr 0.3") and problem.hypergradient(steps=1).lr == x
    for why, options in {
        "^steps: found 0.3, expected a whole": dict(steps=x), "^steps: found 3.0000000000000004, expected a whole": dict(steps=3.0000000000000004),
        "^lr: found -0.3, expected a positive": dict(lr=-x), r"\(lr 33333.3\): the inner loop diverges": dict(lr=1e5 / 3, steps=400),
    }.items():  # fmt: skip
        with pytest.raises(ht.Error, match=why):
            problem.hypergradient(**options)
    with pytest.raises(ht.RunError, match=r"the outer loss is \d\.\d{1,5}e9, above the limit 3e6: the run diverges"):
        problem.run(iterations=200, outer_lr=1e5 / 3, steps=3)
