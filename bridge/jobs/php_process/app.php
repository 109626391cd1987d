<?php

/**
 * What all resident PHP processes share: frames on a socket, the app, its files, and words for what goes wrong.
 *
 *     php PROGRAM.php APP_DIR … FD
 *
 * FD is one end of a socket. A frame is four bytes of length, big-endian, then JSON; first comes `ready`
 * (or `boot`: why there is no app), then what the program says. What the app prints goes to stdout and never
 * in here. For PHP 7.3 and later.
 */

namespace Bridge;

use Illuminate\Database\DetectsLostConnections;
use Illuminate\Foundation\Application;

/** Frames on the socket. */
final class Pipe
{
    private $in;

    private $out;

    public function __construct(int $fd)
    {
        $this->in = fopen("php://fd/{$fd}", 'rb');
        $this->out = fopen("php://fd/{$fd}", 'wb');
    }

    /** The next frame; null once bridge has gone. */
    public function read(): ?array
    {
        $head = (string) stream_get_contents($this->in, 4);

        if (strlen($head) < 4) {
            return null;
        }

        $size = unpack('N', $head)[1];
        $text = (string) stream_get_contents($this->in, $size);

        return strlen($text) === $size ? json_decode($text, true) : null;
    }

    public function write(array $frame): void
    {
        $text = json_encode($frame, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE);
        $text = pack('N', strlen($text)).$text;

        while ($text !== '') {
            $written = @fwrite($this->out, $text);

            if (! $written) {
                exit(1);
            }

            $text = (string) substr($text, $written);
        }
    }
}

/** The files that the app was booted from and has loaded since; vendor/ only as a whole. */
final class Files
{
    private const ALWAYS = [
        '.env',
        'bootstrap/cache/config.php',
        'bootstrap/cache/events.php',
        'bootstrap/cache/packages.php',
        'bootstrap/cache/services.php',
        'vendor/autoload.php',
        'vendor/composer/installed.json',
    ];

    private $base;

    private $place;

    private $seen = [];

    private $known = 0;

    private $checked = 0;

    public function __construct(string $base)
    {
        $this->base = $base;
        $this->place = realpath($base);

        foreach (self::ALWAYS as $file) {
            $this->note("{$this->place}/{$file}");
        }
    }

    /** Takes note of what has been loaded since the last time. */
    public function learn(): void
    {
        $own = '#\A'.preg_quote($this->place, '#').'/(?!vendor/|storage/)#';
        $all = get_included_files();

        foreach (array_slice($all, $this->known) as $file) {
            if (preg_match($own, $file)) {
                $this->note($file);
            }
        }

        $this->known = count($all);
    }

    /** Whether one of them has changed, or APP_DIR leads to another release; looks once a second at most. */
    public function changed(): bool
    {
        if (hrtime(true) - $this->checked < 1000000000) {
            return false;
        }

        $this->checked = hrtime(true);
        clearstatcache(true);

        if (realpath($this->base) !== $this->place) {
            return true;
        }

        foreach ($this->seen as $file => $state) {
            if ($this->state($file) !== $state) {
                return true;
            }
        }

        return false;
    }

    private function note(string $file): void
    {
        $this->seen[$file] = $this->state($file);
    }

    private function state(string $file): ?array
    {
        $stat = @stat($file);

        return $stat ? [$stat['mtime'], $stat['size'], $stat['ino']] : null;
    }
}

/** The app in that folder, not yet bootstrapped. */
function load(string $base)
{
    define('LARAVEL_START', microtime(true));

    foreach (['/vendor/autoload.php', '/bootstrap/autoload.php'] as $file) {
        if (is_file($base.$file)) {
            require_once $base.$file;
            break;
        }
    }

    $app = require $base.'/bootstrap/app.php';

    if (! is_object($app)) {
        throw new \RuntimeException('bootstrap/app.php returns no application');
    }

    return $app;
}

/** Whether a database or Redis could not be reached: another try may go well. */
function unavailable(\Throwable $e): bool
{
    static $detector = null;

    if ($detector === null && trait_exists(DetectsLostConnections::class)) {
        $detector = new class {
            use DetectsLostConnections;

            public function sees(\Throwable $e): bool
            {
                return $this->causedByLostConnection($e);
            }
        };
    }

    for (; $e !== null; $e = $e->getPrevious()) {
        // SQLSTATE classes: 08 connection, 40 rolled back (deadlock), 53 too many, 57P shutting down.
        if ($e instanceof \PDOException && (preg_match('/\A(08|40|53|57P)/', (string) $e->getCode())
            || in_array($e->errorInfo[1] ?? $e->getCode(), [1040, 1205, 1213, 2002, 2003, 2006, 2013], false)
            || $detector !== null && $detector->sees($e))) {
            return true;
        }

        if (is_a($e, 'RedisException') || is_a($e, 'Predis\\Connection\\ConnectionException')) {
            return true;
        }
    }

    return false;
}

