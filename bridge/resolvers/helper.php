<?php

/**
 * The PHP side of the rung `php`: an app of Laravel 8 to 13, booted once, that says for one job after
 * another what its broadcaster would have been given.
 *
 *     php helper.php APP_DIR FD
 *
 * FD is one end of a socket. A frame is four bytes of length, big-endian, then JSON; first comes `ready`
 * (or `boot`: why there is no app), then one answer for each request, bearing its `id`:
 *
 *     request  {"id", "payload": the queue's text, "connection", "queue", "timeout": seconds}
 *     answer   {"id", "memory", "calls": [{"connection", "channels", "name", "data", "socket"}]}
 *              {"id", "memory", "error": {"kind", "class", "message", "file", "line"}}
 *              {"id", "stale": true}    the app's files have changed: ask a new process
 *              {"id", "died": why}      the app ended this process
 *
 * The job runs as in Laravel's own worker (events, CallQueuedHandler, middleware, bus, unique locks), with a
 * broadcast manager that writes down in place of one that sends. What the app prints goes to stdout and never
 * in here. For PHP 7.3 and later.
 */

namespace Bridge;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Illuminate\Broadcasting\Broadcasters\NullBroadcaster;
use Illuminate\Contracts\Broadcasting\Factory;
use Illuminate\Contracts\Console\Kernel;
use Illuminate\Contracts\Queue\Job as JobContract;
use Illuminate\Database\DetectsLostConnections;
use Illuminate\Foundation\Application;
use Illuminate\Queue\Events\JobExceptionOccurred;
use Illuminate\Queue\Events\JobProcessed;
use Illuminate\Queue\Events\JobProcessing;
use Illuminate\Queue\Jobs\Job;
use Illuminate\Queue\Worker;
use Illuminate\Support\Facades\Facade;

const MEMORY = 256 << 20; // bytes

/** A job that this rung does not answer for. */
final class Refused extends \RuntimeException
{
}

/** What the Pusher client would have thrown. */
final class PusherException extends \RuntimeException
{
}

/** A job that its own middleware put back into the queue. */
final class Released extends \RuntimeException
{
}

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

/** The calls that a job makes to its broadcasters. */
final class Calls
{
    private const CHANNELS_A_CALL = 100;

    public $made = [];

    private $version;

    public function __construct(string $version)
    {
        $this->version = $version;
    }

    /** `Broadcasters/PusherBroadcaster::broadcast` and the checks of pusher-php-server 7, `Pusher::trigger`. */
    public function make(string $connection, array $channels, $event, array $payload): void
    {
        $socket = $payload['socket'] ?? null;
        unset($payload['socket']);

        if ($channels === []) {
            throw new PusherException('Pusher takes no event without a channel.');
        }

        $chunks = version_compare($this->version, '9.12', '>=')
            ? array_chunk($channels, self::CHANNELS_A_CALL) : [array_values($channels)];

        foreach ($chunks as $chunk) {
            $this->check($chunk, $socket);
            $this->made[] = [
                'connection' => $connection,
                'channels' => $chunk,
                'name' => $this->name($event),
                'data' => $this->json($payload),
                'socket' => $socket === null ? null : (string) $socket,
            ];
        }
    }

    private function check(array $channels, $socket): void
    {
        if (count($channels) > self::CHANNELS_A_CALL) {
            throw new PusherException('An event can be triggered on a maximum of 100 channels in a single call.');
        }

        foreach ($channels as $channel) {
            if (! preg_match('/\A#?[-a-zA-Z0-9_=@,.;]+\z/', $channel)) {
                throw new PusherException('a channel name has characters other than letters, digits and -_=@,.;');
            }

            if (count($channels) > 1 && strpos($channel, 'private-encrypted-') === 0) {
                throw new PusherException('an event on an encrypted channel can go to that channel only');
            }
        }

        if ($socket !== null && ! preg_match('/\A\d+\.\d+\z/', $socket)) {
            throw new PusherException("the event's socket is not a socket_id of the form 123.456");
        }
    }

    /** The name as PHP makes a string of it for a parameter of that type. */
    private function name(string $event): string
    {
        $this->json($event);

        return $event;
    }

    private function json($value): string
    {
        try {
            return json_encode($value, JSON_THROW_ON_ERROR);
        } catch (\JsonException $e) {
            throw new PusherException('Data encoding error: '.$e->getMessage());
        }
    }
}

