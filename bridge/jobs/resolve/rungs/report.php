<?php

/**
 * What the booted app has decided outside of any job, and native evaluation builds on: `AppReport` of
 * `bridge.laravel.app_report` reads it.
 *
 * Only looked at, never called: statics and properties by reflection, classes of what the container gives; but
 * for Laravel's own URL generator, which is asked for two addresses.
 * Whatever a release does not have is left out; what cannot be read stands in `unread` with the reason.
 * For Laravel 8 to 13, PHP 7.3 and later.
 */

namespace Bridge;

use Illuminate\Foundation\Application;
use Illuminate\Support\Str;

final class Report
{
    private const INI = [
        'precision', 'serialize_precision', 'date.timezone', 'default_charset', 'internal_encoding',
        'mbstring.language', 'mbstring.internal_encoding', 'mbstring.substitute_character',
        'mbstring.strict_detection', 'intl.default_locale', 'zend.assertions', 'bcmath.scale',
    ];

    /** Events of the worker that a listener may hear before a job, and of what comes with it. */
    private const HEARD = [
        'Illuminate\Queue\Events\JobProcessing',
        'Illuminate\Queue\Events\JobPopped',
        'Illuminate\Queue\Events\JobProcessed',
        'Illuminate\Queue\Events\JobAttempted',
        'Illuminate\Queue\Events\Looping',
        'Illuminate\Log\Context\Events\ContextHydrated',
        'Illuminate\Database\Events\ConnectionEstablished',
    ];

    private const CARBONS = ['Carbon\Carbon', 'Carbon\CarbonImmutable', 'Illuminate\Support\Carbon'];

    /** Carbon's statics, and what they are where nobody has changed them. Carbon 2 has all of them. */
    private const CARBON_DEFAULTS = [
        'toStringFormat' => null, 'serializer' => null, 'testNow' => null, 'testDefaultTimezone' => null,
        'monthsOverflow' => true, 'yearsOverflow' => true, 'strictModeEnabled' => true,
        'formatFunction' => null, 'createFromFormatFunction' => null, 'parseFunction' => null,
        'weekStartsAt' => 1, 'weekEndsAt' => 0, 'weekendDays' => [6, 0], 'midDayAt' => 12,
        'humanDiffOptions' => 1, 'globalGenericMacros' => [], 'utf8' => false,
    ];

    /** What the container gives for these, and whose class that is. */
    private const STANDING = [
        'auth', 'db', 'db.factory', 'events', 'queue', 'encrypter', 'Illuminate\Contracts\Bus\Dispatcher',
        'Illuminate\Queue\CallQueuedHandler',
    ];

    private $app;

    private $base;

    private $framework;

    private $manager;

    private $original;

    private $unread = [];

    /** `$manager`: what stands for broadcasting here, `$original` the class that it stands for. */
    public function __construct($app, $manager, ?string $original)
    {
        $this->app = $app;
        $this->manager = $manager;
        $this->original = $original;
        $this->base = (string) realpath($app->basePath());
        $this->framework = dirname((new \ReflectionClass(Application::class))->getFileName(), 2);
    }

    public function read(): array
    {
        $report = [];

        foreach ([
            'php', 'places', 'providers', 'macros', 'morphs', 'models', 'listeners', 'dates', 'resources',
            'payloads', 'container', 'config', 'files', 'urls', 'translations',
        ] as $section) {
            try {
                $report[$section] = $this->{$section}();
            } catch (\Throwable $e) {
                $this->unread[$section] = get_class($e).': '.strtok($e->getMessage()."\n", "\n");
            }
        }

        return $report + ['laravel' => Application::VERSION, 'unread' => (object) $this->unread];
    }

    private function php(): array
    {
        $ini = [];

        foreach (self::INI as $name) {
            $value = ini_get($name);
            $ini[$name] = $value === false ? null : $value;
        }

        return [
            'version' => PHP_VERSION,
            'id' => PHP_VERSION_ID,
            'ini' => $ini,
            'extensions' => get_loaded_extensions(),
            'locale' => setlocale(LC_ALL, 0),
            'encoding' => function_exists('mb_internal_encoding') ? mb_internal_encoding() : null,
            'substitute' => function_exists('mb_substitute_character') ? mb_substitute_character() : null,
        ];
    }

