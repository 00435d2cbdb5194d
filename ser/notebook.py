"""Draws recordings, corpora and splits for the notebook."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile as sf

from ser.datasets.splits import Split
from ser.features.recipes import recipe
from ser.features.spectral import HOP_LENGTH, N_FFT, power_to_db, stft_power
from ser.reporting.figures import emotion_bars
from ser.reporting.style import BLUE, GREY, ORANGE, RED, new_figure
from ser.training.feature_table import FeatureTable
from ser.types import COLOURS, EMOTIONS, Clip, Prediction, Waveform

if TYPE_CHECKING:
    from IPython.display import Audio
    from matplotlib.figure import Figure

TOP_KHZ = 4  # of the spectrograms; above it speech is mostly noise
BIN_POOL = 4  # adjacent frequency bins that are drawn as one
SHOWN_DB = 60  # range of levels below the loudest cell
# Name of the first feature of each block, and the block's label.
BLOCKS = {
    "mfcc_mean": "tone colour",
    "mfcc_std": "its movement",
    "mfcc_delta": "its drift",
    "mel_db": "level in 48 bands",
    "centroid": "brightness",
    "chroma": "notes",
}


def player(waveform: Waveform) -> Audio:
    """Return an audio player that contains the waveform as OGG."""
    from IPython.display import Audio

    file = io.BytesIO()
    samples = waveform.samples / max(1.0, float(np.abs(waveform.samples).max()))
    sf.write(file, samples, waveform.sample_rate, format="OGG", subtype="VORBIS")
    return Audio(data=file.getvalue())


def counts(clips: Sequence[Clip]) -> Figure:
    """Draw the number of clips per emotion and speaker."""
    speakers, labels = sorted({clip.speaker for clip in clips}), _labels(clips)
    table = np.zeros((len(labels), len(speakers)), int)
    for clip in clips:
        table[labels.index(clip.emotion), speakers.index(clip.speaker)] += 1
    figure, [[axes]] = new_figure(8.6, 3.0)
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1.6 * table.max(), aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        axes.text(column, row, count, ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(speakers)), [name.rsplit("/", 1)[-1] for name in speakers])
    axes.set_yticks(range(len(labels)), [f"{label} ({n})" for label, n in zip(labels, table.sum(axis=1), strict=True)])
    axes.set(xlabel="speaker", title=f"{len(clips)} clips of {len(speakers)} speakers")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def sounds(waveforms: Mapping[str, Waveform]) -> Figure:
    """Draw each waveform and its spectrogram below: time to the right, frequency upwards, bright is loud."""
    figure, panels = new_figure(2.2 * len(waveforms) + 0.6, 3.8, rows=2, columns=len(waveforms))
    longest = max(waveform.duration_s for waveform in waveforms.values())
    for (name, waveform), (above, below) in zip(waveforms.items(), panels.T, strict=True):
        time_s = np.arange(len(waveform.samples)) / waveform.sample_rate
        peak = max(float(np.abs(waveform.samples).max()), 1e-9)
        above.plot(time_s, waveform.samples / peak, color=COLOURS.get(name, BLUE), linewidth=0.4)
        above.set(title=name, xlim=(0, longest), ylim=(-1.05, 1.05), xticks=[], yticks=[])
        db = _pooled_db(waveform)
        extent = (0, len(db) * HOP_LENGTH / waveform.sample_rate, 0, TOP_KHZ)
        look = {"cmap": "magma", "vmin": db.max() - SHOWN_DB, "interpolation": "nearest"}
        below.imshow(db.T, origin="lower", aspect="auto", extent=extent, **look)
        below.set(xlim=(0, longest), xlabel="s", facecolor="black")
    panels[1, 0].set_ylabel("kHz")
    return figure


def features(named: Mapping[str, np.ndarray], recipe_name: str = "voice105-v1") -> Figure:
    """Draw standardised feature vectors, shape (105,) each, as rows: white is the mean, red is higher."""
    names = recipe(recipe_name).feature_names
    figure, [[axes]] = new_figure(8.6, 0.32 * len(named) + 1.3)
    image = axes.imshow(np.stack(list(named.values())), cmap="RdBu_r", vmin=-1.5, vmax=1.5, aspect="auto")
    axes.set_yticks(range(len(named)), list(named))
    starts = [next(i for i, name in enumerate(names) if name.startswith(block)) for block in BLOCKS]
    middles = [(start + end - 1) / 2 for start, end in pairwise([*starts, len(names)])]
    axes.set_xticks(middles, BLOCKS.values(), rotation=25, ha="right", fontsize=9)
    for start in starts[1:]:
        axes.axvline(start - 0.5, color="white", linewidth=2)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="standard deviations")
    return figure


def by_emotion(table: FeatureTable, clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """Return the mean features of each emotion's unaltered clips, standardised by speaker, shape (105,) each."""
    plain = table.copy == 0
    rows, origin = table.rows[plain], table.origin[plain]
    speakers = np.array([clip.speaker for clip in clips])[origin]
    emotions = np.array([clip.emotion for clip in clips])[origin]
    standard = np.zeros_like(rows)
    for speaker in set(speakers):
        mask = speakers == speaker
        standard[mask] = (rows[mask] - rows[mask].mean(axis=0)) / np.maximum(rows[mask].std(axis=0), 1e-9)
    return {label: standard[emotions == label].mean(axis=0) for label in _labels(clips)}


