"""The table of classes: name → declaration, and what follows from parents and traits.

Loading is somebody else's (`load`); here is only PHP's inheritance: which method, property or constant a
class has. Where a parent or trait cannot be loaded the whole class chain is unknown, and everything that
depends on it is refused: a guess could hide an overridden method or a hidden attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.errors import Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.declarations import lower_body

Kept = TypeVar("Kept")
Source = TypeVar("Source", bound=n.Node)
Load = Callable[[str], "n.ClassDeclaration | None"]


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """A method and the class it acts as a member of: for a trait's method the class that uses the trait."""

    method: n.Method
    owner: str


@dataclass(frozen=True, slots=True)
class BoundProperty:
    """A property and the class that declares it (for a trait's property the class that uses the trait)."""

    declaration: n.PropertyDeclaration
    owner: str
    mangled: bytes  # its key in `PhpObject.properties`

    @classmethod
    def of(cls, declaration: n.PropertyDeclaration, owner: str) -> BoundProperty:
        mark = {"private": f"\0{owner}\0", "protected": "\0*\0"}.get(declaration.visibility, "")
        return cls(declaration, owner, (mark + declaration.name).encode())


class ClassTable:
    """Every answer is kept; make a new table when the source has changed."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._classes: dict[str, n.ClassDeclaration | None] = {}
        self._chains: dict[str, tuple[n.ClassDeclaration, ...]] = {}
        self._methods: dict[tuple[str, str], BoundMethod | None] = {}
        self._properties: dict[str, dict[str, BoundProperty]] = {}
        self._slots: dict[str, list[BoundProperty]] = {}
        self._once: dict[int, tuple[n.Node, object]] = {}
        self._bodies: dict[int, tuple[n.Statement, ...]] = {}
        self._ancestors: dict[tuple[str, str], bool | None] = {}
        self._memory: dict[tuple[str, str], object] = {}

    def find(self, name: str) -> n.ClassDeclaration | None:
        """The declaration, or None where no source for it is known. Raises Refused on a syntax error."""
        try:
            return self._classes[name]
        except KeyError:
            found = self._classes[name] = self._load(name)
            return found

    def add(self, declared: n.ClassDeclaration) -> None:
        """Adds a class that no file declares by name: an anonymous one."""
        self._classes.setdefault(declared.name, declared)

    def require(self, name: str, *, file: str = "", line: int = 0) -> n.ClassDeclaration:
        """The declaration, else Refused, saying who needs it."""
        found = self.find(name)
        if found is None:
            raise Refused(f"the source of {name} is not known", file=file, line=line)
        return found

    def remember(self, what: str, class_name: str, work: Callable[[], Kept]) -> Kept:
        """What `work()` gave the first time for this class; for what follows from the source alone."""
        key = (what, class_name)
        try:
            return self._memory[key]  # type: ignore[return-value]
        except KeyError:
            kept = self._memory[key] = work()
            return kept

    def once(self, node: Source, work: Callable[[Source], Kept]) -> Kept:
        """What `work(node)` gave the first time for this very node."""
        kept = self._once.get(id(node))
        if kept is None:
            kept = self._once[id(node)] = (node, work(node))  # the node is kept, so that its id stays its own
        return kept[1]  # type: ignore[return-value]

    def body(self, method: n.Method) -> tuple[n.Statement, ...]:
        """The statements of a method. Refused where a construct is not known."""
        key = id(method)  # kept alive by its class
        if key not in self._bodies:
            self._bodies[key] = lower_body(method)
        return self._bodies[key]

    def chain(self, name: str) -> tuple[n.ClassDeclaration, ...]:
        """The class and its parents, nearest first. Refused when one is missing."""
        if name not in self._chains:
            chain = [self.require(name)]
            while (parent := chain[-1].parent) is not None:
                if any(parent == known.name for known in chain):
                    raise Refused(f"{name} is its own parent", file=chain[-1].file, line=chain[-1].line)
                chain.append(self.require(parent, file=chain[-1].file, line=chain[-1].line))
            self._chains[name] = tuple(chain)
        return self._chains[name]

    def traits(self, declared: n.ClassDeclaration) -> list[n.ClassDeclaration]:
        """The traits that a class itself uses, those used by its traits included."""
        found: list[n.ClassDeclaration] = []
        for use in declared.traits:
            for name in use.names:
                trait = self.require(name, file=declared.file, line=use.line)
                found.append(trait)
                found.extend(self.traits(trait))
        return found

    def whole(self, name: str) -> list[n.ClassDeclaration]:
        """Every class and trait whose code can run in an object of this class."""
        return [part for declared in self.chain(name) for part in (declared, *self.traits(declared))]

    def is_a(self, name: str, ancestor: str) -> bool | None:
        """Whether an object of class `name` is an `ancestor`; None where the chain is not known."""
        key = (name, ancestor)
        if key not in self._ancestors:
            self._ancestors[key] = self._is_a(name, ancestor)
        return self._ancestors[key]

    def _is_a(self, name: str, ancestor: str) -> bool | None:
        if name.lower() == ancestor.lower():
            return True
        declared = self.find(name)
        if declared is None:
            return None
        unknown = False
        for base in (*declared.interfaces, *([declared.parent] if declared.parent else [])):
            answer = self.is_a(base, ancestor)
            if answer:
                return True
            unknown = unknown or answer is None
        return None if unknown else False

    def method(self, name: str, method: str) -> BoundMethod | None:
        """The method an object of class `name` has under this name (any case), abstract ones left out."""
        key = (name, method)
        try:
            return self._methods[key]
        except KeyError:
            found = None
            for declared in self.chain(name):
                found = self._own_method(declared, method.lower())
                if found is not None:
                    break
            self._methods[key] = found
            return found

    def _own_method(self, declared: n.ClassDeclaration, method: str) -> BoundMethod | None:
        own = declared.methods.get(method)
        if own is not None and not own.abstract:
            return BoundMethod(own, declared.name)
        candidates: list[n.Method] = []
        rules = [
            rule for use in declared.traits for rule in use.instead_of
        ]  # of one `use` they count for all
        aliases = [alias for use in declared.traits for alias in use.aliases]
        for use in declared.traits:
            for trait_name in use.names:
                trait = self.require(trait_name, file=declared.file, line=use.line)
                for owner, original, visibility, alias in aliases:
                    if alias is not None and alias.lower() == method and _is_of(owner, trait_name):
                        renamed = self._own_method(trait, original)
                        if renamed is not None:
                            candidates.append(_with_visibility(renamed.method, visibility))
                excluded = any(
                    original == method and any(_is_of(loser, trait_name) for loser in losers)
                    for _, original, losers in rules
                )
                if not excluded:
                    used = self._own_method(trait, method)
                    if used is not None:
                        candidates.append(_as_declared(used.method, aliases, trait_name))
        if len(candidates) > 1 and any(c.source is not candidates[0].source for c in candidates):
            raise Refused(
                f"{declared.name}::{method}() comes from two traits", file=declared.file, line=declared.line
            )
        return BoundMethod(candidates[0], declared.name) if candidates else None

    def properties(self, name: str) -> dict[str, BoundProperty]:
        """Every declared property in the order of PHP's reflection: own, inherited, then those of traits.

        Private ones of parents are left out, static ones are not. Source: php-src zend_inheritance.c,
        tested on 8.2.
        """
        if name not in self._properties:
            declared = self.chain(name)[0]
            found = {p.name: BoundProperty.of(p, name) for p in declared.properties.values()}
            if declared.parent is not None:
                for inherited in self.properties(declared.parent).values():
                    if inherited.declaration.visibility != "private":
                        found.setdefault(inherited.declaration.name, inherited)
            for trait in self.traits(declared):
                for p in trait.properties.values():
                    found.setdefault(p.name, BoundProperty.of(p, name))
            self._properties[name] = found
        return self._properties[name]

    def instance_properties(self, name: str) -> list[BoundProperty]:
        """The properties of an object as it stores them: those of parents first, private ones included.

        Static ones are not. This is the order of `(array) $object` and json_encode.
        """
        if name not in self._slots:
            found: dict[str | bytes, BoundProperty] = {}
            for declared in reversed(self.chain(name)):
                for bound in self.properties(declared.name).values():
                    if bound.declaration.static or bound.owner != declared.name:
                        continue
                    private = bound.declaration.visibility == "private"
                    found[bound.mangled if private else bound.declaration.name] = bound
            self._slots[name] = list(found.values())
        return self._slots[name]

    def constant(self, name: str, constant: str) -> tuple[n.Expression, str] | None:
        """The expression of a class constant and the class it stands in; None if there is none."""
        for declared in self.whole(name):
            if constant in declared.constants:
                return declared.constants[constant], declared.name
        for declared in self.chain(name):
            for interface in declared.interfaces:
                if self.find(interface) is not None:
                    found = self.constant(interface, constant)
                    if found is not None:
                        return found
        return None


def _with_visibility(method: n.Method, visibility: str | None) -> n.Method:
    return method if visibility in (None, method.visibility) else replace(method, visibility=visibility)


def _as_declared(method: n.Method, aliases: Sequence[n.TraitAlias], trait: str) -> n.Method:
    """A trait's method with the visibility that `use … { name as protected; }` gives it."""
    for owner, original, visibility, alias in aliases:
        if alias is None and original == method.name.lower() and _is_of(owner, trait):
            return _with_visibility(method, visibility)
    return method


def _is_of(owner: str | None, trait: str) -> bool:
    """Whether a rule that names `owner`, or none, is for that trait."""
    return owner is None or owner.lower() == trait.lower()
