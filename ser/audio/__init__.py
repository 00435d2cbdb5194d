"""Audio input: decoding, checks, resampling, voice activity detection and the microphone."""

from ser.audio.loading import Recording, load_waveform, open_recording

__all__ = ["Recording", "load_waveform", "open_recording"]
