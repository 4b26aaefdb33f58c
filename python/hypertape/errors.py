"""Exceptions. Every message is one line that says what was found and what was expected; its numbers are attributes."""

from __future__ import annotations


class Error(Exception):
    """Base class of all exceptions of hypertape.

    ``numbers`` is a dict of the values that belong to the message; each is an attribute as well.
    """

    def __init__(self, why: str, **numbers: object) -> None:
        super().__init__(why)
        self.numbers = numbers

    def __getattr__(self, name: str) -> object:
        numbers = self.__dict__.get("numbers", {})
        if name in numbers:
            return numbers[name]
        raise AttributeError(f"{type(self).__name__} has no {name}, only {', '.join(numbers) or 'its text'}")

    def __reduce__(self) -> tuple:
        return _made, (type(self), self.args[0], self.numbers)


class InputError(Error, ValueError):
    """An argument is invalid: an unknown name, or a shape or value that does not fit."""


class TraceError(InputError):
    """A loss uses something that cannot be traced; ``operation``, ``file`` and ``line`` say what and where."""


class RunError(Error, RuntimeError):
    """A computation failed: numbers that are not finite, too little memory, or a singular system."""


def _made(cls: type[Error], why: str, numbers: dict) -> Error:
    return cls(why, **numbers)
