"""How each model is trained: everything that changes its weights, by the name that the commands take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ser.features.recipes import RECIPES
from ser.models.registry import ARCHITECTURES
from ser.training.augment import AUGMENTATIONS, CHANCES
from ser.types import LABEL_SETS, ParameterError

SCHEDULES = ("one_cycle", "constant", "plateau")


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ParameterError(f"Unknown {what} {name!r}; known: {', '.join(known)}.")


@dataclass(frozen=True)
class Config:
    """How a network is trained. Everything that changes its weights stands here or is the seed."""

    recipe: str = "voice105-v1"
    architecture: str = "dense"
    options: dict[str, Any] = field(default_factory=dict)
    labels: str = "eight"  # a key of `LABEL_SETS`; clips with other labels are left out
    reduce_noise: bool = False  # of every recording, in training and answering
    copies: int = 4  # altered copies of each training clip
    augmentations: dict[str, float] = field(default_factory=dict)  # chance of each; empty: `augment.CHANCES`
    epochs: int = 30  # at most
    choose_epochs: bool = True  # the number is chosen on inner speakers; else all are run
    patience: int = 0  # epochs without a better one on inner speakers before a fit ends; 0: none ends so
    minutes: float = 0.0  # after which a fit ends; 0: none ends so
    batch_size: int = 256
    learning_rate: float = 3e-3  # highest
    # "one_cycle": warmed up for a tenth of the epochs, then down a cosine; "constant"; "plateau": halved whenever the
    # loss has not fallen for five epochs, that of inner speakers where they are watched.
    schedule: str = "one_cycle"
    weight_decay: float = 1e-4  # 0: plain Adam
    l2: float = 0.0  # penalty on the square of every weight but biases and normalisations
    class_weights: bool = False  # each emotion counts the same, however many clips it has
    label_smoothing: float = 0.1
    mixup: float = 0.0  # both parameters of the beta distribution of the mixing weight; 0: none
    feature_noise: float = 0.5  # standard deviation added to standardised features
    heads: bool = False  # sex and intensity are learned too, by a network that answers them
    head_weight: float = 0.2  # of the loss of each
    balance: bool = False  # every emotion of every speaker is drawn as often
    home_share: float = 0.0  # of the draws, for the first corpus where there are others; 0: by its speakers' number
    steps: int = 0  # batches an epoch; 0: as many as there are rows
    crop_frames: int = 0  # a row of frames is altered anew in every batch and cut to so many; 0: it is not
    stretch: float = 0.0  # largest change of pace, as a share
    warp: float = 0.0  # largest change of vocal tract length, as a share
    round_weights: bool = False  # to half precision, so that graphs can be stored in half the size without loss
    shift_frames: int = 0  # most frames by which a row starts earlier or later
    mask_frames: int = 0  # most frames in a row that are set to zero
    seeds: tuple[int, ...] = (0, 1, 2)  # the first one ships; the score that decides is the mean of all

    def __post_init__(self) -> None:
        """`ParameterError` for a name that is not known, so that no long work starts with it."""
        _check_name("recipe", self.recipe, RECIPES)
        _check_name("architecture", self.architecture, ARCHITECTURES)
        _check_name("label set", self.labels, LABEL_SETS)
        _check_name("schedule", self.schedule, SCHEDULES)
        for name in self.augmentations:
            _check_name("augmentation", name, AUGMENTATIONS)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """What `to_dict` gave, as it comes back from a manifest."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**{**known, "seeds": tuple(values["seeds"])})


# What the published systems share: Adam on batches of 32, all epochs, twenty minutes a fold on one thread.
PUBLISHED = Config(
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
# What the networks of our own model share: all four corpora, no choice of epochs, heads for sex and intensity.
OURS = Config(
    copies=3,
    augmentations={**CHANCES, "noise": 0.5, "reverberate": 0.3, "band_limit": 0.2, "telephone": 0.3},
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
    seeds=(0,),
)
SEQUENCE = replace(
    OURS, recipe="voice-frames-v1", architecture="sequence", epochs=60, crop_frames=112, stretch=0.25, warp=0.06
)
VOICE = {
    "sequence": SEQUENCE,
    "sequence_mixed": replace(SEQUENCE, home_share=0.5, seeds=(1,)),  # for rooms and languages that are not home
    "statistics": replace(
        OURS, recipe="functionals-v1", architecture="statistics", epochs=45, learning_rate=1e-3, weight_decay=1e-2,
        feature_noise=0.3, batch_size=64, mixup=0.4,
    ),
}  # fmt: skip
CONFIGS = {
    "dense105": Config(options={"dropout": (0.5, 0.5, 0.4, 0.2)}),
    "smoke": Config(copies=1, epochs=2, batch_size=32, seeds=(0,)),
    **VOICE,
    "design_a": replace(PUBLISHED, recipe="static42-v1", architecture="cnn_lstm", epochs=50),
    # Epochs and the mix of copies are ours: none are published.
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
    # Five samples a clip; epochs and the kind of schedule are ours.
    "design_c": replace(
        PUBLISHED,
        labels="seven",
        copies=4,
        augmentations={"time_stretch": 0.5, "pitch_shift": 0.5, "noise": 0.5},
        epochs=50,
        schedule="one_cycle",
    ),
    # Twice the data; how far rows are shifted and masked, and the weight of the penalty, are ours.
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


def find_config(name: str) -> Config:
    """The configuration of that name; `ParameterError` lists the known ones."""
    _check_name("configuration", name, CONFIGS)
    return CONFIGS[name]
