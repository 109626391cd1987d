# ruff: noqa: E501 - templates stand in one line
"""Events, models and rows that hypothesis writes: PHP source from the grammar that real apps use.

A case is one event class, one model class with a row of its table, and the values of the event's properties.
Everything is typed loosely enough that PHP's own conversions happen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from bridge.laravel.payload import BROADCAST_EVENT, HANDLER
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.php.oracle import serialize

# column → SQL type, and what is put into it
COLUMNS: dict[str, tuple[str, st.SearchStrategy[object]]] = {
    "number": ("integer", st.none() | st.integers(-(2**31), 2**31 - 1)),
    "big": ("bigint", st.none() | st.integers(-(2**63), 2**63 - 1)),
    "flag": ("tinyint(1)", st.none() | st.sampled_from([0, 1])),
    "title": (
        "varchar(255)",
        st.none()
        | st.sampled_from(["", "0", "12", "1.5", " 7 ", "abc", "12abc", "Ünïcode ж 👩", "a/b\"c'd\\e", "draft"])
        | st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12),
    ),
    "ratio": ("double", st.none() | st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 4))),
    "price": ("numeric(10,2)", st.none() | st.integers(-(10**6), 10**6).map(lambda cents: cents / 100)),
    "happened_on": ("date", st.none() | st.dates().map(lambda d: d.isoformat())),
    "happened_at": (
        "datetime",
        st.none() | st.datetimes().map(lambda d: d.replace(microsecond=0).isoformat(" ")),
    ),
    "details": (
        "text",
        st.none()
        | st.recursive(
            st.none() | st.booleans() | st.integers(-1000, 1000) | st.text("aä/\"\\1", max_size=4),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab01", max_size=2), inner, max_size=3),
            max_leaves=6,
        ).map(json.dumps)
        | st.sampled_from(["", "not json", "{", "[]", "{}"]),
    ),
}  # fmt: skip

_CASTS: dict[str, tuple[str, ...]] = {
    "number": ("integer", "string", "boolean", "float", "decimal:2", "timestamp", "real"),
    "big": ("int", "string"),
    "flag": ("boolean", "bool", "integer", "string"),
    "title": ("string", "integer", "float", "boolean", "array"),
    "ratio": ("float", "integer", "string", "double"),
    "price": ("float", "string", "integer"),
    "happened_on": ("date", "datetime", "date:d/m/Y", "immutable_date", "timestamp", "datetime:Y-m-d H:i"),
    "happened_at": ("datetime", "date", "immutable_datetime", "datetime:D, d M Y", "timestamp", "datetime:c"),
    "details": ("array", "json", "object", "collection"),
}

# A cast class and a class of the objects it may give, as templates: what they say is drawn
_CAST_CLASSES = {
    "number": "App\\Models\\NAMECast",
    "title": "App\\Models\\NAMECast:a,2",
    "ratio": "App\\Models\\NAMECast",
}
_GOTTEN = (
    "$value",
    "(string) $value . $this->more",
    "[$key => $value, 'n' => count($attributes)]",
    "$value === null ? null : [$value]",
    "new NAMEValue($value, $attributes['flag'])",
    "new NAMEValue($value, null)",
    "collect([$value, $model->id])",
    "(object) ['v' => $value]",
    "$attributes['title'] ?? 'none'",
    "is_numeric($value) ? $value * 2 : $value",
)
_SET = (
    "$value",
    "[$key => 'set']",
    "null",
    "is_object($value) ? 5 : $value",
    "['big' => 7, $key => 'was set']",
    "json_encode($value)",
)
_SERIALIZED = (None, None, None, "is_array($value) ? count($value) : 'serialized'", "[$key => $value]")
_BECOMES = (
    "",
    "implements \\Illuminate\\Contracts\\Support\\Arrayable",
    "implements \\JsonSerializable",
    "implements \\Illuminate\\Contracts\\Support\\Arrayable, \\JsonSerializable",
)

_ACCESSORS = {
    "title": "public function getTitleAttribute($value) { return $value === null ? null : strtoupper($value); }",
    "label": "public function getLabelAttribute() { return $this->title . '#' . $this->id; }",
    "has_number": "public function getHasNumberAttribute(): bool { return isset($this->number); }",
    "short": "public function getShortAttribute() { return \\Illuminate\\Support\\Str::limit((string) $this->attributes['title'], 5); }",
}


# what PostgreSQL calls the same
POSTGRES_TYPES = {"tinyint(1)": "boolean", "double": "double precision", "datetime": "timestamp"}


@dataclass(frozen=True, slots=True)
class Case:
    """PHP sources with `NAME` for the class names, the row, the event's property values."""

    model: str
    event: str
    more: dict[str, str]  # further models and resources, by what follows NAME
    row: dict[str, object]
    values: dict[str, Value]

    def model_source(self, name: str) -> str:
        return self.model.replace("NAME", name)

    def event_source(self, name: str) -> str:
        return self.event.replace("NAME", name)

    def more_sources(self, name: str) -> dict[str, str]:
        return {name + end: source.replace("NAME", name) for end, source in self.more.items()}

    def payload(self, name: str, key: int, connection: str) -> bytes:
        """The queue entry as Laravel 8 would have written it."""
        identifier = PhpObject(
            "Illuminate\\Contracts\\Database\\ModelIdentifier",
            {
                b"class": f"App\\Models\\{name}".encode(),
                b"id": key,
                b"relations": PhpArray(),
                b"connection": connection.encode(),
            },
        )
        properties: dict[int | bytes, Value] = {k.encode(): v for k, v in self.values.items()}
        properties[b"model"] = identifier
        event = PhpObject(f"App\\Events\\{name}", properties)
        command: dict[int | bytes, Value] = {b"event": event}
        for setting in ("tries", "timeout", "connection", "queue", "chainConnection", "chainQueue"):
            command[setting.encode()] = None
        command |= {b"chainCatchCallbacks": None, b"delay": None, b"afterCommit": None}
        command |= {b"middleware": PhpArray(), b"chained": PhpArray()}
        document = {
            "uuid": f"00000000-0000-4000-8000-{key:012d}",
            "displayName": f"App\\Events\\{name}",
            "job": HANDLER,
            "maxTries": None,
            "maxExceptions": None,
            "failOnTimeout": False,
            "backoff": None,
            "timeout": None,
            "retryUntil": None,
            "data": {
                "commandName": BROADCAST_EVENT,
                "command": serialize(PhpObject(BROADCAST_EVENT, command)).decode(),
            },
        }
        return json.dumps(document).encode()