    private function places(): array
    {
        return [
            'zone' => date_default_timezone_get(),
            'zones' => timezone_identifiers_list(\DateTimeZone::ALL_WITH_BC),
            'locale' => $this->app->getLocale(),
        ];
    }

    private function providers(): array
    {
        $found = [];

        foreach (array_keys($this->app->getLoadedProviders()) as $class) {
            $found[] = ['class' => $class] + $this->place($this->fileOf($class));
        }

        return $found;
    }

    /** Class → its macros with whose they are. */
    private function macros(): array
    {
        $found = [];

        foreach (get_declared_classes() as $class) {
            $names = strncmp($class, 'Carbon', 6) === 0 ? ['globalMacros', 'macros'] : ['macros'];

            foreach ($names as $name) {
                foreach ((array) $this->staticOf($class, $name, true) as $macro => $callable) {
                    $found[$class][$macro] = $this->described($callable);
                }
            }
        }

        foreach ((array) ($this->carbonFactory()['settings']['macros'] ?? []) as $macro => $callable) {
            $found['Carbon\Carbon'][$macro] = $this->described($callable);
        }

        return $found;
    }

    private function morphs(): array
    {
        $class = 'Illuminate\Database\Eloquent\Relations\Relation';

        return [
            'map' => (object) (array) $this->staticOf($class, 'morphMap'),
            'required' => (bool) $this->staticOf($class, 'requireMorphMap'),
            'identifiers' => (bool) $this->staticOf('Illuminate\Contracts\Database\ModelIdentifier', 'useMorphMap'),
        ];
    }

    private function models(): array
    {
        $model = 'Illuminate\Database\Eloquent\Model';
        $json = 'Illuminate\Database\Eloquent\Casts\Json';
        $encrypter = $this->staticOf($model, 'encrypter');
        $scopes = [];

        foreach ((array) $this->staticOf($model, 'globalScopes') as $class => $named) {
            // As a class with SoftDeletes boots, it gets the scope of that trait, which its source tells.
            $softens = in_array('Illuminate\Database\Eloquent\SoftDeletes', class_uses_recursive($class), true);
            $known = $softens ? ['Illuminate\Database\Eloquent\SoftDeletingScope'] : [];
            $names = array_values(array_diff(array_map('strval', array_keys((array) $named)), $known));

            if ($names !== []) {
                $scopes[$class] = $names;
            }
        }

        $resolver = $this->staticOf($model, 'resolver');

        return [
            'snake_attributes' => $this->staticOf($model, 'snakeAttributes') !== false,
            'encrypter' => is_object($encrypter) ? get_class($encrypter) : $encrypter,
            'lazy' => (bool) $this->staticOf($model, 'modelsShouldPreventLazyLoading'),
            'eager' => (bool) $this->staticOf($model, 'modelsShouldAutomaticallyEagerLoadRelationships'),
            'missing' => (bool) $this->staticOf($model, 'modelsShouldPreventAccessingMissingAttributes'),
            'discarding' => (bool) $this->staticOf($model, 'modelsShouldPreventSilentlyDiscardingAttributes'),
            'json' => $this->staticOf($json, 'decoder') !== null || $this->staticOf($json, 'encoder') !== null,
            'scopes' => (object) $scopes,
            'relations' => (object) array_map('array_keys', (array) $this->staticOf($model, 'relationResolvers')),
            'resolver' => is_object($resolver) ? $this->place($this->fileOf(get_class($resolver)))
                + ['class' => get_class($resolver)] : null,
            'drivers' => array_keys((array) $this->staticOf('Illuminate\Database\Connection', 'resolvers')),
            'extensions' => array_keys((array) $this->property($this->app->make('db'), 'extensions')),
            'uncountable' => $this->addsUncountable(),
            'language' => $this->staticOf('Illuminate\Support\Pluralizer', 'language'),
        ];
    }

