# ruff: noqa: E501 - templates stand in one line
"""What generated programs are made of.

A hole `«name»` is filled from GRAMMAR[name]; `kind: template` names the construct that the template tries, and
a template without a kind is plain. KIT are the classes around: of each member one of the variants is taken, or
none where "" stands among them.
"""

from __future__ import annotations

# Variables of a method of Sent, and what they hold at first.
VARIABLES = {
    "$i": "«small»",
    "$j": "«small»",
    "$s": "«word»",
    "$a": "«list»",
    "$m": "«map»",
    "$n": "null",
    "$o": "«item»",
    "$b": "«bag»",
    "$g": "«magic»",
    "$y": "new Typed",
    "$e": "«case»",
    "$f": "«closure»",
}

GRAMMAR: dict[str, tuple[str, ...]] = {
    # ---- values -------------------------------------------------------------------------------
    "small": ("0", "1", "2", "3", "5", "-1", "10"),
    "word": ("'a'", "'b'", "'ab'", "''", "'0'", "'5'", "'5 x'", "'1e1'", "'01'", "'Hi there'", "'é'", "'k'"),
    "literal": ("«small»", "«word»", "1.5", "0.1", "null", "true", "false", "[]", "7.0", "'10'"),
    "key": ("'a'", "'k'", "'z'", "0", "1", "'1'", "$i", "$s", "true", "places: $this->t('k')", "places: $this->t(1)", "places: $i++"),
    "list": ("[]", "[1]", "[1, 2, 3]", "[3, 1, 2]", "['b', 'a']", "[[1, 2], [3, 4]]", "[null, 0, '']", "[5 => 'x', 'y']", "range(1, 4)"),
    "map": ("[]", "['a' => 1]", "['k' => 'v', 'z' => 2]", "['a' => ['k' => 1], 'b' => ['k' => 2]]", "['a' => null]", "['1' => 'x', 'k' => [1, 2]]"),
    "item": (
        "new Item(«small»)", "new Item(«small», «word»)", "new Item(id: «small»)", "Item::make(«small»)", "new Item",
        "named: new Item(tag: «word», id: «small»)", "spread: new Item(...[«small», «word»])", "spread: new Item(...['id' => «small»])",
        "coercion: new Item('«small»')", "coercion: new Item(«any»)", "statics: Item::make()", "new Item(«small», null)",
    ),
    "bag": ("new Bag", "new Bag(«map»)", "new Bag(«list»)", "new Bag(['n' => null, 'a' => [1, 2], 'k' => 5])"),
    "magic": ("new Magic", "new Magic(«map»)", "new Magic(['a' => 1, 'k' => null])"),
    "case": ("Level::Low", "Level::Mid", "Level::High", "Mood::Up", "Mood::Down", "Grade::A", "Level::BASE"),
    # ---- expressions --------------------------------------------------------------------------
    "int": (
        "$i", "$j", "«small»", "«small»", "«int» + «int»", "«int» - «int»", "«int» * «int»", "«int» % 3", "count(«array»)", "strlen(«text»)",
        "$o->size()", "$o->total(«int»)", "order: $this->t(«int»)", "order: $i++ + $i", "order: $i + $i++", "order: $i . ($i = 3)", "order: ++$j - $j--",
        "(int) «text»", "$e->value ?? 7", "Level::Mid->value", "count($b)", "«text» <=> «text»", "$o->hit()", "$o->hit(«int»)", "abs(«int»)",
        "intdiv(«int», 2)", "max(«int», «int»)", "array_sum(«array»)", "«bool» ? «int» : «int»", "statics: Item::$made", "order: ($i = «int») + $i",
        "order: $o->hits += $o->hit(2)", "order: $i = $j = «int»", "nested: $o->total($o->total(«int»))", "match (true) { «bool» => «int», default => «int» }",
        "closures: $f(«int»)", "magic: $g(«int»)", "invoke: $o->total(...)(«int»)", "$o->id", "$m['a'] ?? «int»", "$a[0] ?? $a[1] ?? 9", "isset: $b['n'] ?? 4", "constants: Item::RATE",
        "statics: $o::$made", "statics: Base::count()", "generators: array_sum(iterator_to_array($o->each([1, 2])))", "generators: iterator_count($o->each($a))",
    ),
    "text": (
        "$s", "«word»", "«word»", "«text» . «text»", "«text» . «int»", '"$s-$i"', '"{$o->tell()}|{$a[0]}"', '"<{$m[\'a\']}>"', "strtoupper(«text»)", "ucfirst(«text»)",
        "$o->tell()", "$o->kind()", "$o->tag", "(string) $o", "(string) «int»", "$e->name", "$e->label()", "implode(',', «array»)", "trim(«text»)", "str_repeat('ab', 2)",
        "Item::KIND", "$o::KIND", "Item::class", "$o::class", "get_class($o)", "magic: $g->shout(«text»)", "magic: Magic::make(«text»)", "magic: $g->a", "statics: Item::label()",
        "substr(«text», «small»)", "json_encode(«any»)", "gettype(«any»)", "«bool» ? «text» : «text»", "«text» ?: 'none'", "heredoc: <<<X\n<$s> {$o->tag}\nX", "order: $s . ($s = 'new')",
        "match ($e) { Level::Low => 'low', Level::Mid, Level::High => 'more' }", "constants: Sized::UNIT", "constants: $o::UNIT", "nullsafe: $n?->a?->b ?? 'nil'", "Level::from(5)->name",
        "sprintf('%s/%d', «text», «int»)", "$o->mark()", "greets: $o->greet()", "greets: $o->greet(name: «text»)", "strrev(«text»)", "isset: $m[$s] ?? 'unset'",
        "constants: \\DateTime::ATOM", "constants: constant('App\\\\Nope')", "visibility: $o->secret()", "visibility: $o->secret", "variables: $o->{'tag'}", "variables: $o->{$s}", "(fn () => 1) instanceof \\Closure ? 'c' : 'd'",
    ),
    "bool": (
        "true", "false", "«int» > «int»", "«int» == «text»", "«text» === «text»", "!«bool»", "«bool» && «bool»", "«bool» || «bool»", "isset($m['a'])", "empty($a)", "isset($m[$s]['k'])",
        "in_array(«int», «array»)", "$e === Level::Low", "$e instanceof Level", "$o instanceof Sized", "$o instanceof Base", "is_null(«any»)", "«any» == «any»", "«any» === «any»",
        "isset: isset($b['n'])", "isset: isset($b['a'])", "isset: empty($b['n'])", "isset: isset($g->a)", "isset: isset($g->zz)", "isset: empty($g->a)", "isset: isset($o->secret)", "isset: isset($o->tag)", "isset: isset($n->a->b)",
        "array_key_exists('a', $m)", "comparing: $o == clone $o", "comparing: $o == new Item(1)", "comparing: $o === $o", "comparing: [1, 2] == [2 => 1]", "is_callable(«any»)", "method_exists($o, 'tell')", "order: ($i = 0) || $i++", "is_string(«any»)",
        "«any» ?? false", "«array» == «array»", "$f instanceof \\Closure", "is_iterable(«any»)", "is_countable($b)", "property_exists($o, 'tag')",
    ),
    "array": (
        "$a", "$m", "«list»", "«map»", "[«any»]", "[«any», «any»]", "['k' => «any», «any»]", "spread: [...«array», «any»]", "array_map(«closure», $a)", "array_filter($a, «closure»)", "array_values(«array»)",
        "array_merge($a, $m)", "array_reverse($a)", "array_keys($m)", "array_slice($a, «small»)", "explode('a', «text»)", "Level::cases()", "enums: array_column(Level::cases(), 'value')", "enums: array_column(Level::cases(), 'name', 'value')",
        "enums: array_map(fn ($c) => $c->label(), Level::cases())", "enums: array_map([Level::class, 'pick'], [1, 5])", "(array) «any»", "$o->list", "$o->items()", "generators: [...$o->each($a)]", "generators: iterator_to_array($b)", "generators: iterator_to_array($o->each($m))",
        "collections: collect($a)->map(«closure»)->all()", "collections: collect([$b, $b])->pluck('k')->all()", "collections: collect([['k' => 2], ['k' => 1]])->sortBy('k')->values()->all()", "collections: collect($m)->filter()->keys()->all()",
        "array_combine(['x', 'y'], [«any», «any»])", "array_unique([«int», «int»])", "$y->texts('a', «text»)", "$y->named(c: 1, a: 2)", "named: $y->named(«any», c: «any»)", "spread: $y->named(...[1, 'c' => 2])", "callables: array_map([$o, 'total'], $a)", "callables: array_map($o->total(...), $a)", "callables: array_map('strtoupper', ['a'])",
        "callables: array_map('App\\P\\Nope::x', [1])", "callables: array_map(Item::make(...), [1])", "array_filter($m)", "array_flip(['a', 'b'])", "closures: (function () { return func_get_args(); })(1, «any»)", "compact('i', 's')", "[$i => «any», $s => «any»]", "json_decode('{\"a\":[1]}', true)", "order: [$i++, $i, $i++]", "order: [$this->t('k') => $this->t(1), $this->t('l') => $this->t(2)]",
        "collections: Arr::pluck([['k' => 1]], 'k')", "collections: collect($a)->groupBy(fn ($v) => $v > 1)->toArray()",
    ),
    "any": ("«int»", "«int»", "«text»", "«text»", "«bool»", "«array»", "«literal»", "$n", "$o", "$e", "$b['k']", "$b['a']['k']", "$m['z']", "$a[1]", "$a[$i]", "$m['a']['k'] ?? null", "magic: $g->zz", "nullsafe: $n?->a", "nullsafe: $n?->a($i++)", "nullsafe: $o?->next?->tag", "$o->next", "enums: Level::tryFrom(«any»)", "enums: Grade::from(«any»)", "enums: Grade::tryFrom('01')", "enums: Level::tryFrom('5')", "enums: Level::from(«any»)", "clone $o", "enums: $e->next()", "$y->int(«any»)", "coercion: $y->float(«any»)", "coercion: $y->string(«any»)", "coercion: $y->bool(«any»)", "coercion: $y->nullable(«any»)", "coercion: $y->union(«any»)", "coercion: $y->returns(«any»)", "coercion: $y->implicit(null)", "callables: $y->call('strlen')", "callables: $y->call(«closure»)", "callables: $y->call([$o, 'tell'])", "coercion: $y->list(«any»)", "coercion: $y->iter(«any»)", "closures: «closure»(«any»)", "throw: $n ?? throw new Oops('none')", "match («any») { 1, '1' => 'one', null => 'null', default => 'else' }", "match («int») { 1 => 'one', 2 => 'two' }", "statics: Item::make(1)->tag", "collections: data_get($b, 'a.0')", "collections: data_get($m, 'a.k', 'd')", "collections: collect($b)->get('k')", "[$o, 'tell']()", "callables: call_user_func([$o, 'total'], 1)", "callables: call_user_func_array([$y, 'named'], ['b' => 1, 'a' => 2])", "callables: (new Item(2))->tell(...)()", "variables: $o->{'t' . 'ell'}()", "variables: [new Item, 'tell']()", "constants: Level::Mid->label()", "constants: $y::class", "anonymous: (new class { public $v = 1; public function w() { return $this->v; } })->w()", "generators: $o->each($a)->current()", "closures: (fn () => $this->seen)()", "closures: (static fn () => isset($this))()", "closures: \\Closure::fromCallable([$o, 'tell'])()", "closures: (function () { return $this->id; })->call($o)", "$o->fluent(1)->fluent(2)->list"),
    "closure": ("fn ($x) => $x", "fn ($x) => [$x]", "fn ($x) => $x . '!'", "fn ($x) => $x > 1", "function ($x) { return $x; }", "function ($x) use ($i) { return [$x, $i]; }", "fn ($x, $y = 2) => $x", "fn ($x) => $i", "coercion: fn (int $x) => $x", "coercion: fn (?string $x = null): ?string => $x", "closures: function ($x) use ($s) { $s .= $x; return $s; }", "fn (...$x) => count($x)", "references: function ($x) use (&$i) { $i++; return $i; }", "closures: static fn ($x) => $x", "closures: fn ($x) => fn ($z = 1) => [$x, $z, $i]", "callables: strval(...)", "callables: $o->total(...)", "closures: function ($x) { static $c = 0; $c++; return $c; }", "closures: function ($x = [1]) { $x[] = 2; return $x; }"),
    # ---- places: what can be assigned ---------------------------------------------------------
    "place": ("$i", "$s", "$a[«small»]", "$m[«key»]", "append: $a[]", "places: $m['a']['b']", "$o->id", "append: $o->list[]", "$o->list[«key»]", "$o->hits", "places: $o->extra", "places: $a[$i++]", "places: $a[$i++]['v']", "places: $m[$this->t('k')]", "places: $m[$this->t('k')][$this->t('l')]", "places: $this->pick($o)->hits", "places: $this->pick($o)->list[$this->t('k')]", "places: $a[array_shift($a)]", "arrayaccess: $b['k']", "arrayaccess: $b['a'][]", "arrayaccess: $b[]", "arrayaccess: $b[$i++]", "arrayaccess: $b['z']['q']", "magic: $g->a", "magic: $g->zz", "magic: $g->list[]", "typed: $y->count", "typed: $y->text", "typed: $y->flag", "typed: $y->ratio", "typed: $y->either", "typed: $y->list", "typed: $y->self", "visibility: $o->secret", "readonly: $o->tag", "statics: Item::$made", "statics: Item::$seen[«key»]", "variables: $o->{$s}", "places: $o->next->hits", "offsets: $s[0]", "places: $n['x']", "places: $n->x", "places: $i['x']", "places: $m[«any»]"),
    "op": ("=", "=", "+=", ".=", "-=", "*=", "??=", "%=", "|=", "**=", "<<="),
    # ---- statements ---------------------------------------------------------------------------
    "statement": (
        "$i = «int»;", "$s = «text»;", "$a[] = «any»;", "$m[«key»] = «any»;", "«place» = «any»;", "«place» = «any»;", "«place» «op» «int»;", "«place» «op» «any»;", "«place»++;", "--«place»;", "unset(«place»);", "$o->hit(«int»);", "$a = «array»;",
        "if («bool») { «statement» } else { «statement» }", "if («bool») { «statement» } elseif («bool») { «statement» }", "foreach («array» as $k => $v) { «inner» }", "foreach («array» as $v) { «inner» }", "for ($i = 0; $i < 3; $i++) { «inner» }", "while ($i++ < 3) { «inner» }", "do { «inner» } while (++$j < 2);",
        "switch («any») { case 1: «statement» case 'a': «statement» break; default: «statement» }", "try { «statement» «statement» } catch (\\TypeError | \\ValueError $e) { $a[] = 'type'; } finally { $a[] = 'finally'; }", "try { «statement» throw new Oops(«text»); } catch (Oops $t) { $a[] = get_class($t); }", "throw: try { «statement» $o->fail(«any»); } catch (\\Exception $t) { $a[] = get_class($t) . $t->getMessage(); }", "try { «statement» } finally { $j++; }", "throw: try { $o->deep(); } catch (Oops $t) { $a[] = [$t->getMessage(), $t->level ?? null, $t->getCode()]; }", "throw: try { try { «statement» throw new \\LogicException('in'); } finally { $a[] = 'f'; } } catch (\\LogicException $t) { $a[] = 'out'; }",
        "[$i, $j] = [$j, $i];", "lists: [$i, [$j]] = [«int», [«int»]];", "lists: ['k' => $i, 'z' => $s] = ['k' => «any», 'z' => «any»];", "lists: [$a[], $a[]] = [«any», «any»];", "lists: [, $i] = «array»;", "lists: [$i, $j] = «any»;", "lists: [$a, $m] = [$m, $a];", "lists: [$i, $a[$i]] = [«small», «any»];", "lists: foreach ([[1, [2]], [3, [4]]] as [$i, [$j]]) { $a[] = $i . $j; }", "lists: [$this->t('k') => $i] = $m;",
        "references: $r = &$a[«small»]; $r = «any»;", "references: foreach ($a as &$v) { $v = «any»; } unset($v);", "references: foreach ($a as $k => &$v) { if ($k) { $v = $k; } }", "references: $r = &$i; $r++; $i += 2;", "references: [$x, &$r] = $a; $r = 5;", "references: $this->change($i);", "references: $this->change($a[«key»]);", "references: $this->change($o->hits);", "references: $q = &$o->items(); $q[] = 1;", "references: $r = &$m['new']['k'];", "references: (function (&$x) { $x .= '!'; })($s);", "references: $c = $a; $r = &$c[0]; $d = $c; $r = 'r'; $a = [$c, $d];", "outparams: sort($a);", "outparams: ksort($m);", "outparams: usort($a, fn ($x, $y) => $y <=> $x);", "array_push($a, «any»);", "array_pop($a);", "$s = array_shift($a);", "outparams: preg_match('/(a)(b)?/', «text», $a);", "outparams: settype($i, 'string');", "outparams: end($a);", "outparams: array_walk($a, function (&$v, $k) { $v = [$k, $v]; });", "outparams: array_splice($a, 1, 1, ['new']);", "outparams: sort($m[«key»]);", "outparams: array_push($o->list, «any»);", "outparams: parse_str('a=1&b[]=2', $m);", "outparams: array_multisort($a);",
        "places: $m[array_shift($a)] = array_shift($a);", "places: $this->t($o)->hits += $this->t(2);", "places: $a[$i++] «op» $this->t(3);", "places: $a[$this->t(0)][$this->t(1)] = $this->t(2);", "places: unset($a[$i++]);", "places: $m['k'] ??= $this->t('new');", "places: $a[$i] = $i++;", "places: $a[$i++] = $i++;", "places: $o->list[$o->hit()] = $o->hit();", "places: $m[$s = 'q'] = $s;", "places: $a[count($a)] = count($a);", "places: $o->hits = $o->hit() + $o->hit();", "places: $c = $o; $c->hits += ($c = new Item)->hit();",
        "generators: foreach ($o->each($a) as $k => $v) { $m[$k] = $v; }", "generators: foreach ($b as $k => $v) { $m[$k] = $v; }", "generators: $q = $o->each([1, 2]); foreach ($q as $v) { $j += $v; } $i = $q->getReturn();", "generators: $q = (function () { $got = yield 1; yield $got; })(); $q->current(); $i = $q->send('sent');", "generators: foreach ($o->nested() as $k => $v) { $a[] = \"$k=$v\"; }", "generators: foreach ((fn () => yield from [1, 2])() as $v) { $a[] = $v; }",
        "$o = $o->with('tag', «any»);", "$o = $o->with('hits', «any»);", "$f = «closure»; $a[] = $f(«any»);", "$e = $e->next();", "enums: $e = Level::pick(«any»);", "$g->a = «any»;", "magic: unset($g->a);", "magic: $g->set('k', «any»)->set('a', 2);", "magic: $g->zz ??= 5;", "magic: $g->a .= 'x';", "magic: $g->n++;", "arrayaccess: unset($b['k']);", "arrayaccess: $b['k'] ??= «any»;", "arrayaccess: $b['k'] .= 'x';", "arrayaccess: $b['k']++;", "arrayaccess: [$i, 'k' => $s] = $b;", "arrayaccess: $b['a']['b'] = 1;", "arrayaccess: ['k' => $i, 'n' => $s] = $b;", "statics: Item::$made += 2; $i = Item::$made;", "statics: Item::reset(«any»);", "destruct: $q = new Dying($a); unset($q);", "visibility: $o = new Hidden;", "visibility: $i = Item::hidden();", "visibility: $o->rate(1);", "visibility: $i = Item::HIDDEN;", "readonly: $o->tag = 'new';", "readonly: $o->tag .= 'x';", "readonly: $q = clone $o; $q->tag = 'x';", "variables: $v = 's'; $$v = 'x';", "variables: $k = 'tell'; $s = $o->$k();", "variables: $k = 'Item'; $o = new $k;", "variables: $k = Item::class; $o = new $k(3);", "variables: $k = 'App'; $s = $k::X;", "variables: $k = [Item::class, 'make']; $o = $k(4);", "nullsafe: $n?->x($i++);", "nullsafe: $i = $n?->list[$i++];", "nullsafe: $s = $o?->next?->next?->tell();", "nullsafe: unset($n->x);", "if ($n?->a) { «statement» }", "foreach ($a as $v) { if ($v) continue; «statement» }",
        "typed: $y->count = «any»;", "typed: $y->count += «any»;", "typed: $y->count++;", "typed: $y->self = «any»;", "typed: $y->self = new Typed; $y->self->self = $y->self;", "typed: $q = $y->text = «any»; $a[] = $q;", "typed: $y->unset; ", "typed: $r = &$y->count; $r = «any»;", "typed: $a[] = $y->late;", "typed: unset($y->count); $a[] = $y->count ?? 'gone';",
        "closures: static $c = 0; $c++; $j = $c;", "echo: echo '';", "$undefined++;", "$a[] = $undefined ?? 'd';", "$a[] = isset($undefined['x']);", "$a[] = $undefined;", "constants: $a[] = UNKNOWN;",
    ),
    "inner": ("$a[] = [$k ?? 0, $v ?? 1];", "if ($i > 2) { break; } «statement»", "if ($j == 1) { $j++; continue; } «statement»", "$s .= 'x'; if (strlen($s) > 9) { break; }", "$m[$v ?? 'q'] = $i; if (count($m) > 5) { break; }", "«statement» if (++$j > 4) { break; }"),
    "default": ("1", "null", "'d'", "[]", "self::RATE", "2.5"),
    "id": ("int ", "?int ", "int|string ", "mixed ", "", "defaults: float "),
}  # fmt: skip

