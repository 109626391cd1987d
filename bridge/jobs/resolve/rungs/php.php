<?php

/**
 * The PHP side of the rung `php`: an app of Laravel 8 to 13, booted once, that says for one job after
 * another what its broadcaster would have been given.
 *
 *     php php.php APP_DIR FD
 *
 * Frames are those of `php_process/app.php`; there is one answer for each request, bearing its `id`:
 *
 *     request  {"id", "payload": the queue's text, "connection", "queue", "timeout": seconds}
 *              `attempt`: {"number", "tries", "backoff", "elsewhere"} where Laravel shall deal with what the app
 *              throws, and send what goes to the broadcast connections `elsewhere` or to no Pusher server
 *              {"id", "report": true}
 *     answer   {"id", "memory", "calls": [{"connection", "channels", "name", "data", "socket"}],
 *               "elsewhere": the connections over which the app itself has sent}
 *              {"id", "memory", "error": {"kind", "class", "message", "file", "line"}}
 *              with `end` where it has: {"failed": true} or {"released": seconds until the next try}
 *              {"id", "memory", "report": as `report.php` reads it}
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
use Illuminate\Broadcasting\Broadcasters\PusherBroadcaster;
use Illuminate\Contracts\Broadcasting\Factory;
use Illuminate\Contracts\Console\Kernel;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Queue\Job as JobContract;
use Illuminate\Foundation\Application;
use Illuminate\Queue\Events\JobExceptionOccurred;
use Illuminate\Queue\Events\JobPopped;
use Illuminate\Queue\Events\JobProcessed;
use Illuminate\Queue\Events\JobProcessing;
use Illuminate\Queue\Events\Looping;
use Illuminate\Queue\Jobs\Job;
use Illuminate\Queue\Worker;
use Illuminate\Queue\WorkerOptions;
use Illuminate\Support\Facades\Facade;

require_once dirname(__DIR__, 2).'/php_process/app.php';
require_once __DIR__.'/report.php';

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

/** The calls that a job makes to its broadcasters. */
final class Calls
{
    private const CHANNELS_A_CALL = 100;

    public $made = [];

    /** Connections over which the app itself has sent. */
    public $elsewhere = [];

    /** The first refusal, which counts also where the app has caught it. */
    public $refused;

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

