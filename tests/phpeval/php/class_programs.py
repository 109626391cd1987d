# ruff: noqa: E501
"""Small programs as Laravel developers write them: value objects, enums, traits, closures, magic methods.

A row is PHP source: class declarations, then `---`, then the body of a function.
"""

from __future__ import annotations

_ORDER_AND_DEFAULTS = """
class V { function f($a, $b = 5, ...$c) { return [$a, $b, $c]; } }---return [(new V)->f(...[1, 'c' => 2]), (new V)->f(1, c: 3, d: 4)];
class Bag implements ArrayAccess { public $i = ['k' => 1]; function offsetExists($k): bool { return isset($this->i[$k]); } function offsetGet($k): mixed { return $this->i[$k] ?? null; } function offsetSet($k, $v): void { $this->i[$k] = $v; } function offsetUnset($k): void { unset($this->i[$k]); } }---$b = new Bag; $b['k'] += 2; $b['z'] .= 'x'; try { $b['k']++; } catch (\\Throwable $e) { return [$b->i]; } return $b->i;
class A { function __construct(public int $id = 1) {} } class B extends A { public $name = 'n'; }---return [json_encode(new B), get_object_vars(new B)];
class A { public int $id; public string $name = 'n'; function __construct() { $this->id = 7; } }---foreach (new A as $k => $v) $r[] = [$k, $v]; return [json_encode(new A), $r];
class A { private int $x; public ?int $y; public $z = 3; function all() { $this->y = 1; $this->x = 2; return [get_object_vars($this), json_encode($this)]; } }---return (new A)->all();
class P { protected $p = 1; public int $q; } class C extends P { public $p = 2; public $r = 3; function __construct() { $this->q = 9; } }---return json_encode(new C);
class F { public float $x = 1; public ?float $y = 2; public int|float $z = 3; public float|string $s = 4; }---return (array) get_object_vars(new F);
class G { const N = 5; public float $n = self::N; function f(float $x = 1, ?float $y = 2, int|float $z = 3, float $w = self::N) { return [$x, $y, $z, $w, $this->n]; } }---return [(new G)->f(), json_encode((new G)->f()), (fn (float $q = 1) => $q)()];
"""
_TRAITS = r"""
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T, U, V { T::x insteadof U, V; U::y insteadof \T; } }---return [(new C)->x(), (new C)->y()];
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T, U { \T::x insteadof \U; namespace\T::y insteadof namespace\U; \U::x as ux; } }---return [(new C)->x(), (new C)->y(), (new C)->ux()];
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T { s as st; } use U { U::x insteadof T; U::y insteadof T; T::x as tx; } }---return [C::st(), (new C)->x(), (new C)->tx()];
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T, U { T::X insteadof u; t::Y insteadof U; u::X AS ux; } }---return [(new C)->x(), (new C)->y(), (new C)->ux()];
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T { z as PUBLIC; x as Private; y as Protected yy; } }---return [(new C)->z(), (new C)->x()];
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T { z as PUBLIC; y as Protected yy; } }---return [(new C)->z(), is_callable([new C, 'yy']), (new C)->yy()];
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class P { function x() { return 'Px'; } } class C extends P { use namespace\V; }---return (new C)->x();
trait T { public function x() { return 'Tx'; } public function y() { return 'Ty'; } private function z() { return 'Tz'; } public static function s() { return 'Ts'; } } trait U { public function x() { return 'Ux'; } public function y() { return 'Uy'; } } trait V { public function x() { return 'Vx'; } } class C { use T,  U, V { T::x  insteadof  U, \V; T::y insteadof U; } const S = 'A::x insteadof B, C;'; }---return [(new C)->x(), C::S];
"""
_PLACES = """
---$i = 0; foreach (['a', 'b'] as $v) $r[$i++]['v'] = $v; return $r;
---$i = 0; $a = [1, 2, 3]; $a[$i++] += 10; $a[$i++] .= 'x'; $a[$i++]++; return [$a, $i];
---$i = 0; $a = []; $a[$i++] ??= 'd'; $a[$i++]['k'] ??= 'e'; $a[0] ??= $i++; return [$a, $i];
---$i = 0; $a = [[1, 2], [3]]; unset($a[$i++][0]); return [$a, $i];
---$i = 0; $a = [[3, 1], [2]]; sort($a[$i++]); return [$a, $i];
---$q = ['x', 'y']; array_push($out[array_shift($q)], 1); return 1;
---$q = ['x', 'y']; $out[array_shift($q)][] = 1; $out[array_shift($q)][] = 2; return [$out, $q];
---$q = ['a', 'b', 'c', 'd']; $m[array_shift($q)] = array_shift($q); $m[array_shift($q)] = array_shift($q); return $m;
---$a = [0, 0, 0]; $i = 0; $a[$i] = ++$i; $a[$i + 0] = ++$i; return [$a, $i];
---$s = 'a'; return $s . ($s = 'b');
---$i = 1; return [$i + $i++, $i + ++$i, $i . $i++ . $i, $i * ($i = 3), $i <=> $i++];
---$i = 0; $a = [[10, 11], [20, 21]]; return [$a[$i][$i++], $i, $a[$i--][$i]];
---$x = ['k' => 0]; return $x[($x = ['k' => 1]) ? 'k' : 'j'];
---$i = 0; return [$i++ => $i, $i => $i++];
---$x = 1; $x += ($x = 5); $y = 'a'; $y .= $y = 'b'; return [$x, $y];
---$a = []; $i = 0; $a[$i] ??= ++$i; $j = 0; $a['f' . $j++] ??= $j; return [$a, $i, $j];
---$i = 0; return match ($i) { $i++ => 'a', 1 => 'b', default => 'c' };
---$f = 'strtoupper'; return $f($f = 'abc');
---$a[] = 1; $a[] += 5; $a[] .= 'x'; $a[]++; return $a;
---$a = false; $a[] = 5; return $a;
---$a = 5; $a[] = 5; return $a;
---$a = null; $a['x']['y'] = 1; $b['z'][] = 2; return [$a, $b];
---$n = null; $n['a'] .= 'x'; return $n;
---$n = 5; $n['a'] .= 'x'; return $n;
---$u->x = 1; return $u;
---$n = null; $n->a .= 'x'; return $n;
---$n = null; $n->a[] = 'x'; return $n;
---unset($u['k']); return 1;
---unset($u->k); return 1;
---$a = [1]; unset($a['q']['z'], $a[7]); return $a;
---$u = 5; unset($u['k']); return 1;
---$u = 'abc'; unset($u[0]); return 1;
---[$a] = 5; ['x' => $b] = 'xy'; [$c] = true; [[$d]] = [null]; return [$a, $b, $c, $d];
---[$a] = 'xy'; return $a;
---$i = 0; [$r[$i++], $r[$i++]] = ['a', 'b']; return [$r, $i];
---$a = [1, 2]; [$a, $b] = $a; return [$a, $b];
---$a = ['x' => 1]; ['x' => $a['y'], 'x' => $a['z']] = $a; return $a;
---foreach ([['k', 1], ['l', 2]] as [$k, $r[$k]]) {} return $r;
---foreach (['a' => 1, 'b' => 2] as $o['key'] => $o['value']) { $all[] = $o; } return $all;
---$a = [1, 2]; array_push($a, array_pop($a), array_pop($a)); return $a;
---$a[1.7] = 'x'; $a[-1.5] = 'y'; $a[true] = 'z'; return [$a, $a[1.2]];
---foreach (['a', 'Az', 'zZ9', 'z', 'a9', '9z', '5', '1.5', 'Zz'] as $s) { $s++; $r[] = $s; } return $r;
---$b = true; $b++; $n = null; $n--; $m = null; $m++; return [$b, $n, $m];
---$f = 'sort'; $x = [2, 1]; $f($x); return $x;
---return end(explode(',', 'a,b'));
---return array_map('end', [[1, 2]]);
---return call_user_func('sort', [2, 1]);
---preg_match('/b(.)/', 'abc', $m); preg_match_all('/[a-z]/', 'abc', $r['all']); return [$m, $r];
---$a = ['b' => 1, 'a' => 2]; ksort($a); $o = new stdClass; $o->list = [3, 1, 2]; sort($o->list); usort($o->list, fn ($x, $y) => $y <=> $x); return [$a, $o->list];
class Bag { public $items = ['x' => [2, 1]]; public function sorted($k) { sort($this->items[$k]); return $this->items; } }---return (new Bag)->sorted('x');
class Tree { public $n = 0; public function walk($d) { if ($d == 0) return 1; $this->n += 1; $this->n += $this->walk($d - 1); return $this->n; } }---$t = new Tree; return [$t->walk(3), $t->n];
class T { public int $i = 0; public function set() { return $this->i = '5'; } public function add() { return $this->i .= '7'; } }---$t = new T; return [$t->set(), $t->add(), $t->i, $t->i++, ++$t->i, $t->i = '8'];
class T { public ?int $i = null; }---$t = new T; return [$t->i ??= '5', $t->i ??= '6'];
class T { public array $a; public int $i; }---$o = new T; $o->a[] = 1; return $o->a;
class T { public array $a; public int $i; }---$o = new T; $o->a['k'] .= 1; return $o->a;
class T { public array $a; public int $i; }---$o = new T; $o->i++; return $o->i;
class T { public array $a; public int $i; }---$o = new T; $o->a ??= [1]; $o->i ??= '5'; return [$o->a, $o->i];
class C { private $n = 0; public function next() { return $this->n++; } public function fill() { $r = []; $r[$this->next()][$this->next()] = $this->next(); $r[$this->next()] ??= $this->next(); return $r; } }---return (new C)->fill();
class L { public $log = []; public function k($x) { $this->log[] = $x; return $x; } public function __invoke($a, $b) { $this->log[] = 'call'; return $a . $b; } }---$l = new L; $a = []; $a[$l->k('a')][$l->k('b')] = $l->k('c'); $x = [$l->k('k') => $l->k('v')]; $l($l->k('1'), $l->k('2')); $y = $l->k('l') . $l->k('r'); return [$a, $x, $y, $l->log];
class L { public $log = []; public function k($x) { $this->log[] = $x; return $x; } public $p = ['q' => []]; }---$l = new L; $l->{$l->k('p')}[$l->k('q')][] = $l->k('v'); return [$l->p, $l->log];
class P { public $a = ['x' => 1]; public function grow() { $this->a['y'] = 2; return 'y'; } public function get() { return $this->a[$this->grow()]; } }---return (new P)->get();
"""
_CLASSES = """
enum M: string { case Jan = '01'; case Ten = '10'; }---return [M::tryFrom('1'), M::tryFrom('01')->name, M::tryFrom('1e1'), M::tryFrom(10)->name, M::tryFrom('')];
enum R: int { case One = 1; case Ten = 10; }---return [R::from('10')->name, R::tryFrom('1e1')->name, R::tryFrom(1.0)->name, R::tryFrom(true)->name, R::tryFrom(7), R::from(1)->name];
enum R: int { case One = 1; }---return R::from('abc');
enum R: int { case One = 1; }---return R::from(5);
enum R: int { case One = 1; }---try { R::from('abc'); } catch (TypeError $e) { return 'type'; } catch (ValueError $e) { return 'value'; }
enum R: int { case One = 1; }---try { R::from(9); } catch (TypeError $e) { return 'type'; } catch (ValueError $e) { return 'value'; }
enum R: int { case One = 1; }---return R::from([]);
enum S: string { case A = 'a'; case B = 'b'; public static function values(): array { return array_column(self::cases(), 'value'); } public static function map() { return array_column(self::cases(), 'name', 'value'); } public static function options() { return array_combine(self::values(), array_map(fn ($c) => ucfirst($c->name), self::cases())); } }---return [S::values(), S::map(), S::options()];
enum S: string { case A = 'a'; case B = 'b'; const Default = self::A; public function label(): string { return static::labels()[$this->value]; } private static function labels() { return ['a' => 'Ay', 'b' => 'Bee']; } public function is(self ...$o): bool { return in_array($this, $o, true); } }---return [S::Default->label(), S::B->is(S::A, S::B), S::B->is(), array_map([S::B, 'label'], []), array_map(fn (S $s) => $s->label(), S::cases())];
enum S { case A; case B; public function __invoke($x) { return $this->name . $x; } public static function from2(string $n): self { return constant("self::$n"); } }---return [array_map(S::A, ['1', '2']), (S::B)('x'), call_user_func([S::A, '__invoke'], 'y')];
enum S: int { case A = 1; case B = 2; public static function total() { return array_sum(array_map(fn (self $s) => $s->value, self::cases())); } public function next(): ?self { return self::tryFrom($this->value + 1); } }---return [S::total(), S::A->next()?->name, S::B->next()?->name];
interface HasLabel { public function label(): string; } trait Labels { public function label(): string { return strtolower($this->name); } public static function labels(): array { return array_map(fn ($c) => $c->label(), self::cases()); } } enum S: string implements HasLabel { use Labels; case Open = 'o'; case Shut = 's'; }---return [S::labels(), S::Open instanceof HasLabel, S::Open->label()];
enum S { case A; }---return S::A->value;
enum S { case A; }---$s = S::A; $s->name = 'x'; return 1;
enum S { case A; }---return new S;
enum S: string { case A = 'a'; }---return [S::A == S::A, S::A === S::from('a'), S::A == 'a', S::A->value == 'a', isset(S::A->value), S::A?->value, S::A instanceof S];
enum S: string { case A = 'a'; case B = 'b'; }---return match (true) { S::tryFrom('b') === S::A => 1, S::tryFrom('b') === S::B => 2 };
class A { public function __construct(public $id, protected int $n = 5) {} public function n() { return $this->n; } } class B extends A { public function __construct($i) { parent::__construct($i, '7'); } }---$b = new B(3); return [$b->id, $b->n()];
class A { public function __construct(public readonly int $id) {} } class B extends A { public $x; public function __construct(int $i, public string $name = 'n') { $this->x = $name; parent::__construct(id: $i); } }---$b = new B('3'); return [$b->id, $b->x, $b->name];
class A { public function __construct(public readonly int $id) {} }---$a = new A(1); $a->id = 2; return 1;
class A { public readonly int $id; public function set($v) { $this->id = $v; return $this; } }---$a = (new A)->set('4'); try { $a->set(5); } catch (Error $e) { return [$a->id, 'once']; }
class A { public readonly int $id; }---$a = new A; $a->id = 2; return 1;
class A { public readonly array $r; public function __construct() { $this->r = [1]; } public function app() { $this->r[] = 2; } }---(new A)->app(); return 1;
class A { private $secret = 1; protected $inner = 2; public $open = 3; }---$a = new A; return [isset($a->secret), isset($a->inner), isset($a->open), $a->secret ?? 'd', $a->inner ?? 'e', empty($a->inner), empty($a->open)];
class A { private $secret = 1; }---return (new A)->secret;
class A { protected $secret = 1; }---$a = new A; $a->secret = 5; return 1;
class A { private function secret() { return 'A'; } public function run() { return $this->secret(); } public function ref() { return ($this->secret(...))(); } public function map() { return array_map([$this, 'secret'], [1]); } } class B extends A { private function secret() { return 'B'; } }---return [(new B)->run(), (new B)->ref(), (new A)->map()];
class A { private function secret() { return 'A'; } }---return (new A)->secret();
class A { private function secret() { return 'A'; } } class B extends A { public function go() { return $this->secret(); } }---return (new B)->go();
class A { private function secret() { return 'A'; } } class B extends A { public function __call($n, $a) { return "call $n"; } public function go() { return $this->secret(); } }---return (new B)->go();
class A { public function __construct(public readonly int $n) {} public function again() { $this->__construct(5); } }---(new A(1))->again(); return 1;
class A { private static function secret() { return 'A'; } public static function open() { return self::secret() . static::secret(); } }---return [A::open()];
class A { private static function secret() { return 'A'; } }---return A::secret();
class A { protected static function secret() { return 'A'; } } class B extends A { public static function run() { return parent::secret() . A::secret() . static::secret(); } }---return B::run();
class A { private function __construct(public $x) {} public static function make($x) { return new self($x); } public static function later($x) { return new static($x); } }---return [A::make(1)->x, A::later(2)->x];
class A { private function __construct() {} }---return new A;
class A { private const X = 1; protected const Y = 2; public static function all() { return [self::X, static::Y]; } }---return A::all();
class A { private const X = 1; }---return A::X;
class A { protected const Y = 2; } class B extends A { public function y() { return self::Y . parent::Y . A::Y . static::Y; } }---return (new B)->y();
trait T { private $hidden = 'h'; private function reveal() { return $this->hidden; } public function tell() { return $this->reveal(); } } class A { use T; } class B extends A { }---return [(new B)->tell(), (new A)->tell()];
trait T { private $hidden = 'h'; public function tell() { return $this->hidden; } } class A { use T; } class B extends A { private $hidden = 'b'; public function own() { return $this->hidden; } }---return [(new B)->tell(), (new B)->own()];
trait Counts { protected int $count = 0; public function inc(): static { $this->count++; return $this; } abstract function name(); public static function make(...$a) { return new static(...$a); } } class A { use Counts; public function name() { return static::class . $this->count; } }---return A::make()->inc()->inc()->name();
trait T { public function a() { return self::class . static::class . __CLASS__ . __FUNCTION__; } } class A { use T; } class B extends A {}---return (new B)->a();
class A { public function f(int $x = null) { return $x; } public function g(?string $s = null, array $o = []) { return [$s, $o]; } public function h(stdClass $o = NULL) { return $o; } }---$a = new A; return [$a->f(null), $a->f(), $a->f('5'), $a->g(null), $a->h(null)];
class A { public function f(callable $c, ...$x) { return $c(...$x); } public function m($x) { return "m$x"; } public static function s($x) { return "s$x"; } public function __invoke($x) { return "i$x"; } }---$a = new A; return [$a->f('strtoupper', 'x'), $a->f([$a, 'm'], 1), $a->f(['A', 's'], 2), $a->f('A::s', 3), $a->f($a, 4), $a->f(fn ($x) => "c$x", 5), $a->f(strrev(...), 'ab')];
class A { public function f(callable $c) { return 1; } }---return (new A)->f('no such function');
class A { public function f(callable $c) { return 1; } }---return (new A)->f([1, 2]);
class A { public function f(callable $c) { return 1; } }---return (new A)->f(5);
class A { public $v = 1; public function __get($n) { return "get $n"; } }---$a = new A; return [$a->v, $a->x, $a->{'y z'}, isset($a->x), $a->x ?? 'd', empty($a->x)];
class A { private $data = ['x' => 1, 'n' => null, 'z' => 0]; public function __get($n) { return $this->data[$n] ?? "none $n"; } public function __isset($n) { return isset($this->data[$n]); } }---$a = new A; return [$a->x, $a->q, isset($a->x), isset($a->n), isset($a->q), $a->x ?? 'd', $a->q ?? 'd', empty($a->x), empty($a->z), empty($a->q), $a->data];
class A { private $d = []; public function __set($n, $v) { $this->d[$n] = $v; } public function __get($n) { return $this->d[$n]; } public function all() { return $this->d; } }---$a = new A; $a->x = 5; $a->y = $a->x = 6; $a->x .= '7'; return [$a->all(), $a->x];
class A { public function __isset($n) { return true; } }---$a = new A; return [isset($a->x), isset($a->x->y)];
class A { public function __call($n, $a) { return [$n, $a]; } public static function __callStatic($n, $a) { return ['static', $n, $a]; } private function hid() { return 'hidden'; } }---$a = new A; return [$a->foo(1, 2), A::bar(3), $a->hid(4), $a->Foo()];
class A { private $items = []; public function __call($n, $a) { if (str_starts_with($n, 'with')) { $this->items[lcfirst(substr($n, 4))] = $a[0]; return $this; } throw new BadMethodCallException("no $n"); } public function all() { return $this->items; } }---try { return (new A)->withName('x')->withAge(5)->all() + (new A)->oops(); } catch (BadMethodCallException $e) { return $e->getMessage(); }
class A implements ArrayAccess { private $d = ['x' => 1, 'n' => null]; public function offsetExists($k): bool { return array_key_exists($k, $this->d); } public function offsetGet($k): mixed { return $this->d[$k] ?? null; } public function offsetSet($k, $v): void { if ($k === null) $this->d[] = $v; else $this->d[$k] = $v; } public function offsetUnset($k): void { unset($this->d[$k]); } public function all() { return $this->d; } }---$a = new A; $a['y'] = 2; $a[] = 3; $a['y'] += 5; $a['q'] ??= 9; unset($a['x']); return [$a->all(), isset($a['n']), isset($a['zz']), $a['n'] ?? 'd', $a['y'] ?? 'd', empty($a['y']), $a['zz'] ?? 'none'];
class A {}---$a = new A; return $a['x'];
class A {}---$a = new A; $a['x'] = 1; return 1;
class A {}---$a = new A; return isset($a['x']);
class A {}---$a = new A; return $a['x'] ?? 'd';
class A { public self|null $next = null; } class B extends A { public function link() { $a = new A; $a->next = new B; $this->next = $a; return get_class($this->next) . get_class($a->next); } }---return (new B)->link();
class N { public self|null $p = null; } class O { public function go() { $n = new N; $n->p = new N; return $n->p instanceof N; } }---return (new O)->go();
class A { public static function create(): static { return new static; } public function self(): self { return $this; } public function name() { return static::class; } } class B extends A {}---return [B::create()->self()->name(), A::create()->name()];
abstract class Model { protected static $t = 'x'; public static function table() { return strtolower(static::class) . 's'; } public static function __callStatic($n, $a) { return (new static)->$n(...$a); } public function __call($n, $a) { return static::table() . ".$n(" . implode(',', $a) . ')'; } } class Post extends Model {}---return [Post::table(), Post::find(1, 2), (new Post)->where('x')];
class A { const X = 'x'; const LIST = [self::X => 1, 'k' => [2]]; public $p = self::LIST; public function f($a = self::LIST['k'], $b = PHP_INT_SIZE * 2, $c = new stdClass) { return [$a, $b, $c]; } }---return [(new A)->p, (new A)->f(), A::LIST['x']];
class A { public function f() { return static fn () => isset($this); } public function g() { return (static function () { return isset($this); })(); } public function h() { return fn () => $this->v; } public $v = 5; }---$a = new A; return [($a->f())(), $a->g(), ($a->h())()];
class A { public $v = 5; public function f() { $g = static fn () => $this->v; return $g(); } }---return (new A)->f();
class A { public static function f() { return $this->v; } }---return A::f();
class A { public static function f() { return isset($this); } public function g() { return static::f() . self::f(); } }---return (new A)->g();
class A { public $a = 1; protected $b = 2; private $c = 3; public function vars() { return get_object_vars($this); } }---return [(new A)->vars(), get_object_vars(new A)];
class A { public $list = []; public function add($x) { $this->list[] = $x; return $this; } public function __clone() { $this->list[] = 'cloned'; } }---$a = (new A)->add(1); $b = clone $a; $b->add(2); return [$a->list, $b->list];
class Money { public function __construct(private int $amount, private string $currency = 'EUR') {} public function plus(Money $o): self { return new self($this->amount + $o->amount, $this->currency); } public function format(): string { return sprintf('%s %.2f', $this->currency, $this->amount / 100); } public function with(int $amount): static { $c = clone $this; $c->amount = $amount; return $c; } public function equals(self $o) { return $this == $o; } }---$m = new Money(150); return [$m->plus(new Money(50))->format(), $m->with(7)->format(), $m->format(), $m->equals(new Money(150)), $m->equals(new Money(151)), $m == $m->with(150)];
class A { public $x = 1; public $y = [1, 2]; } class B { public $x = 1; public $y = [1, 2]; }---$a = new A; $b = new A; $c = new A; $c->y[] = 3; return [$a == $b, $a == $c, $a == new B, $a != $b, $a === $b, in_array($b, [$a]), in_array($c, [$a]), [$a] == [$b], array_search($b, [0 => 'x', 1 => $a])];
class A implements JsonSerializable { public function __construct(private $v, public $w = [1]) {} public function jsonSerialize(): mixed { return ['v' => $this->v, 'w' => $this->w]; } } class B { public $a = 1; protected $b = 2; public $o; }---$b = new B; $b->o = new A(5); return [json_encode(new A('x')), json_encode([$b, new stdClass]), json_encode(['k' => new A(null)])];
class A implements IteratorAggregate { public function __construct(private array $i) {} public function getIterator(): Iterator { return new ArrayIterator($this->i); } }---return 1;
class A implements Countable, Iterator { private $i = 0; public function __construct(private array $a) {} public function count(): int { return count($this->a); } public function current(): mixed { return $this->a[$this->i]; } public function key(): mixed { return "k$this->i"; } public function next(): void { $this->i++; } public function rewind(): void { $this->i = 0; } public function valid(): bool { return isset($this->a[$this->i]); } }---$r = []; foreach (new A(['x', 'y']) as $k => $v) { $r[$k] = $v; } return [$r, count(new A([1, 2, 3])), [...new A([5])] ];
class A { public $x = 1; private $y = 2; }---$r = []; foreach (new A as $k => $v) { $r[$k] = $v; } return $r;
class E1 extends Exception { protected $message = 'default text'; protected $code = 7; } class BadUser extends DomainException { private $user; public function __construct($user, ?Throwable $p = null) { parent::__construct("User $user is bad", 42, $p); $this->user = $user; } public static function of($u): static { return new static($u); } public function user() { return $this->user; } }---try { throw new E1; } catch (E1 $e) { $r[] = [$e->getMessage(), $e->getCode()]; } try { throw BadUser::of('bob'); } catch (LogicException $e) { $r[] = [$e->getMessage(), $e->getCode(), $e->user(), $e->getPrevious()]; } try { try { throw new E1('given', 1); } catch (Exception $e) { throw new RuntimeException('outer', 0, $e); } } catch (RuntimeException $e) { $r[] = [$e->getMessage(), $e->getPrevious()->getMessage(), get_class($e->getPrevious())]; } return $r;
class A { public function __toString(): string { return 'text'; } public function f(string $s) { return $s; } } class B {}---$a = new A; return [(string) $a, "$a", $a . '!', $a->f($a), strlen($a), in_array('text', [$a]), $a == 'text', str_replace('t', 'T', $a), implode(',', [$a, $a]), strtoupper($a)];
class B {}---return (string) new B;
class B {}---return 'x' . new B;
class A { public function named($a, $b = 2, ...$rest) { return [$a, $b, $rest]; } }---return [(new A)->named(b: 1, a: 0), (new A)->named(1, 2, 3, 4), (new A)->named(...['b' => 5, 'a' => 6]), (new A)->named(1, ...[2, 3]), (new A)->named(a: 1, b: 2, c: 3)];
class A { public function f($a) { return $a; } }---return (new A)->f(1, a: 2);
class A { public function f($a) { return $a; } }---return (new A)->f(b: 2);
class A { public function sum(int ...$n) { return array_sum($n); } public function fl(float $x) { return $x; } public function st(string $x) { return $x; } public function b(bool $x) { return $x; } public function u(int|string|null $x) { return $x; } }---$a = new A; return [$a->sum(1, '2', 3.0), $a->fl(5), $a->fl('1.5'), $a->st(1.0), $a->st(true), $a->b('a'), $a->u('1.5'), $a->u(1.5), $a->u(null)];
class A { public int $n = 0; public float $f = 0; public ?string $s = null; public bool $b = false; public array|int $u = 0; }---$a = new A; $a->n = '5'; $a->f = 3; $a->s = 12; $a->b = 'x'; $a->u = [1]; $a->n += '2'; $a->f .= '1'; return [$a->n, $a->f, $a->s, $a->b, $a->u];
class A { public int $n = 0; }---$a = new A; $a->n = 'x'; return 1;
class A { public int $n = 0; }---$a = new A; $a->n = null; return 1;
class A { public int $n; }---return (new A)->n;
class A { public int $n; }---return [isset((new A)->n), (new A)->n ?? 'unset'];
class A { }---return (new A)->missing;
class A { }---$a = new A; $a->fresh = 1; $a->list['x'][] = 2; return [$a->fresh, $a->list, isset($a->fresh)];
class A { }---return (new A)->missing();
class A { }---return A::missing();
class A { public function f() { return 1; } }---return A::f();
interface I { const X = 1; public static function make(); } abstract class Base implements I { public static function make() { return new static; } abstract public function kind(); public function twice() { return str_repeat($this->kind(), 2); } } final class Impl extends Base { public function kind() { return 'k' . self::X . static::X . I::X; } }---return Impl::make()->twice();
abstract class Base {}---return new Base;
class A { public function __invoke($x, $y = 1) { return $x + $y; } }---return [array_map(new A, [1, 2]), (new A)(5, 6), call_user_func(new A, 3), is_callable(new A), usort($z, new A) ?? 1];
class A { public function m() { return __METHOD__; } }---return 1;
class A { public $f; public function __construct() { $this->f = fn ($x) => $x * 2; } public function run($x) { return ($this->f)($x); } }---return (new A)->run(4);
class A { public function a() { return $this->{'b' . 'c'}() . $this->{'p'}; } public $p = 'P'; private function bc() { return 'BC'; } public static function st($x) { return $x; } public function dyn($m) { return [self::$m(1), static::{'s' . 't'}(2), call_user_func([$this, $m], 3), call_user_func("static::$m" === 'x' ? 'a' : [static::class, $m], 4)]; } }---return [(new A)->a(), (new A)->dyn('st')];
class A { public static function compose(callable ...$f) { return fn ($x) => array_reduce($f, fn ($acc, $fn) => $fn($acc), $x); } }---return A::compose('trim', strtoupper(...), fn ($s) => $s . '!')(' ab ');
"""
_CLOSURES = """
---$x = 1; $inc = function () use (&$x) { $x++; return $x; }; return [$inc(), $inc(), $x];
---$fact = function ($n) use (&$fact) { return $n <= 1 ? 1 : $n * $fact($n - 1); }; return $fact(5);
---$sum = 0; array_map(function ($v) use (&$sum) { $sum += $v; }, [1, 2, 3]); return $sum;
---$list = []; $add = function ($v) use (&$list) { $list[] = $v; return count($list); }; $add('a'); $add('b'); $list[] = 'c'; return [$list, $add('d'), $list];
---$f = function () use (&$new) { $new['k'] = 1; }; $f(); return $new;
---$a = 1; $b = &$a; $b++; $a .= 'x'; return [$a, $b];
---$a = 1; $b = &$a; $c = $b; $c++; unset($b); $b = 9; return [$a, $b, $c];
---$a = [1, 2, 3]; foreach ($a as &$v) { $v *= 2; } unset($v); return $a;
---$a = ['x' => ['n' => 1], 'y' => ['n' => 2]]; foreach ($a as $k => &$row) { $row['n']++; $row['k'] = $k; } unset($row); return $a;
---$a = [1, 2, 3]; foreach ($a as $k => &$v) { if ($k == 0) $a[] = 9; $v *= 2; } unset($v); return $a;
---$a = [1, 2, 3]; foreach ($a as $k => &$v) { if ($v == 2) unset($a[$k]); } unset($v); return $a;
---$a = [[1, 2], [3]]; foreach ($a as &$row) { foreach ($row as &$cell) { $cell = $cell * 10; } unset($cell); } unset($row); return $a;
---$o = new stdClass; $o->list = ['a' => 1]; foreach ($o->list as &$v) { $v = [$v]; } unset($v); return $o->list;
---$a = [3, 1, 2]; foreach ($a as $i => &$v) { if ($i == 1) continue; if ($i == 2) break; $v = 'x'; } unset($v); return $a;
---$f = function (&$x, $y) { $x .= $y; return strlen($x); }; $s = 'a'; $n = $f($s, 'bc'); return [$s, $n];
---$f = function (array &$list, ...$more) { foreach ($more as $m) $list[] = $m; }; $f($new, 1); return 1;
---$f = function (?array &$list, ...$more) { foreach ($more as $m) $list[] = $m; }; $f($new, 1, 2); $o = ['k' => []]; $f($o['k'], 3); return [$new, $o];
class A { private function fill(array &$out, $depth) { $out[] = $depth; if ($depth < 3) $this->fill($out, $depth + 1); } public function run() { $o = []; $this->fill($o, 0); return $o; } public static function swap(&$a, &$b) { [$a, $b] = [$b, $a]; } }---$x = 1; $y = 2; A::swap($x, $y); $l = ['p' => 1, 'q' => 2]; A::swap($l['p'], $l['q']); return [(new A)->run(), $x, $y, $l];
class A { public $v = 1; public function up(&$x) { $x++; throw new Exception('e'); } public function go() { try { $this->up($this->v); } catch (Exception $e) { return [$this->v, $e->getMessage()]; } } }---return (new A)->go();
---$y = 1; $f = fn () => $y++; $f(); return [$y, $f()];
---$fns = []; foreach ([1, 2, 3] as $i) { $fns[] = fn () => $i; } return array_map(fn ($f) => $f(), $fns);
---$compose = fn (callable ...$f) => fn ($x) => array_reduce($f, fn ($a, $g) => $g($a), $x); return $compose('trim', 'strrev', fn ($s) => "$s!")(' ab ');
---$f = function () use ($undefined) { return $undefined; }; return $f();
---$f = fn () => $undefined ?? 'd'; return $f();
---$f = strlen(...); $g = $f(...); return [$g('abc'), array_map(strtoupper(...), ['a']), is_callable($f), $f instanceof Closure];
class A { public static function twice($x) { return $x * 2; } protected function hid($x) { return "h$x"; } public function refs() { return [self::twice(...), $this->hid(...), static::twice(...)]; } }---return array_map(fn ($f) => $f(4), (new A)->refs());
---$f = fn (int $x): string => $x; return $f('5');
---$f = fn (int ...$x) => $x; return $f(1, ...[2, 3], ...['k' => 4]);
---$args = ['b' => 2, 'a' => 1]; $f = fn ($a, $b) => "$a-$b"; return $f(...$args);
---return array_filter(['a' => 1, 'b' => null, 'c' => 2], fn ($v, $k) => $v && $k !== 'c', ARRAY_FILTER_USE_BOTH);
---$a = [['n' => 2], ['n' => 1]]; usort($a, fn ($x, $y) => $x['n'] <=> $y['n']); uasort($a, function ($x, $y) { return $y['n'] - $x['n']; }); return $a;
---$total = 0; $tax = 1.2; $lines = array_map(function (array $l) use (&$total, $tax) { $t = $l['q'] * $l['p'] * $tax; $total += $t; return $l + ['t' => $t]; }, [['q' => 2, 'p' => 5], ['q' => 1, 'p' => 10]]); return [$lines, $total];
---$name = 'x'; return compact('name');
---$a = 1; $b = [2]; return [compact('a', ['b']), compact(['a', ['b']])];
---return compact('missing');
---array_walk($u, fn () => 1); return 1;
---$a = ['x' => 1, 'y' => 2]; array_walk($a, function (&$v, $k, $p) { $v = "$p$k$v"; }, 'p'); return $a;
"""