    /** Whether the list of words without a plural is another than the one that stands in Laravel's file. */
    private function addsUncountable(): bool
    {
        $class = 'Illuminate\Support\Pluralizer';
        $source = (string) @file_get_contents((string) $this->fileOf($class));
        preg_match('/\$uncountable\s*=\s*\[(.*?)\];/s', $source, $list);

        return preg_match_all("/'[^']+'/", $list[1] ?? '') !== count((array) $this->staticOf($class, 'uncountable'));
    }

    /** Listeners of models' events, and of what happens around a job. */
    private function listeners(): array
    {
        $events = $this->app->make('events');
        $found = [];

        foreach ((array) $this->property($events, 'listeners', true) as $event => $listeners) {
            if (in_array($event, self::HEARD, true) || strncmp($event, 'eloquent.', 9) === 0) {
                foreach ($listeners as $listener) {
                    $found[] = ['event' => $event] + $this->described($listener);
                }
            }
        }

        foreach ((array) $this->property($events, 'wildcards', true) as $pattern => $listeners) {
            $heard = array_values(array_filter(self::HEARD, function ($event) use ($pattern) {
                return Str::is($pattern, $event);
            }));

            // The class at its end may be any: what stands before it decides.
            if (strncmp($pattern, 'eloquent.', 9) === 0 || Str::is($pattern, 'eloquent.retrieved: A')) {
                $heard[] = strncmp($pattern, 'eloquent.', 9) === 0 ? $pattern : 'eloquent.*';
            }

            foreach ($heard as $event) {
                foreach ($listeners as $listener) {
                    $found[] = ['event' => $event, 'pattern' => $pattern] + $this->described($listener);
                }
            }
        }

        return $found;
    }

    private function dates(): array
    {
        $class = 'Illuminate\Support\DateFactory';
        $changed = [];

        foreach (self::CARBONS as $carbon) {
            foreach (self::CARBON_DEFAULTS as $name => $default) {
                $value = $this->staticOf($carbon, $name);

                if ($value !== null && $value !== $default) {
                    $changed[$name] = true;
                }
            }
        }

        foreach ($this->carbonFactory() as $name => $value) {
            if ($name === 'settings') {
                $given = array_filter((array) $value, function ($setting) {
                    return $setting !== null && $setting !== [];
                });
                $changed += array_fill_keys(array_keys(array_diff_key($given, ['macros' => 1, 'locale' => 1])), true);
            } elseif ($value !== (self::CARBON_DEFAULTS[$name] ?? null) && $value !== false) {
                $changed[$name] = true;
            }
        }

        return [
            'class' => $this->staticOf($class, 'dateClass'),
            'callable' => $this->staticOf($class, 'callable') !== null,
            'factory' => $this->staticOf($class, 'factory') !== null,
            'changed' => array_keys($changed),
            'locale' => class_exists('Carbon\Carbon') ? \Carbon\Carbon::getLocale() : null,
        ];
    }

    private function resources(): array
    {
        return ['wrap' => $this->staticOf('Illuminate\Http\Resources\Json\JsonResource', 'wrap', true)];
    }

    /** Who adds to the payload of a job when it is queued. */
    private function payloads(): array
    {
        $callbacks = (array) $this->staticOf('Illuminate\Queue\Queue', 'createPayloadCallbacks');

        return array_map([$this, 'described'], array_values($callbacks));
    }

    private function container(): array
    {
        $found = [];

        foreach (self::STANDING as $name) {
            try {
                if ($this->app->bound($name) || class_exists($name)) {
                    $class = get_class($this->app->make($name));
                    $found[$name] = ['class' => $class] + $this->place($this->fileOf($class));
                }
            } catch (\Throwable $e) {
                $found[$name] = ['class' => null, 'why' => get_class($e)];
            }
        }

        $found['broadcasting'] = ['class' => $this->original]
            + $this->place($this->original === null ? null : $this->fileOf($this->original));
        $bus = $this->app->make('Illuminate\Contracts\Bus\Dispatcher');

        return [
            'standing' => $found,
            'broadcasters' => (object) $this->broadcasters(),
            'pipes' => count((array) $this->property($bus, 'pipes')),
            'handlers' => array_keys((array) $this->property($bus, 'handlers')),
        ];
    }