# ---- values of the event's properties ---------------------------------------------------------

_TEXTS = st.sampled_from(
    ["", "0", "a", "Hello World", "été/ж", "12", "1e3", " x ", "foo_bar-baz", "A,B,,C", "<b>&</b>", "10.50"]
)
_INTS = st.integers(-20, 20) | st.sampled_from([0, 1, 2**31, -(2**63), 2**63 - 1, 1700000000])
_FLOATS = st.sampled_from([0.0, -0.0, 0.1, 1.0, 2.5, -3.75, 1e15, 1e17, 1.5e-7, 100.0, 1 / 3])
_SCALARS = st.none() | st.booleans() | _INTS | _FLOATS | _TEXTS.map(str.encode)


def _array(values: list[Any]) -> PhpArray:
    return PhpArray.of(values)


_LISTS = st.lists(_SCALARS, max_size=4).map(_array)
_MAPS = st.dictionaries(
    st.sampled_from([b"a", b"b", b"id", b"name"]) | st.integers(0, 3), _SCALARS, max_size=4
).map(PhpArray)
_PROPERTIES: dict[str, st.SearchStrategy[Value]] = {
    "text": _TEXTS.map(str.encode),
    "number": _INTS,
    "ratio": _FLOATS,
    "flag": st.booleans(),
    "list": _LISTS,
    "map": _MAPS,
    "nothing": st.none(),
}

# ---- expressions: text with holes, filled from the pools of the kind in braces ---------------