# class → (head variants, member variants); a class is part of a program that mentions it.
KIT: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "Sized": (("interface Sized",), (("const UNIT = «word»;", "const UNIT = 'u' . 1 + 2;", "const UNIT = «small» + 1;"), ("public function size();",))),
    "Oops": (("class Oops extends \\RuntimeException", "final class Oops extends \\Exception"), (("public $level = «literal»;",), ("", "public static function at($v) { return new static(\"at $v\"); }", "public function __construct($m = 'oops', public $extra = null) { parent::__construct($m, 3); }"))),
    "Level": (
        ("enum Level: int", "enum Level: int implements Sized"),
        (
            ("case Low = 1;",), ("case Mid = 5;",), ("case High = 10;",), ("const BASE = self::Mid;", "const BASE = self::Low;"),
            ("public function label(): string { return match ($this) { self::Low => «word», self::Mid, self::High => $this->name }; }", "public function label() { return ucfirst(strtolower($this->name)) . $this->value; }", "public function label(): string { return static::class . self::BASE->name; }"),
            ("public static function pick($v): ?self { return self::tryFrom((int) $v) ?? self::BASE; }", "public static function pick(int $v) { foreach (self::cases() as $c) { if ($c->value >= $v) { return $c; } } return null; }", "enums: public static function pick($v) { return static::from($v); }"),
            ("public function next(): self { $all = self::cases(); return $all[(array_search($this, $all, true) + 1) % count($all)]; }", "public function next(): static { return match (true) { $this === self::Low => self::Mid, default => self::High }; }"),
            ("public function size() { return $this->value; }",),
            ("", "public function __invoke($x) { return $this->value . $x; }", "use Greets;"),
        ),
    ),
    "Mood": (("enum Mood",), (("case Up;",), ("case Down;",), ("public function label() { return strtolower($this->name); }",), ("public function next() { return $this === self::Up ? self::Down : self::Up; }",))),
    "Grade": (("enum Grade: string",), (("case A = '1';",), ("case B = '10';",), ("case C = 'c';",), ("public function label(): string { return \"grade {$this->value}\"; }",), ("public function next(): self { return self::B; }",))),
    "Greets": (("trait Greets",), (("", "public $greeting = 'Hello';" ,), ("public function greet($name = 'you') { return 'Hi ' . $name . ' ' . static::class . '/' . self::class . '/' . __CLASS__; }", "public function greet(string $name = 'me'): string { return __FUNCTION__ . $name . __TRAIT__; }"), ("", "public static function hail() { return static::class; }"))),
    "Counts": (
        ("trait Counts",),
        (
            ("public $hits = 0;", "public int $hits = 1;", "public ?int $hits = null;"),
            ("public function hit($by = 1) { $this->hits += $by; return $this->hits; }", "public function hit(int $by = 1): int { return $this->hits = $this->hits + $by; }", "public function hit($by = 1) { return $this->hits++ + $by; }"),
            ("protected function rate($v) { return $v * 2; }", "abstract protected function rate($v);", ""),
            ("public function mark() { return self::class . ':' . $this->priv(); }", "public function mark() { return $this->priv() . __CLASS__; }", "public function mark() { return static::KIND . $this->secret; }"),
            ("private function priv() { return 'p'; }",),
            ("", "public static function label() { return static::class . self::KIND; }"),
        ),
    ),
    "Base": (
        ("abstract class Base implements Sized",),
        (
            ("const KIND = 'base';", "public const KIND = self::RATE . 'base';"),
            ("protected const RATE = 3;", "const RATE = 3;", "public const RATE = 1 + 2;"),
            ("private const HIDDEN = 'h';",),
            ("public static $made = 0;",), ("protected static $seen = [];", "public static array $seen = [];"),
            ("public $list = [];", "public array $list = [1];", "public $list = ['k' => [1]];"),
            ("public $next = null;", "public ?self $next = null;"),
            ("private $secret = 'base';",),
            (
                "public function __construct(protected «id»$id = 1, public readonly ?string $tag = null) { }",
                "public function __construct(public «id»$id = 1, public $tag = «default») { }",
                "public function __construct(public $id = 1, public readonly mixed $tag = «word») { $this->list[] = $id; }",
                "public $tag = 't'; public $id; public function __construct($id = 1, $tag = null) { $this->id = $id; $this->tag = $tag ?? $this->tag; }",
                "statics: public function __construct(public int $id = 1, public ?string $tag = 'x') { static::$made++; }",
            ),
            ("private function secret() { return 'base secret'; }",),
            ("public function tell() { return $this->secret() . '/' . $this->secret; }", "visibility: public function tell() { return $this->secret(...)() . static::KIND; }"),
            ("statics: public static function make(...$given) { static::$made++; return new static(...$given); }", "public static function make($id = 5, $tag = null): static { return new static($id, $tag); }", "public static function make(...$g) { return (new static(...$g))->fluent('made'); }"),
            ("public function kind() { return static::KIND . self::KIND; }", "public function kind() { return get_class($this) . get_class() . __METHOD__; }", "public function kind() { return $this::KIND . static::class; }"),
            ("abstract protected function rate($v);",),
            ("public function total($v = 1) { return $this->rate($v) + self::RATE; }", "public function total(int $v = 1): int { return $this->rate($v) + static::RATE; }"),
            ("public function __toString(): string { return static::class . \"({$this->tag})\"; }", ""),
            ("public static function count() { return self::$made + count(static::$seen); }",),
            ("public function fluent($v): static { $this->list[] = $v; return $this; }", "public function fluent($v): self { $c = clone $this; $c->list[] = $v; return $c; }"),
            ("", "public static function reset($v) { static::$seen = [$v]; self::$made = 0; }"),
            ("", "private static function hidden() { return 1; }", "protected static function hidden() { return 2; }"),
        ),
    ),
    "Item": (
        ("class Item extends Base", "final class Item extends Base implements Sized"),
        (
            ("use Counts, Greets;", "use Counts, Greets { greet as protected hello; }", "use Greets { greet as public hello; } use Counts { hit as protected plainHit; }"),
            ("", "const KIND = 'item';", "const KIND = parent::KIND . '+';"),
            ("", "private $secret = 'item';", "protected $secret2 = 1;"),
            ("", "private function secret() { return 'item secret'; }" ),
            ("", "", "promotion: public function __construct($id = 2, $tag = 'own') { parent::__construct($id, $tag); }", "promotion: public function __construct(public $extra = null, $tag = null) { parent::__construct(tag: $tag, id: 9); }", "promotion: public function __construct(...$all) { parent::__construct(...$all); $this->hits ??= 4; }"),
            ("protected function rate($v) { return $v + $this->hits; }", "protected function rate($v): int { return $v * 10; }", "public function rate($v) { return parent::RATE * $v; }"),
            ("public function size() { return count($this->list); }", "public function size(): int { return strlen($this->kind()); }"),
            ("public function with($k, $v) { $c = clone $this; $c->$k = $v; return $c; }",),
            ("", "", "cloning: public function __clone() { $this->hits = 100; }", "cloning: public function __clone(): void { $this->list = []; }"),
            ("public function items() { return $this->list; }", "references: public function &items() { return $this->list; }"),
            ("generators: public function each($v) { foreach ((array) $v as $k => $w) { yield $k => $w; } return 7; }", "generators: public function each(iterable $v): iterable { $this->hits = 50; yield from $v; return count($v); }"),
            ("generators: public function nested() { yield 0; $r = yield from $this->each([5, 6]); yield 'r' => $r; }",),
            ("public function fail($v = 1) { if ($v) { throw new Oops('failed'); } throw new \\DomainException('other'); }",),
            ("public function deep() { try { $this->fail(1); } catch (Oops $e) { throw new Oops('deep', 0, $e); } finally { $this->hits = 77; } }", "public function deep() { $e = new Oops('made'); $e->level = 'set'; throw $e; }"),
            ("", "public function tell() { return 'item ' . parent::tell(); }"),
            ("", "public function kind() { return 'own ' . parent::kind(); }"),
        ),
    ),
    "Bag": (
        ("class Bag implements \\ArrayAccess, \\Countable, \\IteratorAggregate", "final class Bag implements \\ArrayAccess, \\Countable, \\IteratorAggregate, \\JsonSerializable"),
        (
            ("private array $items; public $asked = []; public function __construct(array $items = ['k' => 1]) { $this->items = $items; }", "public $asked = []; public function __construct(protected array $items = ['k' => 'v', 'n' => null]) { }"),
            ("public function offsetExists($k): bool { $this->asked[] = \"exists $k\"; return array_key_exists($k, $this->items); }", "public function offsetExists(mixed $k): bool { return isset($this->items[$k]); }", "#[\\ReturnTypeWillChange] public function offsetExists($k) { return true; }"),
            ("public function offsetGet($k): mixed { $this->asked[] = \"get $k\"; return $this->items[$k] ?? null; }", "references: #[\\ReturnTypeWillChange] public function &offsetGet($k) { $this->asked[] = \"ref $k\"; return $this->items[$k]; }", "public function offsetGet(mixed $k): mixed { return $this->items[$k] ?? 'default'; }"),
            ("public function offsetSet($k, $v): void { $this->asked[] = 'set'; if ($k === null) { $this->items[] = $v; } else { $this->items[$k] = $v; } }", "public function offsetSet(mixed $k, mixed $v): void { $this->items[$k ?? 'null'] = $v; }"),
            ("public function offsetUnset($k): void { unset($this->items[$k]); }",),
            ("public function count(): int { return count($this->items); }",),
            ("public function getIterator(): \\Iterator { return new \\ArrayIterator($this->items); }", "generators: public function getIterator(): \\Generator { foreach ($this->items as $k => $v) { yield $k => $v; } }", "generators: public function getIterator(): \\Traversable { yield from $this->items; }"),
            ("public function jsonSerialize(): mixed { return $this->items; }",),
        ),
    ),
    "Magic": (
        ("class Magic",),
        (
            ("private $held; public $log = []; public function __construct(array $held = ['a' => 'A']) { $this->held = $held; }",),
            ("public function __get($k) { $this->log[] = \"get $k\"; return $this->held[$k] ?? null; }", "references: public function &__get($k) { $this->log[] = \"get $k\"; if (!isset($this->held[$k])) { $this->held[$k] = null; } return $this->held[$k]; }", ""),
            ("public function __set($k, $v) { $this->log[] = \"set $k\"; $this->held[$k] = $v; }", ""),
            ("public function __isset($k) { $this->log[] = \"isset $k\"; return isset($this->held[$k]); }", "public function __isset($k): bool { return array_key_exists($k, $this->held); }", ""),
            ("public function __unset($k) { $this->log[] = \"unset $k\"; unset($this->held[$k]); }", ""),
            ("public function __call($name, $given) { return $name === 'set' ? [$this->held[$given[0]] = $given[1], $this][1] : $name . json_encode($given); }", "public function __call(string $name, array $given) { return $this; }", ""),
            ("public static function __callStatic($name, $given) { return \"$name:\" . implode(',', $given); }", ""),
            ("public function __invoke($x = 1) { return $x . count($this->held); }", ""),
        ),
    ),
    "Typed": (
        ("class Typed",),
        (
            ("public int $count = 0;",), ("public ?string $text = null;",), ("public float $ratio = 1.5;",), ("public array $list = [];",), ("public int|string $either = 1;", "public int|float|null $either = 1;"), ("public bool $flag = false;",), ("public self|null $self = null;", "public ?Typed $self = null;"), ("public int $late;",),
            ("public function int(int $x) { return $x; }",), ("public function float(float $x): float { return $x; }",), ("public function string(string $x) { return $x; }",), ("public function bool(bool $x) { return $x; }",), ("public function nullable(?int $x) { return $x; }",), ("public function union(int|string $x) { return $x; }", "public function union(int|float|bool $x) { return $x; }", "public function union(float|string|null $x) { return $x; }"),
            ("public function returns($x): int { return $x; }", "public function returns($x): ?string { return $x; }", "public function returns($x): int|false { return $x; }"), ("public function implicit(int $x = null) { return $x; }",), ("public function call(callable $x) { return $x('abc'); }",), ("public function list(array $x) { return $x; }",), ("public function iter(iterable $x) { $r = []; foreach ($x as $k => $v) { $r[$k] = $v; } return $r; }",),
            ("public function texts(string ...$x) { return $x; }", "public function texts(int|string ...$x) { return $x; }"), ("public function named($a, $b = 2, $c = 3) { return [$a, $b, $c]; }", "public function named($a, int $b = 5, ...$c) { return [$a, $b, $c]; }"),
        ),
    ),
    "Dying": (("class Dying",), (("private $all; public function __construct(array &$all) { $this->all = &$all; }",), ("public function __destruct() { $this->all[] = 'gone'; }",))),
    "Hidden": (("final class Hidden",), (("private function __construct() { }",), ("public static function get() { return new self; }",))),
}  # fmt: skip