/**
 * Whether the error comes of a file of the app that is being written, or was away just now: it does not parse,
 * or does not have its class. Seconds as in phpeval/laravel/app_source.py.
 */
function being_changed(\Throwable $e, string $base): bool
{
    $missing = '/\A(?:Class|Interface|Trait) ["\'](\S+)["\'] not found|class definition (?:"|&quot;)(\S+?)(?:"|&quot;)/';

    if ($e instanceof \ParseError) {
        $file = $e->getFile();
    } elseif ($e instanceof \Error && preg_match($missing, $e->getMessage(), $found)) {
        $file = file_of(end($found), $base);
    } else {
        return false;
    }

    clearstatcache();

    return is_file($file) ? abs(time() - filemtime($file)) <= 2
        : abs(time() - (int) @filemtime(dirname($file))) <= 10;
}

/** Where the class should be: as Composer says, else as a fresh Laravel app has it. */
function file_of(string $class, string $base): string
{
    foreach (spl_autoload_functions() ?: [] as $loader) {
        if (is_array($loader) && is_callable([$loader[0], 'findFile']) && $file = $loader[0]->findFile($class)) {
            return $file;
        }
    }

    return $base.'/'.lcfirst(strtr($class, '\\', '/')).'.php';
}

/** Class, message and place; of a query only what the database said, its bindings may be private. */
function described(\Throwable $e): array
{
    $told = $e instanceof \PDOException && $e->getPrevious() !== null ? $e->getPrevious() : $e;
    $message = strtok($told->getMessage(), "\r\n");

    return [
        'class' => get_class($e),
        'message' => substr($message === false ? '' : $message, 0, 300),
        'file' => $e->getFile(),
        'line' => $e->getLine(),
    ];
}

/** What bridge asks this process, one request at a time. */
final class Conversation
{
    private $pipe;

    private $base;

    private $watch;

    private $files;

    /** Id of the request at hand, null between two; 0 while the app boots. */
    private $current = 0;

    public function __construct(string $base, int $fd, bool $watch)
    {
        $this->base = $base;
        $this->watch = $watch;
        $this->pipe = new Pipe($fd);

        // Packages ask which command runs: for them this is the worker.
        $_SERVER['argv'] = $GLOBALS['argv'] = ['artisan', 'queue:work'];
        $_SERVER['argc'] = $GLOBALS['argc'] = 2;
        $_SERVER['SCRIPT_NAME'] = $_SERVER['SCRIPT_FILENAME'] = $_SERVER['PHP_SELF'] = 'artisan';

        // An exit() of the app, a fatal error: bridge shall hear why.
        $reserve = str_repeat(' ', 65536);
        register_shutdown_function(function () use (&$reserve) {
            $reserve = null;

            if ($this->current !== null) {
                $this->say(['died' => $this->causeOfDeath()]);
            }
        });
    }

    /** What `$make` gives, once the app is booted; null where it cannot be: then there is nothing to do. */
    public function boot(callable $make)
    {
        try {
            $made = $make();
        } catch (\Throwable $e) {
            $this->say(['boot' => described($e) + ['unavailable' => unavailable($e)]]);
            $this->current = null;

            return null;
        }

        $this->files = new Files($this->base);
        $this->files->learn();
        $this->say(['ready' => Application::VERSION]
            + (method_exists($made, 'setUp') ? ['set_up' => $made->setUp()] : []));
        $this->current = null;

        return $made;
    }

    /** The next request; null once bridge has gone, or the app's files have changed. */
    public function next(): ?array
    {
        $request = $this->pipe->read();

        if ($request !== null && $this->watch && $this->files->changed()) {
            $this->pipe->write(['id' => $request['id'], 'stale' => true]);

            return null;
        }

        $this->current = $request['id'] ?? null;

        return $request;
    }

    /** Something about the request at hand, which goes on. */
    public function say(array $frame): void
    {
        $this->pipe->write(['id' => $this->current] + $frame);
    }

    /** The answer to the request at hand. */
    public function answer(array $frame): void
    {
        $this->files->learn();
        $this->say($frame);
        $this->current = null;
    }

    private function causeOfDeath(): string
    {
        $error = error_get_last();
        $fatal = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;

        return $error !== null && ($error['type'] & $fatal)
            ? strtok($error['message'], "\r\n")." in {$error['file']}:{$error['line']}"
            : 'the app called exit() or dd()';
    }
}