_COPIES = """
---$a = [1]; $b = $a; $b[] = 2; $c = $a; $a[] = 3; return [$a, $b, $c];
---$a = ['x' => ['y' => [1]]]; $b = $a; $b['x']['y'][] = 2; $c = $b['x']; $c['y'][0] = 9; unset($b['x']['y'][0]); return [$a, $b, $c];
---$a = [1]; $a[] = $a; $a['self'] = $a; $a[1][] = 5; return $a;
---$a = [3, 1, 2]; foreach ($a as $k => $v) { $a[$k] = $v * 2; $a[] = $v; } return $a;
---$a = [[1], [2]]; foreach ($a as $row) { $row[] = 'x'; $out[] = $row; } return [$a, $out];
---$a = [[1], [2]]; foreach ($a as $k => $row) { $a[$k][] = 'x'; $row[] = 'y'; } return [$a, $row];
---$a = [[1], [2]]; $b = $a; foreach ($a as &$row) { $row[] = 'x'; $b[] = $row; } unset($row); return [$a, $b];
---$a = [1, 2]; foreach ($a as &$v) {} $v = 5; return $a;
---$a = [1, 2]; foreach ($a as &$v) {} return [$v, $a];
---$a = [1, 2]; foreach ($a as $i => &$v) { $v .= 'x'; $c[] = count($a); } unset($v); $c[] = $a; return [$a, $c];
---$a = [1]; $f = function () use ($a) { $a[] = 2; return $a; }; $g = fn () => $a[] = 7; return [$f(), $f(), $g(), $a];
---$a = [1]; $f = function () use (&$a) { $a[] = 2; return $a; }; $b = $a; $c = $f(); $f(); return [$a, $b, $c];
---$f = function ($x) { $x[] = 1; return $x; }; $a = [0]; return [$f($a), $f($f($a)), $a];
---$f = function (&$x) { $y = $x; $x[] = 1; return $y; }; $a = [0]; $b = $a; return [$f($a), $a, $b];
---$a = [1, 2]; $b = $a; array_push($a, $a); array_push($b, 3, [4]); $c = $b; array_pop($b); return [$a, $b, $c];
---$a = []; array_push($a, 1); $f = fn ($x) => array_push($x, 2); return [$f($a), $a, array_pop($a), array_pop($a), $a];
---$a = ['l' => [1]]; $b = $a['l']; array_push($a['l'], 2); $n = array_pop($a['l']); array_pop($a['l']); return [$a, $b, $n];
---$a = [1, 2]; $b = &$a; $c = $a; $b[] = 3; array_push($b, 4); return [$a, $b, $c];
---$o = new stdClass; $o->l = [1]; $p = clone $o; $l = $o->l; $o->l[] = 2; $l['k'][] = 3; return [$o, $p, $l];
---$o = (object) ['l' => ['k' => 1]]; $a = [$o, $o->l]; $o->l['k']++; unset($o->l['z']); return [$a[1], $o];
---$a = ['k' => 'x']; $o = (object) $a; $o->k .= 'y'; $b = (array) $o; $b['k'] = 'z'; return [$a, $o, $b];
---$a = [1, 2, 3]; $b = array_map(function ($x) use (&$a) { $a[] = $x; return count($a); }, $a); return [$a, $b];
---$a = [3, 1]; usort($a, function ($x, $y) use (&$a) { $a[] = 9; return $x <=> $y; }); return $a;
---[$a, $b] = [$b ?? [1], $a ?? [2]]; [$a[], $b[]] = [$b, $a]; return [$a, $b];
---$a = $b = ['x']; $a[] = 'y'; $c = ($d = $b); $d['k'] ??= $a; return [$a, $b, $c, $d];
---$a = [[1, 2], [3]]; $x = $a[0]; unset($a[0][1]); $a[0][] = 'n'; return [$a, $x];
---$a = [1, 2, 3]; unset($a[2]); $b = $a; $a[] = 4; $b[] = 5; return [$a, $b];
---$x = ['a' => false, 'b' => null]; $x['b']['c'][] = 1; $x['d'][][] = 2; return $x;
---$t = fn (array $a, ...$r) => [$a[] = 5, $r[] = 6, $a, $r]; $a = [1]; return [$t($a, $a), $a];
class A { public $l = [1]; public array $t = []; protected $p = ['k' => []]; function add($x) { $this->l[] = $x; $this->t['n'][] = $x; $this->p['k'][] = $x; return $this->p; } }---$a = new A; $b = new A; $l = $a->l; $p = $a->add(2); $c = clone $a; $a->add(3); return [$a->l, $b->l, $c->l, $a->t, $c->t, $p, $l];
class A { const L = ['k' => [1]]; public $l = self::L; function f($x = self::L) { $x['k'][] = 2; $this->l['k'][] = 3; return [$x, $this->l, self::L]; } }---return [(new A)->f(), (new A)->f(), A::L];
class A { public function __construct(public readonly array $l) {} function add() { $this->l[] = 1; } }---$a = new A([0]); try { $a->add(); } catch (Error $e) { return [$a->l, 'no']; } return $a->l;
class A { public readonly array $l; function add() { $this->l[] = 1; return $this->l; } }---$a = new A; try { return $a->add(); } catch (Error $e) { return 'no'; }
class A { public ?int $n = null; public ?array $l = null; public int|array $m = 5; }---$a = new A; $a->l[] = 1; try { $a->n[] = 1; } catch (TypeError $e) { $r[] = 'type'; } try { $a->m[] = 1; } catch (Error $e) { $r[] = 'scalar'; } return [$a->l, $a->n, $r];
class A { private $h = ['l' => [1]]; public function __get($n) { return $this->h[$n]; } }---$a = new A; $l = $a->l; $l[] = 2; try { $a->l[] = 3; } catch (Throwable $e) { return [$l, $a->l, get_class($e)]; }
class A { public $l = []; function all() { foreach ($this->l as $k => $v) { $this->l[] = $v; } return $this->l; } function take() { $l = $this->l; $this->l = []; $l[] = 'end'; return $l; } }---$a = new A; $a->l[] = 1; $x = $a->all(); return [$x, $a->take(), $a->l];
"""
_CALLABLES = r"""
class A { public function __call($n, $a) { return $n; } }---$a = new A; $i = 0; try { return $a($i++); } catch (Error $e) { return [$i, get_class($e)]; }
class A { public function __call($n, $a) { return $n; } }---$a = new A; return [is_callable($a), is_callable([$a, 'x']), [$a, 'x'](1), array_map([$a, 'y'], [1])];
class A { }---$a = new A; $i = 0; try { [$a, 'x']($i++); } catch (Error $e) { return [$i, get_class($e)]; }
class A { }---$a = new A; try { return array_map([$a, 'x'], [1]); } catch (Error $e) { return get_class($e); }
class A { }---$a = new A; try { return array_map($a, [1]); } catch (Error $e) { return get_class($e); }
class A { private function p() { return 1; } public function f() { return [is_callable([$this, 'p']), array_map([$this, 'p'], [1])]; } }---return (new A)->f();
class A { private function p() { return 1; } }---return is_callable([new A, 'p']);
class A { private function p() { return 1; } }---return array_map([new A, 'p'], [1]);
class A { function p() { return 1; } static function s() { return self::class; } }---return [is_callable(['A', 'p']), is_callable('A::s'), is_callable('A::p'), array_map('A::s', [1])];
class A { function p() { return 1; } }---$i = 0; try { $x = (new A)->q(...); } catch (Error $e) { return 'no'; }
class A { }---try { A::q(...); } catch (Error $e) { return 'no'; }
class A { function p(callable $c) { return $c(1); } }---try { return (new A)->p([new A, 'q']); } catch (TypeError $e) { return 'type'; }
class A { function p(callable $c) { return $c(1); } private function z($x) { return $x; } function y() { return $this->p([$this, 'z']); } }---return (new A)->y();
class P { private function z($x) { return 'p' . $x; } function y() { return array_map([$this, 'z'], [1]); } } class C extends P { private function z($x) { return 'c' . $x; } }---return (new C)->y();
---try { return array_map([1, 2], [1]); } catch (TypeError $e) { return 'type'; }
---try { return usort($a, 5); } catch (TypeError $e) { return 'type'; }
---$a = [1]; try { return array_filter($a, ['x']); } catch (TypeError $e) { return 'type'; }
"""
_FUNCTIONS = r"""
---$f = function ($x) { static $c = 0; $c++; return $c . $x; }; $g = $f; return [$f('a'), $f('b'), $g('c')];
---$m = fn () => function () { static $c; return $c = ($c ?? 0) + 1; }; $a = $m(); $b = $m(); return [$a(), $a(), $b()];
---$f = function () { static $l = [], $n = 5; $l[] = $n++; return $l; }; $a = $f(); $b = $f(); return [$a, $b];
---$f = function () { static $x = PHP_INT_SIZE * 2; if ($x < 20) { $x++; } return $x; }; return [array_map($f, [1, 2, 3, 4, 5, 6])];
---$f = function ($x) { foreach ([1, 2] as $v) { static $t = 0; $t += $v * $x; } return $t; }; return [$f(1), $f(2)];
---return (function () { return func_get_args(); })(1, 2, [3]);
---return (function ($a, $b = 5) { $a .= 'x'; return [func_get_args(), func_num_args()]; })('q');
---return (function ($a, ...$r) { return [func_get_args(), $r]; })(1, 2, 3);
class A { function f(int $a) { return func_get_args(); } }---return [(new A)->f('5', 6), array_map(fn () => func_get_args(), [1, 2])];
"""
_GENERATORS = r"""
---$f = function () { yield 1; yield 'k' => 2; yield 3; yield 10 => 4; yield 5; }; foreach ($f() as $k => $v) $r[] = [$k, $v]; return $r;
---$f = function ($n) { for ($i = 0; $i < $n; $i++) { if ($i == 2) continue; yield $i; } return 'end'; }; $g = $f(5); $r = [...$g]; return [$r, $g->getReturn(), $g->valid()];
---$q = (function () { $got = yield 1; yield $got; })(); $a = $q->current(); $b = $q->send('sent'); return [$a, $b, $q->valid(), $q->key()];
---$f = function () { $r = yield from (function () { yield 1; yield 2; return 3; })(); yield $r; yield from ['a' => 4, 5]; }; foreach ($f() as $k => $v) $o[] = "$k=$v"; return $o;
---return [iterator_to_array((fn () => yield from [1, 2])()), iterator_count((fn () => yield 5)())];
---$g = (function () { yield 1; yield 2; })(); foreach ($g as $v) { $a[] = $v; } try { foreach ($g as $v) {} } catch (Exception $e) { return [$a, 'closed']; }
---$g = (function () { yield 1; yield 2; yield 3; })(); $g->next(); $x = $g->current(); try { $g->rewind(); } catch (Exception $e) { return [$x, 'no']; }
---$g = (function () { try { yield 1; throw new LogicException('in'); } catch (LogicException $e) { yield 'caught ' . $e->getMessage(); } yield 'after'; })(); return iterator_to_array($g);
---$g = (function () { yield 1; throw new LogicException('out'); })(); try { foreach ($g as $v) $a[] = $v; } catch (LogicException $e) { $a[] = $e->getMessage(); } return [$a, $g->valid()];
---$log = []; $f = function () use (&$log) { $log[] = 'start'; yield 1; $log[] = 'mid'; yield 2; $log[] = 'end'; }; foreach ($f() as $v) $log[] = $v; $h = $f(); return $log;
---$f = function () { $x = 0; while (true) { $cmd = yield $x; if ($cmd === 'stop') return 'stopped'; $x += $cmd ?? 1; } }; $g = $f(); $a = [$g->current(), $g->send(5), $g->send(7)]; $g->next(); $a[] = $g->current(); $g->send('stop'); return [$a, $g->getReturn()];
---$f = function (...$x) { switch ($x[0]) { case 1: yield 'one'; case 2: yield 'two'; break; default: yield 'other'; } do { yield $x; } while (false); if ($x) { yield 'if'; } else { yield 'else'; } }; return [[...$f(1)], [...$f(3)]];
class A implements IteratorAggregate { public $l = ['a' => 1, 'b' => 2]; public function getIterator(): Generator { foreach ($this->l as $k => $v) { $this->l['c'] = 9; yield $k => $v; } } public function each(iterable $v): iterable { yield from $v; return count((array) $v); } }---$a = new A; foreach ($a as $k => $v) $r[$k] = $v; foreach ($a->each([5, 6]) as $v) $r[] = $v; return [$r, iterator_to_array($a), [...$a]];
---$f = function () { foreach ([1, 2] as $a) { foreach ([1, 2, 3] as $b) { if ($b == 2) continue 2; if ($a == 2) break 2; yield $a . $b; } } }; return [...$f()];
---$f = function () { yield; yield null => 1; yield 1.5 => 2; yield [1] => 3; }; foreach ($f() as $k => $v) $r[] = [$k, $v]; return $r;
---$f = function (int $n) { yield func_get_args(); }; try { $g = $f('x'); } catch (TypeError $e) { return 'at once'; }
---$g = (function () { yield 1; yield 2; })(); $h = (function () use ($g) { yield 0; yield from $g; yield 3; })(); foreach ($h as $k => $v) $r[] = [$k, $v]; return [$r, $g->valid()];
---$l = [1, 2]; $f = function () use (&$l) { foreach ($l as $v) { $l[] = $v; yield $v; } }; $r = [...$f()]; return [$r, $l];
---return array_sum((function () { yield 1; })());
---return implode(',', (function () { yield 1; })());
---[$a, $b] = (function () { yield 1; yield 2; })(); return $a;
---return max(...(function () { yield 1; yield 2; })());
---$g = (function () { $a = yield from [1, 2]; $b = yield; return [$a, $b]; })(); foreach ($g as $v) $r[] = $v; return [$r, $g->getReturn()];
---$g = (function () { return 5; yield; })(); return [$g->valid(), $g->current(), $g->getReturn(), [...$g]];
---$g = (function () { yield 1; })(); try { $g->getReturn(); } catch (Exception $e) { return 'early'; }
"""
_ANONYMOUS_AND_MORE = r"""
class A { public $x = 1; public int $y = 2; public ?array $z = []; }---$a = new A; unset($a->x, $a->y); try { $r[] = $a->y; } catch (Error $e) { $r[] = 'uninit'; } try { $r[] = $a->x; } catch (ErrorException $e) { $r[] = 'undef'; } $r[] = isset($a->x); $a->x = 5; $a->y = '7'; foreach ($a as $k => $v) $r[] = [$k, $v]; return [$r, get_object_vars($a), $a->y];
class A { private $x = 1; function f() { unset($this->x); return isset($this->x); } }---$a = new A; try { unset($a->x); } catch (Error $e) { return ['no', $a->f()]; }
class A { private $x = 1; public $log = []; function __unset($n) { $this->log[] = $n; unset($this->$n); } }---$a = new A; unset($a->x); unset($a->q); unset($a->log['z']); return [$a->log, isset($a->x)];
class A { public function __construct(public readonly int $x) {} function f() { unset($this->x); } }---$a = new A(1); try { unset($a->x); } catch (Error $e) { $r[] = 'no'; } try { $a->f(); } catch (Error $e) { $r[] = 'no'; } return [$r, $a->x];
class P { private $x = 1; function f() { unset($this->x); return get_object_vars($this); } } class C extends P { public $x = 2; }---$c = new C; return [$c->f(), $c->x];
class A { public $x = 1; }---$a = new A; unset($a->x); $a->n = 1; $a->x = 2; $b = clone $a; unset($a->n); return [$a == $b, get_object_vars($a), get_object_vars($b)];
class A { function f() { return get_class(); } } class B extends A { function g() { return get_class(); } }---return [(new B)->f(), (new B)->g(), get_class(new B)];
---try { return get_class(null); } catch (TypeError $e) { return 'no'; }
---parse_str('a=1&b[]=2&b[]=3&c[x][y]=4&d.e=5&f g=6&h=%20+x&i&=7&[j]=8&1=q&c[x][z]=9&b[k]=w&a[z]=1', $m); return $m;
---parse_str('', $m); return $m;
---$i = '5 x'; $r = settype($i, 'int'); return [$r, $i];
---$i = 5; settype($i, 'string'); settype($j, 'array'); $k = 1.9; settype($k, 'boolean'); $o = ['a' => 1]; settype($o, 'object'); return [$i, $j, $k, $o];
---$i = 5; try { settype($i, 'nope'); } catch (ValueError $e) { return 'no'; }
class A { function m() { return [__METHOD__, __FUNCTION__]; } static function s() { return __METHOD__; } } trait T { function t() { return [__METHOD__, __FUNCTION__]; } } class B extends A { use T; }---return [(new B)->m(), B::s(), (new B)->t()];
class A { function tell($x = 1) { return 'a' . $x; } }---return [Closure::fromCallable([new A, 'tell'])(5), array_map(Closure::fromCallable('strtoupper'), ['a'])];
class A { }---try { Closure::fromCallable([new A, 'tell']); } catch (TypeError $e) { return 'type'; }
---$o = new class { public $v = 1; public function w() { return $this->v; } }; $p = new class(5) extends stdClass { public function __construct(public $n) {} }; return [$o->w(), $p->n, $p instanceof stdClass, get_debug_type($o), get_debug_type($p)];
interface I { function f($x); } abstract class B { public $l = []; abstract function g(); function h() { $this->l[] = $this->g(); return $this->l; } } trait T { function t() { return 't' . static::K; } }---$y = 3; $a = new class($y) extends B implements I { use T; const K = 'k'; private $y; function __construct($y) { $this->y = $y; } function g() { return $this->y; } function f($x) { return new self($x); } }; return [$a->h(), $a->f(9)->h(), $a->t(), $a instanceof I, $a instanceof B];
---$m = fn ($v) => new class($v) { public function __construct(public int $v) {} }; $a = $m(1); $b = $m('2'); return [$a->v, $b->v, $a == $m(1), $a instanceof $b];
class A { function m() { return new class { function n() { return 5; } private function p() {} }; } }---$o = (new A)->m(); try { $o->p(); } catch (Error $e) { return [$o->n(), method_exists($o, 'n'), get_object_vars($o)]; }
"""
_CHANGES = r"""
class M { private $held; public $log = []; public $p = 0; public $q = 5; public function __construct(array $held) { $this->held = $held; } public function __get($k) { $this->log[] = "get $k"; return $this->held[$k] ?? null; } public function __isset($k) { $this->log[] = "isset $k"; return isset($this->held[$k]); } }---$g = new M(['a' => 1, 'k' => null, 'z' => 0]); return [empty($g->a), empty($g->k), empty($g->z), empty($g->nope), empty($g->p), empty($g->q), empty($g->held), $g->log];
class A { public $n = 0; public $x = null; private $s = 1; public $y = 'v'; }---$i = 0; $f = function () use (&$i) { $i++; return new A; }; return [empty($f()->n), empty($f()->y), empty($f()->x), empty($f()->s), empty($f()->nope), empty($u->n), $i];
---$s='abc'; $r=($s[1]='x'); return [$s,$r];
---$s='abc'; $s[-1]='x'; $s[5]='y'; return $s;
---$s='abc'; try { $s[1]='xy'; } catch (Throwable $e) { return [$s,get_class($e)]; } return $s;
---$s='abc'; $s[1]=''; return $s;
---$s='abc'; $s[-9]='x'; return $s;
---$s='abc'; $s['1']=5; return $s;
---$s='abc'; $s['x']=5; return $s;
---$s='abc'; $s[0]=[]; return $s;
---$s='abc'; $s[0]=true; return $s;
---$s=''; $s[0]='q'; return $s;
---$s=''; $s[]='q'; return $s;
---$s='abc'; $s[0] -= 1; return $s;
---$s='abc'; $s['x'] -= 1; return $s;
---$s='abc'; $s[] -= 1; return $s;
---$s='abc'; $s[0]++; return $s;
---$s='abc'; --$s['x']; return $s;
---$s='abc'; $s[0][1] = 1; return $s;
---$s='abc'; $s[7] ??= 'z'; $s[0] ??= 'q'; return $s;
---$a=['s'=>'abc']; $b=$a; $a['s'][1]='X'; return [$a,$b];
---$o=(object)['s'=>'abc']; $o->s[1]='X'; return $o;
---$a=[1]; try { $a[] -= []; } catch (TypeError $e) {} return $a;
---$a=[1]; $b=$a; $a[] -= 3; $a[] .= 'x'; return [$a,$b];
---$a[] += 3; return $a;
---$n=null; try { $n['x'] .= 'y'; } catch (Throwable $e) { return [$n,get_class($e)]; } return $n;
---try { $u['x'] .= 'y'; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { $u .= 'y'; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { $u++; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { --$u; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---$a=[]; try { $a['x'] += 1; } catch (Throwable $e) { return [$a,get_class($e)]; } return $a;
---$a=[]; try { $a['x']['y'] += 1; } catch (Throwable $e) { return [$a,get_class($e)]; } return $a;
---$a=[]; try { $a['x']++; } catch (Throwable $e) { return [$a,get_class($e)]; } return $a;
---$a=[]; $a[]++; $a[]--; return $a;
---$n=5; try { $n['x'] += 1; } catch (Throwable $e) { return [$n,get_class($e)]; } return $n;
---[$a,$b]=5; [$c,[$d]]='xy'; [$e]=null; ['k' => $f] = 1.5; return [$a,$b,$c,$d,$e,$f];
---$o=new stdClass; try { $o->x .= 'a'; } catch (Throwable $e) { return [$o,get_class($e)]; } return $o;
class A { public $p; }---$o=new A; try { $o->x += 1; } catch (Throwable $e) { return [get_object_vars($o),get_class($e)]; } return $o;
class Bag implements ArrayAccess { public $i = ['k' => 1]; function offsetExists($k): bool { return isset($this->i[$k]); } function offsetGet($k): mixed { return $this->i[$k] ?? 'd'; } function offsetSet($k, $v): void { if ($k === null) $this->i[] = $v; else $this->i[$k] = $v; } function offsetUnset($k): void { unset($this->i[$k]); } }---$b = new Bag; $b[] .= 'x'; $b[] = 2; return $b->i;
class A { public $l = []; }---$o = new A; try { $o->l[] -= 'a'; } catch (TypeError $e) { return $o->l; } return $o->l;
class A { public readonly int $x; }---$o = new A; try { $o->x += 1; } catch (Error $e) { return get_class($e); }
---$o=new stdClass; try { $o->x++; } catch (Throwable $e) { return [$o,get_class($e)]; } return $o;
---$o=new stdClass; try { $o->x--; } catch (Throwable $e) { return [$o,get_class($e)]; } return $o;
---$o=new stdClass; try { $o->x['k'] += 1; } catch (Throwable $e) { return [$o,get_class($e)]; } return $o;
---$o=new stdClass; try { $o->x *= []; } catch (Throwable $e) { return [$o,get_class($e)]; } return $o;
---try { $u += 2; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { $u |= 2; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { $u **= 2; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { $u['a']['b']++; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
---try { $u[] .= 'a'; } catch (Throwable $e) { return [$u ?? 'unset',get_class($e)]; } return $u;
"""
_STRICT = """
class A { public function f(int $x) { return $x; } public int $n = 0; }---return (new A)->f('5');
class A { public function f(float $x) { return $x; } }---return (new A)->f(5);
class A { public int $n = 0; }---$a = new A; $a->n = '5'; return $a->n;
class A { public int $n = 0; public function __construct(?int $n = null) { $this->n = $n ?? 1; } }---return (new A('5'))->n;
class A { public static function f(string $x) { return $x; } }---return array_map(['A', 'f'], [1, 2]);
class A { public static function f(string $x) { return $x; } }---return A::f(1);
---return (fn (string $s) => $s)(5);
class A { public function __toString() { return 'abc'; } }---return strlen(new A);
class A { public function __toString() { return 'abc'; } }---return [strlen((string) new A), implode(',', [new A])];
---return array_map(fn (string $s) => $s, [5]);
---return (fn (): string => 5)();
---return usort($a, fn ($x) => 1);
---return strlen(...[5]);
---$f = 'strlen'; return $f(5);
enum R: int { case One = 1; }---return R::from('1');
enum S: string { case A = '1'; }---return S::tryFrom(1);
class A { public function __get($n) { return $n; } public function __call($n, $a) { return $n; } }---$a = new A; return [$a->x, $a->y(1)];
class A { public function __construct(public int|float $n) {} }---return (new A(5))->n;
"""

