<?php

/**
 * Laravel's own `queue:work`, of an app of Laravel 8 to 13, with bridge in place of the queue.
 *
 *     php worker.php APP_DIR OPTIONS FD
 *
 * OPTIONS is JSON: `connection` and `queue` as for queue:work, `options` (name → value) for its command line,
 * `watch` (whether to end when the app's files change), `lock` (a file: see `jobs/queue/sql/write_lock.py`). Frames are those
 * of `php_process/app.php`:
 *
 *     first    {"id": null, "done": true}    Laravel's worker asks for its first job
 *     request  {"id", "queue", "payload": the queue's text, "driver", "row": {"id", "attempts"}, "reserved": text}
 *              `timed_out`: true where an attempt hung and had to be killed: it is not to be run, only ended
 *              {"id", "idle": true}           there is no job
 *     answers  {"id", "end": "deleted"}       what shall be done in the queue, as soon as the job asks for it
 *              {"id", "end": "released", "delay": seconds}
 *              {"id", "late": true}           the job's time is up: it is being failed, perhaps, and this process ends
 *              {"id", "done": true, "failed"} the job is over, and the next one may come; "why" beside a failure
 *              {"id", "done": true, …, "last": true}  the same, but this process ends (its memory, queue:restart)
 *              {"id", "stale": true}          the app's files have changed: nothing was run, ask a new process
 *              {"id", "died": why}            the job ended this process
 *
 * Everything else (events, attempts, timeouts, failed_jobs, locks, batches, chains, memory, queue:restart) is
 * done by Laravel's worker itself. For PHP 7.3 and later.
 */

namespace Bridge;

use Illuminate\Contracts\Console\Kernel;
use Illuminate\Contracts\Queue\Job as JobContract;
use Illuminate\Database\Events\TransactionBeginning;
use Illuminate\Database\Events\TransactionCommitted;
use Illuminate\Database\Events\TransactionRolledBack;
use Illuminate\Queue\DatabaseQueue;
use Illuminate\Queue\Events\JobProcessing;
use Illuminate\Queue\Jobs\DatabaseJob;
use Illuminate\Queue\Jobs\Job;
use Illuminate\Queue\Jobs\RedisJob;
use Illuminate\Queue\MaxAttemptsExceededException;
use Illuminate\Queue\RedisQueue;
use Illuminate\Queue\TimeoutExceededException;
use Illuminate\Queue\Worker;
use Symfony\Component\Console\Output\NullOutput;
use Throwable;

require_once dirname(__DIR__).'/php_process/app.php';

/** A job that tells bridge what becomes of it. */
trait Told
{
    /** @var callable(array): void */
    public $tell;

    public $timedOut = false;

    /** Why it failed: class and place of the error. Its message may quote what the job holds. */
    public $why = '';

    private $failing = false;

    public function delete()
    {
        Job::delete();

        // A job that fails is in failed_jobs first, and out of the queue then: it is in either, whatever happens.
        if (! $this->failing) {
            ($this->tell)(['end' => 'deleted']);
        }
    }

    public function release($delay = 0)
    {
        Job::release($delay);
        ($this->tell)(['end' => 'released', 'delay' => $this->availableAt($delay) - $this->currentTime()]);
    }

    public function fail($e = null)
    {
        $again = $this->isDeleted();
        $this->failing = true;
        $this->why = $e instanceof Throwable ? get_class($e)." at {$e->getFile()}:{$e->getLine()}" : 'it failed itself';

        try {
            parent::fail($e);
        } finally {
            $this->failing = false;

            if (! $again && $this->isDeleted()) {
                ($this->tell)(['end' => 'deleted']);
            }
        }
    }

    public function fire()
    {
        if ($this->timedOut) {
            $this->endLate();
        }

        parent::fire();
    }

    /** What Laravel's own handler of the alarm does, where the job let none come through. */
    private function endLate(): void
    {
        $class = class_exists(TimeoutExceededException::class)
            ? TimeoutExceededException::class : MaxAttemptsExceededException::class;
        $late = new $class($this->resolveName().' has timed out.');

        if (method_exists($this, 'shouldFailOnTimeout') && $this->shouldFailOnTimeout()) {
            $this->fail($late);
        }

        throw $late;
    }
}

/** Laravel's worker, which gets its jobs from bridge. */
final class Work
{
    private $app;

    private $kernel;

    private $conversation;

    private $settings;

    private $job;

    /** The file that is locked during transactions, once there was one. */
    private $lock;

    /** What is not yet over: the `start`, a job (`work`) or `idle`; else `end`. */
    private $at = 'start';

    public function __construct(string $base, Conversation $conversation, array $settings)
    {
        $this->conversation = $conversation;
        $this->settings = $settings;
        $this->app = load($base);
        $this->kernel = $this->app->make(Kernel::class);
        $this->kernel->bootstrap();
        $command = $this->kernel->all()['queue:work'] ?? null;

        if ($command === null) {
            throw new \RuntimeException('the app has no command queue:work');
        }

        $known = $command->getDefinition();

        foreach ($settings['options'] as $name => $value) {
            if (! $known->hasOption($name)) {
                unset($this->settings['options'][$name]);
            }
        }

        Worker::popUsing($settings['options']['name'], function () {
            return $this->next();
        });
        $events = $this->app->make('events');
        $events->listen(JobProcessing::class, function () {
            $this->announceLateness();
        });
        $events->listen(TransactionBeginning::class, function ($event) {
            if ($this->isOfQueue($event->connection)) {
                $this->lock();
            }
        });
        $events->listen([TransactionCommitted::class, TransactionRolledBack::class], function ($event) {
            if ($event->connection->transactionLevel() === 0 && $this->isOfQueue($event->connection)) {
                $this->unlock();
            }
        });
    }

