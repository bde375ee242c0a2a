"""The rule for checkpoints, against the published model's own log: 93 verifications, 19 saves."""

import re

from src.training.milestones import CheckpointRule


def test_saves_and_highest_are_those_of_the_log(shared):
    rule = CheckpointRule(1)
    accuracies, saved, expected, verifications = [], [], [], 0
    log = shared / "pretrained" / "model-y1-test2" / "train.log"
    for line in log.read_text(errors="replace").splitlines():
        if match := re.match(r"\[\w+\]\[\d+\]Accuracy-Flip: ([\d.]+)", line):
            accuracies.append(float(match[1]))
        elif match := re.match(r"saving (\d+)", line):
            expected.append(int(match[1]))
        elif match := re.match(r"\[\d+\]Accuracy-Highest: ([\d.]+)", line):
            verifications += 1
            if rule(accuracies):
                saved.append(verifications)
            assert rule.highest[1] == float(match[1])
            accuracies = []
    assert verifications == 93
    assert saved == expected