_REFUSED = """
---$a = [1, 2]; foreach ($a as $i => &$v) { $v .= 'x'; $c[] = $a; } unset($v); return [$a, count($c)];
class C { public $list = []; }---$o = new C; array_push($o->list, clone $o); return $o;
class C { public $list = []; public $copy; function add(&$l) { $this->copy = clone $this; $l[] = 'late'; } }---$o = new C; $o->add($o->list); return $o->copy->list;
class C { public $m = [1]; function all() { return get_object_vars($this); } }---$o = new C; array_push($o->m, $o->all()); return $o->m;
class C { static function f(&$x, $y) { $x = 'changed'; return $y; } }---$a = ['k' => 1, 'l' => 2]; return C::f($a['k'], $a);
---$a = ['k' => [1], 'l' => 2]; array_push($a['k'], $a); return $a['k'][1]['k'];
---$a = ['k' => [1], 'l' => 'abc']; preg_match('/b/', $a['l'], $a['k'], ($b = $a) ? 0 : 0); return $b;
class K { public $cb; function keep(&$x) { $this->cb = function () use (&$x) { return ++$x; }; } }---$k = new K; $n = 1; $k->keep($n); ($k->cb)(); return $n;
class K { static function keep(&$x) { return function () use (&$x) { return ++$x; }; } }---$a = ['k' => 1]; $f = K::keep($a['k']); $f(); return $a;
---$a = [1, 2, 3]; foreach ($a as &$v) {} foreach ($a as $v) {} return $a;
---$a = [1, 2]; $c = []; foreach ($a as $k => &$v) { $c[] = $a; $v = 'x'; } return $c;
---$a = [[1], [2]]; foreach ($a as &$v) { $v[] = 'x'; } $b = $a; $b[1] = 'more'; return $a;
---$a = [1, 2]; foreach ($a as &$v) { $a = [3, 4]; $v = 5; } return $a;
---$a = [PHP_INT_MAX => 1]; $a[] = 2; return $a;
---$a[INF] = 1; return $a;
---return range(1, 10)[NAN];
---try { strlen([]); } catch (TypeError $e) { return $e->getMessage(); }
---try { return 1 / 0; } catch (Error $e) { return $e->getMessage(); }
---try { throw new Exception('x'); } catch (Exception $e) { return $e->getLine(); }
---return (new Exception('x'))->getTraceAsString();
class A { public function __destruct() {} }---return new A;
class A { public function __destruct() {} public function __construct() {} } class B extends A {}---return new B;
class A { public static $n = 1; }---A::$n++; return A::$n;
class A { public int $x { get => 5; } }---return (new A)->x;
class A { private function f() {} }---return collect([1])->map([new A, 'f']);
---$a = [1, 2]; $b = &$a['x']; return $a;
---function &f() { static $x; return $x; } return 1;
---$f = function (&$x) { yield $x++; }; $i = 1; $f($i); return $i;
---$f = function () { strlen(yield 1); }; return [...$f()];
---$f = function () { try { yield 1; } finally { $x = 1; } }; return [...$f()];
---$f = function () { $a['k'] = yield 1; }; return [...$f()];
---static $x = 1; return $x;
---return (new class {})::class;
---return get_class(new class {});
---return __FUNCTION__ . (fn () => __FUNCTION__)();
---$f = function (&$x) { $x++; }; return array_map($f, [1]);
---$o = new stdClass; unset($o->x->y->z[1]); return new Missing($o);
class A { public $x = 1; function __get($n) { return 'got'; } }---$a = new A; unset($a->x); return $a->x;
"""


