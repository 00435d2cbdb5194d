"""Training configurations and ensembles of them, by the name that the commands take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ser.features.recipes import RECIPES
from ser.models.registry import ARCHITECTURES
from ser.training.augment import AUGMENTATIONS
from ser.types import LABEL_SETS, ParameterError, check_known, lookup

SCHEDULES = ("one_cycle", "constant", "plateau")


@dataclass(frozen=True)
class Config:
    """How one network is trained: everything that changes its weights, except the seed."""

    recipe: str = "voice105-v2"
    architecture: str = "dense"
    options: dict[str, Any] = field(default_factory=dict)  # of the architecture
    labels: str = "eight"  # a key of `LABEL_SETS`; clips with other labels are left out
    reduce_noise: bool = False  # in every recording, in training and prediction
    copies: int = 4  # augmented copies of each training clip
    augmentations: dict[str, float] = field(default_factory=dict)  # name to probability; empty: `augment.CHANCES`
    epochs: int = 30  # at most
    choose_epochs: bool = True  # choose the number of epochs on inner speakers, else run all
    patience: int = 0  # epochs without improvement on inner speakers that end a fit; 0: no early stopping
    minutes: float = 0.0  # that end a fit; 0: no time limit
    batch_size: int = 256
    learning_rate: float = 3e-3  # highest
    # "one_cycle": warm-up for a tenth of the epochs, then cosine decay; "constant"; "plateau": halved if the loss (on
    # inner speakers, if they are watched) has not fallen for five epochs.
    schedule: str = "one_cycle"
    weight_decay: float = 1e-4  # 0: plain Adam
    l2: float = 0.0  # penalty on all weights except biases and normalisations
    class_weights: bool = False  # weight the loss so that all emotions count the same
    label_smoothing: float = 0.1
    mixup: float = 0.0  # both parameters of the beta distribution of the mixing weight; 0: no mixup
    feature_noise: float = 0.5  # standard deviation of the noise added to standardised features
    heads: bool = False  # also learn those of `ser.inference.manifest.HEADS`
    head_weight: float = 0.2  # of each head in the loss
    balance: bool = False  # draw every emotion of every speaker equally often
    home_share: float = 0.0  # share of the first corpus in the draws; 0: as every other corpus
    # Draws of a corpus are proportional to its number of speakers and emotions, raised to this power.
    corpus_power: float = 1.0
    # Share of batches that hold a few corpora in equal parts, and of whose scores the loss takes off the mean of each
    # corpus: the network learns what tells the moods of a source apart, whatever it says of all its recordings alike.
    centred: float = 0.0
    steps: int = 0  # batches per epoch; 0: one pass over the rows
    crop_frames: int = 0  # augment frames anew in every batch and crop rows to this many; 0: neither
    stretch: float = 0.0  # largest change of pace, as a fraction
    warp: float = 0.0  # largest change of vocal tract length, as a fraction
    round_weights: bool = False  # to half precision, so that graphs can be stored at half the size without loss
    shift_frames: int = 0  # largest time shift of a row
    mask_frames: int = 0  # longest run of frames in a row that is set to zero
    # The first one ships; the deciding score is the mean over all. In an ensemble, a branch may have fewer.
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Raise `ParameterError` if a name is unknown or options do not fit, before any long work starts."""
        check_known(self.recipe, RECIPES, "recipe")
        check_known(self.architecture, ARCHITECTURES, "architecture")
        check_known(self.labels, LABEL_SETS, "label set")
        check_known(self.schedule, SCHEDULES, "schedule")
        for name in self.augmentations:
            check_known(name, AUGMENTATIONS, "augmentation")
        if self.centred and not (self.heads and self.balance):
            raise ParameterError("Centred batches are for networks with heads on balanced rows: set heads and balance.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """Return the configuration that a manifest stores; fields that it lacks get their defaults."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**{**known, "seeds": tuple(values["seeds"])})


# Common to the published systems: Adam on batches of 32, all epochs, 20 minutes per fold on one thread.
PUBLISHED = Config(
    recipe="voice105-v1",
    copies=0,
    choose_epochs=False,
    minutes=20.0,
    batch_size=32,
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0.0,
    label_smoothing=0.0,
    feature_noise=0.0,
    seeds=(0,),
)
# Of the recordings that `voice` and `small` learn from: other voices, microphones, lines and mishaps.
LINES = {
    "speed": 0.5,
    "pitch_shift": 0.25,
    "equalise": 0.5,
    "reverberate": 0.3,
    "band_limit": 0.15,
    "telephone": 0.2,
    "clip": 0.1,
    "noise": 0.4,
    "hum": 0.2,
    "codec": 0.25,
    "pop": 0.1,
    "pause": 0.05,
}
# Common to the networks of `voice` and `small`: a fixed number of epochs, and heads.
OURS = Config(
    copies=3,
    augmentations=LINES,
    choose_epochs=False,
    batch_size=32,
    steps=120,
    learning_rate=2e-3,
    weight_decay=2e-2,
    mixup=0.3,
    feature_noise=0.2,
    heads=True,
    balance=True,
    home_share=0.85,
    round_weights=True,
)
SEQUENCE = replace(
    OURS, recipe="voice-frames-v2", architecture="sequence", copies=2, epochs=60, crop_frames=112, stretch=0.25,
    warp=0.06,
)  # fmt: skip
STATISTICS = replace(
    OURS,
    recipe="functionals-v2",
    architecture="statistics",
    learning_rate=1e-3,
    weight_decay=1e-2,
    epochs=45,
    feature_noise=0.3,
    batch_size=64,
    mixup=0.4,
)
# One hidden layer on the statistics of a pre-trained encoder's inner two of four blocks.
ENCODER = replace(
    OURS,
    recipe="encoder-v2",
    architecture="statistics",
    options={"units": (112,), "dropout": (0.3, 0.5), "parts": ((1024, 3072),)},
    copies=4,
    augmentations={**LINES, "telephone": 0.4},
    epochs=30,
    steps=100,
    batch_size=128,
    learning_rate=1e-3,
    weight_decay=1e-2,
    feature_noise=0.0,
)
OUTER = replace(ENCODER, options={**ENCODER.options, "parts": ((0, 1024), (3072, 4096))})
MIXED: dict[str, Any] = {"home_share": 0.0, "corpus_power": 0.5, "seeds": (3, 4, 5)}
# The mixed ones draw more from other corpora, and are better on other lines and languages.
BRANCHES = {
    "encoder": ENCODER,
    "encoder_again": replace(ENCODER, seeds=(6, 7, 8)),
    "outer": OUTER,
    "encoder_mixed": replace(ENCODER, **MIXED, centred=0.9),
    "outer_mixed": replace(OUTER, **MIXED),
    "sequence": SEQUENCE,
    "sequence_mixed": replace(SEQUENCE, home_share=0.5, seeds=(3, 4, 5)),
    "statistics": STATISTICS,
}  # fmt: skip
CONFIGS = {
    "dense105": Config(options={"dropout": (0.5, 0.5, 0.4, 0.2)}),
    "smoke": Config(copies=1, epochs=2, batch_size=32, seeds=(0,)),
    **BRANCHES,
    "design_a": replace(PUBLISHED, recipe="static42-v1", architecture="cnn_lstm", epochs=50),
    # Epochs and augmentations are ours: none are published.
    "design_b": replace(
        PUBLISHED,
        recipe="static180-v1",
        architecture="dense180",
        labels="four",
        reduce_noise=True,
        copies=2,
        augmentations={"time_stretch": 0.5, "pitch_shift": 0.5, "noise": 0.5},
        epochs=100,
    ),
    # Five samples per clip; epochs and the kind of schedule are ours.
    "design_c": replace(
        PUBLISHED,
        labels="seven",
        copies=4,
        augmentations={"time_stretch": 0.5, "pitch_shift": 0.5, "noise": 0.5},
        epochs=50,
        schedule="one_cycle",
    ),
    # Twice the data; shift, mask and L2 weight are ours.
    "design_d": replace(
        PUBLISHED,
        recipe="frames120-v1",
        architecture="cnn_bilstm_attention",
        labels="six",
        copies=1,
        augmentations={"noise": 0.7, "shift": 0.7},
        epochs=100,
        choose_epochs=True,
        minutes=10.0,  # for each of its two fits
        patience=15,
        schedule="plateau",
        l2=1e-4,
        class_weights=True,
        shift_frames=10,
        mask_frames=20,
    ),
    # Batch and epochs are ours.
    "design_e": replace(PUBLISHED, recipe="mfcc40-v1", architecture="cnn", epochs=30),
}


@dataclass(frozen=True)
class Ensemble:
    """Networks whose weighted log-probabilities are summed, and how they are trained and scored together.

    The defaults are those of an ensemble; `of_one` gives those of a single network.
    """

    branches: dict[str, float]  # name of a configuration to weight
    home: tuple[str, ...] = ()  # branches for recordings that are made like those of the first corpus
    home_scale: float = 1.0  # of the scores of such recordings; fitted
    # Choose the epochs and the temperature of a fold by a first fit, on inner speakers of its training side. Else all
    # epochs are run and the temperature is that of the other folds.
    inner_fit: bool = False
    held_share: float = 0.1  # of a fold's training speakers, held out for a split without other folds
    # Folds and random split are of the first corpus; all others are trained on, and each is left out once.
    first_corpus: bool = True
    novelty_recipe: str | None = "voice105-v2"  # None: that of the network, if it gives statistics

    @classmethod
    def of_one(cls, name: str) -> Ensemble:
        """Return the ensemble of a single network: scored on all corpora, its epochs chosen on inner speakers."""
        return cls({name: 1.0}, inner_fit=True, held_share=0.0, first_corpus=False, novelty_recipe=None)


ENSEMBLES = {
    "voice": Ensemble(
        {"encoder": 0.3, "encoder_again": 0.3, "outer": 0.4, "encoder_mixed": 0.5, "outer_mixed": 0.5},
        home=("encoder", "encoder_again", "outer"),
    ),
    "small": Ensemble({"sequence": 0.35, "sequence_mixed": 0.35, "statistics": 0.3}),
}


def find_config(name: str) -> Config:
    """Return a configuration by name; `ParameterError` lists the known ones."""
    return lookup(name, CONFIGS, "configuration")


def find_ensemble(name: str) -> tuple[Ensemble, dict[str, Config]]:
    """Return the ensemble of a name, of one network if it is a configuration's, and the configuration per branch."""
    check_known(name, {**CONFIGS, **ENSEMBLES}, "configuration")
    ensemble = ENSEMBLES.get(name) or Ensemble.of_one(name)
    return ensemble, {branch: CONFIGS[branch] for branch in ensemble.branches}


def describe(name: str, ensemble: Ensemble, configs: dict[str, Config]) -> dict[str, Any]:
    """Return the manifest's entry for how a model was trained."""
    first = next(iter(configs.values()))
    if len(configs) == 1:
        return {"name": name, **first.to_dict()}
    return {
        "name": name,
        "architecture": " + ".join(config.architecture for config in configs.values()),
        "branches": ensemble.branches,
        **({"home": list(ensemble.home)} if ensemble.home else {}),
        "configs": {branch: config.to_dict() for branch, config in configs.items()},
        "copies": first.copies,
        "seeds": list(first.seeds),
    }


def read_description(stored: dict[str, Any]) -> tuple[Ensemble, dict[str, Config]]:
    """Return what `describe` was given, from a manifest's entry."""
    if "branches" not in stored:
        return Ensemble.of_one(stored["name"]), {stored["name"]: Config.from_dict(stored)}
    configs = {branch: Config.from_dict(stored["configs"][branch]) for branch in stored["branches"]}
    return Ensemble(stored["branches"], tuple(stored.get("home", ()))), configs