    /** Works until bridge wants no more, or the worker has a reason of its own. */
    public function run(): void
    {
        $parameters = ['connection' => $this->settings['connection'], '--queue' => $this->settings['queue']];

        foreach ($this->settings['options'] as $name => $value) {
            $parameters["--{$name}"] = $value;
        }

        $this->kernel->call('queue:work', $parameters, new NullOutput);
        $this->over(['last' => true]);
    }

    /** The next job, null where there is none: Laravel calls this where it would look into its queue. */
    private function next(): ?JobContract
    {
        $last = $this->leavesATransaction();
        $this->over(['last' => $last]);
        $request = $last ? null : $this->conversation->next();

        if ($request === null) {
            $this->app->make('queue.worker')->shouldQuit = true;

            return null;
        }

        $this->at = isset($request['idle']) ? 'idle' : 'work';

        if ($this->at === 'idle') {
            return null;
        }

        $this->job = $this->job($request);
        $this->job->timedOut = $request['timed_out'] ?? false;
        $this->job->tell = function (array $frame): void {
            $this->conversation->say($frame);
        };

        return $this->job;
    }

    /** Bridge does not write into the SQLite file of the queue meanwhile, if it does not take too long. */
    private function lock(): void
    {
        $file = $this->settings['lock'];
        $this->lock = $this->lock ?: ($file === '' ? null : @fopen($file, 're'));
        $tries = 1000; // of a millisecond each, as in write_lock.py

        while ($this->lock && ! flock($this->lock, LOCK_EX | LOCK_NB) && $tries-- > 0) {
            usleep(1000);
        }
    }

    private function unlock(): void
    {
        if ($this->lock) {
            flock($this->lock, LOCK_UN);
        }
    }

    /** Whether it is SQLite, and in the file where the jobs are. */
    private function isOfQueue($connection): bool
    {
        if ($connection->getDriverName() !== 'sqlite') {
            return false;
        }

        $config = $this->app->make('config');
        $queue = $config->get("queue.connections.{$this->settings['connection']}", []);
        $name = $queue['connection'] ?? $config->get('database.default');

        return ($queue['driver'] ?? null) === 'database'
            && $connection->getDatabaseName() === $this->app->make('db')->connection($name)->getDatabaseName();
    }

    /** What bridge asked for is done; at first, that it may ask. */
    private function over(array $more = []): void
    {
        $this->unlock(); // a transaction whose commit failed is told nobody

        while (ob_get_level() > 0) {
            ob_end_flush();
        }

        if ($this->at !== 'end') {
            $failed = $this->job !== null && $this->job->hasFailed();
            $why = $failed ? ['why' => $this->job->why] : [];
            $this->conversation->answer(['done' => true, 'failed' => $failed] + $why + $more);
        }

        $this->at = 'end';
        $this->job = null;
    }

    /** Whether what later jobs write would be lost with a transaction that nobody commits. */
    private function leavesATransaction(): bool
    {
        if ($this->app->resolved('db')) {
            foreach ($this->app->make('db')->getConnections() as $connection) {
                if ($connection->transactionLevel() > 0) {
                    return true;
                }
            }
        }

        return false;
    }

    /** Bridge kills a process whose job is late, but not one that is about to end it as Laravel does. */
    private function announceLateness(): void
    {
        if ($this->job === null || ! function_exists('pcntl_signal_get_handler')) {
            return;
        }

        $handler = pcntl_signal_get_handler(SIGALRM);

        if ($handler instanceof \Closure) {
            pcntl_signal(SIGALRM, function (...$given) use ($handler) {
                $this->conversation->say(['late' => true]);
                $handler(...$given);
            });
        }
    }

    /** A job of Laravel's own class for this driver, which listeners may ask for; only its ends are ours. */
    private function job(array $request): JobContract
    {
        $name = $this->settings['connection'];
        $queue = $this->app->make('queue')->connection($name);

        if ($request['driver'] === 'database' && $queue instanceof DatabaseQueue) {
            $row = (object) ($request['row'] + ['queue' => $request['queue'], 'payload' => $request['payload']]);
            $record = 'Illuminate\Queue\Jobs\DatabaseJobRecord';
            $row = class_exists($record) ? new $record($row) : $row;

            return new class($this->app, $queue, $row, $name, $request['queue']) extends DatabaseJob {
                use Told;
            };
        }

        if ($request['driver'] === 'redis' && $queue instanceof RedisQueue) {
            [$payload, $reserved] = [$request['payload'], $request['reserved']];

            return new class($this->app, $queue, $payload, $reserved, $name, $request['queue']) extends RedisJob {
                use Told;
            };
        }

        return $this->anyJob($request, $name);
    }

    /** A job of a driver that Laravel has no class for, or another one. */
    private function anyJob(array $request, string $name): JobContract
    {
        return new class($this->app, $request, $name) extends Job implements JobContract {
            use Told;

            private $request;

            public function __construct($container, array $request, string $connectionName)
            {
                $this->container = $container;
                $this->request = $request;
                $this->connectionName = $connectionName;
                $this->queue = $request['queue'];
            }

            public function getJobId()
            {
                return $this->request['row']['id'] ?? $this->uuid() ?? '';
            }

            public function getRawBody()
            {
                return $this->request['payload'];
            }

            public function attempts()
            {
                return (int) $this->request['row']['attempts'];
            }
        };
    }
}

[, $base, $settings, $fd] = $argv;
$settings = json_decode($settings, true);
$conversation = new Conversation($base, (int) $fd, $settings['watch']);
$work = $conversation->boot(function () use ($base, $conversation, $settings): Work {
    return new Work($base, $conversation, $settings);
});

if ($work) {
    $work->run();
}
