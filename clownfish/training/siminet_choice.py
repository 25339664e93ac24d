"""Which SimiNet ships: trained on each kind of feature and of pairs that is asked for, and the one kept that parts
transitions from steady windows best on validation streams (§III-C, DESIGN §5.9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clownfish.atomic import check_writable
from clownfish.models.description import Feature, ModelDescription, SimiNetDescription
from clownfish.models.siminet import SimiNetModule
from clownfish.training.config import SimiNetConfig
from clownfish.training.export import export, write_json
from clownfish.training.measure import auc, cosine, euclidean
from clownfish.training.progress import Say
from clownfish.training.siminet_fit import fit, fit_platt, fold_platt
from clownfish.training.siminet_pairs import Pairs, SeenStreams, contexts, neighbours
from clownfish.zoo import locate


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to train SimiNet, and how well it did."""

    feature: Feature
    pairs: str
    """`neighbours 1 apart`, `contexts` …"""
    auc: float


@dataclass(frozen=True, slots=True)
class TrainedSimiNet:
    """What came out; areas under the ROC curve are steady pairs against transitions between neighbouring windows of
    validation streams."""

    description: SimiNetDescription
    auc: float
    auc_cosine: float
    """Of the same features' cosine similarity, without any training."""
    auc_euclidean: float
    candidates: tuple[Candidate, ...]
    """Best first; the first one was kept."""


def features_of(config: SimiNetConfig, description: ModelDescription) -> list[Feature]:
    """Those to train on, the classifier's present one first: where both are as good, it stays.

    Raises ConfigError where another might be kept and the classifier's description cannot be written.
    """
    wanted: list[Feature] = ["logits", "embedding"] if config.feature == "both" else [config.feature]
    wanted.sort(key=lambda feature: feature != description.feature)
    if wanted != [description.feature]:
        check_writable("classifier", locate(config.classifier).with_suffix(".json"))
    return wanted


def choose(
    config: SimiNetConfig, description: ModelDescription, train: SeenStreams, validation: SeenStreams, say: Say
) -> TrainedSimiNet:
    """Train every candidate, export the best, and let the classifier's description name its feature.

    Raises ModelError where a loss is no longer finite, DatasetError where the streams have no pairs of either kind.
    """
    best: tuple[SimiNetModule, Candidate, Pairs] | None = None
    tried = []
    for feature in features_of(config, description):
        described = description.model_copy(update={"feature": feature})
        seen, judged = train.feature(described), validation.feature(described)
        held_out = neighbours(validation, judged)
        for name, pairs in _training_pairs(config, train, seen):
            share = 1 - pairs.same.mean()
            say(f"{feature}, {name}: {len(pairs.same)} training pairs, {share:.3f} of them transitions")
            module, score = fit(config, pairs, held_out, say, f"{feature}-{name.replace(' ', '-')}")
            candidate = Candidate(feature, name, score)
            tried.append(candidate)
            if best is None or score > best[1].auc:
                best = module, candidate, held_out
    assert best is not None, "there is a feature and a kind of pairs"
    module, kept, held_out = best
    scale, shift = fit_platt(module, held_out)
    fold_platt(module, scale, shift)
    say(f"calibrated on validation streams: logit × {scale:.3f} + {shift:.3f}")
    siminet = SimiNetDescription(
        name=config.name,
        classifier=description.name,
        feature=kept.feature,
        feature_size=held_out.previous.shape[1],
        hidden=config.hidden,
    )
    _name_feature(config.classifier, description, kept.feature, say)
    export(config.output, module, siminet)
    trained = TrainedSimiNet(
        siminet,
        kept.auc,
        auc(cosine(held_out.previous, held_out.current), held_out.same),
        auc(euclidean(held_out.previous, held_out.current), held_out.same),
        tuple(sorted(tried, key=lambda one: -one.auc)),
    )
    for one in trained.candidates:
        say(f"{config.name}: {one.feature}, {one.pairs}: validation AUC {one.auc:.4f}")
    say(
        f"{config.name}: kept {kept.feature}, {kept.pairs}: AUC {kept.auc:.4f}; of the same features cosine "
        f"{trained.auc_cosine:.4f}, Euclidean {trained.auc_euclidean:.4f}"
    )
    return trained


def _training_pairs(config: SimiNetConfig, seen: SeenStreams, feature: np.ndarray) -> list[tuple[str, Pairs]]:
    found = []
    if config.pairs in ("neighbours", "both"):
        found += [(f"neighbours {d} apart", neighbours(seen, feature, d)) for d in config.distance]
    if config.pairs in ("contexts", "both"):
        found.append(("contexts", contexts(seen, feature, np.random.default_rng([config.seed, 3]))))
    return found


def _name_feature(classifier: str, description: ModelDescription, feature: Feature, say: Say) -> None:
    """Rewrite the classifier's description, and its card, where another feature was kept than they name: a SimiNet
    belongs to one feature of one classifier (`check_siminet`)."""
    if feature == description.feature:
        return
    path = locate(classifier).with_suffix(".json")
    write_json(path, description.model_copy(update={"feature": feature}))
    card = path.with_suffix(".md")
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        card.write_text(
            text.replace(f"Its `feature` is the {description.feature}.", f"Its `feature` is the {feature}."),
            encoding="utf-8",
        )
    say(f"{path}: feature was {description.feature!r}, is {feature!r} now, which this SimiNet compares")
