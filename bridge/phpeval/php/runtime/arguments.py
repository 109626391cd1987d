"""Arguments and parameters: in order and by name, with defaults, by reference, promoted to properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.phpeval.php.runtime.frame import Reference
from bridge.phpeval.php.runtime.interpreter import (
    REQUIRED,
    UNKNOWN_DEFAULT,
    Function,
    Interpreter,
    Native,
    Parameter,
    Routine,
)
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.properties import write_property
from bridge.phpeval.php.runtime.type_declarations import coerce, initial
from bridge.phpeval.php.runtime.values import PhpArray, Value


def bind(
    php: Interpreter, parameters: tuple[Parameter, ...], arguments: Sequence[Any], named: Mapping[str, Value]
) -> None:
    variables, given, strict = php.frame.variables, len(arguments), php.strict
    if named and not (parameters and parameters[-1].variadic):
        for name in named:
            if all(parameter.name != name for parameter in parameters):
                raise Thrown("Error", f"Unknown named parameter ${name}")
    for index, parameter in enumerate(parameters):
        if parameter.variadic:
            values = arguments[index:]
            if parameter.reference:
                values = [_referred(php, value) for value in values]
            rest = PhpArray.of(
                coerce(php, value, parameter.type, "argument", strict=strict) for value in values
            )
            for name, value in named.items():
                if all(one.name != name for one in parameters[:-1]):
                    rest[name.encode()] = coerce(php, value, parameter.type, "argument", strict=strict)
            variables[parameter.name] = rest
            return
        if index < given:
            value = arguments[index]
            if parameter.reference:
                variables[parameter.name] = _bound(php, parameter, value, strict=strict)
                continue
            if parameter.name in named:
                raise Thrown("Error", f"Named parameter ${parameter.name} overwrites previous argument")
        elif parameter.name in named:
            value = named[parameter.name]
            if parameter.reference:
                php.refuse("a named argument by reference")
        elif parameter.default is not None:
            variables[parameter.name] = initial(parameter.default(php), parameter.type)
            continue
        else:
            raise Thrown("ArgumentCountError", f"Too few arguments, ${parameter.name} is missing")
        if parameter.type is not None:
            value = coerce(php, value, parameter.type, "argument", strict=strict)
        variables[parameter.name] = value


def _bound(php: Interpreter, parameter: Parameter, argument: Any, *, strict: bool) -> Any:
    """The Reference that a parameter by reference is."""
    value = _referred(php, argument)
    if parameter.promoted:
        php.refuse("a promoted parameter by reference")
    if parameter.type is not None:
        kept = coerce(php, value, parameter.type, "argument", strict=strict)
        if kept is not value:
            argument.value = kept
    return argument


def _referred(php: Interpreter, argument: Any) -> Value:
    """The value of an argument by reference; refused where the caller gave a mere value."""
    if not isinstance(argument, Reference):
        php.refuse("a mere value as an argument by reference")
    value: Value = argument.value
    return value


def promote(php: Interpreter, parameters: tuple[Parameter, ...]) -> None:
    """Puts promoted parameters into the properties of the class whose constructor runs."""
    frame = php.frame
    if frame.this is None:
        php.refuse("a constructor without an object")
    own, held = php.classes.properties(frame.class_name), frame.this.properties
    for parameter in parameters:
        if parameter.promoted:
            bound = own[parameter.name]
            if bound.declaration.hooked or (bound.declaration.readonly and bound.mangled in held):
                write_property(php, frame.this, parameter.name, frame.variables[parameter.name])
            else:
                held[bound.mangled] = frame.variables[parameter.name]


def hand_back(php: Interpreter, routine: Routine, arguments: Sequence[Any]) -> None:
    """The elements of `&...$rest` as they are now go into the References that came as arguments."""
    index, name = len(routine.parameters) - 1, routine.parameters[-1].name
    rest = php.frame.variables.get(name) if routine.references.rest is not None else None
    if isinstance(rest, PhpArray):
        for argument, last in zip(arguments[index:], rest.values(), strict=False):
            if isinstance(argument, Reference):
                argument.value = last


def ordered(
    php: Interpreter, name: str, function: Function, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Sequence[Value]:
    """The arguments of a PHP function in order, named ones put in their places."""
    parameters: Sequence[tuple[str, object]] = getattr(function, "parameters", ())
    names = [parameter for parameter, _ in parameters]
    for given in named:
        if given not in names:
            php.refuse(f"the named argument {given} of {name}()")
        if names.index(given) < len(arguments):
            raise Thrown("Error", f"Named parameter ${given} overwrites previous argument")
    last = max(names.index(given) for given in named)
    placed = [*arguments]
    for parameter, default in parameters[len(arguments) : last + 1]:
        if parameter in named:
            placed.append(named[parameter])
        elif default is REQUIRED:
            raise Thrown("ArgumentCountError", f"{name}(): Argument (${parameter}) not passed")
        elif default is UNKNOWN_DEFAULT:
            php.refuse(f"named arguments of {name}() without ${parameter}")
        else:
            placed.append(default)  # type: ignore[arg-type]
    return placed


def native_arguments(
    php: Interpreter, native: Native, method: str, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Sequence[Value]:
    """The arguments of a native in order, named ones put in their places."""
    if not named:
        return arguments
    signature: Sequence[str] = getattr(native, "parameters", {}).get(method.lower(), ())
    if any(name not in signature for name in named):
        php.refuse(f"named arguments of {method}()")
    places = {signature.index(name): value for name, value in named.items()}
    last = max(places)
    return [
        arguments[place] if place < len(arguments) else places.get(place)
        for place in range(max(last + 1, len(arguments)))
    ]
