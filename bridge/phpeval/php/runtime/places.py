"""The places that are written to.

A place is what stands left of `=`, in `unset`, or where a function takes a reference. What it is made of is
evaluated once, by `open`, before the value that comes: calls and the like in PHP's order, from left to right.
Plain variables in it are read only when the place itself is, as PHP does: `$a[$i] = ++$i` writes to the new
`$i`."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.after_warning import after, is_missing, undefined
from bridge.phpeval.php.runtime.copy_on_write import own_item
from bridge.phpeval.php.runtime.frame import NullChain, Reference
from bridge.phpeval.php.runtime.interpreter import ExprCode, Interpreter
from bridge.phpeval.php.runtime.offsets import (
    quiet_offset,
    require_array_access,
    string_offset,
    with_character,
)
from bridge.phpeval.php.runtime.operators import BINARY, Thrown, is_numeric, number_prefix, type_name, warn
from bridge.phpeval.php.runtime.properties import (
    lend_property,
    locate,
    make_property,
    property_array,
    property_container,
    unset_property,
    write_property,
)
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

SUPERGLOBALS = frozenset(
    {"GLOBALS", "_GET", "_POST", "_COOKIE", "_FILES", "_SERVER", "_ENV", "_REQUEST", "_SESSION"}
)


class Place:
    """Somewhere that a value is kept. `at` is what `open` gave: the parts, evaluated."""

    __slots__ = ("line",)

    def __init__(self, line: int) -> None:
        self.line = line

    def open(self, php: Interpreter) -> Any:
        """Evaluates the parts, once."""
        raise NotImplementedError

    def read(self, php: Interpreter, at: Any) -> Value:
        raise NotImplementedError

    def silent(self, php: Interpreter, at: Any) -> Value:
        """As `??` reads: null where there is nothing."""
        raise NotImplementedError

    def update(self, php: Interpreter, at: Any) -> Value:
        """As `.=` reads."""
        return self.read(php, at)

    def stepped(self, php: Interpreter, at: Any) -> Value:
        """As `++` and `--` read."""
        return self.update(php, at)

    def container(self, php: Interpreter, at: Any) -> Value:
        """As a write into it reads: null where an array will be made."""
        raise NotImplementedError

    def array(self, php: Interpreter, at: Any) -> Value:
        """What a write into it writes to: the array itself, which nothing else holds and which is made where
        there was null; an object; other values as they are."""
        return self.container(php, at)

    def write(self, php: Interpreter, at: Any, value: Value) -> Value:
        """Keeps the value; gives it as it is kept."""
        raise NotImplementedError

    def unset(self, php: Interpreter, at: Any) -> None:
        raise NotImplementedError

    def holder_to_unset(self, php: Interpreter, at: Any) -> Value:
        """As unset() of an element in it reads."""
        return self.silent(php, at)

    def lend(self, php: Interpreter, at: Any, to: PlaceReference) -> None:
        """Makes it ready for a reference to it, as PHP does: null where there is nothing."""
        php.refuse("a reference to this")

    def is_lent(self, php: Interpreter, at: Any, to: PlaceReference) -> bool:
        """Whether PHP's reference would still be there."""
        raise NotImplementedError

    def separate(self, php: Interpreter, at: Any) -> Value:
        """Makes what holds it one that nothing else holds."""
        return None


def plain_value(held: Any) -> Value:
    value: Value = held.value if isinstance(held, Reference) else held
    return value


class VariablePlace(Place):
    __slots__ = ("name", "shared")

    def __init__(self, node: n.Variable, shared: bool) -> None:
        super().__init__(node.line)
        self.name = node.name
        self.shared = shared

    def open(self, php: Interpreter) -> Any:
        if self.name in SUPERGLOBALS:
            php.line = self.line
            php.refuse(f"${self.name}")
        return None

    def read(self, php: Interpreter, at: Any) -> Value:
        if self.name not in php.frame.variables:
            if self.name == "this":
                raise Thrown("Error", "Using $this when not in object context")
            raise warn(f"Undefined variable ${self.name}")
        return plain_value(php.frame.variables[self.name])

    def silent(self, php: Interpreter, at: Any) -> Value:
        return plain_value(php.frame.variables.get(self.name))

    container = silent

    def update(self, php: Interpreter, at: Any) -> Value:
        if self.name not in php.frame.variables and self.name != "this":
            php.frame.variables[self.name] = None
            warning = warn(f"Undefined variable ${self.name}")
            warning.undefined = True
            raise warning
        return self.read(php, at)

    def array(self, php: Interpreter, at: Any) -> Value:
        variables, name = php.frame.variables, self.name
        if self.shared:
            reference: Any = variables.get(name)
            if isinstance(reference, Reference):
                return reference.array()
            del reference
        if type(variables.get(name)) is PhpArray:
            return own_item(variables, name)
        value = variables.get(name)
        if value is None or value is False:
            value = variables[name] = PhpArray()
        return value

    def write(self, php: Interpreter, at: Any, value: Value) -> Value:
        if self.name == "this":
            php.line = self.line
            php.refuse("an assignment to $this")
        if self.shared:
            held: Any = php.frame.variables.get(self.name)
            if isinstance(held, Reference):
                held.value = value
                return value
        php.frame.variables[self.name] = value
        return value

    def holder_to_unset(self, php: Interpreter, at: Any) -> Value:
        return self.read(php, at)

    def unset(self, php: Interpreter, at: Any) -> None:
        php.frame.variables.pop(self.name, None)


