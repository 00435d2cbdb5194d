"""Settings from the environment."""

from __future__ import annotations

import pytest

from ser.service.settings import Settings
from ser.types import ParameterError


@pytest.mark.parametrize("key", ["schlüssel", "ключ", "a key\n"])
def test_a_key_that_no_header_carries_is_refused(monkeypatch, key):
    monkeypatch.setenv("SER_API_KEY", key)
    with pytest.raises(ParameterError, match=r"SER_API_KEY has characters .+ accepted are .+ Choose another") as error:
        Settings.from_environment()
    assert key not in str(error.value)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        (" , ", ()),
        ("*", ("*",)),
        ("https://page.example/", ("https://page.example",)),
        ("https://Page.Example, http://localhost:3000/", ("https://page.example", "http://localhost:3000")),
        (
            "https://page.example:443,http://[::1]:80,http://a.example:443",
            ("https://page.example", "http://[::1]", "http://a.example:443"),
        ),
        ("chrome-extension://abcdef", ("chrome-extension://abcdef",)),
    ],
)
def test_origins_are_normalised_as_browsers_send_them(monkeypatch, text, origins):
    monkeypatch.setenv("SER_CORS_ORIGINS", text)
    assert Settings.from_environment().origins == origins


@pytest.mark.parametrize(
    "origin",
    [
        "page.example",
        "https://",
        "https://page.example/path",
        "https://*.example",
        "https://a b",
        "http://a?b=c",
        "none",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(monkeypatch, origin):
    monkeypatch.setenv("SER_CORS_ORIGINS", f"https://page.example,{origin}")
    with pytest.raises(ParameterError, match=r"SER_CORS_ORIGINS has .+; accepted are a scheme and a host") as error:
        Settings.from_environment()
    assert repr(origin) in str(error.value)