/** The app, and one job of it at a time. */
final class Helper
{
    private const SENDING = ['pusher', 'reverb'];

    private const SILENT = ['log', 'null'];

    private $app;

    private $calls;

    private $manager;

    private $worker;

    private $outputLevel;

    public function __construct(string $base)
    {
        $this->app = $this->load($base);
        $this->calls = new Calls(Application::VERSION);
        $this->manager = $this->manager();
        $this->app->extend(BroadcastManager::class, function () {
            return $this->manager;
        });
        $this->app->make(Kernel::class)->bootstrap();
        $this->worker = $this->app->make('queue.worker');
        $this->outputLevel = ob_get_level();
    }

    /** The calls of a job. Throws what Laravel's worker would be thrown, Refused or Released. */
    public function resolve(array $request): array
    {
        $this->calls->made = [];
        $this->capture();
        $connection = $request['connection'];
        $job = $this->job($request);
        $events = $this->app->make('events');

        try {
            $events->dispatch(new JobProcessing($connection, $job));
            $job->fire();

            if ($job->failure !== null) {
                throw $job->failure;
            }

            if ($job->isReleased()) {
                throw new Released('the middleware of the event has put the job back');
            }

            $events->dispatch(new JobProcessed($connection, $job));
        } catch (\Throwable $e) {
            $events->dispatch(new JobExceptionOccurred($connection, $job, $e));

            throw $e;
        } finally {
            while (ob_get_level() > $this->outputLevel) {
                ob_end_flush();
            }
        }

        return $this->calls->made;
    }

    /** Nothing of a job is left for the next one. */
    public function rest(): void
    {
        $reset = \Closure::bind(function () {
            return $this->resetScope ?? null;
        }, $this->worker, Worker::class)();

        if ($reset !== null) {
            $reset();
        } else {
            Facade::clearResolvedInstances();
        }

        if ($this->app->resolved('db')) {
            foreach ($this->app->make('db')->getConnections() as $name => $connection) {
                if ($connection->transactionLevel() > 0) {
                    $this->app->make('db')->purge($name);
                }
            }
        }

        $this->calls->made = [];
        gc_collect_cycles();
    }

    /** What the error says of the job: failed, refused, released or unavailable. */
    public function kind(\Throwable $e): string
    {
        if ($e instanceof Refused) {
            return 'refused';
        }

        if ($e instanceof Released) {
            return 'released';
        }

        return unavailable($e) ? 'unavailable' : 'failed';
    }

    private function load(string $base)
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

    /** Our manager stands wherever the container gives one, also where a job has put another. */
    private function capture(): void
    {
        foreach ([BroadcastManager::class, Factory::class] as $abstract) {
            if ($this->app->make($abstract) !== $this->manager) {
                $this->app->instance($abstract, $this->manager);
            }
        }
    }

    private function manager(): BroadcastManager
    {
        $broadcaster = function (string $name): Broadcaster {
            return $this->broadcaster($name);
        };

        return new class($this->app, $broadcaster) extends BroadcastManager {
            private $broadcaster;

            public function __construct($app, \Closure $broadcaster)
            {
                parent::__construct($app);
                $this->broadcaster = $broadcaster;
            }

            public function driver($name = null)
            {
                if ($name instanceof \UnitEnum) {
                    $name = $name instanceof \BackedEnum ? $name->value : $name->name;
                }

                return ($this->broadcaster)((string) ($name ?: $this->getDefaultDriver()));
            }
        };
    }

    private function broadcaster(string $name): Broadcaster
    {
        $none = $name === '' || $name === 'null';
        $config = $none ? ['driver' => 'null'] : $this->app->make('config')->get("broadcasting.connections.{$name}");
        $driver = $config['driver'] ?? null;

        if ($driver === null) {
            throw new \InvalidArgumentException("Broadcast connection [{$name}] is not defined.");
        }

        if (in_array($driver, self::SILENT, true)) {
            return new NullBroadcaster;
        }

        return new class($name, $driver, $this->calls, in_array($driver, self::SENDING, true)) extends Broadcaster {
            private $connection;

            private $driver;

            private $calls;

            private $sends;

            public function __construct(string $connection, string $driver, Calls $calls, bool $sends)
            {
                $this->connection = $connection;
                $this->driver = $driver;
                $this->calls = $calls;
                $this->sends = $sends;
            }

            public function auth($request)
            {
            }

            public function validAuthenticationResponse($request, $result)
            {
            }

            public function broadcast(array $channels, $event, array $payload = [])
            {
                if (! $this->sends) {
                    throw new Refused("the broadcast connection {$this->connection} has the driver"
                        ." {$this->driver}, which is not a Pusher server");
                }

                $this->calls->make($this->connection, $this->formatChannels($channels), $event, $payload);
            }
        };
    }

