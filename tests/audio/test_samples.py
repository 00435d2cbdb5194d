"""NumPy samples give the waveform of a WAV that holds them; other arrays are refused with a sentence."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, noise, voice
from starlette.datastructures import UploadFile

from ser.audio.loading import MAX_PREDICT_S, checked_waveform, load_waveform, source_name, waveform_of_samples
from ser.types import AudioError, ParameterError, Waveform

SUBTYPES = {
    "int8": ("AIFF", "PCM_S8"),
    "uint8": ("WAV", "PCM_U8"),
    "int16": ("WAV", "PCM_16"),
    "int32": ("WAV", "PCM_32"),
    "float16": ("WAV", "FLOAT"),
    "float32": ("WAV", "FLOAT"),
    "float64": ("WAV", "DOUBLE"),
}


def of_type(samples: np.ndarray, dtype: str) -> np.ndarray:
    """Floats as samples of that type, integers over their range."""
    if dtype.startswith("float"):
        return samples.astype(dtype)
    limits = np.iinfo(dtype)
    middle = (limits.max + limits.min + 1) // 2
    return (samples * (limits.max - middle) + middle).astype(dtype)


def as_file(samples: np.ndarray, rate: int) -> bytes:
    """A file of these very samples, shape (n,) or (n, channels)."""
    format, subtype = SUBTYPES[samples.dtype.name]
    if samples.dtype.itemsize == 1:  # soundfile writes no bytes: shifted to the top of 16 bits, they are kept
        samples = (samples.astype(np.int16) - (128 if samples.dtype == np.uint8 else 0)) << 8
    file = io.BytesIO()
    sf.write(file, samples.astype(np.float32) if samples.dtype == np.float16 else samples, rate, subtype, format=format)
    return file.getvalue()


@pytest.mark.parametrize("rate", [8_000, RATE, 44_100])
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("dtype", SUBTYPES)
def test_samples_equal_a_file_of_them(dtype, channels, rate):
    tracks = np.stack([voice(1.0, 120.0 + 20 * track) for track in range(channels)], axis=1)
    samples = of_type(tracks, dtype)
    expected = load_waveform(as_file(samples, rate))
    forms = [samples, samples.T, np.asfortranarray(samples), *([samples[:, 0]] if channels == 1 else [])]
    for form in forms:
        before = form.copy()
        waveform = waveform_of_samples(form, rate, RATE)
        assert waveform.samples.dtype == np.float32 and waveform.samples.shape == expected.samples.shape
        np.testing.assert_allclose(waveform.samples, expected.samples, rtol=0, atol=0 if dtype == "int16" else 1e-6)
        assert waveform.sample_rate == RATE and not waveform.clipped and not waveform.cut_off
        np.testing.assert_array_equal(form, before)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", "int64", "longdouble"])
def test_every_integer_and_float_type_is_scaled_by_its_range(dtype):
    quiet = voice(0.1) / 1000
    samples = quiet.astype(dtype) if dtype == "longdouble" else of_type(quiet.astype(np.longdouble), dtype)
    np.testing.assert_allclose(waveform_of_samples(samples, RATE, RATE).samples, quiet, rtol=0, atol=2**-15)
    ends = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max] * 800, dtype) if dtype != "longdouble" else [-1.0, 1.0]
    found = waveform_of_samples(np.asarray(ends, dtype), RATE, RATE).samples
    assert found.min() == -1 and found.max() == pytest.approx(1, abs=2**-14)


@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_hard_clipping_is_flagged(dtype):
    overdriven = of_type(np.clip(8 * voice(1.0), -1, 1), dtype)
    assert waveform_of_samples(overdriven, RATE, RATE).clipped and load_waveform(as_file(overdriven, RATE)).clipped


@pytest.mark.parametrize("rate", [44_100, 44_100.0, np.int64(44_100), np.float32(44_100)])
def test_a_rate_is_any_whole_number(rate):
    assert waveform_of_samples(voice(1.0), rate, RATE).duration_s == pytest.approx(RATE / 44_100, abs=1e-3)


def test_other_byte_orders_and_views_are_samples():
    samples = of_type(voice(1.0), "int16")
    expected = waveform_of_samples(samples, RATE, RATE).samples
    np.testing.assert_array_equal(waveform_of_samples(samples.astype(">i2"), RATE, RATE).samples, expected)
    np.testing.assert_array_equal(waveform_of_samples(np.repeat(samples, 2)[::2], RATE, RATE).samples, expected)


def test_the_callers_array_is_never_the_answers():
    samples = noise(1.0)
    waveform = waveform_of_samples(samples, RATE, RATE)
    assert not np.shares_memory(waveform.samples, samples)


def test_a_short_array_is_channels_first():
    assert len(waveform_of_samples(np.zeros((2, 8)), RATE, RATE).samples) == 8
    assert len(waveform_of_samples(np.zeros((9, 8)), RATE, RATE).samples) == 9


@pytest.mark.parametrize("rate", [None, True, "16000", 0, -1, 7_999, 192_001, 16_000.5, float("nan"), float("inf")])
def test_other_rates_are_refused(rate):
    with pytest.raises(ParameterError, match=r"a whole number from 8,000 to 192,000 Hz; found .*sample_rate="):
        waveform_of_samples(voice(1.0), rate, RATE)


@pytest.mark.parametrize("dtype", ["bool", "timedelta64[s]", "complex64", "object", "S1"])
def test_other_types_are_refused(dtype):
    with pytest.raises(ParameterError, match=r"Samples of type .*; accepted are integers .* and floats"):
        waveform_of_samples(np.zeros(RATE).astype(dtype), RATE, RATE)


@pytest.mark.parametrize("shape", [(), (1, 1, 900), (9, 900), (900, 9)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ParameterError, match=r"Samples of shape \(.*\); accepted are \(n,\).*up to 8 channels"):
        waveform_of_samples(np.zeros(shape), RATE, RATE)


@pytest.mark.parametrize("shape", [0, (0, 2), (2, 0)])
def test_no_samples_are_no_sound(shape):
    with pytest.raises(AudioError, match=r"the array is empty \(0\.0 s"):
        waveform_of_samples(np.zeros(shape), RATE, RATE)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_counted(value, dtype):
    samples = np.zeros((2, 100_000), dtype)
    samples[:, 99_990:] = value
    with pytest.raises(AudioError, match=r"20 of 200,000 samples are not finite \(NaN or infinite\)\. Remove"):
        waveform_of_samples(samples, RATE, RATE)


def test_limits_are_those_of_files():
    too_long = np.zeros(round(8_000 * (MAX_PREDICT_S + 1)), np.int16)
    with pytest.raises(AudioError, match=r"121\.0 s long; accepted are up to 120 s\. .*`timeline`"):
        waveform_of_samples(too_long, 8_000, RATE)
    assert waveform_of_samples(too_long, 8_000, RATE, max_s=200).duration_s == 121
    with pytest.raises(AudioError, match="too few samples"):
        waveform_of_samples(np.zeros(1), 48_000, RATE)


# --- Waveforms that a caller built ---


def test_a_float_waveform_stays_as_it_is():
    waveform = Waveform(voice(1.0), RATE)
    assert checked_waveform(waveform) is waveform


@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_other_waveforms_are_converted(dtype):
    stereo = of_type(np.stack([voice(1.0), noise(1.0)]), dtype)
    found = checked_waveform(Waveform(stereo, RATE, cut_off=True))
    np.testing.assert_array_equal(found.samples, waveform_of_samples(stereo, RATE, RATE).samples)
    assert found.cut_off and not found.clipped
    assert checked_waveform(Waveform(of_type(np.clip(8 * voice(1.0), -1, 1), dtype), RATE)).clipped
    assert checked_waveform(Waveform(stereo, RATE, clipped=True)).clipped


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (np.full(9, np.nan, np.float32), AudioError, "9 of 9 samples are not finite"),
        (np.zeros(0, np.float32), AudioError, "the array is empty"),
        (np.zeros((9, 9, 9)), ParameterError, r"shape \(9, 9, 9\)"),
        (np.zeros(9, complex), ParameterError, "type complex128"),
    ],
)
def test_waveforms_without_sound_are_refused(samples, error, message):
    with pytest.raises(error, match=message):
        checked_waveform(Waveform(samples, RATE))


def test_a_waveform_may_be_longer_than_a_file():
    assert checked_waveform(Waveform(np.zeros(130 * RATE, np.int16), RATE)).duration_s == 130


# --- Uploads ---


def test_an_upload_is_read_by_its_file():
    data = as_file(of_type(voice(1.0), "int16"), RATE)
    upload = UploadFile(io.BytesIO(data), filename="folder/clip.wav")
    upload.file.seek(1000)
    for _ in range(2):
        np.testing.assert_array_equal(load_waveform(upload).samples, load_waveform(data).samples)
    assert source_name(upload) == "clip.wav" and source_name(UploadFile(io.BytesIO(data))) is None
    with pytest.raises(AudioError, match=r"^clip\.wav: the file is empty"):
        load_waveform(UploadFile(io.BytesIO(), filename="folder/clip.wav"))
    with pytest.raises(AudioError, match=r"^The recording: the file is empty"):
        load_waveform(UploadFile(io.BytesIO()))
