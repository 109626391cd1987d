"""From PHP source to nodes: tree-sitter's tree, lowered to our own."""
