<?php
// One question per line, one answer per line; bytes travel as base64, values as serialize().
error_reporting(E_ALL);
ini_set('display_errors', 'stderr');
ini_set('precision', '14');
ini_set('serialize_precision', '-1');
set_error_handler(function ($level, $message) {
    if ($level & (E_DEPRECATED | E_USER_DEPRECATED)) {
        return true;
    }
    throw new ErrorException($message, 0, $level);
});

function answer(array $question): array
{
    switch ($question['ask']) {
        case 'unserialize':
            $value = unserialize(base64_decode($question['data']));
            if ($value === false && base64_decode($question['data']) !== 'b:0;') {
                return ['unreadable' => true];
            }
            return ['value' => base64_encode(serialize($value))];
        case 'call':
            $arguments = unserialize(base64_decode($question['arguments']));
            $result = ($question['function'])(...$arguments);
            return ['value' => base64_encode(serialize([$result, $arguments]))];
        case 'operate':
            [$left, $right] = unserialize(base64_decode($question['arguments']));
            $operator = $question['operator'];
            static $operators = [];
            $operators[$operator] ??= eval("return fn(\$left, \$right) => \$left $operator \$right;");
            return ['value' => base64_encode(serialize($operators[$operator]($left, $right)))];
        case 'encode':
            $text = json_encode(unserialize(base64_decode($question['data'])), $question['flags'] ?? 0);
            return ['value' => base64_encode(serialize($text))];
        case 'program': // in a process of its own, since classes stay once they are declared
            $file = tempnam(sys_get_temp_dir(), 'php');
            if (pcntl_fork() === 0) {
                file_put_contents($file, json_encode(guarded(['ask' => 'evaluate'] + $question)));
                exit(0);
            }
            pcntl_wait($status);
            $answer = json_decode(file_get_contents($file), true) ?? ['class' => 'Fatal', 'message' => ''];
            unlink($file);
            return $answer;
        case 'evaluate':
            return ['value' => base64_encode(serialize(eval(base64_decode($question['source']))))];
    }
}

function guarded(array $question): array
{
    try {
        return answer($question);
    } catch (\Throwable $thrown) {
        return ['class' => get_class($thrown), 'message' => base64_encode($thrown->getMessage())];
    }
}

while (($line = fgets(STDIN)) !== false) {
    $answer = guarded(json_decode($line, true));
    echo json_encode($answer), "\n";
}