    /** Broadcast connection → the class of the broadcaster that the app itself makes for it. */
    private function broadcasters(): array
    {
        $found = [];

        foreach ((array) $this->app->make('config')->get('broadcasting.connections') as $name => $config) {
            if (isset($config['driver']) && in_array($config['driver'], ['pusher', 'reverb', 'log', 'null'], true)) {
                try {
                    $class = $this->manager->own($config);
                } catch (\Throwable $e) {
                    $class = get_class($e);
                }

                if ($class !== null) {
                    $found[$name] = ['class' => $class] + $this->place($this->fileOf($class));
                }
            }
        }

        return $found;
    }

    /** All of it as JSON text; what is no plain value is `{"\0": its type}`. */
    private function config(): string
    {
        $text = json_encode(
            $this->plain($this->app->make('config')->all()),
            JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE
        );

        if ($text === false) {
            throw new \RuntimeException(json_last_error_msg());
        }

        return $text;
    }

    private function plain($value)
    {
        if (is_array($value)) {
            return (object) array_map([$this, 'plain'], $value);
        }

        $known = $value === null || is_bool($value) || is_int($value)
            || (is_float($value) && is_finite($value)) || (is_string($value) && preg_match('//u', $value));

        return $known ? $value : ["\0" => gettype($value)];
    }

    /** What `url()` and `asset()` begin with; null where code of the app makes addresses. */
    private function urls(): array
    {
        $url = $this->app->make('url');
        $plain = get_class($url) === 'Illuminate\Routing\UrlGenerator'
            && $this->property($url, 'formatHostUsing') === null
            && $this->property($url, 'formatPathUsing') === null;

        return ['root' => $plain ? $url->to('') : null, 'asset' => $plain ? $url->asset('') : null];
    }

    /** The app's language; `plain` where its lines are those of its own files, found and shown as by Laravel alone. */
    private function translations(): array
    {
        $translator = $this->app->make('translator');
        $loader = $this->property($translator, 'loader', true);
        $plain = get_class($translator) === 'Illuminate\Translation\Translator'
            && get_class($loader) === 'Illuminate\Translation\FileLoader'
            && get_class($this->property($loader, 'files', true)) === 'Illuminate\Filesystem\Filesystem'
            && ! $this->property($loader, 'jsonPaths')
            && $this->isOwnFolder($this->property($loader, 'paths') ?? [$this->property($loader, 'path')]);

        foreach (['determineLocalesUsing', 'missingTranslationKeyCallback', 'selector'] as $name) {
            $plain = $plain && $this->property($translator, $name) === null;
        }

        foreach (['__', 'trans', 'trans_choice'] as $name) {
            $function = new \ReflectionFunction($name);
            $plain = $plain && $this->place($function->getFileName() ?: null)['of'] === 'framework';
        }

        foreach ($plain ? (array) $this->property($translator, 'loaded', true) : [] as $namespace => $groups) {
            foreach ($groups as $group => $locales) {
                foreach ($locales as $locale => $lines) {
                    $plain = $plain && $loader->load($locale, $group, $namespace) === $lines;
                }
            }
        }

        return [
            'plain' => $plain, 'locale' => $translator->getLocale(), 'fallback' => $translator->getFallback(),
        ];
    }

    /** Whether lines come from the app's usual folder, and from the framework's own. */
    private function isOwnFolder(array $paths): bool
    {
        $own = is_dir($this->base.'/resources/lang') ? '/resources/lang' : '/lang';
        $usual = [$this->base.$own, $this->app->basePath().$own];
        $lines = dirname((new \ReflectionClass('Illuminate\Translation\FileLoader'))->getFileName()).'/lang';
        $others = array_values(array_diff($paths, [$lines]));

        return count($others) === 1 && in_array($others[0], $usual, true);
    }

    /** The app's own files that have been loaded so far, as paths from its root. */
    private function files(): array
    {
        $own = $this->base.'/';
        $found = [];

        foreach (get_included_files() as $file) {
            if (strncmp($file, $own, strlen($own)) === 0) {
                $relative = substr($file, strlen($own));

                if (! preg_match('#\A(vendor|storage)/#', $relative)) {
                    $found[] = $relative;
                }
            }
        }

        return $found;
    }

    // ---- whose something is ---------------------------------------------------------------------

