"""The stopwatch: budgets, shares and tables from planted numbers; measurements by their shape."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import worlds
from learned_envs.dream.onnx_graph import weightless
from learned_envs.evaluation.speed.bench import bench
from learned_envs.evaluation.speed.bound import Bound, best_batch, bound_table
from learned_envs.evaluation.speed.cost import (
    REFERENCE,
    RUNTIMES,
    Moment,
    StepCost,
    cost_table,
    count_gflop,
    moments_of,
    reference_models,
)
from learned_envs.evaluation.speed.operations import (
    MATRIX,
    OUTSIDE,
    REST,
    operation_times,
    peak_bytes,
    shares,
)
from learned_envs.evaluation.speed.stopwatch import Budget, call_times, dtypes, matrix_peak
from learned_envs.evaluation.speed.throughput import (
    DREAM,
    DREAM_BATCH,
    REAL,
    REAL_BATCH,
    Throughput,
    dream_throughput,
    in_dtype,
    real_throughput,
    throughput_table,
)
from learned_envs.models.checkpoint import add_graph
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig

WORLD = worlds.get("breakout")
ONE_CALL = Budget(seconds=1e-9, calls=1)


def ticking(seconds):
    """A clock that has moved on by so much whenever it is read."""
    return itertools.count(0.0, seconds).__next__


def nothing():
    pass


def timed(**given):
    defaults = {
        "what": DREAM_BATCH, "runtime": "torch", "rows": 256, "device": "cpu", "dtype": "fp32",
        "calls": 3, "milliseconds": 500.0, "gflop": 0.25, "state_bytes": 2048, "peak_bytes": 4096,
    }  # fmt: skip
    return Throughput(**{**defaults, **given})


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speed") / "weights"
    model = tiny_model(tiny_config(64))
    save_tiny(folder, model, world="breakout")
    add_graph(folder, weightless(model))
    return str(folder)


# The stopwatch


def test_a_short_call_is_repeated_until_its_time_is_spent():
    assert call_times(nothing, clock=ticking(0.25)) == [0.25] * 4


def test_a_long_call_is_made_three_times():
    assert call_times(nothing, clock=ticking(2)) == [2] * 3


def test_a_very_long_call_ends_at_the_limit():
    assert call_times(nothing, clock=ticking(9)) == [9]


def test_the_first_call_warms_up_and_is_not_timed():
    made = []
    times = call_times(lambda: made.append(1), budget=Budget(calls=2), clock=ticking(1))
    assert (len(made), len(times)) == (3, 2)


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"calls": 0}, {"seconds": 9, "limit": 8}])
def test_a_budget_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="at most `limit`"):
        Budget(**wrong)


@pytest.mark.parametrize(
    ("capability", "timed"), [("AVX512", ("fp32", "bf16")), ("AVX2", ("fp32",))]
)
def test_half_precision_is_timed_where_it_pays(monkeypatch, capability, timed):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert dtypes("cpu") == timed


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_matrix_peak_is_that_of_the_best_size(dtype):
    peak = matrix_peak("cpu", dtype, sizes=(8, 16), budget=ONE_CALL, clock=ticking(0.5))
    assert peak == pytest.approx(2 * 16**3 / 0.5 / 1e9)


# The cost of a step


def test_the_reference_costs_what_diamond_does():
    small = dataclasses.replace(WORLD, presets={"tiny": lambda: tiny_config(16)})
    models = reference_models(small)
    assert list(models) == ["tiny", REFERENCE]
    # Three passes of 6.1 GFLOP at 64x64, and a sixteenth of that at 16x16.
    still = Moment(
        frames=torch.zeros(1, 1, 16, 16, 3, dtype=torch.uint8),
        actions=torch.zeros(1, 0, dtype=torch.int64),
        action=torch.zeros(1, dtype=torch.int64),
    )
    assert count_gflop(models[REFERENCE], [still]) == pytest.approx(3 * 6.1 / 16, rel=0.02)


def test_what_a_step_costs_is_the_mean_of_moments_with_more_and_less_to_do():
    paint = worlds.get("minipaint")
    moments = moments_of(paint, context=2, count=6)
    model = paint.presets["small"]().build()
    with torch.no_grad():  # blocks are picked by where the pointer is
        model.dynamics.mask.last.bias.fill_(-2.0)
    each = [count_gflop(model, [moment]) for moment in moments]
    assert count_gflop(model, moments) == pytest.approx(sum(each) / 6)
    assert max(each) > 1.1 * min(each)


def test_moments_are_of_real_play_and_begin_anew_nowhere():
    moments = moments_of(WORLD, context=4, count=5)
    assert [tuple(moment.frames.shape) for moment in moments] == [(1, 4, 64, 64, 3)] * 5
    assert [tuple(moment.actions.shape) for moment in moments] == [(1, 3)] * 5
    assert all((moment.frames[0, 1:] != moment.frames[0, :-1]).any() for moment in moments)


def test_the_table_of_costs_gives_ratios_to_the_fastest():
    costs = [
        StepCost(
            name=name, parameters=1000, gflop=0.5,
            milliseconds=dict(zip(RUNTIMES, times, strict=True)),
        )
        for name, times in (("small", (4.0, 2.0)), (REFERENCE, (250.0, 250.0)))
    ]  # fmt: skip
    table = cost_table(WORLD, costs, "")
    assert [column for column in table.columns if column.startswith("ms")] == [
        "ms in torch", "ms in ONNX Runtime"
    ]  # fmt: skip
    assert [(row[-3], row[-1]) for row in table.rows] == [("1.0", "1.0"), ("62.5", "125.0")]
    assert "no preset" in table.note


# What torch does in a call


def test_shares_add_up_to_the_call():
    times = {
        "aten::mkldnn_convolution": 5.0, "aten::addmm": 1.0, "aten::copy_": 0.8, "aten::add": 0.7,
        "aten::upsample_bilinear2d": 0.6, "aten::relu": 0.5, "aten::cat": 0.4, "aten::mul": 0.2,
    }  # fmt: skip
    found = {share.what: share.share for share in shares(times, 10.0)}
    assert found == pytest.approx(
        {
            MATRIX: 0.6, "aten::copy_": 0.08, "aten::add": 0.07, "aten::upsample_bilinear2d": 0.06,
            "aten::relu": 0.05, REST: 0.06, OUTSIDE: 0.08,
        }
    )  # fmt: skip


def test_operations_are_timed_by_name():
    layer, image = torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)
    times = operation_times(lambda: layer(image).relu(), "cpu", calls=2)
    assert {"aten::conv2d", "aten::relu"} <= set(times)
    assert all(time >= 0 for time in times.values())


def test_the_peak_counts_what_is_held_at_one_time():
    def call():
        one = torch.zeros(256)
        two = one.clone()
        del one
        return two.clone()

    kept = []
    assert peak_bytes(call, "cpu") == 2 * 1024
    assert peak_bytes(lambda: kept.append([torch.zeros(256) for _ in range(5)]), "cpu") == 5 * 1024


# Steps a second


@pytest.mark.parametrize(("dtype", "computed"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_call_computes_in_its_dtype(dtype, computed):
    one, products = torch.ones(2, 2), []
    in_dtype(lambda: products.append(one @ one), "cpu", dtype)()
    assert products[0].dtype is computed


def test_rates_follow_from_the_time_of_a_call():
    batch = timed(rows=256, milliseconds=500.0, gflop=0.25)
    assert batch.steps_per_second == 512
    assert batch.gflop_per_second == 128


def test_the_table_holds_a_dream_against_the_peak_of_its_dtype_and_device():
    peaks = {"cpu": {"fp32": 256.0, "bf16": 1280.0}}
    real = timed(what=REAL, dtype="", gflop=0.0, state_bytes=0, peak_bytes=0)
    measured = [real, timed(), timed(dtype="bf16")]
    table = throughput_table(WORLD, measured, peaks, "")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["of the matrix peak"] for row in rows] == ["–", "50.0%", "10.0%"]
    assert [row["state a row"] for row in rows] == ["–", "2 KiB", "2 KiB"]


def test_a_real_world_is_stepped_alone_and_in_a_batch():
    assert [(item.what, item.rows) for item in real_throughput(WORLD, 3, ONE_CALL)] == [
        (REAL, 1),
        (REAL_BATCH, 3),
    ]


def test_a_world_without_a_real_env_has_only_a_dream():
    assert real_throughput(dataclasses.replace(WORLD, real=None, real_vector=None), 3) == []


def test_dreams_are_stepped_alone_and_in_batches_in_every_runtime_and_dtype(weights):
    measured = dream_throughput(
        WORLD, weights, gflop=0.5, batches=(1, 3), device="cpu", budget=ONE_CALL
    )
    kinds = [*(("torch", dtype) for dtype in dtypes("cpu")), ("onnx", "fp32")]
    assert [(item.what, item.rows, item.runtime, item.dtype) for item in measured] == [
        (what, rows, *kind)
        for what, rows in ((DREAM, 1), (DREAM_BATCH, 1), (DREAM_BATCH, 3))
        for kind in kinds
    ]
    state = 4 * (4 * 3 * 64 * 64 + 3 * 3)  # four frames and three actions, in float32
    shown = 64 * 64 * 3  # the state of a graph holds the frame, too
    assert {(item.runtime, item.state_bytes) for item in measured} == {
        ("torch", state), ("onnx", state + shown)
    }  # fmt: skip
    assert all((item.peak_bytes > state) is (item.runtime == "torch") for item in measured)


def test_a_batch_that_does_not_fit_into_memory_is_left_out_and_named(weights, monkeypatch):
    def rows_timed(*batches: int) -> list[Throughput]:
        return dream_throughput(
            WORLD, weights, gflop=0.5, batches=batches, device="cpu", budget=ONE_CALL
        )

    needed = max(item.peak_bytes for item in rows_timed(1))
    free = SimpleNamespace(available=2.5 * needed)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    measured = rows_timed(1, 3)
    assert {item.rows for item in measured} == {1}
    peaks = {"cpu": dict.fromkeys(dtypes("cpu"), 256.0)}
    table = throughput_table(WORLD, measured, peaks, "", batches=(1, 3))
    assert table.note.endswith("Left out for want of memory: 3 rows on cpu.")


# What bounds a batch


def test_a_bound_is_looked_for_in_the_best_dtype():
    measured = [
        timed(milliseconds=500.0), timed(dtype="bf16", milliseconds=200.0),
        timed(dtype="bf16", milliseconds=1.0, rows=16), timed(what=DREAM, milliseconds=1.0),
        timed(runtime="onnx", milliseconds=1.0),
        timed(device="cuda", milliseconds=1.0),
    ]  # fmt: skip
    assert best_batch(measured, "cpu", 256) is measured[1]


def test_share_and_rate_of_the_products_explain_the_share_of_the_peak():
    parts = shares({"aten::mm": 250.0, "aten::copy_": 150.0}, 500.0)
    bound = Bound(batch=timed(), peak=512.0, shares=parts)
    assert bound.of_peak == 0.25
    assert bound.of_peak_in_products == 0.5
    table = bound_table(WORLD, [bound], "")
    assert [row[1:4] for row in table.rows] == [
        (MATRIX, "250", "50.0%"), ("aten::copy_", "150", "30.0%"), (REST, "0", "0.0%"),
        (OUTSIDE, "100", "20.0%"),
    ]  # fmt: skip
    assert "25.0% of the matrix peak (128 of 512 GFLOP/s in fp32)" in table.note


# The command


@pytest.fixture(scope="module")
def measured(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("bench")
    tiny = dataclasses.replace(WORLD, presets={"tiny": lambda: tiny_config(64)})
    unet = EdmUNetConfig(widths=(8,), blocks=(1,), attention=False, embedding=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "learned_envs.evaluation.speed.cost.diamond",
            lambda: DiffusionDynamicsConfig(denoiser=unet),
        )
        for docs, name in (("own", "other"), ("packaged", weights)):
            patch.setattr("learned_envs.evaluation.speed.bench.packaged", lambda _, n=name: n)
            patch.setattr("learned_envs.evaluation.speed.bench.resolve", lambda w, _: w)
            figures = bench(
                tiny, weights, batches=(1, 2), batch=2, turns=1, sizes=(16,), budget=ONE_CALL,
                out=folder / "speed.json", docs=folder / docs, command="learned-envs bench",
            )  # fmt: skip
    return folder, figures


def test_the_figures_are_written_as_json(measured):
    folder, figures = measured
    assert json.loads((folder / "speed.json").read_text()) == figures
    assert [cost["name"] for cost in figures["costs"]] == ["tiny", REFERENCE]
    assert all(set(cost["milliseconds"]) == set(RUNTIMES) for cost in figures["costs"])
    assert set(figures["peaks"]["cpu"]) == set(dtypes("cpu"))


def test_packaged_weights_leave_three_tables_and_others_only_the_costs(measured):
    folder, _ = measured
    tables = {
        docs: sorted(path.stem for path in (folder / docs / "results").glob("*.json"))
        for docs in ("packaged", "own")
    }
    assert tables == {
        "packaged": ["breakout-5-cost", "breakout-6-throughput", "breakout-7-bound"],
        "own": ["breakout-5-cost"],
    }


def test_every_share_of_the_bound_is_known(measured):
    _, figures = measured
    parts = figures["bounds"][0]["shares"]
    assert {MATRIX, REST, OUTSIDE} <= {part["what"] for part in parts}
    assert figures["bounds"][0]["batch"]["rows"] == 2


def test_a_batch_that_is_not_timed_cannot_be_looked_into(weights):
    with pytest.raises(ValueError, match="one of `batches`"):
        bench(WORLD, weights, batches=(1, 2), batch=3)
