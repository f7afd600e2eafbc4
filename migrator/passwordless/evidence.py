"""What is known of how an app uses its secrets: from its document, and from its code where somebody gave it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from migrator.model import Json


@dataclass(frozen=True, slots=True, order=True)
class Sight:
    """Something seen in code."""

    path: str
    """Relative to the folder that was given, with slashes."""
    line: int
    what: str
    """The detector's id, or the text between quotes that it saw: a name, never a value."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Code:
    """What a folder of code shows."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Declared packages in lower case -> version as declared, empty when there is none."""
    constructors: tuple[Sight, ...] = ()
    """Places that build a client from a secret; `what` is the id of a detector in `detectors.toml`."""
    reads: Mapping[str, tuple[Sight, ...]] = field(default_factory=dict)
    """Name of a variable or setting, lower case -> places that read it by that name."""
    names: Mapping[str, tuple[Sight, ...]] = field(default_factory=dict)
    """`<call>:<name>`, lower case -> places where a known call is given a name (`addazureserviceclient:x`)."""
    verbs: Mapping[str, tuple[Sight, ...]] = field(default_factory=dict)
    """`<service>.<need>` -> places that do it."""
    mints: tuple[Sight, ...] = ()
    """Places that sign SAS with the account key."""
    whole: bool = True
    """Whether sources were read; of an image only packages are known, and what is not seen may be there all the same."""

    def joined(self, other: Code) -> Code:
        """What two readings of one app show together."""

        def both(
            one: Mapping[str, tuple[Sight, ...]], two: Mapping[str, tuple[Sight, ...]]
        ) -> dict[str, tuple[Sight, ...]]:
            return {key: tuple(sorted({*one.get(key, ()), *two.get(key, ())})) for key in sorted({*one, *two})}

        return Code(
            dict(
                sorted(
                    {
                        **self.packages,
                        **{k: v for k, v in other.packages.items() if v or k not in self.packages},
                    }.items()
                )
            ),
            tuple(sorted({*self.constructors, *other.constructors})),
            both(self.reads, other.reads),
            both(self.names, other.names),
            both(self.verbs, other.verbs),
            tuple(sorted({*self.mints, *other.mints})),
            self.whole or other.whole,
        )

    def does(self, services: Collection[str]) -> Mapping[str, tuple[Sight, ...]]:
        """Needs of some services that code shows, with the places."""
        found: dict[str, tuple[Sight, ...]] = {}
        for key, sights in self.verbs.items():
            service, _, need = key.partition(".")
            if service in services:
                found[need] = (*found.get(need, ()), *sights)
        return found

    def has(self, prefix: str) -> list[str]:
        """Packages whose name begins with `prefix` (lower case)."""
        return sorted(name for name in self.packages if name.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Evidence:
    """One container of an app, and its code."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    """Names of variables -> plain value; None where the value is secret or a reference."""
    function_app: bool = False
    code: Code | None = None
    """None: nobody gave any."""
    rule: Json | None = None
    """The body of the scale rule that is given the secret, when that is the use in question."""

    @property
    def functions(self) -> bool:
        """Whether the Azure Functions host runs in it."""
        return self.function_app or any(
            name == "FUNCTIONS_WORKER_RUNTIME" or name.startswith("AzureWebJobs") for name in self.env
        )