def sides(clips: Sequence[Clip], splits: Mapping[str, Split]) -> Figure:
    """Draw for each split the number of training and test clips per speaker."""
    speakers = sorted({clip.speaker for clip in clips})
    figure, [panels] = new_figure(4.3 * len(splits), 3.0, columns=len(splits))
    for (name, split), axes in zip(splits.items(), panels, strict=True):
        indices = ([speakers.index(clips[index].speaker) for index in side] for side in (split.train, split.test))
        train, test = (np.bincount(side, minlength=len(speakers)) for side in indices)
        ticks = range(len(speakers))
        axes.bar(ticks, train, color=BLUE, label="training")
        axes.bar(ticks, test, bottom=train, color=ORANGE, label="test")
        shared = int(np.count_nonzero((train > 0) & (test > 0)))
        axes.set(title=f"{name}\n{shared} speakers on both sides", xlabel="speaker", ylabel="clips", xticks=ticks)
        axes.set_xticklabels([speaker.rsplit("/", 1)[-1] for speaker in speakers], fontsize=7)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def protocols(scores: Mapping[str, dict[str, Any]], n_labels: int = len(EMOTIONS)) -> Figure:
    """Draw the UAR of each model on unseen speakers and on the random split, from the `metrics` of manifests."""
    figure, [[axes]] = new_figure(6.6, 0.8 * len(scores) + 1.4)
    for row, metrics in enumerate(scores.values()):
        for offset, key, colour, name in (
            (-0.2, "folds", BLUE, "unseen speakers"),
            (0.2, "random", RED, "random split"),
        ):
            label = None if row else name
            bar = axes.barh(row + offset, 100 * metrics[key]["uar"], 0.36, color=colour, label=label)
            axes.bar_label(bar, fmt="%.1f %%", padding=4)
    axes.axvline(100 / n_labels, color=GREY, linestyle=":", label="guessing")
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set(xlim=(0, 100), xlabel="UAR, %: mean share of each emotion that is answered right")
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def answer(prediction: Prediction) -> Figure:
    """Draw the probability of each emotion."""
    return emotion_bars(prediction.probabilities, "probability, %", 2.8)


def _pooled_db(waveform: Waveform) -> np.ndarray:
    """Return the level in dB by time and frequency up to `TOP_KHZ`, shape (n_frames, n), pooled over frequencies."""
    power = stft_power(waveform.samples)
    n_bins = round(TOP_KHZ * 1000 * N_FFT / waveform.sample_rate) // BIN_POOL * BIN_POOL
    pooled = power[:, :n_bins].reshape(len(power), -1, BIN_POOL).max(axis=2)
    return power_to_db(pooled / max(float(pooled.max()), 1e-30))


def _labels(clips: Sequence[Clip]) -> list[str]:
    present = {clip.emotion for clip in clips}
    return [emotion for emotion in EMOTIONS if emotion in present]
