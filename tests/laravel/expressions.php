<?php

declare(strict_types=1);

// what apps write, and what only tests write
use App\Models\User;
use App\Support\{First, Second as Other};
use Illuminate\Support\Env;
use Illuminate\Support\Str;

$minutes = env('MINUTES', 1);
$prefix = "p_$minutes";

return [
    'literals' => [1, -1, +1, 0x1F, 0b11, 017, 1_000_000, 1.5, -0.25, true, FALSE, null, NULL, 'its' => 1],
    'quotes' => ['a\'b\\c\n', "a\"b\n\t\\ \$x \x41\101 \u{2603} \q", "x {$minutes} $prefix", 'ü', ''],
    'keys' => ['1' => 'a', '01' => 'b', true => 'd', null => 'e', 'n', -5 => 'f', 'o', '-05' => 'g'],
    'env' => [env('APP_DEBUG'), env('REDIS_PASSWORD', 'x'), env('NONE'), env('NONE', 'd'), env('ZERO', 7),
              Env::get('APP_NAME'), env('NONE', env('APP_NAME')), \env('EMPTY', 'd'), getenv('NONE')],
    'slug' => [Str::slug(env('APP_NAME'), '_').'_database_', Str::slug('A@b  -_c!', '-'), Str::slug('Łódź Größe')],
    'choice' => [env('EMPTY') ?: 'short', env('NONE') ?? 'null', env('ZERO') ? 'yes' : 'no', ! env('ZERO'),
                 env('EMPTY') ?? 'kept', null ?? false, $undefined ?? 'undefined'],
    'compare' => ['a' === 'a', 1 === '1', 1 == '1', '1e1' == '10', 'abc' == 0, null == '', null == false,
                  'a' !== 'b', '0' == false, 1.0 == 1, '1' != '01', null === null, [1] === [1]],
    'logic' => [true && env('ZERO'), false || 'x', ! true or 1],
    'casts' => [(bool) '0', (bool) 'false', (int) '12abc', (int) ' 7 ', (int) 'x', (int) 3.9, (int) null,
                (string) 12, (string) false, (string) 1.5, (array) 'x', (array) null, (int) '1e3', (int) true],
    'numbers' => [60 * 24, 7 / 2, 6 / 2, 1 + 2 - 5, $minutes * 60, '3' + 4, 9223372036854775807 + 1],
    'text' => ['a'.'b'. 1 .true.null, 'x'. 1.5],
    'classes' => [User::class, First::class, Other::class, \Foo\Bar::class, Nothing::class, Other\Deep::class],
    'pdo' => [PDO::MYSQL_ATTR_SSL_CA => 'ca', \PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
              PDO::ATTR_EMULATE_PREPARES => true, PDO::ATTR_STRINGIFY_FETCHES => 0],
    'paths' => [base_path(), base_path('x/y'), storage_path('framework'), database_path('database.sqlite'),
                app_path(), public_path('a'), resource_path('v'), __DIR__, dirname(__DIR__), dirname(__DIR__, 2),
                config_path('c'), __FILE__],
    'functions' => [explode(',', 'a,b,,c'), array_filter(explode(',', env('APP_PREVIOUS_KEYS'))),
                    implode('|', ['a', 1]), trim("  x\n"), rtrim('x//', '/'), ltrim(' x '), strtolower('ABÜ'), strtoupper('abü'),
                    array_merge(['a' => 1, 5 => 'x'], ['a' => 2, 'y']), array_values([3 => 'a', 1 => 'b'])],
    'spread' => [...array_filter(explode(',', (string) env('APP_PREVIOUS_KEYS', ''))), 'last',
                 ...['k' => 'v', 9 => 'nine']],
    'union' => ['a' => 1, 3 => 'x'] + ['a' => 2, 'b' => 3],
    'old' => array('a' => array(), 'b' => array(1, 2)),
    'release' => [(PHP_VERSION_ID >= 80500 ? \Pdo\Mysql::ATTR_SSL_CA : \PDO::MYSQL_ATTR_SSL_CA) => env('APP_NAME')],
    'calls' => [in_array('a', ['a', 'b'], true), str_replace('a', 'b', 'banana'), array_map(fn ($v) => $v * 2, [1, 2]),
                Str::upper('abc'), Str::of('A b')->snake()->__toString(), Illuminate\Support\Arr::wrap('x'),
                match (env('MINUTES')) { '5' => 'five', default => 'more' }, sprintf('%s-%d', 'a', 3), parse_url('https://x.org/y')],
    'nested' => ['a' => ['b' => ['c' => ['d' => 'deep']]]],
    'unknown' => ['closure' => fn () => 1, 'known' => 1, 'call' => file_get_contents('x'), 'new' => new DateTime,
                  'loaded' => extension_loaded('pdo_mysql') ? [1] : [], 'version' => PHP_VERSION_ID,
                  'inside' => ['x' => php_uname(), 'y' => 2], 'sum' => 1 + PHP_VERSION_ID],
];
