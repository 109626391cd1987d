# ruff: noqa: E501
"""PHP code, a piece for every construct: classes, and bodies of functions that use them."""

from __future__ import annotations

CLASSES = r"""
interface HasArea { const UNITS = 'cm'; public function area(); }
trait Greets { public $greeting = 'Hello'; public function greet($name = 'you') { return "{$this->greeting}, $name from " . static::class . '/' . self::class; } }
trait Shouts { public function shout($text) { return strtoupper($text) . $this->mark(); } private function mark() { return '!'; } }
trait Left { public function side() { return 'left'; } }
trait Right { public function side() { return 'right'; } }
abstract class Shape implements HasArea {
    const KIND = 'shape'; const LABEL = self::KIND . ':' . self::UNITS;
    protected $name = 'none'; private $secret = 'shape secret';
    public static function make(...$arguments) { return new static(...$arguments); }
    public function kind() { return static::KIND . '/' . self::KIND; }
    public function describe() { return $this->name . ' ' . $this->area() . ' ' . $this->secret; }
    abstract public function area();
}
class Square extends Shape {
    use Greets, Shouts;
    const KIND = 'square';
    private $secret = 'square secret';
    public function __construct(protected int $side = 2, public readonly ?string $tag = null, string $name = 'sq') { $this->name = $name; }
    public function area() { return $this->side ** 2; }
    public function kind() { return 'my ' . parent::kind(); }
    public function secret() { return $this->secret; }
    public function grow(int $by = 1): static { $this->side += $by; return $this; }
    public function __toString(): string { return "Square({$this->side})"; }
    public function __invoke($x) { return $x * $this->side; }
}
class Both { use Left, Right { Left::side insteadof Right; Right::side as protected other; Left::side as flank; } public function sides() { return $this->side() . $this->other() . $this->flank(); } }
enum Suit: string {
    case Hearts = 'H'; case Spades = 'S';
    const Wild = self::Spades;
    public static function first(): self { return self::Hearts; }
    public function label(): string { return ucfirst(strtolower($this->name)) . $this->value; }
    public function color(): string { return match ($this) { self::Hearts => 'Red', self::Spades => 'Black' }; }
}
enum Status { case On; case Off; }
class Typed {
    public int $count = 0; public ?string $text = null; public float $ratio = 1.5; public array $list = []; public int|string $either = 1; public bool $flag = false;
    public function int(int $x) { return $x; } public function float(float $x) { return $x; } public function string(string $x) { return $x; }
    public function bool(bool $x) { return $x; } public function nullable(?int $x) { return $x; } public function union(int|string $x) { return $x; }
    public function numeric(int|float $x) { return $x; } public function returns($x): int { return $x; } public function texts(string ...$x) { return $x; }
    public function named($a, $b = 2, $c = 3) { return [$a, $b, $c]; } public function nothing(): void { return; }
}
class Doomed { public function __destruct() { } }
class Node { public $next = null; public $value; public function __construct($value) { $this->value = $value; } public function next() { return $this->next; } }
"""

