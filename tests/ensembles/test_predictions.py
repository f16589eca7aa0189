import importlib

import torch

from gfm_utils.ensembles import masked_test_tokens, predictions
from gfm_utils.ensembles.training import masked_windows

stream = importlib.import_module("gfm_utils.ensembles.predictions")


def test_stream_gives_every_members_own_distributions(trained):
    ensemble = trained[0]
    shown, positions, targets, _ = masked_windows(ensemble.store, "test", ensemble.spec.window, 6, 0.15, 42)
    (batch,) = predictions(ensemble, "trained", 6, 0.15)
    assert (batch.targets.numpy() == targets).all()
    assert (masked_test_tokens(ensemble, 6, 0.15) == targets).all()
    for number, member in enumerate(ensemble.members):
        with torch.no_grad():
            logits = member.model()(input_ids=torch.from_numpy(shown)).logits
        expected = logits.double().log_softmax(-1)
        for row in range(6):
            torch.testing.assert_close(
                batch.log_p[number, row], expected[row, positions[row]], atol=1e-4, rtol=1e-5
            )


def test_batches_are_bounded_and_do_not_change_the_answer(trained, monkeypatch):
    ensemble = trained[1]
    (whole,) = predictions(ensemble, "untrained", 7, 0.15)
    monkeypatch.setattr(stream, "BUDGET", 2 * 3 * 10 * ensemble.spec.vocabulary)
    parts = list(predictions(ensemble, "untrained", 7, 0.15))
    assert [len(part.targets) for part in parts] == [2, 2, 2, 1]
    torch.testing.assert_close(torch.cat([p.log_p for p in parts], 1), whole.log_p, atol=1e-5, rtol=1e-5)