    /** Who is called: its class, and where that is written. */
    private function described($callable): array
    {
        if (is_string($callable) && strpos($callable, '::') === false) {
            $callable = explode('@', $callable);
        }

        if (is_array($callable)) {
            $class = is_object($callable[0] ?? null) ? get_class($callable[0]) : (string) ($callable[0] ?? '');

            return ['class' => $class, 'line' => 0] + $this->place($this->fileOf($class));
        }

        if (is_object($callable) && ! $callable instanceof \Closure) {
            return ['class' => get_class($callable), 'line' => 0] + $this->place($this->fileOf(get_class($callable)));
        }

        if (! $callable instanceof \Closure) {
            return ['class' => '', 'line' => 0] + $this->place(null);
        }

        $closure = new \ReflectionFunction($callable);
        $place = $this->place($closure->getFileName() ?: null);

        if ($place['of'] === 'framework') {
            $held = $closure->getStaticVariables(); // the framework wraps what it is given

            foreach (['listener', 'callback', 'closure'] as $name) {
                if (isset($held[$name]) && $held[$name] !== $callable) {
                    return $this->described($held[$name]);
                }
            }
        }

        $scope = $closure->getClosureScopeClass();

        return ['class' => $scope === null ? '' : $scope->getName(), 'line' => $closure->getStartLine()] + $place;
    }

    /** `of`: `framework`, `app`, or the name of the package; empty where it is not known. */
    private function place(?string $file): array
    {
        if ($file === null) {
            return ['file' => '', 'of' => ''];
        }

        $relative = strncmp($file, $this->base.'/', strlen($this->base) + 1) === 0
            ? substr($file, strlen($this->base) + 1) : $file;

        if (strncmp($file, $this->framework.'/', strlen($this->framework) + 1) === 0) {
            $of = 'framework';
        } elseif (preg_match('#\Avendor/([^/]+/[^/]+)/#', $relative, $match)) {
            $of = $match[1];
        } elseif (strncmp($file, dirname(__DIR__, 3).'/', strlen(dirname(__DIR__, 3)) + 1) === 0) {
            $of = 'bridge';
        } else {
            $of = 'app';
        }

        return ['file' => $relative, 'of' => $of];
    }

    private function fileOf(string $class): ?string
    {
        if (! class_exists($class) && ! interface_exists($class)) {
            return null;
        }

        return (new \ReflectionClass($class))->getFileName() ?: null;
    }

    // ---- reading what is not public --------------------------------------------------------------

    /** A static property of the class, null where it has none; with `$own` only one that it declares itself. */
    private function staticOf(string $class, string $name, bool $own = false)
    {
        if (! class_exists($class)) {
            return null;
        }

        $reflection = new \ReflectionClass($class);

        if (! $reflection->hasProperty($name)) {
            return null;
        }

        $property = $reflection->getProperty($name);

        if (! $property->isStatic() || ($own && $property->getDeclaringClass()->getName() !== $class)) {
            return null;
        }

        $property->setAccessible(true);

        if (method_exists($property, 'isInitialized') && PHP_VERSION_ID >= 70400 && ! $property->isInitialized()) {
            return null;
        }

        return $property->getValue();
    }

    /** A property of the object, null where it has none; with `$needed` that is an error. */
    private function property($object, string $name, bool $needed = false)
    {
        for ($class = new \ReflectionClass($object); $class; $class = $class->getParentClass()) {
            if ($class->hasProperty($name)) {
                $property = $class->getProperty($name);
                $property->setAccessible(true);

                return $property->getValue($object);
            }
        }

        if ($needed) {
            throw new \RuntimeException(get_class($object)." has no \${$name}");
        }

        return null;
    }

    /** The settings of Carbon 3, which keeps them in one object. */
    private function carbonFactory(): array
    {
        $class = 'Carbon\FactoryImmutable';

        if (! class_exists($class) || ! method_exists($class, 'getDefaultInstance')) {
            return [];
        }

        $factory = $class::getDefaultInstance();
        $found = [];

        foreach (['settings', 'testNow', 'testDefaultTimezone', 'useTimezoneFromTestNow', 'weekendDays'] as $name) {
            $found[$name] = $this->property($factory, $name);
        }

        return $found;
    }
}