_GRAMMAR: dict[str, list[str]] = {
    "text": [
        "$this->text", "'lit'", "'ж/é'", '"in {$this->text} and {$this->number}"', '"x$this->number"',
        "{text} . {text}", "{text} . {int}", "strtoupper({text})", "ucfirst({text})", "trim({text})",
        "substr({text}, {small}, {small})", "str_replace('l', {text}, {text})", "(string) {any_scalar}",
        "str_pad({text}, 6, '-')", "implode(',', {strings})", "ucwords({text})", "strrev({text})",
        "Str::slug({text})", "Str::snake({text})", "Str::limit({text}, 4)", "Str::studly({text})",
        "Str::kebab({text})", "Str::upper({text})", "Str::title({text})", "{bool} ? {text} : {text}",
        "sprintf('%05d|%s|%.2f', {int_small}, {text}, {float})", "number_format({float}, 2)",
        "{text} ?: 'empty'", "(string) $this->model->title", "$this->model->label", "class_basename($this)",
        "static::class", "self::PREFIX . {text}", "json_encode({any})", "md5({text})", "nl2br({text})",
        "optional($this->model->happened_at)->format('Y-m-d') ?? 'never'", "strtolower({text})",
        "match (true) {{ {bool} => {text}, default => {text} }}", "lcfirst({text})",
    ],
    "int": [
        "$this->number", "7", "-3", "{small} + {small}", "{small} - {int_small}", "{small} * {small}",
        "strlen({text})", "count({array})", "(int) {any_scalar}", "intdiv({int_small}, 3)", "{int_small} % 4",
        "$this->model->id", "{bool} ? {int} : {int}", "max({small}, {int_small})", "abs({int_small})",
        "{text} <=> {text}", "array_sum([{small}, {small}])", "mb_strlen({text})", "$this->model->getKey()",
        "{small} ** 2", "strcmp({text}, {text}) <=> 0", "collect({array})->count()",
    ],
    "int_small": ["11", "-7", "{small}"],
    "small": ["0", "1", "2", "3"],
    "float": ["$this->ratio", "0.5", "{small} / 4", "round({float}, 1)", "floor({float})", "(float) {any_scalar}",
              "{float} * 2", "{float} + {small}"],
    "bool": [
        "$this->flag", "true", "false", "! {bool}", "{bool} && {bool}", "{bool} || {bool}", "{int} > {int}",
        "{any_scalar} == {any_scalar}", "{any_scalar} === {any_scalar}", "empty({prop})", "isset({prop})",
        "is_null({any_scalar})", "in_array({any_scalar}, {array})", "{text} != {text}",
        "is_string({any_scalar})", "is_numeric({any_scalar})", "(bool) {any_scalar}", "{any_scalar} < {any_scalar}",
        "array_key_exists('a', $this->map)", "str_starts_with({text}, 'H')", "is_array({prop})",
        "Str::contains({text}, 'o')", "{float} >= {float}", "$this->model->flag ? true : false",
    ],
    "strings": ["['a', {text}]", "explode(',', {text})", "array_map('strval', [{small}, {small}])",
                "array_map(fn ($x) => $x . '!', explode(' ', {text}))"],
    "array": [
        "$this->list", "$this->map", "[{any_scalar}, {any_scalar}]", "['k' => {any_scalar}, 5 => {any_scalar}]",
        "array_values({array})", "array_keys({array})", "array_filter({array})", "array_merge({array}, {array})",
        "array_slice({array}, 1)", "array_reverse({array})", "array_map(fn ($v) => [$v], {array})",
        "[...$this->list, {any_scalar}]", "array_unique([{small}, {small}])", "{strings}", "array_flip({strings})",
        "collect({array})->values()->all()", "collect({array})->map(fn ($v, $k) => $k)->all()",
        "collect({array})->filter()->toArray()", "collect([1, 2, 3])->map(fn ($v) => $v * 2)->all()",
        "collect([['id' => 1, 'n' => 'a'], ['id' => 2, 'n' => 'b']])->pluck('n', 'id')->all()",
        "collect({array})->take(2)->toArray()", "array_combine(['x', 'y'], [{any_scalar}, {any_scalar}])",
        "$this->model->only(['id', 'title', 'number'])", "(array) {any_scalar}", "range(1, 3)",
        "array_fill_keys(['p', 'q'], {any_scalar})", "collect({array})->reverse()->values()->toArray()",
    ],
    "prop": ["$this->text", "$this->number", "$this->list", "$this->map", "$this->nothing", "$this->map['a']",
             "$this->list[0]", "$this->model->title", "$this->model->number"],
    "any_scalar": ["{text}", "{int}", "{float}", "{bool}", "$this->nothing", "null", "$this->map['a'] ?? null",
                   "$this->list[1] ?? 'none'", "$this->model->title", "$this->model->number", "$this->model->flag",
                   "$this->model?->ratio"],
    "any": [
        "{any_scalar}", "{array}", "$this->model", "$this->model->happened_at", "$this->model->happened_on",
        "$this->model->details", "$this->model->toArray()", "(object) {array}", "collect({array})",
        "optional($this->model->happened_at)->toIso8601String()", "$this->model->created_at",
        "optional($this->model->happened_on)->toDateString()", "$this->model->price", "$this->model->big",
        "['deep' => {any}]", "$this->own({any_scalar})", "optional($this->model->created_at)->timestamp",
        "data_get($this->map, 'a', 'dflt')", "$this->nothing?->x", "{resource}", "{resource}",
    ],
    "resource": [
        "new \\App\\Models\\NAMEResource($this->model)", "\\App\\Models\\NAMEResource::make($this->model)",
        "\\App\\Models\\NAMEResource::collection([$this->model])", "(new \\App\\Models\\NAMEResource($this->model))->resolve()",
        "\\App\\Models\\NAMEResource::collection(collect(['k' => $this->model]))", "new \\App\\Models\\NAMECollection([$this->model])",
        "(new \\App\\Models\\NAMEResource($this->model))->toArray(request())", "new \\App\\Models\\NAMEResource(null)",
    ],
    "shown": [  # inside a resource
        "$this->id", "$this->title", "$this->number", "$this->nowhere", "$this->happened_at", "$this->label", "$this->ratio",
        "$this->when({condition}, {shown})", "$this->when({condition}, fn () => {shown}, {shown})", "$this->when({condition}, {shown}, {shown})",
        "$this->transform($this->title, fn ($t) => [$t], 'blank')", "[{shown}, {shown}]", "['x' => {shown}, 5 => {shown}]",
        "$this->whenAppended('label')", "$this->whenAppended('label', {shown}, {shown})", "$this->whenLoaded('none')", "$this->whenLoaded('none', 1, {shown})",
        "$this->relationLoaded('none')", "isset($this->title)", "$this->number ?? 'null'", "$this->resource", "parent::toArray($request)",
        "collect([{shown}])", "new NAMEOther({shown})", "new NAMEOther($this->when({condition}, $this->resource))",
        "[$this->mergeWhen({condition}, ['m' => {shown}, 'z' => {shown}]), 'a' => {shown}]", "[{shown}, $this->merge([{shown}, {shown}]), {shown}]",
        "[$this->attributes(['id', 'title']), {shown}]", "NAMEOther::collection([$this->resource, null])", "$this->details", "$this->own",
        "[3 => {shown}, 4 => $this->when({condition}, 1)]",
    ],
    "condition": ["true", "false", "$this->flag", "$this->number > 5", "$this->title === null", "0", "'x'"],
}  # fmt: skip


