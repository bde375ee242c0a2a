"""When a run verifies, and when it writes a checkpoint."""

import pytest

from src.training.hooks import Progress
from src.training.milestones import CheckpointRule, Milestones


def take_steps(milestones, steps):
    progress = Progress()
    for progress.step in range(1, steps + 1):
        milestones.after_step(None, progress)


@pytest.mark.parametrize(
    ("ckpt", "results", "expected"),
    [
        (0, [[0.999, 0.999]], [False]),
        (2, [[], [0.1]], [True, True]),
        (1, [[]], [False]),
        (1, [[0.999, 0.5], [0.999, 0.4], [0.9991, 0.4]], [True, False, True]),
        (1, [[0.998, 0.0]], [False]),
        (1, [[0.99, 0.5], [0.98, 0.6], [0.99, 0.6], [0.99, 0.7]], [True, False, False, True]),
        (1, [[0.995], [0.995], [0.996]], [True, False, True]),
    ],
)
def test_which_results_are_worth_a_checkpoint(ckpt, results, expected):
    rule = CheckpointRule(ckpt)
    assert [rule(accuracies) for accuracies in results] == expected


class Recorder:
    """Records checkpoints and states instead of writing files."""

    def __init__(self, ckpt, results, every=10):
        self.results = iter(results)
        self.saved, self.states = [], []
        self.milestones = Milestones(
            every,
            lambda trainer, step: next(self.results),
            CheckpointRule(ckpt),
            lambda trainer, number: self.saved.append(number),
            lambda trainer, progress, state: self.states.append((progress.step, state)),
            lambda number: number in self.saved,
        )

    def run(self, steps):
        take_steps(self.milestones, steps)
        self.milestones.finish(None, Progress(step=steps))
        return self.saved


def test_checkpoints_have_the_number_of_the_verification(capsys):
    recorder = Recorder(1, [[0.9], [0.995], [0.992], [0.996]])
    assert recorder.run(40) == [2, 4]
    assert capsys.readouterr().out.splitlines() == [
        "[10]Accuracy-Highest: 0.90000",
        "saving 2",
        "[20]Accuracy-Highest: 0.99500",
        "[30]Accuracy-Highest: 0.99500",
        "saving 4",
        "[40]Accuracy-Highest: 0.99600",
    ]
    assert [step for step, _ in recorder.states] == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("ckpt", "results", "steps", "expected"),
    [
        (2, [[], []], 15, [1, 2]),
        (2, [[]], 10, [1]),  # not twice
        (2, [[]], 5, [1]),
        (1, [[]], 5, [1]),  # no target
        (1, [[0.5]], 5, [1]),
        (1, [[0.5]], 10, [1]),
        (1, [[0.995], [0.9]], 15, [1, 2]),
        (0, [[0.999], [0.999]], 15, []),
    ],
)
def test_the_final_model_is_saved(ckpt, results, steps, expected):
    recorder = Recorder(ckpt, results)
    assert recorder.run(steps) == expected
    assert bool(recorder.states) == (ckpt > 0)


def test_nothing_is_saved_before_the_first_batch():
    assert Recorder(2, []).run(0) == []


def test_restored_milestones_continue():
    first = Recorder(1, [[0.995], [0.996]])
    take_steps(first.milestones, 10)
    second = Recorder(1, [[0.9951], [0.9952]])
    second.milestones.restore(first.states[-1][1])
    assert second.run(20) == [2, 3]


def test_a_checkpoint_that_a_kill_prevented_is_written_by_the_resumed_run():
    first = Recorder(2, [[0.5], [0.5]])
    take_steps(first.milestones, 20)
    step, state = first.states[-1]
    second = Recorder(2, [])
    second.milestones.restore(state)
    second.milestones.write_missing(None, Progress(step=step))
    second.milestones.write_missing(None, Progress(step=step))
    assert second.saved == [2]
    later = Recorder(2, [])  # stopped by a signal after the last checkpoint
    later.milestones.restore(state)
    later.milestones.write_missing(None, Progress(step=step + 3))
    assert later.saved == []


def test_the_best_checkpoint_is_that_of_the_last_target():
    """Only verifications that saved a checkpoint count; the state remembers the best."""
    recorder = Recorder(2, [[0.9, 0.6], [0.8, 0.8], [0.99, 0.7]])
    recorder.run(30)
    milestones = recorder.milestones
    assert (milestones.best_number, milestones.best_at, milestones.best_accuracy) == (2, 20, 0.8)
    later = Recorder(2, []).milestones
    later.restore(recorder.states[-1][1])
    assert (later.best_number, later.best_at) == (2, 20)
    old = {k: v for k, v in recorder.states[-1][1].items() if not k.startswith("best")}
    later.restore(old)
    assert later.best_number == 0