BODIES = [
    # literals and strings
    "return [1_000, 0x1F, 0b101, 0o17, 017, 1.5e3, .5, 6., 9223372036854775808, true, NULL, 'a\\'b\\\\c\\n', -5];",
    r'return "a\n\t\\\$x \x41\101\u{1F600}\e\v\f\r\" \q {$x}";' .replace(" {$x}", ""),
    r'$x = 5; $a = ["k" => "v", 3 => "n", "m" => [1]]; $o = new Node("val"); return "$x $a[k] $a[3] {$a["k"]} {$a["m"][0]} $o->value {$o->value} ${x}";',
    r'$n = "x"; return "{$n}s $n-> $n[0] \{$n} \$n {$n}";' .replace("$n-> ", ""),
    "return 'single $x {$y}';",
    "return \"multi\nline\";",
    "return 'a' . 1 . 1.0 . true . null . 0.1 . 1e20 . -0.0;",
    "return PHP_INT_MAX + 1;",
    "return [0.1 + 0.2, (string) (0.1 + 0.2), 1/3 . '', 7.0 . ''];",
    # operators
    "return [7 % 3, -7 % 3, 7 <=> 3, 2 ** 3 ** 2, (-2) ** 2, 7 / 2, 6 / 2, 1 + 2 . '3', !true || true, 5 & 3 | 4 ^ 1, 1 << 3, ~5];",
    "return ['a' == 0, '1' == '01', null == false, [] == false, '0' == false, 'abc' <=> 'abd', [1, 2] == [2 => 1], null ?? 'd', 0 ?: 'e'];",
    "$x = 5; $x += 2; $x -= 1; $x *= 3; $x /= 2; $x %= 5; $x **= 2; $x .= 'a'; $y = null; $y ??= 7; $z = 6; $z <<= 1; $z |= 1; $z &= 7; $z ^= 2; return [$x, $y, $z];",
    "$i = 5; return [$i++, $i, ++$i, $i--, --$i];",
    "$n = null; $n++; $s = '5'; $s++; $f = 1.5; $f--; return [$n, $s, $f];",
    "return true and false or true xor true;",
    "return [(int) '12abc', (float) '1.5', (string) 12, (bool) '0', (array) 'a', (array) null, (int) 12.9, (object) ['a' => 1]];",
    "return isset($x) ? 1 : (isset($y['a']['b']) ? 2 : 3);",
    "$a = ['x' => null, 'y' => 0]; return [isset($a['x']), isset($a['y']), isset($a['z']), empty($a['y']), empty($a['q']['r']), isset($a['y']['z']), array_key_exists('x', $a)];",
    "return 1 + '1' + '1.5';",
    "$o = (object) ['v' => 1]; return ['none' == $o, $o == 'x', $o != '', '' != new Node(1), new Square(3) == 'Square(3)', 'x' != new Square(3)];",
    "return 'abc' * 1;",
    "return [] + 1;",
    "return 1 / 0;",
    "return $undefined;",
    "return [1, 2][5];",
    "return ['a' => 1]['b'];",
    "return 'abc'[5];",
    "return ['abc'[0], 'abc'[-1], 'abc'['1']];",
    "return 'abc'[1.5];",
    "return 'abc'[true];",
    "$s = 'abc'; return [isset($s['x']), isset($s[1]), isset($s['1']), isset($s[9]), $s['x'] ?? 'd'];",
    "$n = null; return $n['a'] ?? 'none';",
    "$x = null; return $x['a'];",
    "$x = 5; return $x->name;",
    "$x = null; return $x->method();",
    # arrays
    "$a = [1, 2]; $b = $a; $b[] = 3; $a['k'] = 'v'; return [$a, $b];",
    "$a = []; $a['x']['y'][] = 1; $a['x']['y'][] = 2; return $a;",
    "$a = ['5' => 'a', 5.7 => 'b', true => 'c', null => 'd', '05' => 'e']; return $a;" .replace("5.7 => 'b', ", ""),
    "$a = [3 => 'a', 'b', 'k' => 'c', 'd']; unset($a[4]); $a[] = 'e'; return $a;",
    "[$a, [$b, $c]] = [1, [2, 3]]; ['x' => $d, 'y' => [$e]] = ['x' => 4, 'y' => [5]]; [, $f] = [6, 7]; list($g, , $h) = [8, 9, 10]; return [$a, $b, $c, $d, $e, $f, $g, $h];",
    "[$a, $b] = [1, 2]; [$a, $b] = [$b, $a]; return [$a, $b];",
    "[$a] = []; return $a;",
    "[$a] = null; return $a;",
    "return [...[1, 2], ...['a' => 3, 4]];",
    "$a = ['b' => ['c' => 1]]; $a['b']['c'] += 5; $a['b']['d'] ??= 9; return $a;",
    "$a = [1, 2, 3]; foreach ($a as $k => $v) { $a[] = $v * 10; } return $a;",
    "$s = ''; foreach (['a' => 1, 'b' => 2] as $k => $v) { $s .= \"$k=$v;\"; } return [$s, $k, $v];",
    "$r = []; foreach ([[1, [2]], [3, [4]]] as [$a, [$b]]) { $r[] = $a + $b; } return $r;",
    "$a = [1]; $f = function () use ($a) { $a[] = 2; return $a; }; return [$f(), $f(), $a];",
    # control
    "if (0) { return 1; } elseif ('0') { return 2; } else if ([]) { return 3; } else { return 4; }",
    "$r = []; for ($i = 0, $j = 9; $i < 5; $i++, $j--) { if ($i == 1) continue; if ($i == 4) break; $r[] = $i * $j; } return $r;",
    "$i = 0; while (true) { if (++$i > 3) { break; } } do { $i += 10; } while ($i < 30); return $i;",
    "$r = []; foreach ([1, 2, 3] as $x) { foreach ([1, 2, 3] as $y) { if ($y == 2) continue 2; if ($x == 3) break 2; $r[] = [$x, $y]; } } return $r;",
    "$r = []; foreach (['a', 'b', 'c', 'd'] as $x) { switch ($x) { case 'a': $r[] = 1; case 'b': $r[] = 2; break; case 'c': $r[] = 3; continue 2; default: $r[] = 4; } $r[] = $x; } return $r;",
    "switch ('1e1') { case '10': return 'loose'; default: return 'none'; }",
    "switch (3) { default: $x = 'd'; break; case 1: $x = 'one'; } return $x;",
    "return match (true) { 1 > 2 => 'a', '1' == 1, false => 'b', default => 'c' };",
    "return match (5) { '5' => 'a', 6 => 'b' };",
    "return match ('x') { 'a' => 1, 'b' => 2 };",
    "$x = 3; return $x > 2 ? 'big' : ($x > 1 ? 'mid' : 'small');",
    "if (true): $x = 1; else: $x = 2; endif; foreach ([1, 2] as $y): $x += $y; endforeach; for ($i = 0; $i < 2; $i++): $x++; endfor; return $x;",
    "return (function () { return; })();",
    # closures
    "$y = 10; $f = fn ($x) => $x + $y; $y = 20; return $f(1);",
    "$f = function ($x, $y = 5) { return $x + $y; }; return [$f(1), $f(1, 2)];",
    "$x = 1; $g = fn () => fn () => $x + 1; return $g()();",
    "$f = fn (int ...$n) => array_sum($n); return $f(1, 2, '3');",
    "$f = strlen(...); $o = new Square(3); $g = $o->area(...); return [$f('abc'), $g()];",
    "return array_map(fn ($x) => $x ** 2, array_filter(range(1, 6), fn ($x) => $x % 2));",
    "$f = fn (int $x) => $x; return $f('abc');",
    "$f = fn ($x) => $x; return $f();",
    "return (new Square(3))(4);",
    "return array_map(new Square(2), [1, 2]);",
    "return array_map([new Square(2), 'shout'], ['a']);",
    "return call_user_func('Suit::first')->name;",
    # objects
    "$s = new Square(3, name: 'named'); return [$s->describe(), $s->kind(), $s->tag, $s->secret(), (string) $s, \"$s\", $s . ''];",
    "return [Square::KIND, Square::LABEL, Square::UNITS, Shape::KIND, Square::class, (new Square)::KIND];",
    "return [Square::make(4)->area(), Square::make(5, 'x')->tag, get_class(Square::make())];",
    "return (new Square(1))->greet() . (new Square(1))->shout('hey');",
    "return (new Both)->sides();",
    "return (new Square)->grow()->grow(5)->area();",
    "$a = new Node(1); $b = $a; $b->value = 2; $c = clone $a; $c->value = 3; return [$a->value, $b->value, $c->value];",
    "$a = new Node([1]); $l = $a->value; $l[] = 2; $a->value[] = 3; return [$a->value, $l];",
    "$n = new Node(1); $n->next = new Node(2); return [$n->next->value, $n?->next?->next?->value, $n->next->next?->value, $n->next()->next()?->next()];",
    "$n = null; return [$n?->a, $n?->b(), $n?->c ?? 'x'];",
    "$n = null; return $n?->a->b;",
    "$n = null; return $n?->a()->b();",
    "$o = new stdClass; $o->a = 1; $o->{'b c'} = 2; $p = 'a'; $o->list[] = 5; return [$o->$p, $o->{'b c'}, isset($o->z), $o->list, (array) $o];",
    "$s = new Square; return $s->side;",
    "$m = 'area'; return (new Square(3))->$m();",
    "return [new Square instanceof Shape, new Square instanceof HasArea, 5 instanceof Shape, new Node(1) instanceof Square];",
    "return new Shape;",
    "return (new Square)->missing();",
    "return Square::MISSING;",
    "return (new Node(1))->missing;",
    "return new Node;",
    "return (new Typed)->named(c: 1, a: 2);",
    "return (new Typed)->named(1, a: 2);",
    "return (new Typed)->named(...[1, 2], ...['c' => 5]);",
    "return (new Typed)->named(b: 1);",
    "return [(new Typed)->nothing(), (new Typed)->texts('a', 5)];",
    "[$o] = [new Node(1)]; $o->value++; $o->value .= 'x'; return $o->value;",
    "$o = new stdClass; $o->x['a']['b'] = 1; return $o;",
    # enums
    "return [Suit::Hearts->value, Suit::Hearts->name, Suit::from('S')->name, Suit::tryFrom('X'), Suit::Hearts->label(), Suit::Spades->color(), Suit::Wild->name, count(Suit::cases()), Status::On->name];",
    "return Suit::from('X');",
    "return [Suit::Hearts === Suit::from('H'), Suit::Hearts == Suit::Spades, Suit::Hearts instanceof Suit, Suit::Hearts instanceof UnitEnum, Status::On instanceof BackedEnum];",
    "return match (Suit::first()) { Suit::Spades => 1, Suit::Hearts => 2 };",
    "return array_map(fn ($s) => $s->value, Suit::cases());",
    "return array_column(Suit::cases(), 'value');",
    "return Suit::Clubs;",
    # types
    "$t = new Typed; return [$t->int('5'), $t->int(5.0), $t->int(true), $t->float(3), $t->float('2.5'), $t->string(5), $t->string(1.5), $t->bool('x'), $t->bool(0), $t->nullable(null), $t->union('5'), $t->union(5.0), $t->union(true), $t->numeric('5'), $t->numeric('5.5'), $t->numeric('1e2')];",
    "return (new Typed)->int('abc');",
    "return (new Typed)->int(null);",
    "return (new Typed)->int([]);",
    "return (new Typed)->string([]);",
    "return (new Typed)->int('5 apples');",
    "return (new Typed)->returns('7');",
    "return (new Typed)->returns('x');",
    "return (new Typed)->string(new Square(2));",
    "return (new Typed)->union(5.5);",
    "return (new Typed)->union(new Square(2));",
    "$t = new Typed; $t->count = '5'; $t->text = 12; $t->ratio = 3; $t->either = 1.0; $t->flag = 'yes'; return [$t->count, $t->text, $t->ratio, $t->either, $t->flag];",
    "$t = new Typed; $t->count = 'x'; return 1;",
    "$t = new Typed; $t->list = 'x'; return 1;",
    "$t = new Typed; $t->count += 1.5; return $t->count;",
    # exceptions
    "try { return 1; } finally { $x = 2; }",
    "$f = function () { try { return 'try'; } finally { return 'finally'; } }; return $f();",
    "try { return intdiv(1, 0); } catch (DivisionByZeroError $e) { return 'caught'; }",
    "try { return strlen([]); } catch (ValueError | TypeError $e) { return 'caught'; } finally { $z = 1; }",
    "try { try { return intdiv(1, 0); } catch (TypeError $e) { return 'no'; } } catch (Error $e) { return 'outer'; }",
    "try { return [][0]; } catch (Throwable) { return 'quiet'; }",
    "foreach ([1, 2, 3] as $x) { try { if ($x == 2) { continue; } $r[] = $x; } finally { $r[] = 'f'; } } return $r;",
    "try { return json_decode('{', false, 512, JSON_THROW_ON_ERROR); } catch (JsonException $e) { return 'bad'; }",
    "$x = null; try { $y = $x ?? throw new Exception('none'); } catch (Exception $e) { return 'thrown'; }",
    "$f = function () { try { throw new Exception('a'); } finally { return 'instead'; } }; return $f();",
    "$f = function () { try { try { return 1; } finally { throw new Exception('b'); } } catch (Exception $e) { return 2; } }; return $f();",
    # what is worked out before anything runs
    "return [1 / 2, -5 % 3, 2 ** 63, -9223372036854775807 - 1, 7 <=> 7.0, 1 == 1.0, 1 << 3, 3 & 5, -(-2), +3, 10 / 5, 0.1 + 0.2];",
    "return ['a' => 1, 'a' => 2, 5 => 'x', 'y', '7' => 1, 'z', 'b' => null, 'c' => [], true => 't'];",
    "$n = 0; $f = function () use ($n) { return ['a' => ++$n, 'a' => ++$n]; }; return $f();",
    "try { return 1 % 0; } catch (DivisionByZeroError $e) { return 'at its time'; }",
    "try { return true ? 1 : 1 << -1; } catch (ArithmeticError $e) { return 'too early'; }",
    "$f = fn () => ['n' => [1, 2], 'm' => 1]; $a = $f(); $a['n'][] = 3; $a['m'] = 2; array_pop($a['n']); $a[] = 4; return [$f(), $a];",
    "$f = function ($x = ['k' => [1]]) { $x['k'][] = 2; return $x; }; return [$f(), $f()];",
    "$r = []; foreach ([1, 2] as $x) { $a = [1, 2, 3]; sort($a); array_push($a, $x); $a['k'] = $x; $r[] = $a; } return $r;",
]  # fmt: skip
