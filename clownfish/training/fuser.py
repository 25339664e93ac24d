"""`clownfish train fuser`: learns how to fuse (methods `bayesian` and `recurrent`), and writes what was learnt."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save

from clownfish.atomic import write_text, write_whole
from clownfish.fusions.weights import FORMAT
from clownfish.training.fuser_config import FuserConfig, expanded
from clownfish.training.fuser_fit import fit
from clownfish.training.fuser_streams import Learned, learned_from
from clownfish.training.progress import Say
from clownfish.zoo import PREFIX

SHIPPED = Path("clownfish/zoo")
"""Where the weights lie that ship, in the repository."""

_METHODS = {
    "bayesian": "A hidden Markov chain over contexts (`clownfish.fusions.bayesian`)",
    "recurrent": "A gated recurrent unit of {units} units (`clownfish.fusions.recurrent`)",
}


def train_fuser(config: FuserConfig, path: Path, say: Say = print) -> dict[str, float]:
    """Learn from the configured streams, keep the best epoch, write .safetensors, .json and .md; the validation scores.

    `path` is the configuration's own, for the card. Raises ModelError, DatasetError or ConfigError where models or
    streams cannot be used.
    """
    learned = learned_from(config, say)
    module, scores = fit(config, learned, say)
    tensors = {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in module.tensors().items()}
    write_whole(config.output.with_suffix(".safetensors"), lambda file: file.write(save(tensors)))
    about = {
        "format": FORMAT,
        "name": config.name,
        "method": config.method,
        "classes": list(learned.classes),
        "local": learned.local,
        "remote": learned.remote,
        "lookahead": config.lookahead,
    }
    write_text(config.output.with_suffix(".json"), json.dumps(about, indent=2) + "\n")
    write_text(
        config.output.with_suffix(".md"), _card(config, path, learned, scores, sum(map(torch.numel, tensors.values())))
    )
    say(f"{config.output.with_suffix('.safetensors')}: written")
    return scores


def _card(config: FuserConfig, path: Path, learned: Learned, scores: dict[str, float], numbers: int) -> str:
    weights = config.output.as_posix()
    if config.output.parent.parent == SHIPPED:
        weights = f"{PREFIX}{config.output.parent.name}/{config.output.name}"
    said = ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items() if name != "mean")
    return f"""# {config.name}

{_METHODS[config.method].format(units=config.units)}: {numbers} numbers that fuse
the answers of `{learned.local}` and `{learned.remote}`, and of no other models.

- **Data**: {len(expanded(config.train))} streams, `{config.train}`: neither model was trained on them.
- **Recipe**: {config.fit.epochs} epochs of {config.fit.batches} batches; lags 0 to {config.fit.max_lag}, windows sent
  as the paper's policy does (n_w {", ".join(map(str, config.fit.n_w))}) or at random; the best epoch is kept.
- **Command**: `clownfish train fuser --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on {len(expanded(config.validation))} streams, `{config.validation}`, frames right in percent: {said}.
- **Use**: `[fusion] method = {{ kind = "{config.method}", weights = "{weights}" }}`; closing revisions look
  {config.lookahead} windows ahead.
"""
