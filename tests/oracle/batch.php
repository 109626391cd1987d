<?php
// Programs in a fresh process, one after the other:
//
//     php batch.php APP_DIR NUMBER…
//
// Each is the class App\P<number>\Sent, whose broadcastWith() is called. One line for each, JSON:
// [number, "value", dump] or [number, "thrown", class, message]. As under Laravel, warnings are ErrorExceptions
// and deprecations pass. A program that PHP cannot compile has no line; "end" comes after the last one.

error_reporting(E_ALL);
ini_set('display_errors', 'stderr');
ini_set('precision', '14');
ini_set('serialize_precision', '-1');
date_default_timezone_set('UTC');
require 'Illuminate/autoload.php';

set_error_handler(function ($level, $message) {
    if ($level & (E_DEPRECATED | E_USER_DEPRECATED)) {
        return true;
    }
    throw new ErrorException($message, 0, $level);
});

spl_autoload_register(function (string $class) use ($argv): void {
    if (strncmp($class, 'App\\', 4) === 0) {
        $file = $argv[1].'/app/'.strtr(substr($class, 4), '\\', '/').'.php';
        is_file($file) && require $file;
    }
});

function dump($value, int $depth = 0)
{
    if ($depth > 8) {
        return ['deep'];
    }
    if (is_string($value)) {
        return ['string', base64_encode($value)];
    }
    if (is_float($value)) {
        return ['float', bin2hex(pack('E', $value))];
    }
    if (is_array($value)) {
        return ['array', entries($value, $depth)];
    }
    if ($value instanceof UnitEnum) {
        return ['case', get_class($value), $value->name];
    }
    if ($value instanceof Illuminate\Support\Collection) {
        return ['object', get_class($value), entries($value->all(), $depth)];
    }
    if (is_object($value)) {
        $own = strncmp(get_class($value), 'App\\', 4) === 0 && ! $value instanceof Throwable;

        return ['object', get_class($value), $own || $value instanceof stdClass ? entries((array) $value, $depth) : null];
    }

    return [gettype($value), $value];
}

function entries(array $values, int $depth): array
{
    $entries = [];
    foreach ($values as $key => $value) {
        $entries[] = [is_int($key) ? $key : base64_encode($key), dump($value, $depth + 1)];
    }

    return $entries;
}

function run(int $number): void
{
    set_time_limit(10);
    try {
        $class = "App\\P$number\\Sent";
        $line = [$number, 'value', dump((new $class)->broadcastWith())];
    } catch (Throwable $thrown) {
        $line = [$number, 'thrown', get_class($thrown), base64_encode($thrown->getMessage())];
    }
    fwrite(STDOUT, json_encode($line)."\n");
}

// Each in a child of this process, where PHP has that: what cannot be compiled ends only itself.
foreach (array_slice($argv, 2) as $number) {
    $child = function_exists('pcntl_fork') ? pcntl_fork() : 0;
    if ($child > 0) {
        pcntl_waitpid($child, $status);
        continue;
    }
    run((int) $number);
    if (function_exists('pcntl_fork')) {
        exit(0);
    }
}
echo "end\n";