@st.composite
def _expression(draw: st.DrawFn, kind: str, depth: int = 3) -> str:
    """A PHP expression of that kind; its leaves are the first entries of each list."""
    templates = _GRAMMAR[kind]
    plain = [template for template in templates if "{" not in template.replace("{$", "")]
    template = draw(st.sampled_from(plain if depth <= 0 and plain else templates))
    out, rest = "", template
    while True:
        before, opening, after = rest.partition("{")
        out += before
        if not opening:
            return (
                out if "." not in out and "?" not in out and "=" not in out and "+" not in out else f"({out})"
            )
        if after.startswith("{"):
            out, rest = out + "{", after[1:]
            continue
        if after.startswith("$"):
            inner, _, rest = after.partition("}")
            out += "{" + inner + "}"
            continue
        hole, _, rest = after.partition("}")
        out += draw(_expression(hole, depth - 1))
        rest = rest.replace("}}", "}", 1) if rest.lstrip().startswith("}}") else rest


@st.composite
def _more(draw: st.DrawFn) -> dict[str, str]:
    """A cast class with the class of its objects, and resources."""
    head = "<?php\nnamespace App\\Models;\nuse Illuminate\\Http\\Resources\\Json\\{JsonResource, ResourceCollection};\n"
    serialized = draw(st.sampled_from(_SERIALIZED))
    serializes = "" if serialized is None else (
        f"public function serialize($model, string $key, $value, array $attributes) {{ return {serialized}; }}"
    )  # fmt: skip
    entries = ", ".join(
        (f"'{key}' => " if key else "") + draw(_expression("shown", 1))
        for key in draw(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=3))
    )
    own = draw(st.sampled_from(["", "", "public $preserveKeys = true;", "protected $own = 'own';"]))
    whole = draw(st.sampled_from([True, True, True, False]))
    return {
        "Cast": head + "class NAMECast implements \\Illuminate\\Contracts\\Database\\Eloquent\\CastsAttributes {"
        " private $more; public function __construct(...$more) { $this->more = implode('-', $more); }"
        f" public function get($model, $key, $value, $attributes) {{ return {draw(st.sampled_from(_GOTTEN))}; }}"
        f" public function set($model, $key, $value, $attributes) {{ return {draw(st.sampled_from(_SET))}; }}"
        f" {serializes} }}\n",
        "Value": head + f"class NAMEValue {draw(st.sampled_from(_BECOMES))} {{ public $a; protected $b;"
        " public function __construct($a, $b) { $this->a = $a; $this->b = $b; }"
        " public function toArray() { return ['array' => $this->a, 'b' => $this->b]; }"
        " #[\\ReturnTypeWillChange] public function jsonSerialize() { return [$this->b, $this->a]; } }\n",
        "Resource": head + f"class NAMEResource extends JsonResource {{ {own}"
        + (f" public function toArray($request) {{ if ($this->resource === null) {{ return []; }} return [{entries}]; }}" if whole else "")
        + " }\n",
        "Other": head + "class NAMEOther extends JsonResource { public function toArray($request) {"
        " return ['other' => $this->resource instanceof \\Illuminate\\Database\\Eloquent\\Model ? $this->title : $this->resource]; } }\n",
        "Collection": head + "class NAMECollection extends ResourceCollection { public $collects = NAMEResource::class; }\n",
    }  # fmt: skip


