"""AttributeValues: what `$model->name` reads of the attributes: through accessor, cast or date."""

from __future__ import annotations

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import cast_classes, casts, dates, properties
from bridge.phpeval.laravel.eloquent.model_settings import (
    Accessor,
)
from bridge.phpeval.laravel.eloquent.model_view import ModelView
from bridge.phpeval.laravel.support.json_forms import iso_json, moment
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value


class AttributeValues:
    """For all models of one environment. Sources: Eloquent/Concerns/HasAttributes.php."""

    def __init__(self, options: casts.EloquentOptions) -> None:
        self._options = options

    def read(self, view: ModelView, key: bytes, php: Interpreter) -> Value:
        """`getAttributeValue`: accessor, else cast, else date, else as it is."""
        value = self.all(view, php, key).get(key)
        accessor = view.setup.accessor(key.decode("utf-8", "surrogateescape"))
        if accessor is not None:
            got = self.accessed(view, key, accessor, value, php)
            if got is not None:
                return got[0]
        cast = view.setup.casts.get(key)
        if cast is not None:
            return self.cast(view, key, cast, value, php)
        if value is not None and key in view.setup.dates:
            return self.date(view, value)
        return value

    def all(self, view: ModelView, php: Interpreter, key: bytes | None = None) -> PhpArray:
        """`getAttributes()`, or what of them is needed to read one."""
        if not cast_classes.keeps(view.model):
            return properties.array(view.model, "attributes")

        def attribute(name: bytes) -> PhpObject:
            accessor = view.setup.accessor(name.decode("utf-8", "surrogateescape"))
            made = php.call_method(view.model, accessor[0]) if accessor is not None else None
            if not isinstance(made, PhpObject):
                raise Refused(f"what a {view.model.class_name} keeps of its accessors")
            return made

        cast_classes.write_back(view.model, key, php, self._options.version, view.setup.casts.get, attribute)
        return properties.array(view.model, "attributes")

    def accessed(
        self, view: ModelView, key: bytes, accessor: Accessor, value: Value, php: Interpreter
    ) -> tuple[Value] | None:
        """What the accessor makes of the value; None where it only changes what is written."""
        method, marked = accessor
        kept = properties.array(view.model, cast_classes.BY_ACCESSOR)
        if marked and key in kept:
            return (kept[key],)
        if self._options.version >= (12, 52):
            self.all(view, php)
        if not marked:
            return (php.call_method(view.model, method, (value,)),)
        attribute = php.call_method(view.model, method)
        getter = attribute.get("get") if isinstance(attribute, PhpObject) else None
        if not isinstance(attribute, PhpObject) or not isinstance(getter, PhpClosure):
            return None
        made = php.call(getter, (value, properties.array(view.model, "attributes").copy()))
        if attribute.get("withCaching") or (
            cast_classes.is_object(made) and attribute.get("withObjectCaching")
        ):
            cast_classes.keep(view.model, cast_classes.BY_ACCESSOR, key, made)
        return (made,)

    def cast(
        self, view: ModelView, key: bytes, cast: casts.NamedCast, value: Value, php: Interpreter
    ) -> Value:
        """`castAttribute`."""
        if php.is_enum(cast.whole):
            return casts.cast_enum(cast.whole, value, php)
        casting = self.casting(view, cast, php)
        if cast_classes.is_own(cast, php) or cast.name in casts.KNOWN_CLASSES:
            return cast_classes.read(view.model, key, cast, value, casting, php)
        return casts.cast_value(cast, value, casting)

    def casting(self, view: ModelView, cast: casts.NamedCast, php: Interpreter) -> casts.Casting:
        return casts.Casting(php, self._options, view.setup.date_format, cast.argument)

    def date(self, view: ModelView, value: Value) -> PhpObject:
        options = self._options
        return dates.as_date_time(value, options.zone, view.setup.date_format, options.date_class)

    def date_text(self, view: ModelView, value: Value, *, day: bool = False) -> bytes | None:
        """A stored date as arrays show it; None for what is not of the usual form."""
        if view.facts.overrides_serialize_date:
            return None
        self._require_iso()
        return dates.json_text(value, self._options.zone, view.setup.date_format, day=day)

    def serialize_date(self, view: ModelView, value: PhpObject, php: Interpreter) -> Value:
        if view.facts.overrides_serialize_date:
            return php.call_method(view.model, "serializeDate", (value,))
        self._require_iso()
        return iso_json(moment(value))

    def _require_iso(self) -> None:
        """Refused where arrays show dates in the form of the database, as before Laravel 7."""
        if self._options.version < (7, 0):
            raise Refused("a date of a model before Laravel 7")
