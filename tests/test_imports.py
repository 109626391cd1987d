"""The structure of the code, beyond what the contracts of import-linter say."""

from __future__ import annotations

import grimp


def test_no_more_than_two_files_import_each_other() -> None:
    graph = grimp.build_graph("bridge", exclude_type_checking_imports=False)
    circles = {
        frozenset({module, *graph.find_upstream_modules(module) & graph.find_downstream_modules(module)})
        for module in graph.modules
    }
    assert len(circles) > 250
    assert [sorted(circle) for circle in circles if len(circle) > 2] == []
