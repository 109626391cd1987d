"""A program: classes of one namespace, among them `Sent`, whose broadcastWith() says what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

USES = "use Illuminate\\Support\\{Arr, Collection, Str};"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A class, interface, trait or enum: `head` up to the brace, and its members one by one."""

    name: str
    head: str
    members: tuple[str, ...]
    strict: bool = False

    def source(self, namespace: str) -> str:
        strict = "declare(strict_types=1); " if self.strict else ""
        body = "".join(f"    {member}\n" for member in self.members)
        return f"<?php {strict}namespace {namespace}; {USES}\n{self.head}\n{{\n{body}}}\n"


@dataclass(frozen=True, slots=True)
class Written:
    """A class as somebody wrote it."""

    name: str
    text: str

    def source(self, namespace: str) -> str:
        return f"<?php namespace {namespace}; {USES}\n{self.text}\n"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of Sent that is one entry of what is sent."""

    name: str
    statements: tuple[str, ...]
    result: str
    caught: bool = True

    def source(self) -> str:
        body = " ".join((*self.statements, f"return {self.result};"))
        if self.caught:
            body = f"try {{ {body} }} catch (\\Throwable $e) {{ return ['thrown' => get_class($e)]; }}"
        return f"private function {self.name}() {{ {body} }}"


@dataclass(frozen=True, slots=True)
class Program:
    """`kinds`: the constructs that it holds."""

    declarations: tuple[Declaration | Written, ...]
    methods: tuple[Method, ...] = ()
    strict: bool = False
    helpers: tuple[str, ...] = ()
    kinds: frozenset[str] = field(default=frozenset(), compare=False)

    def sources(self, namespace: str) -> dict[str, str]:
        """PHP files by class name."""
        files = {one.name: one.source(namespace) for one in self.declarations}
        if self.methods:
            files["Sent"] = self._sent().source(namespace)
        return files

    def _sent(self) -> Declaration:
        entries = ", ".join(f"'{method.name}' => $this->{method.name}()" for method in self.methods)
        return Declaration(
            "Sent",
            "class Sent",
            (
                "public array $seen = [];",
                "private function t($v) { $this->seen[] = $v; return $v; }",
                *self.helpers,
                *(method.source() for method in self.methods),
                f"public function broadcastWith() {{ return [{entries}, 'seen' => $this->seen]; }}",
            ),
            self.strict,
        )

    def text(self) -> str:
        """For people to read."""
        return "\n".join(self.sources("App\\P").values())
