"""What can fail. Every text is one line, with what was found and what was expected; the numbers are attributes."""

from __future__ import annotations


class Error(Exception):
    """The base of all errors of hypertape.

    ``numbers`` holds what is known in numbers, by name; each is an attribute as well.
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
    """What was passed cannot be meant: a name that there is not, a shape that does not fit."""


class TraceError(InputError):
    """A loss does what a traced function cannot do; ``operation``, ``file`` and ``line`` say what and where."""


class RunError(Error, RuntimeError):
    """A computation failed: numbers that are not finite, memory that does not suffice, a system that is singular."""


def _made(cls: type[Error], why: str, numbers: dict) -> Error:
    return cls(why, **numbers)