    /** A job whose ends are only noted: the queue is bridge's. */
    private function job(array $request): Job
    {
        return new class($this->app, $request) extends Job implements JobContract {
            public $failure;

            private $text;

            public function __construct($container, array $request)
            {
                $this->container = $container;
                $this->connectionName = $request['connection'];
                $this->queue = $request['queue'];
                $this->text = $request['payload'];
            }

            public function getJobId()
            {
                return $this->payload()['id'] ?? $this->payload()['uuid'] ?? '';
            }

            public function getRawBody()
            {
                return $this->text;
            }

            public function attempts()
            {
                return 1;
            }

            public function fail($e = null)
            {
                $this->markAsFailed();
                $this->delete();
                $this->failure = $e instanceof \Throwable ? $e : new \RuntimeException('the job failed itself');
            }
        };
    }
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

/** PHP allows what a process may keep until bridge replaces it, and a job on top. */
function make_room(): void
{
    $units = ['' => 0, 'K' => 10, 'M' => 20, 'G' => 30];
    preg_match('/\A(\d+)\s*([KMG]?)/', strtoupper(ini_get('memory_limit')), $limit);

    if ($limit && $limit[1] << $units[$limit[2]] < MEMORY) {
        ini_set('memory_limit', (string) MEMORY);
    }
}

function serve(string $base, int $fd): void
{
    // Packages ask which command runs: for them this is the worker.
    $_SERVER['argv'] = $GLOBALS['argv'] = ['artisan', 'queue:work'];
    $_SERVER['argc'] = $GLOBALS['argc'] = 2;
    $_SERVER['SCRIPT_NAME'] = $_SERVER['SCRIPT_FILENAME'] = $_SERVER['PHP_SELF'] = 'artisan';

    $pipe = new Pipe($fd);
    $current = 0;
    $reserve = str_repeat(' ', 65536);

    // An exit() of the app, a fatal error: bridge shall hear why.
    register_shutdown_function(function () use ($pipe, &$current, &$reserve) {
        $reserve = null;

        if ($current !== null) {
            $error = error_get_last();
            $fatal = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;
            $died = $error !== null && ($error['type'] & $fatal)
                ? strtok($error['message'], "\r\n")." in {$error['file']}:{$error['line']}"
                : 'the app called exit() or dd()';
            $pipe->write(['id' => $current, 'died' => $died]);
        }
    });

    make_room();

    try {
        $helper = new Helper($base);
    } catch (\Throwable $e) {
        $pipe->write(['id' => $current, 'boot' => described($e) + ['unavailable' => unavailable($e)]]);
        $current = null;

        return;
    }

    // Where bridge was killed while a job hangs, nobody else would end this process. What is meant for bridge
    // as a whole (a stop of its service) shall not end a job: bridge closes the socket when it is time.
    $signals = function_exists('pcntl_signal') && function_exists('pcntl_alarm');

    if ($signals) {
        pcntl_signal(SIGTERM, SIG_IGN);
        pcntl_signal(SIGINT, SIG_IGN);
    }

    $files = new Files($base);
    $files->learn();
    $pipe->write(['id' => $current, 'ready' => Application::VERSION]);
    $current = null;

    while (($request = $pipe->read()) !== null) {
        if ($files->changed()) {
            $pipe->write(['id' => $request['id'], 'stale' => true]);

            return;
        }

        $current = $request['id'];

        if ($signals) {
            pcntl_signal(SIGALRM, SIG_DFL);
            pcntl_alarm($request['timeout'] + 5);
        }

        try {
            $answer = ['calls' => $helper->resolve($request)];
        } catch (\Throwable $e) {
            $answer = ['error' => described($e) + ['kind' => $helper->kind($e)]];
        }

        if ($signals) {
            pcntl_alarm(0);
        }

        $files->learn();
        $pipe->write(['id' => $current, 'memory' => memory_get_usage()] + $answer);
        $current = null;
        unset($answer, $e);

        try {
            $helper->rest();
        } catch (\Throwable $e) {
            return; // a new process is surer than one that cannot be cleaned
        }
    }
}

serve($argv[1], (int) $argv[2]);