@st.composite
def _model(draw: st.DrawFn) -> str:
    casts = {
        column: draw(st.sampled_from(_CASTS[column]))
        for column in draw(st.lists(st.sampled_from(sorted(_CASTS)), unique=True, max_size=6))
    }
    for column in draw(st.lists(st.sampled_from(sorted(_CAST_CLASSES)), unique=True, max_size=2)):
        casts[column] = _CAST_CLASSES[column]
    accessors = draw(st.lists(st.sampled_from(sorted(_ACCESSORS)), unique=True, max_size=3))
    appends = [name for name in accessors if name != "title" and draw(st.booleans())]
    hidden = draw(st.lists(st.sampled_from(["title", "number", "details", "label"]), unique=True, max_size=2))
    visible = draw(st.just([]) | st.just(["id", "title", "number", "happened_at", "label", "created_at"]))
    lines = [
        "<?php",
        "namespace App\\Models;",
        "class NAME extends \\Illuminate\\Database\\Eloquent\\Model {",
        "    protected $table = 'generated';",
        f"    protected $casts = [{', '.join(f'{c!r} => {t!r}' for c, t in casts.items())}];",
        f"    protected $hidden = [{', '.join(map(repr, hidden))}];",
        f"    protected $visible = [{', '.join(map(repr, visible))}];",
        f"    protected $appends = [{', '.join(map(repr, appends))}];",
        *(f"    {_ACCESSORS[name]}" for name in accessors),
        "}",
    ]
    return "\n".join(lines) + "\n"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One case; its sources say NAME where the class names go."""
    entries = [
        f"'{key}' => {draw(_expression('any', 3))}"
        for key in draw(
            st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), unique=True, min_size=1, max_size=4)
        )
    ]
    body = [f"$local = {draw(_expression('any_scalar', 2))};"]
    if draw(st.booleans()):
        body.append(
            f"if ({draw(_expression('bool', 2))}) {{ $local = {draw(_expression('any_scalar', 1))}; }}"
        )
    if draw(st.booleans()):
        body.append("$seen = [];")
        body.append(
            f"foreach ({draw(_expression('array', 2))} as $k => $v) {{ if ($v === null) {{ continue; }} $seen[$k] = $v; }}"
        )
        entries.append("'seen' => $seen")
    channel = draw(_expression("text", 2))
    with_payload = draw(st.integers(0, 3)) > 0
    named = draw(st.booleans())
    lines = [
        "<?php",
        "namespace App\\Events;",
        "use Illuminate\\Broadcasting\\Channel;",
        "use Illuminate\\Broadcasting\\PrivateChannel;",
        "use Illuminate\\Support\\Str;",
        "class NAME implements \\Illuminate\\Contracts\\Broadcasting\\ShouldBroadcast {",
        "    use \\Illuminate\\Broadcasting\\InteractsWithSockets, \\Illuminate\\Queue\\SerializesModels;",
        "    const PREFIX = 'pre-';",
        *(f"    public ${name};" for name in _PROPERTIES),
        "    public $model;",
        "    public $kept = 'default';",
        "    protected $unseen = 'protected';",
        "    public function broadcastOn() {",
        f"        return [new Channel('c.' . md5({channel})), new PrivateChannel('m.' . $this->model->getKey())];",
        "    }",
        "    private function own($x) { return is_array($x) ? $x : [$x, $this->unseen]; }",
    ]
    if named:
        lines += [
            "    public function broadcastAs() {",
            f"        return {draw(_expression('text', 2))};",
            "    }",
        ]
    if with_payload:
        lines += [
            "    public function broadcastWith() {",
            *(f"        {line}" for line in body),
            f"        return ['local' => $local, {', '.join(entries)}];",
            "    }",
        ]
    lines.append("}")
    row = {column: draw(strategy) for column, (_, strategy) in COLUMNS.items()}
    row["created_at"] = draw(st.none() | st.just("2024-05-17 12:34:56"))
    row["updated_at"] = draw(st.none() | st.just("2024-03-31 02:30:00"))
    values = {name: draw(strategy) for name, strategy in _PROPERTIES.items()}
    return Case(draw(_model()), "\n".join(lines) + "\n", draw(_more()), row, values)