    public function refuse(string $why): void
    {
        $this->refused = $this->refused ?? new Refused($why);

        throw $this->refused;
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
final class EventResolver
{
    private const SENDING = ['pusher', 'reverb'];

    private const SILENT = ['log', 'null'];

    private $app;

    private $calls;

    private $manager;

    /** The class for which our manager stands. */
    private $original;

    private $worker;

    private $outputLevel;

    /** What became of a job that threw, where this was an attempt. */
    private $end = [];

    /** Connections of other servers, over which the app itself sends; null where nothing is to be sent. */
    private $elsewhere;

    public function __construct(string $base)
    {
        $this->app = load($base);
        $this->calls = new Calls(Application::VERSION);
        $this->manager = $this->manager();
        $this->app->extend(BroadcastManager::class, function ($original) {
            $this->original = get_class($original);

            return $this->manager;
        });
        $this->app->make(Kernel::class)->bootstrap();
        $this->worker = $this->app->make('queue.worker');
        $this->outputLevel = ob_get_level();
    }

    /** Where broadcasts would go: the default connection, and driver, app and key of each Pusher server. */
    public function setUp(): array
    {
        $config = $this->app->make('config');
        $text = function ($value): string {
            return is_scalar($value) ? (string) $value : '';
        };
        $connections = [];

        foreach ((array) $config->get('broadcasting.connections') as $name => $one) {
            if (in_array($one['driver'] ?? null, self::SENDING, true)) {
                $connections[$name] = [$one['driver'], $text($one['app_id'] ?? ''), $text($one['key'] ?? '')];
            }
        }

        return [
            'default' => $text($config->get('broadcasting.default')) ?: 'null',
            'connections' => (object) $connections,
        ];
    }

    /** The answer, but for its `id`. */
    public function answer(array $request): array
    {
        // Where bridge was killed while a job hangs, nobody else would end this process.
        $alarm = function_exists('pcntl_alarm') && function_exists('pcntl_signal');

        if ($alarm) {
            pcntl_signal(SIGALRM, SIG_DFL);
            pcntl_alarm($request['timeout'] + 5);
        }

        try {
            $answer = ['calls' => $this->resolve($request), 'elsewhere' => array_keys($this->calls->elsewhere)];
        } catch (\Throwable $e) {
            $answer = ['error' => described($e) + ['kind' => $this->kind($e)] + $this->end];
        }

        if ($alarm) {
            pcntl_alarm(0);
        }

        return ['memory' => memory_get_usage()] + $answer;
    }

    /** What the app has decided outside of any job. */
    public function report(): array
    {
        $this->app->make(BroadcastManager::class);
        $report = new Report($this->app, $this->manager, $this->original);

        return ['memory' => memory_get_usage(), 'report' => $report->read()];
    }

    /** The calls of a job. Throws what Laravel's worker would be thrown, Refused or Released. */
    private function resolve(array $request): array
    {
        $this->calls->made = $this->calls->elsewhere = [];
        $this->calls->refused = null;
        $this->end = [];
        $this->elsewhere = $request['attempt']['elsewhere'] ?? null;
        $this->capture();
        $connection = $request['connection'];
        $job = $this->job($request);
        $events = $this->app->make('events');

        try {
            if (class_exists(JobPopped::class)) {
                $events->dispatch(new JobPopped($connection, $job));
            }

            $events->dispatch(new JobProcessing($connection, $job));
            $job->fire();

            if ($this->calls->refused !== null) {
                throw $this->calls->refused;
            }

            if ($job->failure !== null) {
                throw $job->failure;
            }

            if ($job->isReleased()) {
                throw new Released('the middleware of the event has put the job back');
            }

            $events->dispatch(new JobProcessed($connection, $job));
        } catch (\Throwable $e) {
            $e = $this->calls->refused ?? $e;

            if (isset($request['attempt']) && $this->kind($e) === 'failed') {
                $this->end = ['end' => $job->failure === null
                    ? $this->judge($connection, $job, $request['attempt'], $e) : ['failed' => true]];
            } else {
                $events->dispatch(new JobExceptionOccurred($connection, $job, $e));
            }

            throw $e;
        } finally {
            while (ob_get_level() > $this->outputLevel) {
                ob_end_flush();
            }
        }

        return $this->calls->made;
    }

    /** What Laravel's worker does with a job that threw: it is released, or fails and the app is told. */
    private function judge(string $connection, Job $job, array $attempt, \Throwable $e): array
    {
        $options = new WorkerOptions;
        $options->maxTries = $attempt['tries'];
        $options->backoff = $attempt['backoff'];

        if (isset($job->payload()['maxExceptions'])) {
            $this->worker->setCache($this->app->make('cache.store'));
        }

        try {
            \Closure::bind(function () use ($connection, $job, $options, $e) {
                $this->handleJobException($connection, $job, $options, $e);
            }, $this->worker, Worker::class)();
        } catch (\Throwable $thrown) {
            // It throws what it was given, or what a listener threw: the job has its end either way.
        }

        try {
            $this->app->make(ExceptionHandler::class)->report($e);
        } catch (\Throwable $unreported) {
        }

        return $job->isReleased() ? ['released' => $job->delay] : ['failed' => true];
    }

    /** As between two jobs of Laravel's worker, before which packages write down what they heard of the last. */
    public function loop(array $request): void
    {
        try {
            $this->app->make('events')->until(new Looping($request['connection'], $request['queue']));
        } catch (\Throwable $e) {
            $this->app->make(ExceptionHandler::class)->report($e);

            throw $e;
        }
    }

    /** Nothing of a job is left for the next one. Throws where that cannot be. */
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

    /** What the error says of the job: failed, refused, released, changing or unavailable. */
    private function kind(\Throwable $e): string
    {
        if ($e instanceof Refused) {
            return 'refused';
        }

        if ($e instanceof Released) {
            return 'released';
        }

        if (being_changed($e, $this->app->basePath())) {
            return 'changing';
        }

        return unavailable($e) ? 'unavailable' : 'failed';
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

            /** The class of what the app itself makes for this connection; null where it makes nothing. */
            public function own(array $config): ?string
            {
                $make = $this->customCreators[$config['driver']] ?? null;

                return $make === null ? null : get_class($make($this->app, $config));
            }

            public function real(string $name): Broadcaster
            {
                return parent::driver($name);
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

        $known = in_array($driver, array_merge(self::SENDING, self::SILENT), true);

        if ($this->elsewhere !== null && (! $known || in_array($name, $this->elsewhere, true))) {
            return $this->real($name);
        }

        $own = $known ? $this->manager->own($config) : null; // a driver of another name is never made

        if ($own !== null && $own !== PusherBroadcaster::class) {
            $this->calls->refuse("the broadcast connection {$name} is served by the app's own {$own}");
        }

        if (in_array($driver, self::SILENT, true)) {
            return new NullBroadcaster;
        }

        // Of Laravel's own broadcaster the app may ask more, such as getPusher(): who only asks bridge calls nobody.
        $real = function (string $method) use ($name): Broadcaster {
            if ($this->elsewhere === null) {
                $this->calls->refuse("the app calls {$method}() of the broadcast connection {$name}");
            }

            return $this->own($name);
        };
        $sends = in_array($driver, self::SENDING, true);

        return new class($name, $driver, $this->calls, $sends, $real) extends Broadcaster {
            private $connection;

            private $driver;

            private $calls;

            private $sends;

            private $real;

            public function __construct(string $connection, string $driver, Calls $calls, bool $sends, \Closure $real)
            {
                $this->connection = $connection;
                $this->driver = $driver;
                $this->calls = $calls;
                $this->sends = $sends;
                $this->real = $real;
            }

            public function __call($method, array $arguments)
            {
                return ($this->real)($method)->$method(...$arguments);
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
                    $this->calls->refuse("the broadcast connection {$this->connection} has the driver"
                        ." {$this->driver}, which is not a Pusher server");
                }

                $this->calls->make($this->connection, $this->formatChannels($channels), $event, $payload);
            }
        };
    }

    /** The broadcaster that the app itself has for a connection. */
    private function own(string $name): Broadcaster
    {
        if ($this->original !== null && $this->original !== BroadcastManager::class) {
            $this->calls->refuse("the broadcast connection {$name} is not bridge's, and made by {$this->original}");
        }

        return $this->manager->real($name);
    }

    /** What the app itself sends with, over a connection that is not bridge's. */
    private function real(string $name): Broadcaster
    {
        $real = $this->own($name);

        return new class($name, $real, $this->calls) extends Broadcaster {
            private $connection;

            private $real;

            private $calls;

            public function __construct(string $connection, Broadcaster $real, Calls $calls)
            {
                $this->connection = $connection;
                $this->real = $real;
                $this->calls = $calls;
            }

            public function __call($method, array $arguments)
            {
                return $this->real->$method(...$arguments);
            }

            public function auth($request)
            {
            }

            public function validAuthenticationResponse($request, $result)
            {
            }

            public function broadcast(array $channels, $event, array $payload = [])
            {
                $this->real->broadcast($channels, $event, $payload);
                $this->calls->elsewhere[$this->connection] = true;
            }
        };
    }

    /** A job whose ends are only noted: the queue is bridge's. */
    private function job(array $request): Job
    {
        return new class($this->app, $request) extends Job implements JobContract {
            public $failure;

            public $delay = 0;

            private $text;

            private $attempt;

            public function __construct($container, array $request)
            {
                $this->container = $container;
                $this->connectionName = $request['connection'];
                $this->queue = $request['queue'];
                $this->text = $request['payload'];
                $this->attempt = $request['attempt'] ?? null;
            }

            public function getJobId()
            {
                return $this->payload()['id'] ?? $this->payload()['uuid'] ?? '';
            }

            public function getRawBody()
            {
                return $this->text;
            }

            /** A job that bridge tries once more than it may be, after a crash, is at its last try. */
            public function attempts()
            {
                $number = $this->attempt['number'] ?? 1;
                $limit = $this->retryUntil() === null ? $this->maxTries() ?? $this->attempt['tries'] ?? 0 : 0;

                return $limit > 0 ? min($number, $limit) : $number;
            }

            public function release($delay = 0)
            {
                parent::release($delay);
                $this->delay = $this->availableAt($delay) - $this->currentTime();
            }

            public function fail($e = null)
            {
                $this->failure = $e instanceof \Throwable ? $e : new \RuntimeException('the job failed itself');

                if ($this->attempt !== null) {
                    parent::fail($e);
                } else {
                    $this->markAsFailed();
                    $this->delete();
                }
            }
        };
    }
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

[, $base, $fd] = $argv;
make_room();
$conversation = new Conversation($base, (int) $fd, true);
$resolver = $conversation->boot(function () use ($base): EventResolver {
    return new EventResolver($base);
});

// What is meant for bridge as a whole (a stop of its service) shall not end a job: bridge closes the socket when
// it is time.
if ($resolver && function_exists('pcntl_signal')) {
    pcntl_signal(SIGTERM, SIG_IGN);
    pcntl_signal(SIGINT, SIG_IGN);
}

while ($resolver && ($request = $conversation->next()) !== null) {
    if (isset($request['report'])) {
        $conversation->answer($resolver->report());

        continue;
    }

    $conversation->answer($resolver->answer($request));

    try {
        $resolver->loop($request);
        $resolver->rest();
    } catch (\Throwable $e) {
        break; // a new process is surer than one that cannot be cleaned
    }
}