_TEXTS = [
    "---$x = 5; $o = (object) ['p' => 'v']; return <<<X\nline $x {$o->p}\n  two \\t\\x41 \\\" \"q\"\n\nend\nX;",
    "---$x = 'v'; return [<<<X\n    a $x\n      b\n\n    $x\n    X, 1];",
    "---return <<<'X'\n  raw $x {$y} \\n\n   b\n  X;",
    "---return <<<X\nX;",
    "---$a = ['k' => [1, 2]]; return <<<\"X\"\n  {$a['k'][1]} $a[k2]\n  X . 'z';".replace(
        "$a[k2]", "${x}"
    ).replace("${x}", ""),
    "---$x = 1; return <<<X\n\t$x\n\tx $x$x\n\tX;",
]


def _rows(text: str) -> list[str]:
    return text.strip().splitlines()


PROGRAMS = [
    *_rows(_ORDER_AND_DEFAULTS),
    *_rows(_TRAITS),
    *_rows(_PLACES),
    *_rows(_COPIES),
    *_rows(_CALLABLES),
    *_rows(_CHANGES),
    *_rows(_GENERATORS),
    *_rows(_ANONYMOUS_AND_MORE),
    *_rows(_FUNCTIONS),
    *_rows(_CLASSES),
    *_rows(_CLOSURES),
    *_TEXTS,
]
STRICT = _rows(_STRICT)
REFUSED = _rows(_REFUSED)
