"""ModelArrays: a model as `toArray()` shows it: its attributes, then its relations."""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import cast_classes, casts, properties
from bridge.phpeval.laravel.eloquent.attribute_values import AttributeValues
from bridge.phpeval.laravel.eloquent.model_settings import (
    Columns,
    has_getter,
)
from bridge.phpeval.laravel.eloquent.model_view import ModelView
from bridge.phpeval.laravel.inflection import snake
from bridge.phpeval.laravel.support.json_forms import CARBONS, DATE_TIMES
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value, array_key

ToArray = Callable[[PhpObject, Interpreter], Value]


class ModelArrays:
    """For all models of one environment; `to_array` makes the arrays of objects in them."""

    def __init__(self, values: AttributeValues, options: casts.EloquentOptions, to_array: ToArray) -> None:
        self._values = values
        self._options = options
        self._to_array = to_array

    def array(self, view: ModelView, php: Interpreter) -> PhpArray:
        """Laravel's own `toArray()`: attributes, then relations of the same names over them."""
        result = self.attributes(view, php)
        result.update(self.relations(view, php))
        return result

    def attributes(self, view: ModelView, php: Interpreter) -> PhpArray:
        held = self._values.all(view, php)
        columns = view.setup.columns(tuple(held))
        result: dict[int | bytes, Value] = {key: held[key] for key in columns.shown}
        rows = columns.rows
        row = rows.key(result.values()) if rows is not None else None
        if rows is not None and row is not None:
            known = rows.get(row)
            if known is None:
                known = self._shown(view, columns, result, php)
                rows.keep(row, known)
            return PhpArray(known)
        return PhpArray(self._shown(view, columns, result, php))

    def _shown(
        self, view: ModelView, columns: Columns, result: dict[int | bytes, Value], php: Interpreter
    ) -> dict[int | bytes, Value]:
        """`result`: the raw values of what is shown, to be changed into what arrays show."""
        for key in columns.dates:
            if result[key] is not None:
                text = self._values.date_text(view, result[key])
                result[key] = text or self._values.serialize_date(
                    view, self._values.date(view, result[key]), php
                )
        mutated = [name.encode() for name in view.facts.accessors if self._gets(view, name, php)]
        for key in mutated:
            if key in result:
                result[key] = self._for_array(view, key, result[key], php)
        for key, cast, plain in columns.casts:
            if key in mutated:
                continue
            value = result[key]
            if plain is None:
                result[key] = self._cast_for_array(view, key, cast, value, php)
            elif value is not None:
                result[key] = plain(value, self._values.casting(view, cast, php))
        for key in view.setup.appended:
            again = self._options.version >= (13, 24)
            value = self._values.all(view, php, key).get(key) if again else None
            result[key] = self._for_array(view, key, value, php)
        return result

    def _gets(self, view: ModelView, name: str, php: Interpreter) -> bool:
        """Whether an accessor changes what is read: an Attribute may have only a setter."""
        method, marked = view.facts.accessors[name]
        if not marked:
            return True
        classes, class_name = php.classes, view.model.class_name
        version = self._options.version
        if classes.remember(
            "has getter " + method, class_name, lambda: has_getter(class_name, method, classes, version)
        ):
            return True
        attribute = php.call_method(view.model, method)
        return isinstance(attribute, PhpObject) and isinstance(attribute.get("get"), PhpClosure)

    def _for_array(self, view: ModelView, key: bytes, value: Value, php: Interpreter) -> Value:
        """`mutateAttributeForArray`."""
        name = key.decode("utf-8", "surrogateescape")
        if isinstance(array_key(key), int):
            raise Refused(f"{view.model.class_name} appends {name}, which is a number")
        accessor = view.facts.accessors.get(name)
        if accessor is None:
            accessor = view.setup.accessor(name)
            if accessor is not None and accessor[1]:  # Laravel knows those by their snake case only
                accessor = None
        if accessor is None:
            raise Refused(f"{view.model.class_name} appends {name}, which has no accessor of the usual form")
        cast = view.setup.casts.get(key)
        if cast is not None and cast_classes.is_class(cast, php):
            return self._array_of(self._values.cast(view, key, cast, value, php), php)
        got = self._values.accessed(view, key, accessor, value, php)
        if got is None:
            raise Refused(f"{view.model.class_name} appends {name}, whose accessor does not get")
        (made,) = got
        if accessor[1] and isinstance(made, PhpObject) and made.class_name in CARBONS | DATE_TIMES:
            return self._values.serialize_date(view, made, php)
        return self._array_of(made, php)

    def _array_of(self, value: Value, php: Interpreter) -> Value:
        """An Arrayable becomes its array, anything else stays."""
        if isinstance(value, PhpObject):
            array = self._to_array(value, php)
            return value if array is None else array
        return value

    def _cast_for_array(
        self, view: ModelView, key: bytes, cast: casts.NamedCast, value: Value, php: Interpreter
    ) -> Value:
        if cast.is_moment and php.classes.find(cast.name) is None:
            text = self._values.date_text(view, value, day=cast.is_day)
            if text is not None:
                return text
        if php.is_enum(cast.whole):
            return casts.enum_in_array(cast.whole, value, php, self._options.version)
        made = self._values.cast(view, key, cast, value, php)
        if cast.name in casts.FOR_ARRAY:
            return casts.FOR_ARRAY[cast.name](made, php)
        if isinstance(made, PhpObject) and made.class_name in CARBONS | DATE_TIMES:
            if cast.date_text is not None:
                return php.call_method(made, "format", (cast.date_text.encode(),))
            made = self._values.serialize_date(view, made, php)
        if cast_classes.is_own(cast, php):
            made = cast_classes.for_array(view.model, key, cast, made, php)
        return self._array_of(made, php)

    def relations(self, view: ModelView, php: Interpreter) -> PhpArray:
        result = PhpArray()
        loaded = properties.array(view.model, "relations")
        if not loaded:
            return result
        for key in view.setup.shown(loaded):
            value = loaded[key]
            name = snake(key) if view.facts.snake_attributes and isinstance(key, bytes) else key
            if self._options.snake is not None and isinstance(key, bytes) and snake(key) != key:
                raise self._options.snake.anew()
            if value is None:
                result[name] = None
            elif isinstance(value, PhpObject):
                array = self._to_array(value, php)
                if array is not None:
                    result[name] = array
        return result
