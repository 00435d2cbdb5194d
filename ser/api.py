"""The application factory under its short name, `ser.api:create_app`."""

from ser.service.app import create_app

__all__ = ["create_app"]
