"""Sound in: decoding, checks, resampling, voice activity and the microphone."""

from ser.audio.loading import Recording, load_waveform, open_recording

__all__ = ["Recording", "load_waveform", "open_recording"]