class ElementPlace(Place):
    """`at` is what the base gave, and the offset if it is evaluated by `open`."""

    __slots__ = ("base", "index", "late")

    def __init__(self, line: int, base: Place, index: ExprCode | None, late: bool) -> None:
        super().__init__(line)
        self.base = base
        self.index = index
        self.late = late

    def open(self, php: Interpreter) -> Any:
        base = self.base.open(php)
        return base, None if self.late or self.index is None else self.index(php)

    def _offset(self, php: Interpreter, at: Any) -> Value:
        if self.index is None:
            php.line = self.line
            raise Thrown("Error", "Cannot use [] for reading")
        offset: Value = self.index(php) if self.late else at[1]
        php.line = self.line
        return offset

    def read(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.read(php, at[0])
        return php.offset(holder, self._offset(php, at))

    def silent(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.silent(php, at[0])
        offset = self._offset(php, at)
        return None if holder is None else quiet_offset(php, holder, offset)

    def update(self, php: Interpreter, at: Any) -> Value:
        return self._element(php, at, self._read_base(php, at))

    def element_to_change(self, php: Interpreter, at: Any) -> Value:
        """As `.=` reads what stands left of the last `[…]`."""
        holder = self._read_base(php, at)
        return (
            self._inner(php, at, holder) if isinstance(holder, PhpObject) else self._element(php, at, holder)
        )

    def _read_base(self, php: Interpreter, at: Any) -> Value:
        base = self.base
        try:
            if isinstance(base, ElementPlace):
                return base.element_to_change(php, at[0])
            if isinstance(base, PropertyPlace):  # which __get is asked for once
                value = base.container(php, at[0])
                return base.update(php, at[0]) if value is None else value
            return base.update(php, at[0])
        except Thrown as thrown:
            if thrown.undefined and isinstance(self.base, VariablePlace):
                self.base.array(php, at[0])
            thrown.undefined = False
            raise

    def _element(
        self, php: Interpreter, at: Any, holder: Value, what: str = "use assign-op operators"
    ) -> Value:
        php.line = self.line
        if isinstance(holder, int | float) and holder is not False:
            raise Thrown("Error", "Cannot use a scalar value as an array")
        if isinstance(holder, bytes):
            string_offset(php, None if self.index is None else self._offset(php, at), new=self.index is None)
            raise Thrown("Error", f"Cannot {what} with string offsets")
        if self.index is None:
            if not isinstance(holder, PhpArray):
                php.refuse("a change of a new element of this")
            return None
        if holder is None or holder is False:
            holder = self.base.array(php, at[0])
        if isinstance(holder, PhpObject):
            return self._asked(php, holder, lambda: self._offset(php, at))
        return php.offset(holder, self._offset(php, at))

    def _asked(self, php: Interpreter, holder: PhpObject, offset_of: Callable[[], Value]) -> Value:
        """What offsetGet() gives for `.=`; where it throws, PHP takes it for an object without offsets."""
        try:
            offset = offset_of()
        except Thrown:
            php.refuse("an offset of an object that is not there")
        require_array_access(php, holder)
        try:
            return php.call_method(holder, "offsetGet", (offset,))
        except Thrown as thrown:
            after(Thrown("Error", f"Cannot use object of type {holder.class_name} as array"), thrown)

    def element_to_unset(self, php: Interpreter, at: Any) -> Value:
        """As unset() reads what stands left of the last `[…]`."""
        base = self.base
        if isinstance(base, ElementPlace):
            holder = base.element_to_unset(php, at[0])
        else:
            holder = base.holder_to_unset(php, at[0])
        if isinstance(holder, PhpObject):
            return self._inner(php, at, holder)
        offset = self._offset(php, at)
        return None if holder is None else quiet_offset(php, holder, offset)

    def grow(self, php: Interpreter, at: Any) -> tuple[Any, Value]:
        """As `[] .=` reads: a new element, null at first. Gives what `write_grown` wants, and its value."""
        base = self.base
        if isinstance(base, VariablePlace) and base.name != "this" and is_missing(php, base.name):
            made: Any = base.array(php, at[0])
            made.append(None)
            warning = undefined(base.name)
            warning.undefined = True
            raise warning
        holder = self._read_base(php, at)
        php.line = self.line
        if isinstance(holder, PhpObject):
            require_array_access(php, holder)
            if php.environment.native(holder.class_name) is not None:
                php.refuse("a change of a new element of this")
            return None, self._asked(php, holder, lambda: None)
        if not (isinstance(holder, PhpArray) or holder is None or holder is False):
            return None, self._element(php, at, holder)
        del holder  # it counts as one that holds the array
        array: Any = self.base.array(php, at[0])
        key = array.next_key()
        array.append(None)
        return key, None

    def write_grown(self, php: Interpreter, at: Any, key: Any, value: Value) -> Value:
        if key is None:
            return self.write(php, at, value)
        array: Any = self.base.array(php, at[0])
        array[key] = value
        return value

    def stepped(self, php: Interpreter, at: Any) -> Value:
        base = self.base
        if self.index is None and isinstance(base, VariablePlace) and is_missing(php, base.name):
            php.line = self.line
            php.refuse("a new element of an undefined variable")
        holder = self._read_base(php, at)
        if not isinstance(holder, PhpObject) or self.index is None:
            return self._element(php, at, holder, "increment/decrement")
        require_array_access(php, holder)
        own = php.classes.method(holder.class_name, "offsetGet") if php.declared(holder) else None
        if own is None or own.method.gives_reference or php.environment.native(holder.class_name) is not None:
            php.refuse("++ or -- of an offset of this object")
        if isinstance(php.call_method(holder, "offsetGet", (self._offset(php, at),)), PhpObject):
            php.refuse("++ or -- of an object")
        raise warn(f"Indirect modification of overloaded element of {holder.class_name} has no effect")

    def container(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        if self.index is None or holder is None or holder is False:
            return None
        if isinstance(holder, PhpArray):
            return holder.get(php.key(self._offset(php, at)))
        return self._inner(php, at, holder)

    def _inner(self, php: Interpreter, at: Any, holder: Value) -> Value:
        """What is written into where the holder is no array."""
        if not isinstance(holder, PhpObject):
            self._no_container(php, at, holder)
            return None
        if self.index is None:
            php.refuse("an assignment into a new element of an object")
        offset = self._offset(php, at)
        require_array_access(php, holder)
        value = php.call_method(holder, "offsetGet", (offset,))
        if not isinstance(value, PhpObject):
            own = php.classes.method(holder.class_name, "offsetGet") if php.declared(holder) else None
            if own is None or own.method.gives_reference:
                php.refuse("an assignment into an offset of an object")
            raise warn(f"Indirect modification of overloaded element of {holder.class_name} has no effect")
        return value

    def array(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.array(php, at[0])
        if not isinstance(holder, PhpArray):
            return self._inner(php, at, holder)
        if self.index is None:
            made = PhpArray()
            holder.append(made)
            return made
        key = php.key(self._offset(php, at))
        if type(holder.get(key)) is PhpArray:
            return own_item(holder, key)
        value = holder.get(key)
        if value is None or value is False:
            value = holder[key] = PhpArray()
        return value

    def _no_container(self, php: Interpreter, at: Any, holder: Value) -> None:
        php.line = self.line
        if isinstance(holder, bytes):
            string_offset(php, None if self.index is None else self._offset(php, at), new=self.index is None)
            raise Thrown("Error", "Cannot use string offset as an array")
        if isinstance(holder, EnumCase):
            raise Thrown("Error", f"Cannot use object of type {holder.class_name} as array")
        raise Thrown("Error", "Cannot use a scalar value as an array")

    def write(self, php: Interpreter, at: Any, value: Value) -> Value:
        holder = self.base.array(php, at[0])
        offset = None if self.index is None else self._offset(php, at)
        php.line = self.line
        if isinstance(holder, PhpArray):
            if self.index is None:
                holder.append(value)
            else:
                holder[php.key(offset)] = value
        elif isinstance(holder, PhpObject):
            require_array_access(php, holder)
            php.call_method(holder, "offsetSet", (offset, value))
        elif isinstance(holder, bytes):
            changed, value = with_character(php, holder, offset, value, new=self.index is None)
            self.base.write(php, at[0], changed)
        else:
            self._no_container(php, at, holder)
        return value

    def lend(self, php: Interpreter, at: Any, to: PlaceReference) -> None:
        if self.index is None:
            php.refuse("a reference to a new element")
        holder = self.base.array(php, at[0])
        if isinstance(holder, PhpObject):
            php.refuse("a reference to an offset of an object")
        if not isinstance(holder, PhpArray):
            self._no_container(php, at, holder)
            return
        key = php.key(self._offset(php, at))
        if key not in holder:
            holder[key] = None
        holder.refer(to)

    def is_lent(self, php: Interpreter, at: Any, to: PlaceReference) -> bool:
        holder = self.base.container(php, at[0])
        return (
            isinstance(holder, PhpArray)
            and holder.is_referred(to)
            and php.key(self._offset(php, at)) in holder
        )

    def separate(self, php: Interpreter, at: Any) -> Value:
        return self.base.array(php, at[0])

    def unset(self, php: Interpreter, at: Any) -> None:
        base = self.base
        if isinstance(base, ElementPlace):
            holder = base.element_to_unset(php, at[0])
        else:
            holder = base.holder_to_unset(php, at[0])
        try:
            offset = self._offset(php, at)
        except Thrown:
            if not isinstance(holder, PhpArray | None):
                php.refuse("unset of an offset that is not there")
            raise
        if holder is None or holder is False:
            return
        if isinstance(holder, PhpArray):
            del holder  # it counts as one that holds the array
            array: Any = base.array(php, at[0])
            array.next_index = array.next_key()
            array.pop(php.key(offset), None)
        elif isinstance(holder, PhpObject):
            require_array_access(php, holder)
            php.call_method(holder, "offsetUnset", (offset,))
        elif isinstance(holder, bytes):
            raise Thrown("Error", "Cannot unset string offsets")
        else:
            raise Thrown("Error", "Cannot unset offset in a non-array variable")


class PropertyPlace(Place):
    """`at` is what the base gave, and the name."""

    __slots__ = ("base", "name", "nullsafe")

    def __init__(self, line: int, base: Place, name: Callable[[Interpreter], str], nullsafe: bool) -> None:
        super().__init__(line)
        self.base = base
        self.name = name
        self.nullsafe = nullsafe

    def open(self, php: Interpreter) -> Any:
        return self.base.open(php), self.name(php)

    def read(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.read(php, at[0])
        php.line = self.line
        if self.nullsafe and holder is None:
            raise NullChain
        return php.read(holder, at[1])

    def silent(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.silent(php, at[0])
        php.line = self.line
        return php.read(holder, at[1], silent=True) if isinstance(holder, PhpObject | EnumCase) else None

    def update(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        if not isinstance(holder, PhpObject | EnumCase):
            base = self.base
            self._refuse_nothing(php, at, holder)
            error = Thrown("Error", f'Attempt to assign property "{at[1]}" on {type_name(holder)}')
            if isinstance(base, VariablePlace) and is_missing(php, base.name) and base.name != "this":
                after(error, undefined(base.name))
            raise error
        try:
            return php.read(holder, at[1])
        except Thrown as thrown:
            if thrown.exception.class_name == "ErrorException" and isinstance(holder, PhpObject):
                thrown.undefined = make_property(php, holder, at[1])
            raise

    def container(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        return property_container(php, holder, at[1])

    def array(self, php: Interpreter, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        return property_array(php, holder, at[1])

    def is_typed(self, php: Interpreter, at: Any) -> bool:
        holder = self.base.container(php, at[0])
        if not isinstance(holder, PhpObject) or not php.declared(holder):
            return False
        bound = locate(php, holder, at[1])[1]
        return bound is not None and bound.declaration.type is not None

    def _refuse_nothing(self, php: Interpreter, at: Any, holder: Value) -> None:
        """Raises Refused for a property of what is not there: PHP makes it null before it fails."""
        if holder is None and isinstance(self.base, ElementPlace | PropertyPlace):
            php.refuse("a change of a property of null")

    def holder_to_unset(self, php: Interpreter, at: Any) -> Value:
        value = self.silent(php, at)
        if value is None:
            holder = self.base.silent(php, at[0])
            if isinstance(holder, PhpObject) and make_property(php, holder, at[1]):
                php.line = self.line
                php.refuse("unset of an element of a property that is not there")
        return value

    def write(self, php: Interpreter, at: Any, value: Value) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        self._refuse_nothing(php, at, holder)
        return write_property(php, holder, at[1], value)

    def lend(self, php: Interpreter, at: Any, to: PlaceReference) -> None:
        holder = self.base.container(php, at[0])
        php.line = self.line
        lend_property(php, holder, at[1])

    def is_lent(self, php: Interpreter, at: Any, to: PlaceReference) -> bool:
        return php.copies == to.copies

    def unset(self, php: Interpreter, at: Any) -> None:
        holder = self.base.silent(php, at[0])
        php.line = self.line
        unset_property(php, holder, at[1])


class PlaceReference(Reference):
    """A reference to a property or an element: read and written where it is, so that whoever else looks
    there sees it. What PHP would show in a copy too is refused.

    `copies`: the interpreter's count when it was made."""

    __slots__ = ("__weakref__", "_at", "_frame", "_php", "_place", "copies")

    def __init__(self, php: Interpreter, place: Place, at: Any) -> None:
        self._php = php
        self._place = place
        self._at = at
        self._frame = weakref.ref(php.frame)  # which may hold it: nothing is to keep both
        self.copies = php.copies
        place.lend(php, at, self)

    @property
    def value(self) -> Value:
        return self._inside(lambda php: self._place.container(php, self._at))

    @value.setter
    def value(self, value: Value) -> None:
        strict = self._php.frame.strict

        def write(php: Interpreter) -> Value:
            if php.frame.strict != strict:
                php.refuse("a reference to a property or an element from a file with other strict_types")
            return self._place.write(php, self._at, value)

        self._inside(write)

    def array(self) -> Value:
        return self._inside(lambda php: self._place.array(php, self._at))

    def check(self) -> None:
        """Refuses where PHP's reference would by now be elsewhere, or in a copy as well."""
        self._inside(lambda php: self._place.separate(php, self._at))

    def _inside(self, act: Callable[[Interpreter], Value]) -> Value:
        """What `act` gives in the frame that the place belongs to."""
        php, inner, frame = self._php, self._php.frame, self._frame()
        if frame is None:
            php.refuse("a reference to a property or an element that outlives its function")
        php.frame = frame
        try:
            if not self._place.is_lent(php, self._at, self):
                php.refuse("a copy or change of what holds a reference")
            return act(php)
        finally:
            php.frame = inner


class ResultPlace(Place):
    """What an expression gives: its properties can be written, and offsets if it is an object."""

    __slots__ = ("code", "node")

    def __init__(self, node: n.Expression, code: ExprCode) -> None:
        super().__init__(node.line)
        self.node = node
        self.code = code

    def open(self, php: Interpreter) -> Any:
        return self.code(php)

    def read(self, php: Interpreter, at: Any) -> Value:
        value: Value = at
        return value

    silent = container = read

    def array(self, php: Interpreter, at: Any) -> Value:
        value: Value = at
        return self.write(php, at, value) if value is None or isinstance(value, PhpArray) else value

    def write(self, php: Interpreter, at: Any, value: Value) -> Value:
        php.line = self.line or php.line
        php.refuse("an assignment to this")

    def unset(self, php: Interpreter, at: Any) -> None:
        php.line = self.line or php.line
        php.refuse("unset of this")


class StaticPlace(ResultPlace):
    """A static property: read, not written, since what is written stays for the jobs that follow."""

    def write(self, php: Interpreter, at: Any, value: Value) -> Value:
        php.line = self.line
        php.refuse("an assignment to a static property")


def next_value(php: Interpreter, before: Value, step: int) -> Value:
    if before is None and step == 1:
        return 1
    if before is None or isinstance(before, bool):
        if php.before(8, 3):  # later ones warn
            return before
        php.refuse("++ or -- of null or a bool")
    if isinstance(before, bytes) and not is_numeric(before):
        if step == 1 and before.isalnum() and before.isascii():
            return _next_text(before)
        php.refuse("++ or -- of a string")
    return BINARY["+"](number_prefix(before)[0] if isinstance(before, bytes) else before, step)


def _next_text(before: bytes) -> bytes:
    """The next of `a`, `z`, `Az`, `a9`: each place counts through letters of its case, or digits."""
    characters = bytearray(before)
    for at in reversed(range(len(characters))):
        last = {57: 48, 90: 65, 122: 97}.get(characters[at])  # 9, Z, z → 0, A, a
        if last is None:
            characters[at] += 1
            return bytes(characters)
        characters[at] = last
    first = 49 if characters[0] == 48 else characters[0]
    return bytes([first]) + bytes(characters)
